//! A session of repair: the networks, their weights and moments (`parts`), and the place in the recipe. The
//! loop that moves it on is in `walk`, what is computed from a batch in `repairing`.

use super::adversary::Adversary;
use super::checkpoint::{Place, Saved};
use super::course::{Course, Standing};
use super::loss;
use super::optimiser::Trainee;
use super::parts::{Calibration, Parts};
use super::repairing::{RepairFrozen, RepairNetworks, holes};
use super::scene::{Region, Scene};
use super::schedule;
use super::walk::TrainError;
use crate::data::{Corpus, HolePlan, Holed, Random, make_hole_batch};
use crate::net::repair::FOLD;
use crate::net::{Opponent, Params, RepairNet, RepairSampler, ScaleHead};
use crate::recipe::{InpaintRecipe, RunPlan, Stage, StagePlan};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Known pixels around a hole that count in the mean's loss, in pixels, and how much one counts beside one of
/// the hole: what the net makes of them shows how it meets the border.
const RING: (i64, f64) = (4, 0.1);
/// Batches over which the mean net's residuals and features are measured.
const CALIBRATION_BATCHES: u64 = 48;
/// Calibration draws its own patches.
const CALIBRATION_STAGE: u64 = 1000;

/// The networks and everything that changes while they train.
#[derive(Debug)]
pub struct InpaintSession {
    /// What is to be done.
    pub recipe: InpaintRecipe,
    /// Where tensors live.
    pub device: Device,
    /// The layers.
    pub nets: RepairNetworks,
    /// Their weights.
    pub parts: Parts,
    standing: Standing,
}

impl InpaintSession {
    /// Fresh weights for a recipe.
    pub fn new(recipe: InpaintRecipe, device: Device) -> InpaintSession {
        let widths = recipe.net.widths;
        let (mean, mean_layout) = RepairNet::new(recipe.net.clone());
        let (scale, scale_layout) = ScaleHead::new(widths[0]);
        let (sampler, sampler_layout) = RepairSampler::new(recipe.sampler.clone(), widths);
        let layouts = [&mean_layout, &scale_layout, &sampler_layout];
        InpaintSession {
            parts: Parts::new(layouts, &recipe.run, device),
            nets: RepairNetworks { mean, scale, sampler },
            recipe,
            device,
            standing: Standing::default(),
        }
    }

    /// Whether there is more to export than the mean: a run of the mean net alone leaves the later ones
    /// behind, if it began with any.
    pub fn has_samples(&self) -> bool {
        !self.recipe.mean_only() && self.parts.has_samples()
    }

    /// Seconds of training so far.
    pub fn total_seconds(&self) -> f64 {
        self.standing.place.total_seconds
    }

    /// The finished parts, for repairing pictures; `None` before the mean net is finished.
    pub fn frozen(&self, bf16: bool) -> Option<RepairFrozen<'_>> {
        let calibration = self.parts.calibration.as_ref()?;
        Some(RepairFrozen {
            nets: &self.nets,
            mean: &self.parts.mean.average,
            scale: &self.parts.scale.average,
            calibration,
            bf16,
        })
    }

    /// Starts from shipped weights, see [`Parts::init_from`].
    ///
    /// # Errors
    /// If the mean net finds less than half of its weights.
    pub fn init_from(&mut self, saved: &Saved, path: &Path) -> Result<(), TrainError> {
        self.parts.init_from(saved, path, &self.recipe.run)
    }

    /// Goes on where a finished run stood that took so many seconds, from its weights alone.
    ///
    /// # Errors
    /// See [`Parts::take_finished`].
    pub fn take_finished(&mut self, path: &Path, slow: bool, seconds: f64) -> Result<(), TrainError> {
        self.standing.place = Place::end(&self.recipe.run, seconds);
        self.parts.take_finished(path, slow)
    }

    /// Measures residual colours in holes, and feature statistics, on training batches, with the averaged
    /// mean net.
    fn calibrate(&mut self, corpus: &Corpus) {
        let _guard = tch::no_grad_guard();
        let (mut energy, mut pixels) = ([0.0; 3], 0.0);
        let (mut means, mut squares) = (Vec::new(), Vec::new());
        let unit = Opponent { rms: [1.0; 3] };
        for step in 0..CALIBRATION_BATCHES {
            let batch = make_hole_batch(corpus, self.batch_plan(CALIBRATION_STAGE), step);
            let Holed { truth, image, mask } = batch.tensors(self.device);
            let features = self.nets.mean.features(&self.parts.mean.average, &image, &mask, false);
            let mean = self.nets.mean.repaired(&self.parts.mean.average, &image, &features);
            let holes = holes(&mask);
            let residual = ((truth - mean) * &holes).pixel_unshuffle(FOLD);
            let planes = loss::plane_energy(&unit.normalise(&residual, FOLD)) * (FOLD * FOLD) as f64;
            for (plane, total) in energy.iter_mut().enumerate() {
                *total += planes.select(1, plane as i64).sum(Kind::Double).double_value(&[]);
            }
            pixels += holes.sum(Kind::Double).double_value(&[]);
            let over_pixels = |x: &Tensor| x.mean_dim(&[0i64, 2, 3][..], true, Kind::Float);
            let joined = |of: &dyn Fn(&Tensor) -> Tensor| {
                Tensor::cat(&features.iter().map(|x| over_pixels(&of(x))).collect::<Vec<_>>(), 1)
            };
            means.push(joined(&Tensor::shallow_clone));
            squares.push(joined(&Tensor::square));
        }
        let average = |all: &[Tensor]| Tensor::cat(all, 0).mean_dim(&[0i64][..], true, Kind::Float);
        let feature_mean = average(&means);
        let feature_std = (average(&squares) - feature_mean.square()).clamp_min(1e-8).sqrt();
        let opponent = Opponent { rms: energy.map(|e| (e / pixels).sqrt()) };
        self.parts.calibration = Some(Calibration { opponent, feature_mean, feature_std });
    }

    /// The loss of a batch, see [`Course::loss`].
    fn loss_beside(
        &self,
        adversary: Option<&mut Adversary>,
        plan: StagePlan,
        progress: f64,
        holed: &Holed,
        random: &mut Random,
    ) -> Tensor {
        let parts = &self.parts;
        if plan.stage == Stage::Mean {
            let net = &self.nets.mean;
            let output = net.forward(&parts.mean.params, &holed.image, &holed.mask, plan.bf16);
            return repair_loss(&output, holed, schedule::epsilon(progress));
        }
        let frozen = self.frozen(plan.bf16).expect("the mean net was calibrated when its stage ended");
        if plan.stage == Stage::Scale {
            return frozen.scale_loss(&parts.scale.params, holed);
        }
        let understood = frozen.understand(&holed.image, &holed.mask);
        let e = frozen.residual(&holed.truth, &understood);
        let network =
            |params: &Params, x: &Tensor, sigma: &Tensor| frozen.network(params, x, sigma, &understood);
        let scene = Scene { e: &e, region: Region::Holes(&understood.holes), network: &network };
        let (run, params) = (&self.recipe.run, &parts.sampler.trainee.params);
        match plan.stage {
            Stage::Consistency => scene.consistency_loss(run, &parts.sampler, progress, random),
            Stage::Adversarial => {
                let sight = frozen.sight(&understood, &holed.image, random);
                let [a, b] = [(); 2].map(|()| scene.one_step(run, params));
                let adversary = adversary.expect("made with the session");
                adversary.loss(&sight, &e, [&a, &b])
            }
            _ => scene.diffusion_loss(run, params, random),
        }
    }
}

