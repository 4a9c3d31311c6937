//! A graph of f32 nodes → the same graph with its large convolutions, and what stands between two of them,
//! in f16. The first and the last steps stay f32, and so do inputs and outputs; a Cast stands where one meets
//! the other. Knows nodes, not models.

use super::rewrite::{floats, large_convolutions};
use crate::export::graph::{FLOAT, FLOAT16};
use crate::export::proto::{Constant, Graph, Node};
use crate::export::rounding::cast;
use half::f16;
use std::collections::{BTreeMap, BTreeSet};

/// Operators that weigh, add, choose or move values. Others (powers, quotients, exponentials, statistics)
/// leave the range of f16 or its precision sooner, and stay f32.
const HOLDS: [&str; 12] = [
    "Conv",
    "Add",
    "Sub",
    "Mul",
    "Relu",
    "LeakyRelu",
    "Sigmoid",
    "Clip",
    "Concat",
    "AveragePool",
    "Resize",
    "DepthToSpace",
];

/// Places of the nodes that compute in f16: large convolutions but for those in `except`, and what has one of
/// them on either side. What comes before the first of them sees the picture itself, and what comes after the
/// last adds up the result: rounding there is seen, and it is little work.
fn places(graph: &Graph, except: &BTreeSet<String>) -> BTreeSet<usize> {
    let large = large_convolutions(graph, except);
    let (mut behind, mut ahead) = (BTreeSet::new(), BTreeSet::new());
    for (index, node) in graph.node.iter().enumerate() {
        if large.contains(&index) || node.input.iter().any(|value| behind.contains(value.as_str())) {
            behind.extend(node.output.iter().map(String::as_str));
        }
    }
    for (index, node) in graph.node.iter().enumerate().rev() {
        if large.contains(&index) || node.output.iter().any(|value| ahead.contains(value.as_str())) {
            ahead.extend(node.input.iter().map(String::as_str));
        }
    }
    let between = |node: &Node| {
        HOLDS.contains(&node.op_type.as_str())
            && !except.contains(&node.name)
            && node.input.iter().any(|value| behind.contains(value.as_str()))
            && node.output.iter().any(|value| ahead.contains(value.as_str()))
    };
    (0..graph.node.len()).filter(|at| large.contains(at) || between(&graph.node[*at])).collect()
}

/// Rewrites. Gives how many convolutions compute in f16 now; 0 leaves the graph as it was.
pub fn halve(graph: &mut Graph, except: &BTreeSet<String>) -> usize {
    let places = places(graph, except);
    let convolutions = places.iter().filter(|&&at| graph.node[at].op_type == "Conv").count();
    if convolutions == 0 {
        return 0;
    }
    let constants = std::mem::take(&mut graph.initializer);
    let constants = constants.into_iter().map(|constant| (constant.name.clone(), constant)).collect();
    let outputs = graph.output.iter().map(|output| output.name.clone()).collect();
    let mut writer = Writer { constants, outputs, ..Writer::default() };
    for (index, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        writer.node(node, places.contains(&index));
    }
    (graph.node, graph.initializer) = (writer.nodes, writer.kept);
    convolutions
}

#[derive(Default)]
struct Writer {
    /// All there were, by name.
    constants: BTreeMap<String, Constant>,
    /// Those that something reads, in the type it reads.
    kept: Vec<Constant>,
    nodes: Vec<Node>,
    /// Outputs of the graph: they stay f32.
    outputs: BTreeSet<String>,
    /// Values in f16.
    halves: BTreeSet<String>,
    /// Names of what was written in a second type already.
    written: BTreeSet<String>,
}

impl Writer {
    fn node(&mut self, mut node: Node, half: bool) {
        for place in 0..node.input.len() {
            // The factors of a Resize are f32 whatever it resizes.
            let half = half && !(node.op_type == "Resize" && place > 0);
            node.input[place] = self.input(&node.input[place], half);
        }
        let output = node.output[0].clone();
        if half && self.outputs.contains(&output) {
            node.output[0] = format!("{output}.f16");
            let back = cast(&node.output[0], &output, FLOAT);
            self.nodes.extend([node, back]);
            return;
        }
        if half {
            self.halves.insert(output);
        }
        self.nodes.push(node);
    }

    /// The name under which a value is there in the type that is wanted.
    fn input(&mut self, value: &str, half: bool) -> String {
        if value.is_empty() {
            return String::new();
        }
        let constant = self.constants.get(value);
        let here = match constant {
            Some(constant) => !half || constant.data_type != FLOAT,
            None => self.halves.contains(value) == half,
        };
        let name = match (here, half) {
            (true, _) => value.to_owned(),
            (false, true) => format!("{value}.f16"),
            (false, false) => format!("{value}.f32"),
        };
        if (constant.is_none() && here) || !self.written.insert(name.clone()) {
            return name;
        }
        match constant {
            Some(constant) if here => self.kept.push(constant.clone()),
            Some(constant) => self.kept.push(halved(constant, &name)),
            None => self.nodes.push(cast(value, &name, if half { FLOAT16 } else { FLOAT })),
        }
        name
    }
}

