//! The networks: the mean net, the local-scale head and the consistency net, fully convolutional at the
//! resolution of the small picture, with no statistics over space, so that tiles join exactly; and the U-Net
//! for generation, which is neither, and the net that repairs holes. Knows no losses, schedules or files.
//!
//! Pictures inside are "folded": an HR picture of 3 planes is N×3s²×H×W at LR size (PixelUnshuffle, channel
//! order c·s² + row·s + column), so that nothing here ever runs at HR size.

mod body;
mod colour;
mod critic;
pub mod film;
mod mean;
mod params;
pub mod repair;
mod repair_sampler;
mod sampler;
mod scale;
pub mod unet;

pub use body::{BodyKind, LEAK};
pub use colour::{Opponent, fold_matrix};
pub use critic::{CRITIC_PLANES, Critic};
pub use film::{FREQUENCIES, sigma_features};
pub use mean::{MeanConfig, MeanNet};
pub use params::{Conv, GROUP_NORM_EPSILON, Layout, Linear, Norm, Params, Weight};
pub use repair::{RepairConfig, RepairNet};
pub use repair_sampler::{RepairCondition, RepairSampler, RepairSamplerConfig};
pub use sampler::{SamplerConfig, SamplerNet};
pub use scale::{LOG_LIMIT, RADIUS as SCALE_RADIUS, ScaleHead};
pub use unet::{UNet, UNetConfig};

use contract::resample::{PHASE_RADIUS, phase_kernel};
use tch::{Kind, Tensor};

/// What the networks are given: a small picture and where it comes from.
#[derive(Debug)]
pub struct Given {
    /// N×3×H×W f32 in [0, 1].
    pub y: Tensor,
    /// N×1×1×1 f32: [`contract::source::Source::value`].
    pub source: Tensor,
}

impl Given {
    /// Pictures that all come from one source.
    pub fn new(y: Tensor, source: contract::source::Source) -> Given {
        let count = y.size()[0];
        let source = Tensor::full([count, 1, 1, 1], f64::from(source.value()), (Kind::Float, y.device()));
        Given { y, source }
    }
}

/// The fixed bicubic enlargement as a convolution from y N×3×H×W to the folded N×3s²×H×W; zero beyond the
/// border, so the outer [`PHASE_RADIUS`] pixels are wrong and training leaves them out of its losses.
pub fn enlarge_folded(y: &Tensor, scale: i64) -> Tensor {
    let side = 2 * PHASE_RADIUS as i64 + 1;
    let one = Tensor::from_slice(&phase_kernel(scale as usize)).view([scale * scale, 1, side, side]);
    let kernel = one.repeat([3, 1, 1, 1]).to_device(y.device()).to_kind(y.kind());
    let radius = PHASE_RADIUS as i64;
    y.conv2d(&kernel, None::<&Tensor>, [1, 1], [radius, radius], [1, 1], 3)
}

/// Bilinear enlargement of K planes by `scale`, folded: N×K×H×W → N×Ks²×H×W. As a convolution with 3×3
/// kernels.
pub fn bilinear_folded(x: &Tensor, scale: i64) -> Tensor {
    let planes = x.size()[1];
    let one = Tensor::from_slice(&bilinear_kernel(scale as usize)).view([scale * scale, 1, 3, 3]);
    let kernel = one.repeat([planes, 1, 1, 1]).to_device(x.device()).to_kind(x.kind());
    x.conv2d(&kernel, None::<&Tensor>, [1, 1], [1, 1], [1, 1], planes)
}

/// The s² kernels of 3×3 (row-major, phase after phase) of bilinear enlargement with half-pixel centres.
pub fn bilinear_kernel(scale: usize) -> Vec<f32> {
    let row = |phase: usize| {
        // The output pixel's centre lies `offset` from the centre of its input pixel, |offset| < ½.
        let offset = (phase as f64 + 0.5) / scale as f64 - 0.5;
        [(-offset).max(0.0), 1.0 - offset.abs(), offset.max(0.0)]
    };
    let phases = (0..scale).flat_map(|i| (0..scale).map(move |j| (i, j)));
    phases.flat_map(|(i, j)| row(i).into_iter().flat_map(move |r| row(j).map(|c| (r * c) as f32))).collect()
}

/// Kind used inside a network's body: bf16 where it pays, else f32. Heads and losses are f32.
pub fn body_kind(bf16: bool) -> Kind {
    if bf16 { Kind::BFloat16 } else { Kind::Float }
}
