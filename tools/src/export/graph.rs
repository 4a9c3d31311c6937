//! Writes an ONNX graph node by node. Only operators that every execution provider runs well; no Shape nodes
//! (they land on the CPU on GPU boxes), no opset above 18. Knows operators, not models.

use super::proto::{
    Attribute, Constant, Dimension, Graph, Model, Node, OperatorSet, Pair, Shape, TensorType, Type, ValueInfo,
};
use crate::net::Weight;
use prost::Message;

pub(crate) const FLOAT: i32 = 1;
pub(crate) const FLOAT16: i32 = 10;
/// Type of 8-bit weights.
pub(crate) const INT8: i32 = 3;
const INT64: i32 = 7;
const OPSET: i64 = 18;
const IR_VERSION: i64 = 10;

/// The name of a value in the graph.
pub type Value = String;

/// A group normalisation's numbers.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm<'a> {
    /// Groups of channels.
    pub groups: i64,
    /// Channels, rows, columns.
    pub size: [i64; 3],
    /// Per channel.
    pub scale: &'a [f32],
    /// Per channel.
    pub shift: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// A graph being written.
#[derive(Debug, Default)]
pub struct GraphWriter {
    graph: Graph,
}

impl GraphWriter {
    /// An empty graph.
    pub fn new(name: &str) -> GraphWriter {
        GraphWriter { graph: Graph { name: name.to_owned(), ..Graph::default() } }
    }

    /// Declares an f32 input; a dimension is a number or a name.
    pub fn input(&mut self, name: &str, shape: [&str; 4]) -> Value {
        self.graph.input.push(value_info(name, shape));
        name.to_owned()
    }

    /// Declares `value` as the output under `name`.
    pub fn output(&mut self, value: &str, name: &str, shape: [&str; 4]) {
        let maker = self.graph.node.last_mut().expect("an output is made by the last node");
        assert_eq!(maker.output, [value], "the output is what the last node makes");
        maker.output = vec![name.to_owned()];
        self.graph.output.push(value_info(name, shape));
    }

    /// An f32 constant.
    pub fn constant(&mut self, name: &str, dims: &[i64], values: &[f32]) -> Value {
        assert_eq!(dims.iter().product::<i64>(), values.len() as i64, "{name}: shape and values agree");
        let raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.graph.initializer.push(Constant {
            dims: dims.to_vec(),
            data_type: FLOAT,
            name: name.to_owned(),
            raw_data,
        });
        name.to_owned()
    }

    /// A convolution that keeps the size: odd square kernels, zero padding.
    pub fn conv(&mut self, name: &str, x: &str, weight: &Weight, bias: Option<&[f32]>) -> Value {
        let side = weight.shape[2];
        let attributes = vec![ints("kernel_shape", &[side; 2]), ints("pads", &[side / 2; 4])];
        self.conv_node(name, x, weight, bias, attributes)
    }

    /// The same with kernels that look at every `dilation`-th pixel.
    pub fn dilated(&mut self, name: &str, x: &str, weight: &Weight, bias: &[f32], dilation: i64) -> Value {
        let side = weight.shape[2];
        let attributes = vec![
            ints("kernel_shape", &[side; 2]),
            ints("pads", &[side / 2 * dilation; 4]),
            ints("dilations", &[dilation; 2]),
        ];
        self.conv_node(name, x, weight, Some(bias), attributes)
    }

    /// Folds `side`×`side` pixels of each of `planes` planes into channels, c·side² + row·side + column (the
    /// inverse of [`GraphWriter::depth_to_space`]). A strided convolution with one-hot kernels: ONNX's
    /// SpaceToDepth orders channels the other way.
    pub fn fold(&mut self, name: &str, x: &str, planes: i64, side: i64) -> Value {
        let area = side * side;
        let mut values = vec![0.0; (planes * area * planes * area) as usize];
        for out in 0..planes * area {
            let (plane, phase) = (out / area, out % area);
            values[((out * planes + plane) * area + phase) as usize] = 1.0;
        }
        let weight = Weight { shape: vec![planes * area, planes, side, side], values };
        let attributes = vec![ints("kernel_shape", &[side; 2]), ints("strides", &[side; 2])];
        self.conv_node(name, x, &weight, None, attributes)
    }

