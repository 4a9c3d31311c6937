//! A graph of f32 convolutions → the same graph with u8 activations and s8 weights around the large ones, as
//! QuantizeLinear and DequantizeLinear pairs (QDQ): the form every execution provider fuses by itself. Knows
//! nodes and ranges, not models.

use crate::export::graph::{FLOAT, int};
use crate::export::proto::{Constant, Graph, Node};
use std::collections::{BTreeMap, BTreeSet};

/// ONNX's numbers for tensor types.
const UINT8: i32 = 2;
const INT8: i32 = 3;
const INT32: i32 = 6;
/// Convolutions with fewer channels on either side are left alone: there is little to gain, and the first
/// layer's input is the picture itself.
const FEWEST_CHANNELS: i64 = 16;

/// u8 codes of one tensor: value = scale · (code − zero).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Value of one step.
    pub scale: f32,
    /// Code of zero.
    pub zero: u8,
}

impl Range {
    /// The codes that cover `low` to `high`, zero included exactly.
    pub fn covering(low: f32, high: f32) -> Range {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
        Range { scale, zero: (-low / scale).round().clamp(0.0, 255.0) as u8 }
    }

    /// What rounding makes of a value.
    pub fn rounded(self, value: f32) -> f32 {
        let zero = f32::from(self.zero);
        ((value / self.scale).round_ties_even().clamp(-zero, 255.0 - zero)) * self.scale
    }
}

/// A node that computes with codes, by the values it reads and makes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    /// Place of the node in the graph.
    node: usize,
    /// Which of its inputs are read as codes.
    inputs: Vec<String>,
    /// What it, or the activation right after it, makes.
    output: String,
    /// Place of the node that makes `output`.
    maker: usize,
}

/// Places of the convolutions with constant f32 weights whose work is worth doing in fewer bits, but for
/// those named in `except`.
pub fn large_convolutions(graph: &Graph, except: &BTreeSet<String>) -> BTreeSet<usize> {
    let constants: BTreeMap<&str, &Constant> =
        graph.initializer.iter().map(|c| (c.name.as_str(), c)).collect();
    let large = |node: &Node| {
        let weight = node.input.get(1).and_then(|name| constants.get(name.as_str()));
        weight.is_some_and(|w| {
            w.data_type == FLOAT
                && matches!(w.dims[..], [out, inside, rows, _] if
                    out >= FEWEST_CHANNELS && inside >= FEWEST_CHANNELS && rows > 1)
        })
    };
    let worth = |node: &Node| node.op_type == "Conv" && large(node) && !except.contains(&node.name);
    (0..graph.node.len()).filter(|&at| worth(&graph.node[at])).collect()
}

/// The nodes worth quantising, in order: large convolutions with constant weights, but for those named in
/// `except`, and sums of what is coded anyway. A sum left in f32 would cost more than the convolutions around
/// it: its operands would be decoded, and their layout changed, for one addition.
fn sites(graph: &Graph, except: &BTreeSet<String>) -> Vec<Site> {
    let large = large_convolutions(graph, except);
    let mut coded: BTreeSet<&str> = large.iter().map(|&at| graph.node[at].input[0].as_str()).collect();
    let mut sites = Vec::new();
    for (index, node) in graph.node.iter().enumerate() {
        let inputs = match node.op_type.as_str() {
            "Conv" if large.contains(&index) => vec![node.input[0].clone()],
            "Add" if node.input.iter().all(|name| coded.contains(name.as_str())) => node.input.clone(),
            _ => continue,
        };
        let made = &node.output[0];
        let readers: Vec<usize> =
            (0..graph.node.len()).filter(|&at| graph.node[at].input.contains(made)).collect();
        let maker = match readers[..] {
            [only] if graph.node[only].op_type == "Relu" => only,
            _ => index,
        };
        let output = graph.node[maker].output[0].as_str();
        coded.insert(output);
        sites.push(Site { node: index, inputs, output: output.to_owned(), maker });
    }
    sites
}

/// The values whose ranges [`rewrite`] needs.
pub fn values(graph: &Graph, except: &BTreeSet<String>) -> BTreeSet<String> {
    let read = |site: Site| site.inputs.into_iter().chain([site.output]);
    sites(graph, except).into_iter().flat_map(read).collect()
}