fn halved(constant: &Constant, name: &str) -> Constant {
    let raw_data = floats(constant).into_iter().flat_map(|value| f16::from_f32(value).to_le_bytes());
    Constant {
        name: name.to_owned(),
        data_type: FLOAT16,
        dims: constant.dims.clone(),
        raw_data: raw_data.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::graph::GraphWriter;
    use crate::export::proto::Model;
    use crate::net::Weight;
    use prost::Message;

    fn weight(out: i64, inside: i64) -> Weight {
        Weight { shape: vec![out, inside, 3, 3], values: vec![0.25; (out * inside * 9) as usize] }
    }

    /// image → first → [second, relu, + first, third], doubled → exp → last; `third` may also be the output.
    fn graph(third_is_output: bool) -> Graph {
        let mut g = GraphWriter::new("test");
        let x = g.input("image", ["n", "3", "h", "w"]);
        let half = g.constant("half", &[], &[0.5]);
        let centred = g.sub("centred", &x, &half);
        let first = g.conv("first", &centred, &weight(16, 3), Some(&[0.1; 16]));
        let inner = g.conv("second", &first, &weight(16, 16), Some(&[0.1; 16]));
        let inner = g.relu("relu", &inner);
        let sum = g.add("sum", &inner, &first);
        let halved = g.mul("halved", &sum, &half);
        let large = g.double("large", &halved);
        let mut last = g.conv("third", &large, &weight(16, 16), None);
        if !third_is_output {
            last = g.exp("exp", &last);
            last = g.mul("scaled", &last, &half);
        }
        g.output(&last, "output", ["n", "16", "h2", "w2"]);
        Model::decode(&g.into_bytes(&[])[..]).expect("ours").graph.expect("a graph")
    }

    /// The type of every value, by following the nodes as ONNX does; each node reads one type.
    fn types(graph: &Graph) -> BTreeMap<String, i32> {
        let mut types: BTreeMap<String, i32> =
            graph.initializer.iter().map(|c| (c.name.clone(), c.data_type)).collect();
        types.extend(graph.input.iter().map(|input| (input.name.clone(), FLOAT)));
        for node in &graph.node {
            let read =
                |value: &String| *types.get(value).unwrap_or_else(|| panic!("{value} is not made yet"));
            let free = if node.op_type == "Resize" { 1 } else { node.input.len() };
            let read: BTreeSet<i32> = node.input[..free].iter().map(read).collect();
            assert_eq!(read.len(), 1, "{} reads one type", node.name);
            let to = node.attribute.iter().find(|a| a.name == "to").and_then(|a| a.i);
            let made = to.map_or(*read.first().expect("one"), |to| to as i32);
            types.insert(node.output[0].clone(), made);
        }
        types
    }

    #[test]
    fn what_stands_between_large_convolutions_is_f16_and_the_rest_f32() {
        let mut graph = graph(false);
        assert_eq!(halve(&mut graph, &BTreeSet::new()), 2);
        let types = types(&graph);
        for (value, kind) in [
            ("centred.out", FLOAT),
            ("first.out", FLOAT),
            ("second.out", FLOAT16),
            ("sum.out", FLOAT16),
            ("large.out", FLOAT16),
            ("third.out", FLOAT16),
            ("exp.out", FLOAT),
            ("output", FLOAT),
            // Each reader has the constant in its own type.
            ("half", FLOAT),
            ("half.f16", FLOAT16),
            ("large.scales", FLOAT),
            ("second.weight.f16", FLOAT16),
        ] {
            assert_eq!(types[value], kind, "{value}");
        }
        assert!(!types.contains_key("second.weight"), "f32 weights are gone");
        let casts = graph.node.iter().filter(|node| node.op_type == "Cast").count();
        assert_eq!(
            casts, 2,
            "the first layer is converted once for both of its readers, and the last one back"
        );
    }

    #[test]
    fn an_output_stays_f32_and_what_is_named_too() {
        let mut whole = graph(true);
        assert_eq!(halve(&mut whole, &BTreeSet::new()), 2);
        assert_eq!(types(&whole)["output"], FLOAT);
        let mut kept = graph(true);
        assert_eq!(halve(&mut kept, &BTreeSet::from(["second".to_owned()])), 1);
        assert_eq!(types(&kept)["sum.out"], FLOAT, "nothing large comes before it any more");
        let (mut none, before) = (graph(true), graph(true));
        assert_eq!(halve(&mut none, &["second", "third"].map(str::to_owned).into()), 0);
        assert_eq!(none, before);
    }
}