    /// Channels to pixels, order CRD (PixelShuffle).
    pub fn depth_to_space(&mut self, name: &str, x: &str, side: i64) -> Value {
        self.node("DepthToSpace", name, &[x], vec![int("blocksize", side), text("mode", "CRD")])
    }

    /// x + y
    pub fn add(&mut self, name: &str, x: &str, y: &str) -> Value {
        self.node("Add", name, &[x, y], vec![])
    }

    /// x − y
    pub fn sub(&mut self, name: &str, x: &str, y: &str) -> Value {
        self.node("Sub", name, &[x, y], vec![])
    }

    /// x · y
    pub fn mul(&mut self, name: &str, x: &str, y: &str) -> Value {
        self.node("Mul", name, &[x, y], vec![])
    }

    /// max(x, 0)
    pub fn relu(&mut self, name: &str, x: &str) -> Value {
        self.node("Relu", name, &[x], vec![])
    }

    /// x above zero, `slope`·x below.
    pub fn leaky_relu(&mut self, name: &str, x: &str, slope: f32) -> Value {
        let alpha = Attribute { name: "alpha".into(), f: Some(slope), kind: 1, ..Attribute::default() };
        self.node("LeakyRelu", name, &[x], vec![alpha])
    }

    /// x / y
    pub fn div(&mut self, name: &str, x: &str, y: &str) -> Value {
        self.node("Div", name, &[x, y], vec![])
    }

    /// A function of one tensor without attributes: `Sqrt`, `Log`, `Sin`, `Cos`, `Sigmoid`, ….
    pub fn apply(&mut self, operator: &str, name: &str, x: &str) -> Value {
        self.node(operator, name, &[x], vec![])
    }

    /// x·sigmoid(x)
    pub fn silu(&mut self, name: &str, x: &str) -> Value {
        let gate = self.node("Sigmoid", &format!("{name}.gate"), &[x], vec![]);
        self.mul(name, x, &gate)
    }

    /// Another shape for the same values; 0 keeps a dimension, −1 takes what is left.
    pub fn reshape(&mut self, name: &str, x: &str, shape: &[i64]) -> Value {
        let shape = self.integers(&format!("{name}.shape"), shape);
        self.node("Reshape", name, &[x, &shape], vec![])
    }

    /// Swaps the last two of three dimensions.
    pub fn transpose(&mut self, name: &str, x: &str) -> Value {
        self.node("Transpose", name, &[x], vec![ints("perm", &[0, 2, 1])])
    }

    /// Matrix product over the last two dimensions.
    pub fn matmul(&mut self, name: &str, x: &str, y: &str) -> Value {
        self.node("MatMul", name, &[x, y], vec![])
    }

    /// Softmax over the last dimension.
    pub fn softmax(&mut self, name: &str, x: &str) -> Value {
        self.node("Softmax", name, &[x], vec![int("axis", -1)])
    }

    /// Means of 2×2 pixels.
    pub fn halve(&mut self, name: &str, x: &str) -> Value {
        self.node("AveragePool", name, &[x], vec![ints("kernel_shape", &[2; 2]), ints("strides", &[2; 2])])
    }

