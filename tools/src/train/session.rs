//! A super-resolution session: the networks, their weights and moments, and the place in the recipe; how it
//! is saved, resumed and started from shipped weights. The loop that moves it on is in `walk`.

use super::checkpoint::{Saved, save};
use super::course::{Course, Standing};
use super::loss;
use super::optimiser::Trainee;
use super::stages::{self, Calibration, Frozen, Networks};
use super::student::Student;
use super::walk::TrainError;
use crate::data::{Batch, BatchPlan, Corpus, Random, make_batch};
use crate::net::{Given, Layout, MeanNet, Opponent, SamplerNet, ScaleHead};
use crate::recipe::{Recipe, RunPlan, Stage, StagePlan};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Batches over which the mean net's residuals and features are measured.
const CALIBRATION_BATCHES: u64 = 48;

/// A start that gives the mean net less than this share of its weights is another network's.
const LEAST_START: f64 = 0.5;

/// The networks and everything that changes while they train.
#[derive(Debug)]
pub struct Session {
    /// What is to be done.
    pub recipe: Recipe,
    /// Where tensors live.
    pub device: Device,
    /// The layers.
    pub nets: Networks,
    /// The mean net's weights.
    pub mean: Trainee,
    /// The scale head's weights.
    pub scale: Trainee,
    /// The consistency net's weights.
    pub sampler: Student,
    /// Measured once the mean net is finished.
    pub calibration: Option<Calibration>,
    standing: Standing,
}

impl Session {
    /// Fresh networks for a recipe.
    pub fn new(recipe: Recipe, device: Device) -> Session {
        let factor = recipe.scale as i64;
        let (mean, mean_layout) = MeanNet::new(recipe.mean, factor);
        let (scale, scale_layout) = ScaleHead::new(recipe.mean.channels);
        let (sampler, sampler_layout) = SamplerNet::new(recipe.sampler, recipe.mean.channels, factor);
        let seed = recipe.run.seed;
        let trainee = |layout: &Layout, salt| Trainee::new(layout.init(seed + salt, device));
        Session {
            mean: trainee(&mean_layout, 0),
            scale: trainee(&scale_layout, 1),
            sampler: Student::new(&sampler_layout, seed + 2, device),
            nets: Networks { mean, scale, sampler, factor },
            recipe,
            device,
            calibration: None,
            standing: Standing::default(),
        }
    }

    /// Seconds of training so far, all stages together.
    pub fn total_seconds(&self) -> f64 {
        self.standing.place.total_seconds
    }

    /// Number of parameters: mean net, scale head, consistency net.
    pub fn parameters(&self) -> [i64; 3] {
        [&self.mean, &self.scale, &self.sampler.trainee].map(|t| t.params.flat().numel() as i64)
    }

