//! The classifier's layers: a fixed whitening convolution of 2×2 patches, then three blocks of two 3×3
//! convolutions with batch norm and GELU (the shape of Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single
//! GPU", 2024, narrower). 256 features after a global maximum, and ten logits.

use crate::net::{Conv, Layout, Linear, Norm, Params};
use tch::{Device, Kind, Tensor};

/// Width of the penultimate layer.
pub const FEATURES: i64 = 256;
const WIDTHS: [i64; 3] = [32, 128, FEATURES];
/// Outputs of the whitening layer: twelve directions of a 2×2×3 patch and their negatives.
const WHITENED: i64 = 24;
/// What keeps a direction without variance finite.
const WHITEN_EPSILON: f64 = 5e-4;
/// The logits are this much smaller than the last layer's: a start near indifference.
const LOGIT_SCALE: f64 = 1.0 / 9.0;

#[derive(Debug, Clone, Copy)]
struct Block {
    convs: [Conv; 2],
    norms: [Norm; 2],
}

/// The network with its weights.
#[derive(Debug)]
pub struct Classifier {
    blocks: Vec<Block>,
    head: Linear,
    /// Everything that is trained.
    pub params: Params,
    /// 24×3×2×2, fixed.
    whitening: Tensor,
    /// Running mean and variance of each batch norm.
    statistics: Vec<(Tensor, Tensor)>,
}

impl Classifier {
    /// Fresh weights; `pictures` N×3×32×32 in [−1, 1] give the whitening layer.
    pub fn new(pictures: &Tensor, seed: u64) -> Classifier {
        let device = pictures.device();
        let (blocks, head, layout) = layers();
        let statistic = |width: i64| {
            let zeros = Tensor::zeros([width], (Kind::Float, device));
            (zeros.shallow_clone(), zeros.ones_like())
        };
        let statistics = WIDTHS.iter().flat_map(|&width| [statistic(width), statistic(width)]).collect();
        let params = layout.init(seed, device);
        Classifier { blocks, head, params, whitening: whitening(pictures), statistics }
    }

    /// Logits N×10 and features N×256, f32. `training` normalises by the batch and moves the statistics;
    /// `bf16` is for training alone, so that figures are the same everywhere.
    pub fn forward(&self, x: &Tensor, training: bool, bf16: bool) -> (Tensor, Tensor) {
        let kind = if bf16 { Kind::BFloat16 } else { Kind::Float };
        let mut h =
            x.to_kind(kind).conv2d(&self.whitening.to_kind(kind), None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
        h = h.gelu("tanh");
        for (block, statistics) in self.blocks.iter().zip(self.statistics.chunks_exact(2)) {
            h = self.params.conv(block.convs[0], &h).max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            h = self.params.batch_norm(block.norms[0], &h, &statistics[0], training).gelu("tanh");
            h = self.params.conv(block.convs[1], &h);
            h = self.params.batch_norm(block.norms[1], &h, &statistics[1], training).gelu("tanh");
        }
        let features = h.amax([2i64, 3], false).to_kind(Kind::Float);
        (self.params.linear(self.head, &features) * LOGIT_SCALE, features)
    }

    /// Features N×256 of pictures in [−1, 1], each the mean of the picture's and its mirror image's, without
    /// gradients, in parts that fit the caches.
    pub fn features(&self, x: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let of = |part: &Tensor| {
            let x = part.clamp(-1.0, 1.0);
            (self.forward(&x, false, false).1 + self.forward(&x.flip([3]), false, false).1) * 0.5
        };
        Tensor::cat(&x.split(500, 0).iter().map(of).collect::<Vec<_>>(), 0)
    }

    /// Share of pictures in [−1, 1] whose features give their label.
    pub fn accuracy(&self, features: &Tensor, labels: &Tensor) -> f64 {
        let _guard = tch::no_grad_guard();
        let guessed = self.params.linear(self.head, features).argmax(1, false);
        guessed.eq_tensor(labels).to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
    }

    /// Everything, by name.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = vec![
            ("weights".to_owned(), self.params.flat()),
            ("whitening".to_owned(), self.whitening.contiguous()),
        ];
        for (index, (mean, variance)) in self.statistics.iter().enumerate() {
            tensors.push((format!("norm{index}.mean"), mean.shallow_clone()));
            tensors.push((format!("norm{index}.variance"), variance.shallow_clone()));
        }
        tensors
    }

    /// Takes back what [`Classifier::tensors`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or of another size.
    pub fn from_tensors(find: &dyn Fn(&str) -> Option<Tensor>, device: Device) -> Result<Classifier, String> {
        let mut fresh = Classifier::new(&Tensor::zeros([1, 3, 4, 4], (Kind::Float, device)), 0);
        let _guard = tch::no_grad_guard();
        for (name, mut tensor) in fresh.tensors() {
            let saved =
                find(&name).ok_or_else(|| format!("no tensor {name:?}: not a classifier of tools"))?;
            if saved.size() != tensor.size() {
                return Err(format!("{name} is {:?}, not {:?}", saved.size(), tensor.size()));
            }
            if name == "whitening" {
                fresh.whitening = saved.to_device(device);
            } else {
                tensor.copy_(&saved);
            }
        }
        Ok(fresh)
    }
}

fn layers() -> (Vec<Block>, Linear, Layout) {
    let mut layout = Layout::default();
    let mut inputs = WHITENED;
    let blocks = WIDTHS
        .iter()
        .enumerate()
        .map(|(index, &width)| {
            let mut conv = |part: &str, inputs| {
                let name = format!("block{index}.{part}");
                (layout.conv(&name, inputs, width, 3, 1.0), layout.norm(&format!("{name}.norm"), width))
            };
            let (first, second) = (conv("first", inputs), conv("second", width));
            inputs = width;
            Block { convs: [first.0, second.0], norms: [first.1, second.1] }
        })
        .collect();
    let head = layout.linear("head", FEATURES, 10, 1.0);
    (blocks, head, layout)
}

/// Kernels that turn 2×2 patches into uncorrelated directions of unit variance, and their negatives.
fn whitening(pictures: &Tensor) -> Tensor {
    let _guard = tch::no_grad_guard();
    let patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1); // N×3×31×31×2×2
    let rows = patches.permute([0, 2, 3, 1, 4, 5]).reshape([-1, 12]).to_kind(Kind::Double);
    let covariance = rows.transpose(0, 1).matmul(&rows) / rows.size()[0] as f64;
    let (values, vectors) = covariance.linalg_eigh("L");
    let scaled = vectors / (values + WHITEN_EPSILON).sqrt().unsqueeze(0); // columns are directions
    let kernels = scaled.transpose(0, 1).reshape([12, 3, 2, 2]).to_kind(Kind::Float);
    Tensor::cat(&[&kernels, &(-&kernels)], 0)
}
