//! What one training step computes in each stage: from a batch to a loss. The recipe's order: mean net, scale
//! head, diffusion, consistency, energy score.

use super::loss;
use super::student::Student;
use crate::data::Random;
use crate::method::precondition::preconditioned;
use crate::method::{self, Denoiser, Functions, diffusion, levels_tensor};
use crate::net::{Given, MeanNet, Opponent, Params, SamplerNet, ScaleHead};
use crate::recipe::{LEVELS, RunPlan};
use tch::{Kind, Tensor};

/// Residuals, and consistency targets' distance from them, are kept within this many local RMS. The networks
/// have no normalisation layers, and where the scale head expects nothing the truth may lie far outside. A
/// bound on what they see, not the cure of the blow-ups: that was the noise floor (`recipe::LEVELS`).
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

/// Stage A.
pub fn mean_loss(
    net: &MeanNet,
    params: &Params,
    given: &Given,
    x: &Tensor,
    border: i64,
    bf16: bool,
) -> Tensor {
    let features = net.features(params, given, bf16);
    loss::charbonnier(&net.mean(params, &given.y, &features), x, border)
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
    loss::scale_likelihood(&nets.scale.log_scale(params, &features), &residual, border)
}

/// What the diffusion and consistency stages see of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The finished networks.
    pub frozen: &'a Frozen<'a>,
    /// What depends on y.
    pub conditioned: &'a Conditioned,
    /// The truth's residual, normalised: what is to be generated.
    pub e: &'a Tensor,
    /// LR pixels at the border that losses ignore.
    pub border: i64,
}

impl Scene<'_> {
    /// Stage B: the mean square of F's error (see [`method::diffusion`]).
    pub fn diffusion_loss(&self, run: &RunPlan, params: &Params, random: &mut Random) -> Tensor {
        let drawn = run.diffusion.lognormal(self.e.size()[0] as usize, random);
        let sigma = levels_tensor(&drawn, self.e.device());
        let noise = self.e.randn_like();
        let network = |x: &Tensor, sigma: &Tensor| self.forward(params, x, sigma);
        let difference = diffusion::difference(&network, self.e, &noise, &sigma, run.diffusion.sigma_data);
        loss::inner(&difference, self.border).square().mean(Kind::Float)
    }

    /// Stage C: the run's method. The same noise at t and r, or the teacher's ODE between them.
    pub fn consistency_loss(
        &self,
        run: &RunPlan,
        sampler: &Student,
        progress: f64,
        random: &mut Random,
    ) -> Tensor {
        let pairs = run.method.pairs(&run.consistency, progress, self.e.size()[0] as usize, random);
        let noise = self.e.randn_like();
        let data = run.consistency.sigma_data;
        let f = |params: &Params, x: &Tensor, sigma: &Tensor| {
            preconditioned(&|x, sigma| self.forward(params, x, sigma), x, sigma, data)
        };
        let student = |x: &Tensor, sigma: &Tensor| f(&sampler.trainee.params, x, sigma);
        // The net is its own teacher: an overshoot that becomes a target feeds itself. A posterior sample
        // lies within a few standard deviations of the truth, so targets are kept there.
        let target = |x: &Tensor, sigma: &Tensor| {
            let asked = f(sampler.target(&run.method, progress), x, sigma);
            self.e + (asked - self.e).clamp(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)
        };
        let teacher = |x: &Tensor, sigma: &Tensor| f(sampler.teacher(), x, sigma);
        let functions = Functions {
            student: &student,
            target: &target,
            teacher: run.method.solver().map(|solver| (&teacher as Denoiser<'_>, solver)),
        };
        let difference = method::difference(functions, self.e, &noise, &pairs);
        let weight = levels_tensor(&pairs.weight, self.e.device());
        (run.distance.of(&loss::inner(&difference, self.border)) * weight).mean(Kind::Float)
    }

    /// Stage D: the energy score of two one-step samples, see [`loss::energy_score`]. Residuals count in RGB
    /// units here, as they will be seen.
    pub fn energy_loss(&self, run: &RunPlan, params: &Params, random: &mut Random) -> Tensor {
        let count = self.e.size()[0];
        let sigma = Tensor::full([count], run.consistency.sigma_max, (Kind::Float, self.e.device()));
        let network = |x: &Tensor, sigma: &Tensor| self.forward(params, x, sigma);
        let factor = self.frozen.nets.factor;
        // The colour basis is orthonormal: norms need no way back to RGB, only each plane's own size.
        let opponent = &self.frozen.calibration.opponent;
        let planes = opponent.rms.map(|rms| rms / opponent.residual_rms());
        let planes = Tensor::from_slice(&planes).to_kind(Kind::Float).to_device(self.e.device());
        let sizes = planes.repeat_interleave_self_int(factor * factor, 0, None::<i64>).view([1, -1, 1, 1]);
        let sizes = &self.conditioned.scale * sizes;
        // Patches begin anywhere, or the samples would learn the raster of the small picture.
        let side = factor as usize;
        let offset = [random.below(side) as i64, random.below(side) as i64];
        let seen = |normalised: &Tensor| {
            loss::moved(&loss::inner(&(normalised * &sizes), self.border), factor, offset)
        };
        let sample = || {
            let noise = self.e.randn_like() * run.consistency.sigma_max;
            seen(&preconditioned(&network, &noise, &sigma, run.consistency.sigma_data))
        };
        loss::energy_score(&sample(), &sample(), &seen(self.e), factor)
    }

    fn forward(&self, params: &Params, x: &Tensor, sigma: &Tensor) -> Tensor {
        let net = &self.frozen.nets.sampler;
        net.forward(params, x, sigma, &self.conditioned.condition, self.frozen.bf16)
    }
}