/// Charbonnier distance √(d² + ε²) over the holes, and a little over the known ring around them: the mean
/// over a patch's own pixels, then over patches. By pixels, large holes, of which little can be known, would
/// drown what thin ones teach.
fn repair_loss(output: &Tensor, holed: &Holed, epsilon: f64) -> Tensor {
    let square = (output - &holed.truth).square() + epsilon * epsilon;
    let distance = square.sqrt().mean_dim(&[1i64][..], true, Kind::Float);
    let hole = holes(&holed.mask);
    let side = 2 * RING.0 + 1;
    let grown = hole.max_pool2d([side, side], [1, 1], [RING.0, RING.0], [1, 1], false);
    let weight = &hole + (grown - &hole) * RING.1;
    let sum = |x: &Tensor| x.sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float);
    (sum(&(distance * &weight)) / sum(&weight)).mean(Kind::Float)
}

impl Course for InpaintSession {
    type Data = Corpus;
    type BatchPlan = HolePlan;
    type Batch = Holed;

    fn run(&self) -> &RunPlan {
        &self.recipe.run
    }

    fn standing(&mut self) -> &mut Standing {
        &mut self.standing
    }

    fn batch_plan(&self, stage: u64) -> HolePlan {
        let RunPlan { batch, seed, .. } = self.recipe.run;
        HolePlan { batch, patch: self.recipe.patch, hole_px: self.recipe.hole_px, seed, stage }
    }

    fn device(&self) -> Device {
        self.device
    }

    fn make_batch(data: &Corpus, plan: HolePlan, device: Device, step: u64) -> Holed {
        make_hole_batch(data, plan, step).tensors(device)
    }

    fn begin(&mut self, data: &Corpus, stage: Stage) {
        let lacks = self.parts.calibration.is_none();
        if stage == Stage::Scale || (lacks && stage != Stage::Mean) {
            self.calibrate(data);
        }
        if matches!(stage, Stage::Diffusion | Stage::Consistency | Stage::Adversarial) {
            self.parts.sampler.begin_stage();
        }
    }

    fn loss(&mut self, plan: StagePlan, progress: f64, holed: &Holed, random: &mut Random) -> Tensor {
        // Out of the session while it learns beside what is frozen there.
        let mut adversary = self.parts.adversary.take();
        let loss = self.loss_beside(adversary.as_mut(), plan, progress, holed, random);
        self.parts.adversary = adversary;
        loss
    }

    fn critic(&self) -> Option<f64> {
        self.parts.adversary.as_ref().and_then(Adversary::preference)
    }

    fn trainee(&mut self, stage: Stage) -> &mut Trainee {
        self.parts.trainee(stage)
    }

    fn after_step(&mut self, stage: Stage, progress: f64) {
        self.parts.after_step(&self.recipe.run, stage, progress);
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.parts.state()
    }

    fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.parts.restore(find)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known and far from a hole costs nothing, the ring a tenth.
    #[test]
    fn the_loss_looks_at_holes_and_a_little_at_their_ring() {
        let zeros = |planes: i64| Tensor::zeros([1, planes, 32, 32], (Kind::Float, Device::Cpu));
        let holed = Holed { truth: zeros(3), image: zeros(3), mask: zeros(1) };
        drop(holed.mask.narrow(2, 8, 4).narrow(3, 8, 4).fill_(1.0));
        let loss = |top: i64| {
            let output = zeros(3);
            drop(output.narrow(2, top, 4).narrow(3, 8, 4).fill_(0.5));
            repair_loss(&output, &holed, 1e-3).double_value(&[]) - 1e-3
        };
        let (hole, ring, far) = (loss(8), loss(12), loss(24));
        assert!(far.abs() < 1e-6, "{far}");
        assert!((hole / ring - 10.0).abs() < 0.1, "{hole} {ring}");
    }
}
