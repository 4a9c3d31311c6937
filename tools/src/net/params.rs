//! Where weights live: one flat tensor per network, of which every layer's weight is a view. One flat tensor
//! makes Adam, the EMA, gradient clipping and checkpoints a handful of operations instead of one per layer.
//! Knows layers' shapes and initial values, not what networks are made of them.

use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// What keeps the variance of a flat group away from zero.
pub const GROUP_NORM_EPSILON: f64 = 1e-5;

/// One named weight in the flat tensor.
#[derive(Debug, Clone)]
struct Entry {
    name: String,
    /// Logical shape, as ONNX and PyTorch have it (a convolution: out, in, rows, columns).
    shape: Vec<i64>,
    offset: i64,
    /// Mean and standard deviation of the initial normal values.
    initial: (f64, f64),
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
    dilation: i64,
    stride: i64,
}

/// A fully connected layer's weight and bias.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    weight: usize,
    bias: usize,
}

/// The scale and shift of a normalisation layer, one each per channel.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    scale: usize,
    shift: usize,
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
        let weight = self.add(format!("{name}.weight"), vec![outputs, inputs, side, side], (0.0, std));
        let bias = self.add(format!("{name}.bias"), vec![outputs], (0.0, 0.0));
        Conv { weight, bias, padding: side / 2, dilation: 1, stride: 1 }
    }

    /// Adds a 3×3 convolution that looks at every `dilation`-th pixel; otherwise as [`Layout::conv`].
    pub fn dilated(&mut self, name: &str, inputs: i64, outputs: i64, dilation: i64, gain: f64) -> Conv {
        Conv { padding: dilation, dilation, ..self.conv(name, inputs, outputs, 3, gain) }
    }

    /// Adds a 3×3 convolution at every second pixel of every second row; otherwise as [`Layout::conv`].
    pub fn halving(&mut self, name: &str, inputs: i64, outputs: i64, gain: f64) -> Conv {
        Conv { stride: 2, ..self.conv(name, inputs, outputs, 3, gain) }
    }

    /// Adds a fully connected layer; `gain` as for [`Layout::conv`].
    pub fn linear(&mut self, name: &str, inputs: i64, outputs: i64, gain: f64) -> Linear {
        let std = gain * (2.0 / inputs as f64).sqrt();
        let weight = self.add(format!("{name}.weight"), vec![outputs, inputs], (0.0, std));
        let bias = self.add(format!("{name}.bias"), vec![outputs], (0.0, 0.0));
        Linear { weight, bias }
    }

    /// Adds a normalisation's scale (1 at first) and shift (0 at first).
    pub fn norm(&mut self, name: &str, channels: i64) -> Norm {
        let scale = self.add(format!("{name}.weight"), vec![channels], (1.0, 0.0));
        Norm { scale, shift: self.add(format!("{name}.bias"), vec![channels], (0.0, 0.0)) }
    }

    /// Number of scalar parameters.
    pub fn parameters(&self) -> i64 {
        self.total
    }

    fn add(&mut self, name: String, shape: Vec<i64>, initial: (f64, f64)) -> usize {
        let entry = Entry { name, shape, offset: self.total, initial };
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
            .map(|e| Tensor::randn([e.count()], (Kind::Float, Device::Cpu)) * e.initial.1 + e.initial.0)
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

    /// A copy with the weights that `named` has, in PyTorch's order; the others stay.
    ///
    /// # Errors
    /// Names the weight that is of another shape, or all that are missing if nothing fits.
    pub fn with_named(&self, named: &BTreeMap<String, Weight>) -> Result<Params, String> {
        let _guard = tch::no_grad_guard();
        let copy = self.duplicate();
        let mut taken = 0;
        for (entry, leaf) in self.layout.entries.iter().zip(&copy.leaves) {
            let Some(weight) = named.get(&entry.name) else { continue };
            if weight.shape != entry.shape {
                return Err(format!(
                    "{} is {:?}, this network's {:?}",
                    entry.name, weight.shape, entry.shape
                ));
            }
            let values = Tensor::from_slice(&weight.values).view(&entry.shape[..]);
            leaf.shallow_clone().copy_(&values);
            taken += 1;
        }
        if taken == 0 { Err("none of its weights belongs to this network".into()) } else { Ok(copy) }
    }

    /// Takes over those of `named` that have this network's names and shapes; gives the share of this
    /// network's values that they are. A network for another scale shares its body, not its ends.
    pub fn adopt(&self, named: &BTreeMap<String, Tensor>) -> f64 {
        let _guard = tch::no_grad_guard();
        let mut taken = 0;
        for (entry, leaf) in self.layout.entries.iter().zip(&self.leaves) {
            if let Some(tensor) = named.get(&entry.name).filter(|tensor| tensor.size() == entry.shape) {
                leaf.shallow_clone().copy_(tensor);
                taken += entry.count();
            }
        }
        taken as f64 / self.layout.total.max(1) as f64
    }

    /// Every weight by name, in PyTorch's shapes and order.
    pub fn tensors(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let one = |(entry, leaf): (&Entry, &Tensor)| {
            (format!("{prefix}.{}", entry.name), leaf.detach().contiguous())
        };
        self.layout.entries.iter().zip(&self.leaves).map(one).collect()
    }

    /// `x` N×I×H×W (any float kind) → N×O×H×W of the same kind; weights are cast to it.
    pub fn conv(&self, layer: Conv, x: &Tensor) -> Tensor {
        self.conv_by(layer, &self.leaves[layer.weight], x)
    }

    /// A convolution's kernel, O×I×rows×columns f32.
    pub fn kernel(&self, layer: Conv) -> Tensor {
        self.leaves[layer.weight].shallow_clone()
    }

    /// Like [`Params::conv`] with another kernel of the same shape.
    pub fn conv_by(&self, layer: Conv, kernel: &Tensor, x: &Tensor) -> Tensor {
        let weight = kernel.to_kind(x.kind());
        let bias = self.leaves[layer.bias].to_kind(x.kind());
        let (padding, dilation) = ([layer.padding; 2], [layer.dilation; 2]);
        x.conv2d(&weight, Some(bias), [layer.stride; 2], padding, dilation, 1)
    }

    /// `x` N×C×H×W → each of `groups` groups of channels to zero mean and unit variance over space, then
    /// scale and shift (Wu & He 2018). Statistics in f32, result in x's kind.
    pub fn group_norm(&self, layer: Norm, x: &Tensor, groups: i64) -> Tensor {
        let [scale, shift] = [layer.scale, layer.shift].map(|place| self.leaves[place].to_kind(x.kind()));
        x.group_norm(groups, Some(scale), Some(shift), GROUP_NORM_EPSILON, true)
    }

    /// `x` N×C×H×W → zero mean and unit variance of each channel (Ioffe & Szegedy 2015): of the batch where
    /// `training`, else by the running `statistics` (mean, variance), which training moves a tenth of the
    /// way.
    pub fn batch_norm(
        &self,
        layer: Norm,
        x: &Tensor,
        statistics: &(Tensor, Tensor),
        training: bool,
    ) -> Tensor {
        let (mean, variance) = (statistics.0.shallow_clone(), statistics.1.shallow_clone());
        let [scale, shift] = [layer.scale, layer.shift].map(|place| self.leaves[place].shallow_clone());
        x.batch_norm(Some(scale), Some(shift), Some(mean), Some(variance), training, 0.1, 1e-5, true)
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
