//! A graph in f16 → the same graph in f32 that rounds to f16 wherever the other one does: what a GPU computes
//! that adds in f32. On a processor ONNX Runtime computes f16 nodes in f32 and leaves out the roundings
//! between them, which flatters whatever is measured. Knows nodes, not models.

use super::graph::{FLOAT, FLOAT16, int};
use super::proto::{Constant, Graph, Model, Node};
use half::f16;
use prost::Message;
use std::collections::BTreeSet;
use std::path::Path;

/// The bytes of a file with its roundings spelled out; `None` where it has none (or is no model: that is for
/// others to say).
pub fn spelled_out_file(path: &Path) -> Option<Vec<u8>> {
    let mut model = Model::decode(&std::fs::read(path).ok()?[..]).ok()?;
    spell_out(model.graph.as_mut()?).then(|| model.encode_to_vec())
}

/// Turns a graph in f16 into one that rounds. Gives whether there was anything in f16.
pub fn spell_out(graph: &mut Graph) -> bool {
    // Values that hold nothing finer than f16.
    let mut coarse = BTreeSet::new();
    for constant in graph.initializer.iter_mut().filter(|constant| constant.data_type == FLOAT16) {
        widen(constant);
        coarse.insert(constant.name.clone());
    }
    let mut nodes = Vec::new();
    for mut node in std::mem::take(&mut graph.node) {
        let is_cast = node.op_type == "Cast";
        let to_half = is_cast && target(&node) == Some(i64::from(FLOAT16));
        if !to_half && (is_cast || !node.input.iter().any(|value| coarse.contains(value))) {
            nodes.push(node);
            continue;
        }
        let output = node.output[0].clone();
        let (exact, rounded) = (format!("{output}.exact"), format!("{output}.rounded"));
        if to_half {
            nodes.push(cast(&node.input[0], &rounded, FLOAT16));
        } else {
            node.output[0].clone_from(&exact);
            nodes.push(node);
            nodes.push(cast(&exact, &rounded, FLOAT16));
        }
        nodes.push(cast(&rounded, &output, FLOAT));
        coarse.insert(output);
    }
    graph.node = nodes;
    !coarse.is_empty()
}

/// A conversion of `value` to another type.
pub fn cast(value: &str, output: &str, to: i32) -> Node {
    Node {
        input: vec![value.to_owned()],
        output: vec![output.to_owned()],
        name: format!("{output}.cast"),
        op_type: "Cast".to_owned(),
        attribute: vec![int("to", i64::from(to))],
    }
}

fn target(node: &Node) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name == "to").and_then(|attribute| attribute.i)
}

fn widen(constant: &mut Constant) {
    let values = constant.raw_data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32());
    constant.raw_data = values.flat_map(f32::to_le_bytes).collect();
    constant.data_type = FLOAT;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::graph::GraphWriter;
    use crate::onnx::{Asked, OnnxModel};
    use contract::geometry::{Rect, Size};
    use contract::pixels::Picture;

    /// Beside 8 the steps of f16 are 1/128, so 1/255 becomes one; ONNX Runtime by itself keeps 1/255.
    #[test]
    fn roundings_inside_are_not_left_out() {
        let mut g = GraphWriter::new("test");
        let x = g.input("image", ["n", "3", "h", "w"]);
        let eight = g.constant("eight", &[], &[8.0]);
        let raised = g.add("raised", &x, &eight);
        let back = g.sub("back", &raised, &eight);
        g.output(&back, "output", ["n", "3", "h", "w"]);
        let mut model = Model::decode(&g.into_bytes(&[])[..]).expect("ours");
        let graph = model.graph.as_mut().expect("a graph");
        assert!(!spell_out(&mut graph.clone()), "nothing is in f16 yet");
        let eight = f16::from_f32(8.0).to_le_bytes().to_vec();
        graph.initializer[0] =
            Constant { data_type: FLOAT16, raw_data: eight, ..graph.initializer[0].clone() };
        graph.node.insert(0, cast("image", "image.f16", FLOAT16));
        graph.node[1].input[0] = "image.f16".into();
        graph.node[2].output[0] = "output.f16".into();
        graph.node.push(cast("output.f16", "output", FLOAT));
        let folder = tempfile::tempdir().expect("a temp folder");
        let file = folder.path().join("half.onnx");
        crate::run_folder::replace(&file, &model.encode_to_vec()).expect("writable");
        let size = Size::new(2, 2);
        let picture = Picture { size, channels: 3, samples: vec![1; 12] };
        let mut opened = OnnxModel::open(&file, 1, 1).expect("a model");
        let output =
            opened.window(&picture, Rect { x: 0, y: 0, size }, Asked::clean(1, 0.0)).expect("it runs");
        assert_eq!(output, [1.0 / 128.0; 12]);
    }
}
