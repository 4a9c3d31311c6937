//! What one training step computes in each stage: from a batch to a loss. The recipe's order: mean net, scale
//! head, diffusion, consistency (ECT).

use super::precondition::coefficients;
use super::{loss, schedule};
use crate::data::Random;
use crate::net::{MeanNet, Opponent, Params, SamplerNet, ScaleHead};
use tch::{Device, Kind, Tensor};

/// Residuals, and consistency targets' distance from them, are kept within this many local RMS. The networks
/// have no normalisation layers, and where the scale head expects nothing the truth may lie far outside. A
/// bound on what they see, not the cure of the blow-ups: that was the noise floor (`schedule::SIGMA_MIN`).
const RESIDUAL_LIMIT: f64 = 8.0;

/// The three networks' layers; their weights are kept apart.
#[derive(Debug, Clone)]
pub struct Networks {
    /// μ and features.
    pub mean: MeanNet,
    /// Local scale of the residual.
    pub scale: ScaleHead,
    /// The consistency net's body.
    pub sampler: SamplerNet,
    /// Output pixels per input pixel along a side.
    pub factor: i64,
}

/// Numbers measured once on the finished mean net, that normalise what the later stages see.
#[derive(Debug)]
pub struct Calibration {
    /// Colour basis and its RMS.
    pub opponent: Opponent,
    /// Mean of each feature channel, 1×C×1×1.
    pub feature_mean: Tensor,
    /// Standard deviation of each feature channel, 1×C×1×1.
    pub feature_std: Tensor,
}

impl Calibration {
    /// (features − mean) / std, f32.
    pub fn standardise(&self, features: &Tensor) -> Tensor {
        (features.to_kind(Kind::Float) - &self.feature_mean) / &self.feature_std
    }
}

/// Frozen weights that a later stage builds on.
#[derive(Debug, Clone, Copy)]
pub struct Frozen<'a> {
    /// The layers.
    pub nets: &'a Networks,
    /// Averaged weights of the mean net.
    pub mean: &'a Params,
    /// Averaged weights of the scale head.
    pub scale: &'a Params,
    /// Normalisation.
    pub calibration: &'a Calibration,
    /// Body precision.
    pub bf16: bool,
}

/// All that depends on y alone.
#[derive(Debug)]
pub struct Conditioned {
    /// Folded μ.
    pub mean: Tensor,
    /// Folded local scale of each opponent plane.
    pub scale: Tensor,
    /// What the consistency net sees of y: standardised features and y itself, N×(C+3)×H×W.
    pub condition: Tensor,
}

impl Frozen<'_> {
    /// y N×3×H×W → μ, s and the conditioning, without gradients.
    pub fn condition(&self, y: &Tensor) -> Conditioned {
        let _guard = tch::no_grad_guard();
        let raw = self.nets.mean.features(self.mean, y, self.bf16);
        let features = self.calibration.standardise(&raw);
        Conditioned {
            mean: self.nets.mean.mean(self.mean, y, &raw),
            scale: self.nets.scale.scale_folded(self.scale, &features, self.nets.factor),
            condition: Tensor::cat(&[features, y - 0.5], 1),
        }
    }

    /// The residual x − μ in normalised opponent colours and units of the local scale, bounded.
    pub fn residual(&self, x: &Tensor, conditioned: &Conditioned) -> Tensor {
        let _guard = tch::no_grad_guard();
        let opponent = self.calibration.opponent.normalise(&(x - &conditioned.mean), self.nets.factor);
        (opponent / &conditioned.scale).clamp(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)
    }
}

/// f(x, σ; y) = c_skip·x + c_out·F(c_in·x, σ, y): the consistency function and, in diffusion training, the
/// denoiser. x folded, σ of N values.
pub fn consistency_function(
    net: &SamplerNet,
    params: &Params,
    x: &Tensor,
    sigma: &Tensor,
    condition: &Tensor,
    bf16: bool,
) -> Tensor {
    let c = coefficients(&sigma.view([-1, 1, 1, 1]));
    let f = net.forward(params, &(x * &c.input), sigma, condition, bf16);
    x * &c.skip + f * &c.out
}