/// Rewrites. Gives the names of the convolutions that were quantised.
///
/// # Panics
/// If `ranges` lacks one of [`values`].
pub fn rewrite(
    graph: &mut Graph,
    except: &BTreeSet<String>,
    ranges: &BTreeMap<String, Range>,
) -> Vec<String> {
    let sites = sites(graph, except);
    let by_node: BTreeMap<usize, &Site> = sites.iter().map(|site| (site.node, site)).collect();
    let by_maker: BTreeMap<usize, &Site> = sites.iter().map(|site| (site.maker, site)).collect();
    // Nodes nobody reads are not removed by ONNX Runtime, and cost as much as others.
    let plain = graph.node.iter().enumerate().filter(|(index, _)| !by_node.contains_key(index));
    let in_f32: BTreeSet<String> = plain
        .filter(|(index, _)| !by_maker.contains_key(index))
        .flat_map(|(_, node)| node.input.iter().cloned())
        .chain(graph.output.iter().map(|output| output.name.clone()))
        .collect();
    let mut writer = Writer { constants: std::mem::take(&mut graph.initializer), ..Writer::default() };
    let mut names = Vec::new();
    for (index, mut node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        if let Some(site) = by_node.get(&index) {
            for (place, value) in site.inputs.iter().enumerate() {
                let coded = writer.coded(value, ranges[value]);
                node.input[place] = writer.decoded(&coded, value, &format!("{}.in{place}", node.name));
            }
            if node.op_type == "Conv" {
                names.push(node.name.clone());
                writer.weigh(&mut node, ranges[&site.inputs[0]]);
            }
        }
        let output = node.output[0].clone();
        match by_maker.get(&index) {
            Some(_) => {
                let raw = format!("{output}.raw");
                node.output[0].clone_from(&raw);
                writer.nodes.push(node);
                writer.rounded(&raw, &output, ranges[&output], in_f32.contains(&output));
            }
            None => writer.nodes.push(node),
        }
    }
    (graph.node, graph.initializer) = (writer.nodes, writer.constants);
    names
}

#[derive(Default)]
struct Writer {
    nodes: Vec<Node>,
    constants: Vec<Constant>,
    /// Values that exist as codes already.
    coded: BTreeSet<String>,
}

impl Writer {
    /// The codes of `value`, made once.
    fn coded(&mut self, value: &str, range: Range) -> String {
        let name = format!("{value}.u8");
        if self.coded.insert(value.to_owned()) {
            self.range(value, range);
            self.node("QuantizeLinear", &name, &[value, &scale_of(value), &zero_of(value)], &name, None);
        }
        name
    }

    /// f32 again, under the name `output`.
    fn decoded(&mut self, coded: &str, value: &str, output: &str) -> String {
        let inputs = [coded, &scale_of(value), &zero_of(value)];
        self.node("DequantizeLinear", &format!("{output}.dq"), &inputs, output, None);
        output.to_owned()
    }

    /// `raw` through codes to `value`, which is decoded where others read it.
    fn rounded(&mut self, raw: &str, value: &str, range: Range, read: bool) {
        let name = format!("{value}.u8");
        self.coded.insert(value.to_owned());
        self.range(value, range);
        self.node("QuantizeLinear", &name, &[raw, &scale_of(value), &zero_of(value)], &name, None);
        if read {
            self.decoded(&name, value, value);
        }
    }

    fn range(&mut self, value: &str, range: Range) {
        self.constant(&scale_of(value), &[], FLOAT, range.scale.to_le_bytes().to_vec());
        self.constant(&zero_of(value), &[], UINT8, vec![range.zero]);
    }

