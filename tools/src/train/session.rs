//! A super-resolution session: the networks, their weights and moments (`parts`), and the place in the
//! recipe. The loop that moves it on is in `walk`.

use super::adversary::Adversary;
use super::checkpoint::{Place, Saved};
use super::course::{Course, Standing};
use super::loss;
use super::optimiser::Trainee;
use super::parts::{Calibration, Parts};
use super::scene::{Region, Scene};
use super::schedule;
use super::stages::{self, Frozen, Networks};
use super::walk::TrainError;
use crate::data::{BatchPlan, Corpus, Random, make_batch};
use crate::net::{Given, MeanNet, Opponent, Params, SamplerNet, ScaleHead};
use crate::recipe::{Recipe, RunPlan, Stage, StagePlan};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Batches over which the mean net's residuals and features are measured.
const CALIBRATION_BATCHES: u64 = 48;

/// The networks and everything that changes while they train.
#[derive(Debug)]
pub struct Session {
    /// What is to be done.
    pub recipe: Recipe,
    /// Where tensors live.
    pub device: Device,
    /// The layers.
    pub nets: Networks,
    /// Their weights.
    pub parts: Parts,
    standing: Standing,
}

impl Session {
    /// Fresh networks for a recipe.
    pub fn new(recipe: Recipe, device: Device) -> Session {
        let factor = recipe.scale as i64;
        let (mean, mean_layout) = MeanNet::new(recipe.mean, factor);
        let (scale, scale_layout) = ScaleHead::new(recipe.mean.channels);
        let (sampler, sampler_layout) = SamplerNet::new(recipe.sampler, recipe.mean.channels, factor);
        let layouts = [&mean_layout, &scale_layout, &sampler_layout];
        Session {
            parts: Parts::new(layouts, &recipe.run, device),
            nets: Networks { mean, scale, sampler, factor },
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

    /// Seconds of training so far, all stages together.
    pub fn total_seconds(&self) -> f64 {
        self.standing.place.total_seconds
    }

    /// The finished parts, for estimating pictures; `None` before the mean net is finished.
    pub fn frozen(&self, bf16: bool) -> Option<Frozen<'_>> {
        let calibration = self.parts.calibration.as_ref()?;
        Some(Frozen {
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

    /// What a run of the mean net alone leaves undone: the numbers that every later use needs. Those that it
    /// began with are of the former net.
    pub fn finish(&mut self, corpus: &Corpus) {
        if self.parts.calibration.is_none() || self.recipe.mean_only() {
            self.calibrate(corpus);
        }
    }

    /// Measures residual colours and feature statistics on training batches, with the averaged mean net.
    fn calibrate(&mut self, corpus: &Corpus) {
        let _guard = tch::no_grad_guard();
        let width = self.recipe.mean.channels;
        let mut energy = [0.0; 3];
        let (mut sum, mut squares) = (
            Tensor::zeros([width], (Kind::Float, self.device)),
            Tensor::zeros([width], (Kind::Float, self.device)),
        );
        let unit = Opponent { rms: [1.0; 3] };
        for step in 0..CALIBRATION_BATCHES {
            let batch = make_batch(corpus, self.batch_plan(CALIBRATION_STAGE), step);
            let (y, source, x) = batch.tensors(self.device);
            let given = Given { y, source };
            let features = self.nets.mean.features(&self.parts.mean.average, &given, false);
            let mean = self.nets.mean.mean(&self.parts.mean.average, &given.y, &features);
            let residual = unit.normalise(&(x - mean), self.nets.factor);
            let inner = loss::inner(&loss::plane_energy(&residual), self.recipe.border as i64);
            for (plane, total) in energy.iter_mut().enumerate() {
                *total += inner.select(1, plane as i64).mean(Kind::Float).double_value(&[]);
            }
            let features = loss::inner(&features, self.recipe.border as i64);
            sum += features.mean_dim(&[0i64, 2, 3][..], false, Kind::Float);
            squares += features.square().mean_dim(&[0i64, 2, 3][..], false, Kind::Float);
        }
        let count = CALIBRATION_BATCHES as f64;
        let mean = sum / count;
        let std = (squares / count - mean.square()).clamp_min(1e-8).sqrt();
        self.parts.calibration = Some(Calibration {
            opponent: Opponent { rms: energy.map(|e| (e / count).sqrt()) },
            feature_mean: mean.view([1, width, 1, 1]),
            feature_std: std.view([1, width, 1, 1]),
        });
    }

    /// The loss of a batch, see [`Course::loss`].
    fn loss_beside(
        &self,
        adversary: Option<&mut Adversary>,
        plan: StagePlan,
        progress: f64,
        batch: &(Tensor, Tensor, Tensor),
        random: &mut Random,
    ) -> Tensor {
        let (y, source, x) = batch;
        let given = Given { y: y.shallow_clone(), source: source.shallow_clone() };
        let border = self.recipe.border as i64;
        let parts = &self.parts;
        if plan.stage == Stage::Mean {
            let (net, params) = (&self.nets.mean, &parts.mean.params);
            let mean = net.mean(params, &given.y, &net.features(params, &given, plan.bf16));
            return loss::charbonnier(&mean, x, schedule::epsilon(progress), border);
        }
        let frozen = self.frozen(plan.bf16).expect("the mean net was calibrated when its stage ended");
        if plan.stage == Stage::Scale {
            return stages::scale_loss(&frozen, &parts.scale.params, &given, x, border);
        }
        let conditioned = frozen.condition(&given);
        let e = frozen.residual(x, &conditioned);
        let network = |params: &Params, x: &Tensor, sigma: &Tensor| {
            self.nets.sampler.forward(params, x, sigma, &conditioned.condition, plan.bf16)
        };
        let scene = Scene { e: &e, region: Region::Inside(border), network: &network };
        let (run, params) = (&self.recipe.run, &parts.sampler.trainee.params);
        match plan.stage {
            Stage::Consistency => scene.consistency_loss(run, &parts.sampler, progress, random),
            Stage::Adversarial => {
                let sight = frozen.sight(&conditioned, border, random);
                let [a, b] = [(); 2].map(|()| scene.one_step(run, params));
                let adversary = adversary.expect("made with the session");
                adversary.loss(&sight, &e, [&a, &b])
            }
            _ => scene.diffusion_loss(run, params, random),
        }
    }
}

impl Course for Session {
    type Data = Corpus;
    type BatchPlan = BatchPlan;
    type Batch = (Tensor, Tensor, Tensor);

    fn run(&self) -> &RunPlan {
        &self.recipe.run
    }

    fn standing(&mut self) -> &mut Standing {
        &mut self.standing
    }

    fn batch_plan(&self, stage: u64) -> BatchPlan {
        let Recipe { patch, scale, mix, run: RunPlan { batch, seed, .. }, .. } = self.recipe;
        BatchPlan { batch, patch, scale, seed, stage, mix }
    }

    fn device(&self) -> Device {
        self.device
    }

    fn make_batch(data: &Corpus, plan: BatchPlan, device: Device, step: u64) -> Self::Batch {
        make_batch(data, plan, step).tensors(device)
    }

    fn begin(&mut self, data: &Corpus, stage: Stage) {
        match stage {
            Stage::Mean => {}
            Stage::Scale => self.calibrate(data),
            Stage::Diffusion | Stage::Consistency | Stage::Adversarial => self.parts.sampler.begin_stage(),
        }
    }

    fn loss(&mut self, plan: StagePlan, progress: f64, batch: &Self::Batch, random: &mut Random) -> Tensor {
        // Out of the session while it learns beside what is frozen there.
        let mut adversary = self.parts.adversary.take();
        let loss = self.loss_beside(adversary.as_mut(), plan, progress, batch, random);
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

/// Calibration draws its own patches.
const CALIBRATION_STAGE: u64 = 1000;
