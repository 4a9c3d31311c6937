//! Where the nodes of a graph are really computed: one evaluation under the runtime's profiler, whose
//! records name the provider of every node.

use super::file::File;
use super::foreign::Foreign;
use super::golden_error;
use super::onnx::Recipe;
use crate::edge::record;
use crate::work::placement::Node;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Least side of a window in which it is looked at, where any will do: in a small one a picture may have no
/// more elements than a shape.
const LEAST_PX: usize = 256;
/// What the runtime appends to the name of a node whose time it tells.
const TIMED: &str = "_kernel_time";

/// One record of a profile; of those of nodes, what we look at.
#[derive(Debug, Deserialize)]
struct Event {
    cat: String,
    name: String,
    #[serde(default)]
    args: Args,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    op_name: String,
    provider: String,
    /// The shape of each tensor by the type of its elements.
    input_type_shape: Vec<BTreeMap<String, Vec<i64>>>,
    output_type_shape: Vec<BTreeMap<String, Vec<i64>>>,
}

/// The nodes that one evaluation of the golden tile in a window of at least `side` pixels computes.
/// `recipe` makes its session with a profile that begins with the path it is given.
///
/// # Errors
/// What the runtime says, or that its profile cannot be read.
pub(super) fn nodes(file: &File, side: usize, recipe: &dyn Fn(&Path) -> Recipe) -> Result<Vec<Node>, String> {
    let plugs = file.plugs.clone().ok_or("it is not from elsewhere")?;
    let unkept = |error: std::io::Error| format!("there is no place for its profile: {error}");
    let folder = tempfile::Builder::new().prefix("onestep-").tempdir().map_err(unkept)?;
    let recipe = recipe(&folder.path().join("profile"));
    let mut network = Foreign::open(recipe, file.card.clone(), plugs).map_err(|error| error.to_string())?;
    let side = match file.card.window {
        Some(_) => side,
        None => side.max(LEAST_PX).next_multiple_of(file.card.multiple),
    };
    golden_error(&mut network, side).map_err(|error| error.to_string())?;
    let profile = network.end_profile().map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(&profile).map_err(|error| format!("its profile: {error}"))?;
    nodes_of(&text)
}

