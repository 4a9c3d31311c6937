//! What a graph costs and how far it looks, from its nodes alone: multiply–accumulates per input pixel and
//! the radius of its receptive field. Arithmetic on the file's structure; evaluates nothing.

use crate::export::proto::{Constant, Graph, Node};
use std::collections::{BTreeMap, BTreeSet};

/// The sums over a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Values of all constants.
    pub parameters: u64,
    /// Multiply–accumulates of all convolutions per pixel of the input picture; elementwise work is not
    /// counted.
    pub macs_per_pixel: f64,
    /// How far an output pixel looks, in input pixels.
    pub radius: f64,
    /// Kinds of nodes whose work is not known here: then the sums are lower bounds.
    pub uncounted: BTreeSet<String>,
    /// How many nodes there are of each kind.
    pub nodes: BTreeMap<String, usize>,
}

/// A value of the graph that has pixels.
#[derive(Debug, Clone, Copy)]
struct Plane {
    /// Positions per pixel of the input picture: ¼ after a stride of two, 16 after an enlargement by four.
    area: f64,
    /// How far it looks, in input pixels.
    radius: f64,
}

/// Counts. `inputs` are the graph's spatial inputs with their positions per input pixel.
pub fn cost(graph: &Graph, inputs: &[(&str, f64)]) -> Cost {
    let constants: BTreeMap<&str, &Constant> =
        graph.initializer.iter().map(|c| (c.name.as_str(), c)).collect();
    let elements = |constant: &Constant| constant.dims.iter().product::<i64>().max(0) as u64;
    let mut cost = Cost {
        parameters: graph.initializer.iter().map(elements).sum(),
        macs_per_pixel: 0.0,
        radius: 0.0,
        uncounted: BTreeSet::new(),
        nodes: BTreeMap::new(),
    };
    let mut planes: BTreeMap<&str, Plane> =
        inputs.iter().map(|(name, area)| (*name, Plane { area: *area, radius: 0.0 })).collect();
    for node in &graph.node {
        *cost.nodes.entry(node.op_type.clone()).or_default() += 1;
        let seen = node.input.iter().filter_map(|name| planes.get(name.as_str()));
        let whole = |a: Plane, b: &Plane| Plane { area: a.area.max(b.area), radius: a.radius.max(b.radius) };
        let Some(before) = seen.copied().reduce(|a, b| whole(a, &b)) else { continue };
        let after = match node.op_type.as_str() {
            "Conv" => conv(node, before, &constants, &mut cost),
            "DepthToSpace" => resized(before, int(node, "blocksize").pow(2) as f64),
            "SpaceToDepth" => resized(before, 1.0 / int(node, "blocksize").pow(2) as f64),
            "Resize" => match scales(node, &constants) {
                // Cubic is the widest kernel there is: two pixels on each side.
                Some(factor) => {
                    Plane { radius: before.radius + 2.0 * side(before), ..resized(before, factor) }
                }
                None => unknown(node, before, &mut cost),
            },
            "AveragePool" => resized(before, 1.0 / (first(node, "strides").pow(2)) as f64),
            // Statistics over the picture: every pixel depends on every other.
            "ReduceMean" | "Softmax" => Plane { radius: f64::INFINITY, ..before },
            "Add" | "Sub" | "Mul" | "Div" | "Relu" | "LeakyRelu" | "PRelu" | "Sigmoid" | "Tanh" | "Exp"
            | "Clip" | "Concat" | "Identity" | "Cast" | "Neg" | "Sqrt" | "Slice" | "Split" | "Log"
            | "Sin" | "Cos" | "Reshape" | "Transpose" => before,
            _ => unknown(node, before, &mut cost),
        };
        cost.radius = cost.radius.max(after.radius);
        planes.extend(node.output.iter().map(|name| (name.as_str(), after)));
    }
    cost
}