/// Stage A.
pub fn mean_loss(net: &MeanNet, params: &Params, y: &Tensor, x: &Tensor, border: i64, bf16: bool) -> Tensor {
    let features = net.features(params, y, bf16);
    loss::charbonnier(&net.mean(params, y, &features), x, border)
}

/// The scale head's stage; `params` are the head's weights in training.
pub fn scale_loss(frozen: &Frozen<'_>, params: &Params, y: &Tensor, x: &Tensor, border: i64) -> Tensor {
    let (nets, calibration) = (frozen.nets, frozen.calibration);
    let (features, residual) = {
        let _guard = tch::no_grad_guard();
        let raw = nets.mean.features(frozen.mean, y, frozen.bf16);
        let residual = x - nets.mean.mean(frozen.mean, y, &raw);
        (calibration.standardise(&raw), calibration.opponent.normalise(&residual, nets.factor))
    };
    loss::scale_likelihood(&nets.scale.log_scale(params, &features), &residual, border)
}

/// Stage B: unit-weight regression of F (see [`loss::diffusion`]).
pub fn diffusion_loss(
    frozen: &Frozen<'_>,
    params: &Params,
    y: &Tensor,
    x: &Tensor,
    border: i64,
    random: &mut Random,
) -> Tensor {
    let conditioned = frozen.condition(y);
    let e = frozen.residual(x, &conditioned);
    let sigma = to_tensor(&schedule::sigmas(e.size()[0] as usize, random), e.device());
    let noisy = &e + e.randn_like() * sigma.view([-1, 1, 1, 1]);
    let c = coefficients(&sigma.view([-1, 1, 1, 1]));
    let target = (&e - &noisy * &c.skip) / &c.out;
    let net = &frozen.nets.sampler;
    let f = net.forward(params, &(noisy * &c.input), &sigma, &conditioned.condition, frozen.bf16);
    loss::diffusion(&f, &target, border)
}

/// Stage C: ECT. The same noise at t and r, the target without gradient and with the same weights.
pub fn consistency_loss(
    frozen: &Frozen<'_>,
    params: &Params,
    y: &Tensor,
    x: &Tensor,
    border: i64,
    q: f64,
    random: &mut Random,
) -> Tensor {
    let conditioned = frozen.condition(y);
    let e = frozen.residual(x, &conditioned);
    let t_values = schedule::sigmas(e.size()[0] as usize, random);
    let r_values: Vec<f64> = t_values.iter().map(|&t| schedule::ect_r(t, q)).collect();
    let (t, r) = (to_tensor(&t_values, e.device()), to_tensor(&r_values, e.device()));
    let noise = e.randn_like();
    let f = |x: &Tensor, sigma: &Tensor| {
        consistency_function(&frozen.nets.sampler, params, x, sigma, &conditioned.condition, frozen.bf16)
    };
    let target = {
        let _guard = tch::no_grad_guard();
        // Where r = 0 the boundary condition gives the target: e itself. The net is never asked about σ = 0.
        let asked = f(&(&e + &noise * r.view([-1, 1, 1, 1])), &r.clamp_min(1e-4));
        // The net is its own teacher: an overshoot that becomes a target feeds itself. A posterior sample
        // lies within a few standard deviations of the truth, so targets are kept there.
        let near = &e + (asked - &e).clamp(-RESIDUAL_LIMIT, RESIDUAL_LIMIT);
        near.where_self(&r.gt(0.0).view([-1, 1, 1, 1]), &e)
    };
    let estimate = f(&(&e + &noise * t.view([-1, 1, 1, 1])), &t);
    let weight = (t - r).reciprocal();
    (loss::consistency(&(estimate - target), border) * weight).mean(Kind::Float)
}

fn to_tensor(values: &[f64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).to_device(device)
}
