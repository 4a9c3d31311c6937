//! What one training step of super-resolution computes: from a batch to a loss of the mean net, of the scale
//! head, and to what the stages of the consistency net see (`scene`); and the energy score.

use super::loss;
use super::parts::Calibration;
use super::scene::{RESIDUAL_LIMIT, Scene};
use crate::data::Random;
use crate::method::Levels;
use crate::method::precondition::preconditioned;
use crate::net::{Given, MeanNet, Params, SamplerNet, ScaleHead};
use crate::recipe::LEVELS;
use tch::{Kind, Tensor};

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
    /// y N×3×H×W and its source → μ, s and the conditioning, without gradients.
    pub fn condition(&self, given: &Given) -> Conditioned {
        let _guard = tch::no_grad_guard();
        let y = &given.y;
        let raw = self.nets.mean.features(self.mean, given, self.bf16);
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
    let network = |x: &Tensor, sigma: &Tensor| net.forward(params, x, sigma, condition, bf16);
    preconditioned(&network, x, sigma, LEVELS.sigma_data)
}

/// The scale head's stage; `params` are the head's weights in training.
pub fn scale_loss(frozen: &Frozen<'_>, params: &Params, given: &Given, x: &Tensor, border: i64) -> Tensor {
    let (nets, calibration) = (frozen.nets, frozen.calibration);
    let (features, residual) = {
        let _guard = tch::no_grad_guard();
        let raw = nets.mean.features(frozen.mean, given, frozen.bf16);
        let residual = x - nets.mean.mean(frozen.mean, &given.y, &raw);
        (calibration.standardise(&raw), calibration.opponent.normalise(&residual, nets.factor))
    };
    let log_scale = loss::inner(&nets.scale.log_scale(params, &features), border);
    let energy = loss::inner(&loss::plane_energy(&residual), border);
    loss::scale_likelihood(&log_scale, &energy).mean(Kind::Float)
}

/// Stage D: the energy score of two one-step samples, see [`loss::energy_score`]. Residuals count in RGB
/// units here, as they will be seen.
pub fn energy_loss(
    scene: &Scene<'_>,
    frozen: &Frozen<'_>,
    scale: &Tensor,
    border: i64,
    levels: &Levels,
    params: &Params,
    random: &mut Random,
) -> Tensor {
    let e = scene.e;
    let sigma = Tensor::full([e.size()[0]], levels.sigma_max, (Kind::Float, e.device()));
    let network = |x: &Tensor, sigma: &Tensor| (scene.network)(params, x, sigma);
    let factor = frozen.nets.factor;
    // The colour basis is orthonormal: norms need no way back to RGB, only each plane's own size.
    let opponent = &frozen.calibration.opponent;
    let planes = opponent.rms.map(|rms| rms / opponent.residual_rms());
    let planes = Tensor::from_slice(&planes).to_kind(Kind::Float).to_device(e.device());
    let sizes = planes.repeat_interleave_self_int(factor * factor, 0, None::<i64>).view([1, -1, 1, 1]);
    let sizes = scale * sizes;
    // Patches begin anywhere, or the samples would learn the raster of the small picture.
    let side = factor as usize;
    let offset = [random.below(side) as i64, random.below(side) as i64];
    let seen =
        |normalised: &Tensor| loss::moved(&loss::inner(&(normalised * &sizes), border), factor, offset);
    let sample = || {
        let noise = e.randn_like() * levels.sigma_max;
        seen(&preconditioned(&network, &noise, &sigma, levels.sigma_data))
    };
    loss::energy_score(&sample(), &sample(), &seen(e), factor)
}