fn nodes_of(profile: &str) -> Result<Vec<Node>, String> {
    let events: Vec<Event> = record::parse(profile).map_err(|error| format!("its profile: {error}"))?;
    let elements = |shapes: &[BTreeMap<String, Vec<i64>>]| {
        let of = |shape: &Vec<i64>| shape.iter().map(|side| usize::try_from(*side).unwrap_or(0)).product();
        shapes.iter().flat_map(BTreeMap::values).map(of).max()
    };
    let node = |Event { name, args, .. }: Event| Node {
        name: name.trim_end_matches(TIMED).to_owned(),
        read: elements(&args.input_type_shape).unwrap_or(0),
        // Of what is no tensor nothing is known.
        wrote: elements(&args.output_type_shape).unwrap_or(usize::MAX),
        operator: args.op_name,
        provider: args.provider,
    };
    let nodes = events.into_iter().filter(|event| event.cat == "Node" && !event.args.provider.is_empty());
    Ok(nodes.map(node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::library;
    use crate::edge::model::file::{builder, load};
    use crate::edge::model::foreign::adopt;
    use crate::work::placement::shapes_elsewhere;
    use crate::work::terms::{Channels, HoleFill, Terms};
    use contract::card::Task;
    use ort::session::builder::GraphOptimizationLevel;
    use std::sync::Arc;

    /// What ONNX Runtime 1.31 wrote on a processor, of which some fields and nodes are left out.
    const PROFILE: &str = r#"[
{"cat":"Session","pid":1,"tid":1,"dur":2604,"ts":446,"ph":"X","name":"session_initialization","args":{}},
{"cat":"Node","pid":1,"tid":1,"dur":229,"ts":3185,"ph":"X","name":"c_nchwc_kernel_time","args":{
 "output_size":"262144","op_name":"Conv","provider":"CPUExecutionProvider","thread_scheduling_stats":{
 "main_thread":
 {"thread_pool_name":"session-1-intra-op","block_size":[1],"core":0}},"node_index":"7",
 "output_type_shape":[{"float":[1,16,64,64]}],"parameter_size":"1728",
 "input_type_shape":[{"float":[1,3,64,64]},{"float":[16,3,3,3]}]}},
{"cat":"Node","pid":1,"tid":1,"dur":6,"ts":3454,"ph":"X","name":"shape_kernel_time","args":{
 "provider":"CPUExecutionProvider","op_name":"Shape","output_size":"32",
 "output_type_shape":[{"int64":[4]}],"input_type_shape":[{"float":[1,3,64,64]}]}},
{"cat":"Node","pid":1,"tid":1,"dur":5,"ts":3478,"ph":"X","name":"slice_kernel_time","args":{
 "provider":"CPUExecutionProvider","op_name":"Slice","output_type_shape":[{"int64":[2]}],
 "input_type_shape":[{"int64":[4]},{"int64":[1]},{"int64":[1]}]}},
{"cat":"Session","pid":1,"tid":1,"dur":401,"ts":3173,"ph":"X","name":"model_run","args":{}}
]"#;

    #[test]
    fn a_profile_tells_who_computed_which_node() {
        let nodes = nodes_of(PROFILE).unwrap();
        let told: Vec<_> =
            nodes.iter().map(|node| (&*node.operator, &*node.name, node.read, node.wrote)).collect();
        assert_eq!(
            told,
            [("Conv", "c_nchwc", 12_288, 65_536), ("Shape", "shape", 12_288, 4), ("Slice", "slice", 4, 2)]
        );
        assert!(shapes_elsewhere(&nodes, "CUDAExecutionProvider").is_err());
        assert_eq!(shapes_elsewhere(&nodes, "CPUExecutionProvider"), Ok(0));
        // As if CUDA had done the convolution.
        let moved = PROFILE.replacen("CPUExecutionProvider", "CUDAExecutionProvider", 1);
        assert_eq!(shapes_elsewhere(&nodes_of(&moved).unwrap(), "CUDAExecutionProvider"), Ok(2));
        assert!(nodes_of("[{").unwrap_err().starts_with("its profile:"));
    }

    /// One evaluation of a shipped network, without its card, under the runtime's own profiler.
    #[test]
    fn the_runtime_tells_where_a_network_was_computed() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let executable = std::env::current_exe().unwrap();
        let library = library::find(None, None, &executable, repository).unwrap();
        let environment = load(&library).unwrap();
        let terms = Terms {
            name: "other".into(),
            file: "other.onnx".into(),
            task: Task::Inpainting,
            scale: 1,
            input: None,
            mask_input: None,
            output: None,
            range: None,
            output_range: None,
            channels: Channels::Rgb,
            layout: None,
            mask_hole: 1.0,
            hole_fill: HoleFill::Smooth,
            multiple: 16,
            halo: 0,
            licence: "unknown".into(),
        };
        let file = adopt(&environment, &repository.join("models/inpaint-mean.onnx"), &terms).unwrap();
        let recipe = |profile: &Path| -> Recipe {
            let (environment, file, profile) = (environment.clone(), file.clone(), profile.to_owned());
            Arc::new(move || {
                file.commit(builder(&environment, GraphOptimizationLevel::Level3)?.with_profiling(&profile)?)
            })
        };
        let nodes = nodes(&file, 64, &recipe).unwrap();
        assert_eq!(shapes_elsewhere(&nodes, "CPUExecutionProvider"), Ok(0));
        assert!(shapes_elsewhere(&nodes, "CUDAExecutionProvider").is_err());
        let convolutions: Vec<&Node> = nodes.iter().filter(|node| node.operator.contains("Conv")).collect();
        assert!(convolutions.len() > 20, "{nodes:?}");
        assert!(convolutions.iter().all(|node| node.wrote >= 1024 && node.read >= 1024), "{convolutions:?}");
    }
}
