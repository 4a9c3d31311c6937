//! μ, one-step samples and the grain baseline of a picture, from the networks in training (not from an ONNX
//! file). Context and noise are the daemon's: mirrored border, noise of the absolute pixel.

use crate::net::{Given, Params};
use crate::recipe::LEVELS;
use crate::train::{Frozen, consistency_function};
use contract::geometry::{Rect, Size};
use contract::noise;
use contract::pixels::{Picture, Planes, cut_window};
use contract::source::Source;
use tch::{Device, Kind, Tensor};

/// Noise levels at which a second step sets in, in units of the normalised residual. The adversarial stage
/// trains one step alone, and unlearns the others.
pub const SECOND_STEPS: [f64; 3] = [0.3, 0.8, 2.0];

/// What the networks say about one picture; all planes are RGB at the large size unless noted.
#[derive(Debug)]
pub struct Estimate {
    /// μ, not clipped.
    pub mean: Planes,
    /// One residual per seed: sample − μ.
    pub residuals: Vec<Planes>,
    /// The same after a second step from each of the levels that were asked for, with fresh noise (Song et
    /// al. 2023, algorithm 1, which clips pictures in between; a residual has no bounds).
    pub two_steps: Vec<Vec<Planes>>,
    /// The grain baseline's residuals, per seed: white noise in opponent colours times the local scale, no
    /// network.
    pub grain: Vec<Planes>,
    /// s_r·c₀·s of the luma-like plane: what its residual is divided by to be "normalised".
    pub luma_scale: Vec<f32>,
}

/// What is drawn of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Drawn<'a> {
    /// A sample for each.
    pub seeds: &'a [u64],
    /// A second step from each.
    pub levels: &'a [f64],
    /// The share of their colours that samples, and the baseline, keep.
    pub chroma: f64,
}

/// Runs the networks on `small`, said to come from `source`, with `context` mirrored pixels around it.
pub fn estimate(
    frozen: &Frozen<'_>,
    sampler: &Params,
    small: &Picture,
    source: Source,
    context: usize,
    Drawn { seeds, levels, chroma }: Drawn<'_>,
    device: Device,
) -> Estimate {
    let _guard = tch::no_grad_guard();
    let factor = frozen.nets.factor;
    let window = Rect {
        x: -(context as i64),
        y: -(context as i64),
        size: Size::new(small.size.width + 2 * context, small.size.height + 2 * context),
    };
    let mut input = vec![0.0; 3 * window.size.area()];
    cut_window(small, [0, 1, 2], window, &mut input);
    let (rows, columns) = (window.size.height as i64, window.size.width as i64);
    // Channels last, as in training.
    let y = Tensor::from_slice(&input).view([1, 3, rows, columns]).to_device(device);
    let conditioned = frozen.condition(&Given::new(y, source));
    let opponent = &frozen.calibration.opponent;
    let unfold = |folded: &Tensor| planes(&folded.pixel_shuffle(factor), context * factor as usize);
    let muted = opponent.muted(chroma);
    let restore = |f: &Tensor| unfold(&muted.restore(&(f * &conditioned.scale), factor));
    let denoised = |x: &Tensor, level: f64| {
        let sigma = Tensor::from_slice(&[level as f32]).to_device(device);
        consistency_function(&frozen.nets.sampler, sampler, x, &sigma, &conditioned.condition, frozen.bf16)
    };
    let large = window.times(factor as usize);
    let noise = |seed, stream| unit_noise((seed, stream), large, device).pixel_unshuffle(factor);
    let (mut residuals, mut grain, mut two_steps) = (Vec::new(), Vec::new(), vec![Vec::new(); levels.len()]);
    for &seed in seeds {
        let z = noise(seed, 0);
        let f = denoised(&(&z * LEVELS.sigma_max), LEVELS.sigma_max);
        for (refined, &level) in two_steps.iter_mut().zip(levels) {
            refined.push(restore(&denoised(&(&f + noise(seed, 1) * level), level)));
        }
        residuals.push(restore(&f));
        grain.push(restore(&z));
    }
    let luma = conditioned.scale.narrow(1, 0, factor * factor) * opponent.rms[0];
    let luma_scale = planes(&luma.pixel_shuffle(factor), context * factor as usize).values;
    Estimate { mean: unfold(&conditioned.mean), residuals, two_steps, grain, luma_scale }
}

fn unit_noise((seed, stream): (u64, u32), window: Rect, device: Device) -> Tensor {
    let mut values = vec![0.0; 3 * window.size.area()];
    noise::fill(seed, stream, window, &mut values);
    let shape = [1, 3, window.size.height as i64, window.size.width as i64];
    Tensor::from_slice(&values).view(shape).to_device(device)
}

/// A 1×C×H×W tensor without its outer `crop` pixels.
fn planes(tensor: &Tensor, crop: usize) -> Planes {
    let size = tensor.size();
    let (crop, height, width) = (crop as i64, size[2], size[3]);
    let inside = tensor.narrow(2, crop, height - 2 * crop).narrow(3, crop, width - 2 * crop).contiguous();
    let flat = inside.to_kind(Kind::Float).to_device(Device::Cpu).reshape([-1]);
    let values = Vec::<f32>::try_from(&flat).expect("an f32 tensor becomes a vector");
    let size = Size::new((width - 2 * crop) as usize, (height - 2 * crop) as usize);
    Planes { size, channels: tensor.size()[1] as usize, values }
}
