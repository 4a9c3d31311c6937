//! What repair computes from a batch with holes: μ, the local scale of what it misses there, what the
//! consistency net is told, and a sample. The networks and what was measured between them; no steps.

use super::adversary::Sight;
use super::loss;
use super::parts::Calibration;
use super::scene::RESIDUAL_LIMIT;
use crate::data::{Holed, Random};
use crate::method::Levels;
use crate::method::precondition::preconditioned;
use crate::net::repair::{FOLD, folded};
use crate::net::{Params, RepairCondition, RepairNet, RepairSampler, ScaleHead};
use tch::{Kind, Tensor};

/// The three networks' layers; their weights are kept apart.
#[derive(Debug, Clone)]
pub struct RepairNetworks {
    /// μ and features.
    pub mean: RepairNet,
    /// Local scale of the residual, at half the resolution.
    pub scale: ScaleHead,
    /// The consistency net's body.
    pub sampler: RepairSampler,
}

/// Frozen weights that a later stage builds on.
#[derive(Debug, Clone, Copy)]
pub struct RepairFrozen<'a> {
    /// The layers.
    pub nets: &'a RepairNetworks,
    /// Averaged weights of the mean net.
    pub mean: &'a Params,
    /// Averaged weights of the scale head.
    pub scale: &'a Params,
    /// Normalisation; the features' numbers are one resolution after the other, an eighth first.
    pub calibration: &'a Calibration,
    /// Body precision.
    pub bf16: bool,
}

/// All that depends on the picture and its holes alone.
#[derive(Debug)]
pub struct Understood {
    /// μ, N×3×H×W f32, not clipped.
    pub mean: Tensor,
    /// Local scale of each opponent plane, folded N×12×H/2×W/2.
    pub scale: Tensor,
    /// 1 in holes, for each plane, folded N×12×H/2×W/2.
    pub holes: Tensor,
    /// What the consistency net sees.
    pub condition: RepairCondition,
}

/// What draws a one-step sample.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// Weights of the consistency net.
    pub sampler: &'a Params,
    /// The levels that it was trained on.
    pub levels: &'a Levels,
    /// λ.
    pub strength: f64,
    /// The share of its colours that a sample keeps.
    pub chroma: f64,
}

/// 1 in holes, 0 in what is known: N×1×H×W f32 of a mask.
pub fn holes(mask: &Tensor) -> Tensor {
    mask.gt(0.0).to_kind(Kind::Float)
}