    /// Weights as s8 with a scale for each output channel, the bias as s32 in units of input × weight.
    fn weigh(&mut self, node: &mut Node, input: Range) {
        let weight = self.take(&node.input[1]);
        let values = floats(&weight);
        let filters = weight.dims[0] as usize;
        let scales: Vec<f32> = values
            .chunks_exact(values.len() / filters)
            .map(|filter| filter.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs())) / 127.0)
            .collect();
        let codes = values.chunks_exact(values.len() / filters).zip(&scales).flat_map(|(filter, s)| {
            filter.iter().map(move |w| (w / s).round().clamp(-127.0, 127.0) as i8 as u8)
        });
        let codes: Vec<u8> = codes.collect();
        node.input[1] = self.channels(&weight.name, &weight.dims, INT8, codes, vec![0; filters], &scales);
        if let Some(name) = node.input.get(2).cloned() {
            let bias = self.take(&name);
            let steps: Vec<f32> = scales.iter().map(|s| s * input.scale).collect();
            let codes = floats(&bias)
                .iter()
                .zip(&steps)
                .map(|(b, step)| (b / step).round() as i32)
                .collect::<Vec<_>>();
            let bytes = codes.iter().flat_map(|c| c.to_le_bytes()).collect();
            node.input[2] = self.channels(&name, &bias.dims, INT32, bytes, vec![0; 4 * filters], &steps);
        }
    }

    /// A constant of codes with a scale for each of its first dimension. Gives the name of its f32 values.
    fn channels(
        &mut self,
        name: &str,
        dims: &[i64],
        kind: i32,
        codes: Vec<u8>,
        zeros: Vec<u8>,
        scales: &[f32],
    ) -> String {
        let (coded, count) = (format!("{name}.codes"), scales.len() as i64);
        self.constant(&coded, dims, kind, codes);
        let bytes = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
        self.constant(&scale_of(name), &[count], FLOAT, bytes);
        self.constant(&zero_of(name), &[count], kind, zeros);
        let inputs = [coded.as_str(), &scale_of(name), &zero_of(name)];
        self.node("DequantizeLinear", &format!("{name}.dq"), &inputs, name, Some(0));
        name.to_owned()
    }

    fn take(&mut self, name: &str) -> Constant {
        let at = self.constants.iter().position(|c| c.name == name).expect("sites have constant weights");
        self.constants.swap_remove(at)
    }

    fn constant(&mut self, name: &str, dims: &[i64], data_type: i32, raw_data: Vec<u8>) {
        self.constants.push(Constant { dims: dims.to_vec(), data_type, name: name.to_owned(), raw_data });
    }

    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], output: &str, axis: Option<i64>) {
        self.nodes.push(Node {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attribute: axis.map(|axis| int("axis", axis)).into_iter().collect(),
        });
    }
}

fn scale_of(value: &str) -> String {
    format!("{value}.scale")
}

fn zero_of(value: &str) -> String {
    format!("{value}.zero")
}

pub fn floats(constant: &Constant) -> Vec<f32> {
    constant.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::graph::GraphWriter;
    use crate::export::proto::Model;
    use crate::net::Weight;
    use prost::Message;

    fn weight(out: i64, inside: i64) -> Weight {
        let values = (0..out * inside * 9).map(|i| ((i * 37 % 201) - 100) as f32 / 400.0).collect();
        Weight { shape: vec![out, inside, 3, 3], values }
    }

    fn graph() -> Graph {
        let mut g = GraphWriter::new("test");
        let x = g.input("image", ["N", "3", "H", "W"]);
        let first = g.conv("first", &x, &weight(16, 3), Some(&[0.1; 16]));
        let inner = g.conv("second", &first, &weight(16, 16), Some(&[0.1; 16]));
        let inner = g.relu("relu", &inner);
        let inner = g.conv("third", &inner, &weight(16, 16), None);
        let sum = g.add("sum", &inner, &first);
        let last = g.conv("last", &sum, &weight(16, 16), None);
        g.output(&last, "output", ["N", "16", "H", "W"]);
        Model::decode(&g.into_bytes(&[])[..]).expect("ours").graph.expect("a graph")
    }

    #[test]
    fn large_convolutions_and_their_sums_compute_with_codes() {
        let mut graph = graph();
        let except = BTreeSet::from(["last".to_owned()]);
        let needed = values(&graph, &except);
        let expected = ["first.out", "relu.out", "sum.out", "third.out"];
        assert_eq!(needed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        let ranges = needed.into_iter().map(|name| (name, Range::covering(-1.0, 3.0))).collect();
        assert_eq!(rewrite(&mut graph, &except, &ranges), ["second", "third"]);
        let count = |kind: &str| graph.node.iter().filter(|node| node.op_type == kind).count();
        // Each of the four values is coded once; relu's codes serve the third convolution.
        assert_eq!(count("QuantizeLinear"), 4);
        let last = graph.node.iter().find(|node| node.name == "last").unwrap();
        assert_eq!(last.input[0], "sum.out", "what stays f32 reads decoded values");
        // Every value is made before it is read.
        let mut known: BTreeSet<&str> = graph.initializer.iter().map(|c| c.name.as_str()).collect();
        known.insert("image");
        for node in &graph.node {
            assert!(node.input.iter().all(|name| known.contains(name.as_str())), "{}", node.name);
            known.extend(node.output.iter().map(String::as_str));
        }
    }

    #[test]
    fn zero_keeps_a_code_of_its_own() {
        for (low, high) in [(-1.0, 3.0), (0.2, 5.0), (-7.0, -1.0), (0.0, 0.0)] {
            let range = Range::covering(low, high);
            assert_eq!(range.rounded(0.0), 0.0);
            for value in [low, high, (low + high) / 2.0] {
                assert!((range.rounded(value) - value).abs() <= 0.51 * range.scale, "{low} {high} {value}");
            }
        }
    }
}
