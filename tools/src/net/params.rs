//! Where weights live: one flat tensor per network, of which every layer's weight is a view. One flat tensor
//! makes Adam, the EMA, gradient clipping and checkpoints a handful of operations instead of one per layer.
//! Knows layers' shapes and initial values, not what networks are made of them.

use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// One named weight in the flat tensor.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    /// Logical shape, as ONNX and PyTorch have it (a convolution: out, in, rows, columns).
    shape: Vec<i64>,
    offset: i64,
    /// Standard deviation of the initial normal values; 0 starts at zero.
    initial_std: f64,
}

impl Entry {
    fn count(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// A 3×3 or 1×1 convolution's weight and bias, as places in the layout.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    weight: usize,
    bias: usize,
    padding: i64,
}

/// A fully connected layer's weight and bias.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    weight: usize,
    bias: usize,
}

/// The shapes of all weights of one network, in order.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    total: i64,
}

impl Layout {
    /// Adds a convolution `side`×`side` with zero padding that keeps the size. `gain` scales the He
    /// initialisation std = gain·√(2 / fan-in); the bias starts at zero.
    pub fn conv(&mut self, name: &str, inputs: i64, outputs: i64, side: i64, gain: f64) -> Conv {
        let std = gain * (2.0 / (inputs * side * side) as f64).sqrt();
        let weight = self.add(format!("{name}.weight"), vec![outputs, inputs, side, side], std);
        let bias = self.add(format!("{name}.bias"), vec![outputs], 0.0);
        Conv { weight, bias, padding: side / 2 }
    }

    /// Adds a fully connected layer; `gain` as for [`Layout::conv`].
    pub fn linear(&mut self, name: &str, inputs: i64, outputs: i64, gain: f64) -> Linear {
        let std = gain * (2.0 / inputs as f64).sqrt();
        let weight = self.add(format!("{name}.weight"), vec![outputs, inputs], std);
        let bias = self.add(format!("{name}.bias"), vec![outputs], 0.0);
        Linear { weight, bias }
    }

    /// Number of scalar parameters.
    pub fn parameters(&self) -> i64 {
        self.total
    }

    fn add(&mut self, name: String, shape: Vec<i64>, initial_std: f64) -> usize {
        let entry = Entry { name, shape, offset: self.total, initial_std };
        self.total += entry.count();
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// Fresh weights, reproducible from `seed`.
    pub fn init(&self, seed: u64, device: Device) -> Params {
        tch::manual_seed(seed as i64);
        let parts: Vec<Tensor> = self
            .entries
            .iter()
            .map(|e| Tensor::randn([e.count()], (Kind::Float, Device::Cpu)) * e.initial_std)
            .collect();
        Params::new(self, Tensor::cat(&parts, 0).to_device(device))
    }
}

/// The weights of one network: `flat` and the layers' views of it.
#[derive(Debug)]
pub struct Params {
    flat: Tensor,
    leaves: Vec<Tensor>,
    layout: Layout,
}

impl Params {
    /// Weights from a flat f32 tensor of `layout.parameters()` values, which it takes over.
    ///
    /// # Panics
    /// If the number of values differs; a checkpoint is checked before it comes here.
    pub fn new(layout: &Layout, flat: Tensor) -> Params {
        assert_eq!(flat.numel() as i64, layout.total, "a flat tensor of another network");
        let leaves = layout.entries.iter().map(|entry| view(&flat, entry).detach()).collect();
        Params { flat, leaves, layout: layout.clone() }
    }

    /// A copy that shares nothing.
    pub fn duplicate(&self) -> Params {
        Params::new(&self.layout, self.flat.copy())
    }

    /// Lets gradients reach these weights, or not.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.leaves = self.leaves.iter().map(|leaf| leaf.set_requires_grad(trainable)).collect();
    }

    /// All values, in layout order; changing it in place (under no_grad) changes every layer.
    pub fn flat(&self) -> Tensor {
        self.flat.shallow_clone()
    }

    /// The gradient of everything, flat, and resets it. A layer the loss did not reach has gradient zero.
    pub fn take_gradient(&mut self) -> Tensor {
        let parts: Vec<Tensor> = self
            .leaves
            .iter_mut()
            .map(|leaf| {
                let gradient = leaf.grad();
                if !gradient.defined() {
                    return leaf.zeros_like().reshape([-1]);
                }
                let flat = if gradient.dim() == 4 {
                    gradient.permute([0, 2, 3, 1])
                } else {
                    gradient.shallow_clone()
                };
                flat.reshape([-1])
            })
            .collect();
        let flat = Tensor::cat(&parts, 0);
        for leaf in &mut self.leaves {
            leaf.zero_grad();
        }
        flat
    }

    /// Every weight by name as f32 in PyTorch's order, for export.
    pub fn named(&self) -> BTreeMap<String, Weight> {
        let read = |(entry, leaf): (&Entry, &Tensor)| {
            let flat = leaf.detach().contiguous().reshape([-1]).to_device(Device::Cpu);
            let values = Vec::<f32>::try_from(&flat).expect("weights are f32");
            (entry.name.clone(), Weight { shape: entry.shape.clone(), values })
        };
        self.layout.entries.iter().zip(&self.leaves).map(read).collect()
    }

    /// `x` N×I×H×W (any float kind) → N×O×H×W of the same kind; weights are cast to it.
    pub fn conv(&self, layer: Conv, x: &Tensor) -> Tensor {
        let weight = self.leaves[layer.weight].to_kind(x.kind());
        let bias = self.leaves[layer.bias].to_kind(x.kind());
        let padding = [layer.padding, layer.padding];
        x.conv2d(&weight, Some(bias), [1, 1], padding, [1, 1], 1)
    }

    /// `x` N×I → N×O.
    pub fn linear(&self, layer: Linear, x: &Tensor) -> Tensor {
        x.linear(
            &self.leaves[layer.weight].to_kind(x.kind()),
            Some(&self.leaves[layer.bias].to_kind(x.kind())),
        )
    }
}

/// One weight as plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// PyTorch's order: out, in, rows, columns for a convolution.
    pub shape: Vec<i64>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// A convolution's weight lies as (out, rows, columns, in), so that its view is channels-last: the layout in
/// which bf16 convolutions are fastest on CPU and GPU alike.
fn view(flat: &Tensor, entry: &Entry) -> Tensor {
    let part = flat.narrow(0, entry.offset, entry.count());
    match entry.shape[..] {
        [outputs, inputs, rows, columns] => part.view([outputs, rows, columns, inputs]).permute([0, 3, 1, 2]),
        _ => part.view(&entry.shape[..]),
    }
}