/// A convolution of out×in/groups×h×w weights: each output position costs all of them once.
fn conv(node: &Node, before: Plane, constants: &BTreeMap<&str, &Constant>, cost: &mut Cost) -> Plane {
    let weight = node.input.get(1).and_then(|name| constants.get(name.as_str()));
    let Some(weight) = weight.filter(|weight| weight.dims.len() == 4) else {
        return unknown(node, before, cost);
    };
    let (stride, dilation) = (first(node, "strides"), first(node, "dilations"));
    let after = resized(before, 1.0 / (stride * stride) as f64);
    cost.macs_per_pixel += after.area * weight.dims.iter().product::<i64>() as f64;
    // Kernels that are as wide as their stride cut a plane into cells; only what is wider looks at
    // neighbours.
    let reach = ((weight.dims[2] - 1) * dilation + 1 - stride).max(0) as f64 / 2.0;
    Plane { radius: before.radius + reach * side(before), ..after }
}

fn resized(before: Plane, factor: f64) -> Plane {
    Plane { area: before.area * factor, ..before }
}

fn unknown(node: &Node, before: Plane, cost: &mut Cost) -> Plane {
    cost.uncounted.insert(node.op_type.clone());
    before
}

/// Side of a position in input pixels.
fn side(plane: Plane) -> f64 {
    plane.area.powf(-0.5)
}

fn int(node: &Node, name: &str) -> i64 {
    node.attribute.iter().find(|a| a.name == name).and_then(|a| a.i).unwrap_or(1)
}

fn first(node: &Node, name: &str) -> i64 {
    node.attribute.iter().find(|a| a.name == name).and_then(|a| a.ints.first()).copied().unwrap_or(1)
}

/// The factor by which a Resize with constant scales changes the number of positions.
fn scales(node: &Node, constants: &BTreeMap<&str, &Constant>) -> Option<f64> {
    let raw = &constants.get(node.input.get(2)?.as_str())?.raw_data;
    let values: Vec<f32> =
        raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    (values.len() == 4).then(|| f64::from(values[2]) * f64::from(values[3]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::graph::GraphWriter;
    use crate::export::proto::Model;
    use crate::net::Weight;
    use prost::Message;

    fn weight(out: i64, inside: i64, side: i64) -> Weight {
        Weight {
            shape: vec![out, inside, side, side],
            values: vec![0.0; (out * inside * side * side) as usize],
        }
    }

    /// 3×3 at full size, folded by four, 3×3 there, and unfolded: sums and reach by hand.
    #[test]
    fn a_small_graph_is_counted_by_hand() {
        let mut g = GraphWriter::new("test");
        let x = g.input("image", ["N", "3", "H", "W"]);
        let a = g.conv("a", &x, &weight(3, 3, 3), Some(&[0.0; 3]));
        let a = g.relu("r", &a);
        let b = g.fold("b", &a, 3, 4);
        let c = g.conv("c", &b, &weight(48, 48, 3), None);
        let d = g.depth_to_space("d", &c, 4);
        let e = g.add("e", &d, &a);
        g.output(&e, "output", ["N", "3", "H", "W"]);
        let graph = Model::decode(&g.into_bytes(&[])[..]).expect("ours").graph.expect("a graph");
        let cost = cost(&graph, &[("image", 1.0)]);
        let (full, folded) = (3 * 3 * 9, 48 * 48 + 48 * 48 * 9);
        assert_eq!(cost.macs_per_pixel, f64::from(full) + f64::from(folded) / 16.0);
        assert_eq!(cost.parameters, (full + 3 + folded) as u64);
        assert_eq!(cost.radius, 1.0 + 4.0, "one pixel, and one of four pixels");
        assert_eq!((cost.nodes["Conv"], cost.uncounted.len()), (3, 0));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let mut g = GraphWriter::new("test");
        let x = g.input("image", ["N", "3", "H", "W"]);
        let a = g.add("a", &x, &x);
        g.output(&a, "output", ["N", "3", "H", "W"]);
        let mut graph = Model::decode(&g.into_bytes(&[])[..]).expect("ours").graph.expect("a graph");
        graph.node[0].op_type = "InstanceNormalization".into();
        assert_eq!(cost(&graph, &[("image", 1.0)]).uncounted, ["InstanceNormalization".to_owned()].into());
    }
}
