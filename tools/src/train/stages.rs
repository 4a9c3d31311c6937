//! What one training step of super-resolution computes: from a batch to a loss of the mean net, of the scale
//! head, and to what the stages of the consistency net see (`scene`, `adversary`).

use super::adversary::Sight;
use super::loss;
use super::parts::Calibration;
use super::scene::RESIDUAL_LIMIT;
use crate::data::Random;
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

    /// How the adversarial stage looks at residuals.
    pub fn sight<'a>(&'a self, conditioned: &'a Conditioned, border: i64, random: &mut Random) -> Sight<'a> {
        let factor = self.nets.factor;
        Sight {
            calibration: self.calibration,
            mean: conditioned.mean.shallow_clone(),
            scale: &conditioned.scale,
            holes: conditioned.mean.ones_like(),
            factor,
            border,
            offset: Sight::offset(factor, random),
            bf16: self.bf16,
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
