//! `tools inspect FILE.onnx`: what a model file says about itself, what its graph costs, and whether it still
//! gives its golden tile. Reads; changes nothing.

mod cost;

use crate::export::graph::{FLOAT, FLOAT16};
use crate::export::proto::{Graph, Model, ValueInfo};
use crate::onnx::{OnnxError, OnnxModel};
use contract::card::{CardError, ModelCard};
use contract::golden::GOLDEN_TOLERANCE;
use cost::{Cost, cost};
use prost::Message;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is no ONNX file.
    #[error("is no ONNX file ({0})")]
    NoModel(String),
    /// It carries no card that the daemon would take.
    #[error("has no whole model card: {0}")]
    Card(#[from] CardError),
    /// ONNX Runtime's own words.
    #[error(transparent)]
    Runtime(#[from] OnnxError),
}

/// Everything that is known about a model file.
#[derive(Debug)]
pub struct Inspection {
    file: PathBuf,
    bytes: usize,
    model: Model,
    cost: Cost,
    /// The card, or everything that is wrong with it.
    pub card: Result<ModelCard, CardError>,
    /// Largest difference from the golden tile, where there is a card.
    pub golden: Option<f32>,
}

/// Reads a file, counts, and evaluates its golden tile.
///
/// # Errors
/// [`InspectError`]; a card that is wrong is no error but a finding.
pub fn inspect(file: &Path) -> Result<Inspection, InspectError> {
    let bytes = std::fs::read(file)?;
    let model = decode(&bytes)?;
    let no_graph = || InspectError::NoModel("it has no graph".into());
    let card = card_of(&model);
    let golden = card.as_ref().ok().map(|card| golden(file, card)).transpose()?;
    let graph = model.graph.as_ref().ok_or_else(no_graph)?;
    let scale = card.as_ref().map_or(1, |card| card.scale);
    // A generator's σ is one number a picture.
    let inputs =
        [("image", 1.0), ("mask", 1.0), ("noise", (scale * scale) as f64), ("x", 1.0), ("sigma", 1e-6)];
    let cost = cost(graph, &inputs);
    Ok(Inspection { file: file.to_owned(), bytes: bytes.len(), cost, model, card, golden })
}

/// A file's card.
///
/// # Errors
/// If the file or its card is not whole.
pub fn card(file: &Path) -> Result<ModelCard, InspectError> {
    Ok(card_of(&decode(&std::fs::read(file)?)?)?)
}

fn decode(bytes: &[u8]) -> Result<Model, InspectError> {
    Model::decode(bytes).map_err(|error| InspectError::NoModel(error.to_string()))
}

fn card_of(model: &Model) -> Result<ModelCard, CardError> {
    let pairs = model.metadata_props.iter().map(|pair| (pair.key.clone(), pair.value.clone()));
    ModelCard::from_pairs(&pairs.collect()).map(|(card, _)| card)
}

/// The largest difference from the known answer.
fn golden(file: &Path, card: &ModelCard) -> Result<f32, OnnxError> {
    let mut model = OnnxModel::open(file, card.scale, 1)?;
    let (golden, window) = (&card.golden, card.golden.window(card.golden_side()));
    let output = model.golden(golden, window)?;
    Ok(golden.error(&output, window, card.scale))
}

impl Inspection {
    /// Whether it is of use: the daemon would take it (its card is whole, and it does what the card says), or
    /// it is a generator.
    pub fn is_well(&self) -> bool {
        self.is_generator() || self.golden.is_some_and(|error| error <= self.tolerance())
    }

    fn tolerance(&self) -> f32 {
        self.card.as_ref().map_or(GOLDEN_TOLERANCE, ModelCard::golden_tolerance)
    }

    fn is_generator(&self) -> bool {
        self.model.metadata_props.iter().any(|pair| pair.key == "generator.side")
    }

    fn graph(&self) -> &Graph {
        self.model.graph.as_ref().expect("a file without a graph was refused")
    }

    fn card_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let card = match &self.card {
            Ok(card) => card,
            Err(_) if self.is_generator() => {
                writeln!(f, "card      none: for sample, edit and evaluate, not for the daemon")?;
                let mut facts = self.model.metadata_props.iter();
                return facts.try_for_each(|pair| writeln!(f, "          {} = {}", pair.key, pair.value));
            }
            Err(error) => {
                writeln!(f, "card      none that the daemon would take:")?;
                return error.problems.iter().try_for_each(|problem| writeln!(f, "          {problem}"));
            }
        };
        // The golden tile is a thousand digits; how well it is met is told below.
        for (key, value) in card.to_pairs().iter().filter(|(key, _)| !key.contains(".golden.")) {
            writeln!(f, "card      {key} = {value}")?;
        }
        let error = self.golden.unwrap_or(f32::NAN);
        let verdict = if self.is_well() { "well" } else { "NOT what the card promises" };
        writeln!(
            f,
            "golden    differs by {error:.1e}, at most {:.0e} is arithmetic: {verdict}",
            self.tolerance()
        )
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (graph, cost) = (self.graph(), &self.cost);
        let opset = self.model.opset_import.iter().map(|set| set.version).max().unwrap_or(0);
        writeln!(f, "file      {}, {:.2} MB", self.file.display(), self.bytes as f64 / 1e6)?;
        writeln!(f, "made by   {} {}", self.model.producer_name, self.model.producer_version)?;
        writeln!(f, "format    IR version {}, opset {opset}", self.model.ir_version)?;
        for (side, values) in [("input ", &graph.input), ("output", &graph.output)] {
            for value in values {
                writeln!(f, "{side}    {} {} {}", value.name, shape(value), kind(value))?;
            }
        }
        let nodes: Vec<String> = cost.nodes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "nodes     {}: {}", graph.node.len(), nodes.join(", "))?;
        let halves = match halves(graph) {
            0 => String::new(),
            count => format!(", {count} of them in f16"),
        };
        writeln!(f, "weights   {} values{halves}", cost.parameters)?;
        let bound = if cost.uncounted.is_empty() { "" } else { "at least " };
        writeln!(f, "cost      {bound}{:.0} multiply-accumulates per input pixel", cost.macs_per_pixel)?;
        if !cost.uncounted.is_empty() {
            let kinds: Vec<&str> = cost.uncounted.iter().map(String::as_str).collect();
            writeln!(f, "          not counted: {}", kinds.join(", "))?;
        }
        let said = self.card.as_ref().map_or(String::new(), |card| {
            format!("; the card says {}, and {} are enough for tiles (halo)", card.receptive_field, card.halo)
        });
        match cost.radius.is_finite() {
            true => writeln!(
                f,
                "reach     {bound}{:.0} pixels on each side by the graph{said}",
                cost.radius.ceil()
            )?,
            false => writeln!(f, "reach     the whole picture: it must not be cut into tiles")?,
        }
        self.card_lines(f)
    }
}

/// Values of constants in f16.
fn halves(graph: &Graph) -> u64 {
    let halves = graph.initializer.iter().filter(|constant| constant.data_type == FLOAT16);
    halves.map(|constant| constant.dims.iter().product::<i64>().max(0) as u64).sum()
}

/// What a value is made of.
fn kind(value: &ValueInfo) -> &'static str {
    match value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()).map(|tensor| tensor.elem_type) {
        Some(FLOAT) => "f32",
        Some(FLOAT16) => "f16",
        _ => "of another type",
    }
}

/// Dimensions as numbers or names.
fn shape(value: &ValueInfo) -> String {
    let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let Some(shape) = tensor.and_then(|tensor| tensor.shape.as_ref()) else { return "of any shape".into() };
    let side =
        |dimension: &crate::export::proto::Dimension| match (&dimension.dim_value, &dimension.dim_param) {
            (Some(value), _) => value.to_string(),
            (None, Some(name)) => name.clone(),
            (None, None) => "?".into(),
        };
    shape.dim.iter().map(side).collect::<Vec<_>>().join("×")
}