impl RepairFrozen<'_> {
    /// `image` N×3×H×W with its holes filled and `mask` N×1×H×W, without gradients.
    pub fn understand(&self, image: &Tensor, mask: &Tensor) -> Understood {
        let _guard = tch::no_grad_guard();
        let raw = self.nets.mean.features(self.mean, image, mask, self.bf16);
        let mean = self.nets.mean.repaired(self.mean, image, &raw);
        let features = self.standardise(&raw);
        let finest = features.last().expect("there are three resolutions");
        let holes = holes(mask);
        let seen = image + (&mean - image) * &holes;
        Understood {
            scale: self.nets.scale.scale_folded(self.scale, finest, FOLD),
            holes: holes.expand_as(&mean).pixel_unshuffle(FOLD),
            condition: RepairCondition { seen: folded(&seen, mask), features },
            mean,
        }
    }

    /// Each resolution's features by its own channels' numbers.
    fn standardise(&self, raw: &[Tensor]) -> Vec<Tensor> {
        let mut begin = 0;
        let one = |features: &Tensor| {
            let width = features.size()[1];
            let part = self.calibration.channels(begin, width);
            begin += width;
            part.standardise(features)
        };
        raw.iter().map(one).collect()
    }

    /// The residual x − μ in the holes, in normalised opponent colours and units of the local scale, bounded;
    /// folded, 0 elsewhere.
    pub fn residual(&self, truth: &Tensor, understood: &Understood) -> Tensor {
        let _guard = tch::no_grad_guard();
        let residual = (truth - &understood.mean).pixel_unshuffle(FOLD);
        let opponent = self.calibration.opponent.normalise(&residual, FOLD);
        (opponent / &understood.scale).clamp(-RESIDUAL_LIMIT, RESIDUAL_LIMIT) * &understood.holes
    }

    /// How the adversarial stage looks at residuals: as what stands in the holes of the known picture.
    pub fn sight<'a>(&'a self, understood: &'a Understood, image: &Tensor, random: &mut Random) -> Sight<'a> {
        let holes = understood.holes.shallow_clone();
        let image = image.pixel_unshuffle(FOLD);
        Sight {
            calibration: self.calibration,
            mean: &image + (understood.mean.pixel_unshuffle(FOLD) - &image) * &holes,
            scale: &understood.scale,
            holes,
            factor: FOLD,
            border: 0,
            offset: Sight::offset(FOLD, random),
            bf16: self.bf16,
        }
    }

    /// F of the consistency net with weights `params`, in the holes; x and σ as for [`RepairSampler`].
    pub fn network(&self, params: &Params, x: &Tensor, sigma: &Tensor, understood: &Understood) -> Tensor {
        self.nets.sampler.forward(params, x, sigma, &understood.condition, self.bf16) * &understood.holes
    }

    /// What serving computes: μ, and in the holes λ times what a one-step sample adds to it. `noise` is unit
    /// normal, N×3×H×W; the result too, not clipped.
    pub fn sample(&self, drawing: Drawing<'_>, image: &Tensor, mask: &Tensor, noise: &Tensor) -> Tensor {
        let Drawing { sampler, levels, strength, chroma } = drawing;
        let _guard = tch::no_grad_guard();
        let understood = self.understand(image, mask);
        let sigma = Tensor::full([image.size()[0]], levels.sigma_max, (Kind::Float, image.device()));
        let network = |x: &Tensor, sigma: &Tensor| self.network(sampler, x, sigma, &understood);
        let x = noise.pixel_unshuffle(FOLD) * &understood.holes * levels.sigma_max;
        let f = preconditioned(&network, &x, &sigma, levels.sigma_data) * &understood.scale;
        let residual = self.calibration.opponent.muted(chroma).restore(&f, FOLD).pixel_shuffle(FOLD);
        understood.mean + residual * strength
    }

    /// The scale head's stage; `params` are its weights in training. The mean over the pixels of the holes of
    /// each patch, then over patches.
    pub fn scale_loss(&self, params: &Params, holed: &Holed) -> Tensor {
        let (features, residual, holes) = {
            let _guard = tch::no_grad_guard();
            let raw = self.nets.mean.features(self.mean, &holed.image, &holed.mask, self.bf16);
            let mean = self.nets.mean.repaired(self.mean, &holed.image, &raw);
            let holes = holes(&holed.mask);
            let residual = ((&holed.truth - mean) * &holes).pixel_unshuffle(FOLD);
            let features = self.standardise(&raw).pop().expect("there are three resolutions");
            (features, self.calibration.opponent.normalise(&residual, FOLD), holes)
        };
        // Each LR pixel's share of hole: its energy is the mean over those pixels of it, its weight too.
        let share = holes.avg_pool2d([FOLD; 2], [FOLD; 2], [0, 0], false, true, None::<i64>);
        let energy = loss::plane_energy(&residual) / share.clamp_min(1e-6);
        let likelihood = loss::scale_likelihood(&self.nets.scale.log_scale(params, &features), &energy);
        let sum = |x: &Tensor| x.sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float);
        (sum(&(likelihood * &share)) / (sum(&share) * 3.0)).mean(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Opponent, RepairConfig, RepairSamplerConfig};
    use tch::Device;

    const SHAPE: [i64; 4] = [2, 3, 32, 32];

    fn with_frozen(see: &dyn Fn(&RepairFrozen<'_>)) {
        let (mean, mean_layout) = RepairNet::new(RepairConfig { widths: [8, 8, 8], dilations: vec![1] });
        let (scale, scale_layout) = ScaleHead::new(8);
        let config = RepairSamplerConfig { widths: [8, 8, 8], dilations: vec![1] };
        let (sampler, _) = RepairSampler::new(config, [8, 8, 8]);
        let calibration = Calibration {
            opponent: Opponent { rms: [0.2, 0.1, 0.05] },
            feature_mean: Tensor::zeros([1, 24, 1, 1], (Kind::Float, Device::Cpu)),
            feature_std: Tensor::ones([1, 24, 1, 1], (Kind::Float, Device::Cpu)),
        };
        let [mean_params, scale_params] = [mean_layout, scale_layout].map(|l| l.init(1, Device::Cpu));
        let nets = RepairNetworks { mean, scale, sampler };
        see(&RepairFrozen {
            nets: &nets,
            mean: &mean_params,
            scale: &scale_params,
            calibration: &calibration,
            bf16: false,
        });
    }

    fn scene() -> Holed {
        tch::manual_seed(4);
        let draw = || Tensor::rand(SHAPE, (Kind::Float, Device::Cpu));
        let mask = Tensor::zeros([2, 1, 32, 32], (Kind::Float, Device::Cpu));
        // Corners that halves do not meet.
        drop(mask.narrow(2, 5, 11).narrow(3, 7, 8).fill_(1.0));
        Holed { truth: draw(), image: draw(), mask }
    }

    /// The truth of known pixels changes neither what is to be generated nor the scale's likelihood.
    #[test]
    fn the_truth_of_known_pixels_is_not_looked_at() {
        with_frozen(&|frozen| {
            let holed = scene();
            let understood = frozen.understand(&holed.image, &holed.mask);
            let known: Tensor = 1.0 - holes(&holed.mask);
            let elsewhere = &holed.truth + known * 7.0;
            let changed = Holed { truth: elsewhere, ..scene() };
            let of = |holed: &Holed| {
                let likelihood = frozen.scale_loss(frozen.scale, holed).double_value(&[]);
                (frozen.residual(&holed.truth, &understood), likelihood)
            };
            let ((e, likelihood), (same, again)) = (of(&holed), of(&changed));
            assert!(e.abs().max().double_value(&[]) > 0.1 && likelihood.is_finite());
            assert_eq!((&e, likelihood), (&same, again));
            let known: Tensor = 1.0 - holes(&holed.mask);
            let outside = e.pixel_shuffle(FOLD) * known;
            assert_eq!(outside.abs().max().double_value(&[]), 0.0);
        });
    }

    /// A residual, scaled and coloured back, is x − μ.
    #[test]
    fn a_residual_comes_back() {
        with_frozen(&|frozen| {
            let holed = scene();
            let understood = frozen.understand(&holed.image, &holed.mask);
            // Near enough to μ that nothing is bounded.
            let truth = &understood.mean + (&holed.truth - 0.5) * 0.05;
            let e = frozen.residual(&truth, &understood) * &understood.scale;
            let back = frozen.calibration.opponent.restore(&e, FOLD).pixel_shuffle(FOLD);
            let apart =
                (back - (truth - &understood.mean) * holes(&holed.mask)).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "{apart}");
        });
    }

    /// The likelihood of the scale is least where it is the RMS of what is missed in holes.
    #[test]
    fn the_scale_of_holes_is_that_of_their_own_pixels() {
        with_frozen(&|frozen| {
            let mut holed = scene();
            let understood = frozen.understand(&holed.image, &holed.mask);
            let noise = holed.truth.randn_like().pixel_unshuffle(FOLD);
            // A residual of RMS one half in each opponent plane.
            let missed = frozen.calibration.opponent.restore(&(noise * 0.5), FOLD).pixel_shuffle(FOLD);
            holed.truth = &understood.mean + missed;
            let loss = |factor: f64| {
                let mut params = frozen.scale.duplicate();
                params.set_trainable(false);
                drop(params.flat().fill_(0.0));
                let constant: Vec<(String, Tensor)> =
                    vec![("output.bias".into(), Tensor::from_slice(&[(0.5 * factor).ln() as f32; 3]))];
                params.adopt(&constant.into_iter().collect());
                frozen.scale_loss(&params, &holed).double_value(&[])
            };
            assert!(loss(1.0) < loss(0.7) && loss(1.0) < loss(1.4));
        });
    }
}