    /// Every pixel four times.
    pub fn double(&mut self, name: &str, x: &str) -> Value {
        let scales = self.constant(&format!("{name}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        self.node("Resize", name, &[x, "", &scales], attributes)
    }

    /// Group normalisation of N×C×H×W in elementary operators: ONNX Runtime and TensorRT run these better
    /// than the operator of opset 21.
    pub fn group_norm(&mut self, name: &str, x: &str, layer: &GroupNorm<'_>) -> Value {
        let GroupNorm { groups, size: [channels, height, width], scale, shift, epsilon } = *layer;
        let flat = self.reshape(&format!("{name}.groups"), x, &[0, groups, -1]);
        let axis = self.integers(&format!("{name}.axis"), &[2]);
        let mean = self.node("ReduceMean", &format!("{name}.mean"), &[&flat, &axis], vec![]);
        let centred = self.sub(&format!("{name}.centred"), &flat, &mean);
        let square = self.mul(&format!("{name}.square"), &centred, &centred);
        let variance = self.node("ReduceMean", &format!("{name}.variance"), &[&square, &axis], vec![]);
        let epsilon = self.constant(&format!("{name}.epsilon"), &[], &[epsilon]);
        let raised = self.add(&format!("{name}.raised"), &variance, &epsilon);
        let std = self.apply("Sqrt", &format!("{name}.std"), &raised);
        let unit = self.div(&format!("{name}.unit"), &centred, &std);
        let back = self.reshape(&format!("{name}.back"), &unit, &[0, channels, height, width]);
        let scale = self.constant(&format!("{name}.weight"), &[1, channels, 1, 1], scale);
        let shift = self.constant(&format!("{name}.bias"), &[1, channels, 1, 1], shift);
        let scaled = self.mul(&format!("{name}.scaled"), &back, &scale);
        self.add(name, &scaled, &shift)
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> Value {
        self.graph.initializer.push(Constant {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.to_owned(),
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        });
        name.to_owned()
    }

    /// eˣ
    pub fn exp(&mut self, name: &str, x: &str) -> Value {
        self.node("Exp", name, &[x], vec![])
    }

    /// Clips to ± limit.
    pub fn clip(&mut self, name: &str, x: &str, limit: f32) -> Value {
        let low = self.constant(&format!("{name}.low"), &[], &[-limit]);
        let high = self.constant(&format!("{name}.high"), &[], &[limit]);
        self.node("Clip", name, &[x, &low, &high], vec![])
    }

    /// Joins along the channels.
    pub fn concat(&mut self, name: &str, parts: &[&str]) -> Value {
        self.node("Concat", name, parts, vec![int("axis", 1)])
    }

    /// The file's bytes, with metadata pairs.
    pub fn into_bytes(self, metadata: &[(String, String)]) -> Vec<u8> {
        let pairs = metadata.iter().map(|(key, value)| Pair { key: key.clone(), value: value.clone() });
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "onestep tools".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
            metadata_props: pairs.collect(),
        };
        model.encode_to_vec()
    }

    fn conv_node(
        &mut self,
        name: &str,
        x: &str,
        weight: &Weight,
        bias: Option<&[f32]>,
        attributes: Vec<Attribute>,
    ) -> Value {
        let kernel = self.constant(&format!("{name}.weight"), &weight.shape, &weight.values);
        let mut inputs = vec![x, &kernel];
        let shift = bias.map(|b| self.constant(&format!("{name}.bias"), &[b.len() as i64], b));
        inputs.extend(shift.as_deref());
        self.node("Conv", name, &inputs, attributes)
    }

    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], attribute: Vec<Attribute>) -> Value {
        let output = format!("{name}.out");
        self.graph.node.push(Node {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.clone()],
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attribute,
        });
        output
    }
}

pub(crate) fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), kind: 2, ..Attribute::default() }
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.into(), s: Some(value.into()), kind: 3, ..Attribute::default() }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute { name: name.into(), ints: values.to_vec(), kind: 7, ..Attribute::default() }
}

fn value_info(name: &str, shape: [&str; 4]) -> ValueInfo {
    let dimension = |text: &str| match text.parse() {
        Ok(value) => Dimension { dim_value: Some(value), dim_param: None },
        Err(_) => Dimension { dim_value: None, dim_param: Some(text.to_owned()) },
    };
    let shape = Shape { dim: shape.map(dimension).to_vec() };
    let tensor_type = TensorType { elem_type: FLOAT, shape: Some(shape) };
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
}