    /// The finished parts, for estimating pictures; `None` before the mean net is finished.
    pub fn frozen(&self, bf16: bool) -> Option<Frozen<'_>> {
        let calibration = self.calibration.as_ref()?;
        Some(Frozen {
            nets: &self.nets,
            mean: &self.mean.average,
            scale: &self.scale.average,
            calibration,
            bf16,
        })
    }

    /// Starts from shipped weights (a weights.safetensors, or what was read out of an ONNX file) instead of
    /// fresh ones, with fresh moments. What belongs to another scale or is missing stays fresh, and the log
    /// says so.
    ///
    /// # Errors
    /// If the mean net finds less than half of its weights.
    pub fn init_from(&mut self, saved: &Saved, path: &Path) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let mut shares = Vec::new();
        for (name, trainee) in self.trainees() {
            let named = saved.below(name);
            let share = trainee.params.adopt(&named);
            for params in [&trainee.average, &trainee.slow_average] {
                params.adopt(&named);
            }
            shares.push((name, share));
        }
        let told: Vec<String> =
            shares.iter().map(|(name, share)| format!("{:.0} % of {name}", 100.0 * share)).collect();
        if shares[0].1 < LEAST_START {
            let problem =
                format!("{}: belongs to other networks: it has {}", path.display(), told.join(", "));
            return Err(TrainError::Checkpoint(problem));
        }
        log::info!("starting from {}: {}", path.display(), told.join(", "));
        self.calibration = self.read_calibration(&|name| saved.find(name));
        Ok(())
    }

    /// The averaged weights and the calibration, as one small file to ship or to start from.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn save_weights(&self, path: &Path) -> std::io::Result<()> {
        let mut tensors: Vec<(String, Tensor)> =
            self.trainees().iter().flat_map(|(name, trainee)| trainee.average.tensors(name)).collect();
        tensors.extend(self.calibration_tensors());
        save(path, &tensors)
    }

    /// What is trained, by the names it has in files.
    fn trainees(&self) -> [(&'static str, &Trainee); 3] {
        [("mean", &self.mean), ("scale", &self.scale), ("sampler", &self.sampler.trainee)]
    }

    fn calibration_tensors(&self) -> Vec<(String, Tensor)> {
        self.calibration
            .iter()
            .flat_map(|c| {
                [
                    ("opponent".to_owned(), Tensor::from_slice(&c.opponent.rms)),
                    ("feature_mean".to_owned(), c.feature_mean.shallow_clone()),
                    ("feature_std".to_owned(), c.feature_std.shallow_clone()),
                ]
            })
            .collect()
    }

    fn read_calibration(&self, find: &dyn Fn(&str) -> Option<Tensor>) -> Option<Calibration> {
        let rms = Vec::<f64>::try_from(find("opponent")?.to_kind(Kind::Double)).ok()?;
        let rms = <[f64; 3]>::try_from(rms).ok()?;
        let feature_mean = find("feature_mean")?.to_device(self.device);
        let feature_std = find("feature_std")?.to_device(self.device);
        Some(Calibration { opponent: Opponent { rms }, feature_mean, feature_std })
    }

    /// What a run of the mean net alone leaves undone: the numbers that every later use needs.
    pub fn finish(&mut self, corpus: &Corpus) {
        if self.calibration.is_none() {
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
            let features = self.nets.mean.features(&self.mean.average, &given, false);
            let mean = self.nets.mean.mean(&self.mean.average, &given.y, &features);
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
        self.calibration = Some(Calibration {
            opponent: Opponent { rms: energy.map(|e| (e / count).sqrt()) },
            feature_mean: mean.view([1, width, 1, 1]),
            feature_std: std.view([1, width, 1, 1]),
        });
    }
}

impl Course for Session {
    type Data = Corpus;
    type BatchPlan = BatchPlan;
    type Batch = Batch;

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

    fn make_batch(data: &Corpus, plan: BatchPlan, step: u64) -> Batch {
        make_batch(data, plan, step)
    }

    fn begin(&mut self, data: &Corpus, stage: Stage) {
        match stage {
            Stage::Mean => {}
            Stage::Scale => self.calibrate(data),
            Stage::Diffusion | Stage::Consistency | Stage::Energy => self.sampler.begin_stage(),
        }
    }

    fn loss(&self, plan: StagePlan, progress: f64, batch: &Batch, random: &mut Random) -> Tensor {
        let (y, source, x) = batch.tensors(self.device);
        let given = Given { y, source };
        let border = self.recipe.border as i64;
        if plan.stage == Stage::Mean {
            return stages::mean_loss(&self.nets.mean, &self.mean.params, &given, &x, border, plan.bf16);
        }
        let frozen = self.frozen(plan.bf16).expect("the mean net was calibrated when its stage ended");
        if plan.stage == Stage::Scale {
            return stages::scale_loss(&frozen, &self.scale.params, &given, &x, border);
        }
        let conditioned = frozen.condition(&given);
        let e = frozen.residual(&x, &conditioned);
        let scene = stages::Scene { frozen: &frozen, conditioned: &conditioned, e: &e, border };
        match plan.stage {
            Stage::Consistency => scene.consistency_loss(&self.recipe.run, &self.sampler, progress, random),
            Stage::Energy => scene.energy_loss(&self.recipe.run, &self.sampler.trainee.params, random),
            _ => scene.diffusion_loss(&self.recipe.run, &self.sampler.trainee.params, random),
        }
    }

    fn trainee(&mut self, stage: Stage) -> &mut Trainee {
        match stage {
            Stage::Mean => &mut self.mean,
            Stage::Scale => &mut self.scale,
            Stage::Diffusion | Stage::Consistency | Stage::Energy => &mut self.sampler.trainee,
        }
    }

    fn after_step(&mut self, stage: Stage, progress: f64) {
        if stage == Stage::Consistency {
            self.sampler.follow(&self.recipe.run.method, progress);
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.mean.state("mean");
        tensors.extend(self.scale.state("scale"));
        tensors.extend(self.sampler.state("sampler"));
        tensors.extend(self.calibration_tensors());
        tensors
    }

    fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.mean.restore("mean", find)?;
        self.scale.restore("scale", find)?;
        self.sampler.restore("sampler", find)?;
        self.calibration = self.read_calibration(find);
        Ok(())
    }
}

/// Calibration draws its own patches.
const CALIBRATION_STAGE: u64 = 1000;
