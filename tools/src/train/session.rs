//! A training session: the networks, their weights and moments, and the place in the recipe; how it is saved,
//! resumed and started from shipped weights. The loop that moves it on is in `walk`.

use super::checkpoint::{Place, Saved, place_tensor, save};
use super::loss;
use super::optimiser::Trainee;
use super::stages::{Calibration, Frozen, Networks};
use super::walk::TrainError;
use crate::data::{BatchPlan, Corpus, make_batch};
use crate::net::{Layout, MeanNet, Opponent, SamplerNet, ScaleHead};
use crate::recipe::Recipe;
use std::collections::VecDeque;
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
    /// The mean net's weights.
    pub mean: Trainee,
    /// The scale head's weights.
    pub scale: Trainee,
    /// The consistency net's weights.
    pub sampler: Trainee,
    /// Measured once the mean net is finished.
    pub calibration: Option<Calibration>,
    pub(super) place: Place,
    /// The latest losses: what a blow-up is judged by.
    pub(super) recent: VecDeque<f64>,
}

impl Session {
    /// Fresh networks for a recipe.
    pub fn new(recipe: Recipe, device: Device) -> Session {
        let factor = recipe.scale as i64;
        let (mean, mean_layout) = MeanNet::new(recipe.mean, factor);
        let (scale, scale_layout) = ScaleHead::new(recipe.mean.channels);
        let (sampler, sampler_layout) = SamplerNet::new(recipe.sampler, recipe.mean.channels, factor);
        let trainee = |layout: &Layout, salt| Trainee::new(layout.init(recipe.seed + salt, device));
        Session {
            mean: trainee(&mean_layout, 0),
            scale: trainee(&scale_layout, 1),
            sampler: trainee(&sampler_layout, 2),
            nets: Networks { mean, scale, sampler, factor },
            recipe,
            device,
            calibration: None,
            place: Place::default(),
            recent: VecDeque::new(),
        }
    }

    /// Seconds of training so far, all stages together.
    pub fn total_seconds(&self) -> f64 {
        self.place.total_seconds
    }

    /// Number of parameters: mean net, scale head, consistency net.
    pub fn parameters(&self) -> [i64; 3] {
        [&self.mean, &self.scale, &self.sampler].map(|t| t.params.flat().numel() as i64)
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

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// If the file is missing, damaged or belongs to other networks.
    pub fn resume(&mut self, path: &Path) -> Result<(), TrainError> {
        let saved = Saved::load(path).map_err(TrainError::Checkpoint)?;
        let whole = |e: String| TrainError::Checkpoint(format!("{}: {e}", path.display()));
        for (trainee, name) in
            [(&mut self.mean, "mean"), (&mut self.scale, "scale"), (&mut self.sampler, "sampler")]
        {
            trainee.restore(name, &|wanted| saved.find(wanted)).map_err(whole)?;
        }
        self.calibration = self.read_calibration(&saved);
        self.recent = saved.numbers("recent").into();
        self.place = saved.place().ok_or_else(|| whole("it is not a checkpoint".into()))?;
        Ok(())
    }

    /// Starts from shipped weights (a weights.safetensors) instead of fresh ones, with fresh moments.
    ///
    /// # Errors
    /// If the file is missing, damaged or belongs to other networks.
    pub fn init_from(&mut self, path: &Path) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let saved = Saved::load(path).map_err(TrainError::Checkpoint)?;
        for (trainee, name) in [(&self.mean, "mean"), (&self.scale, "scale"), (&self.sampler, "sampler")] {
            let fits = saved.find(name).filter(|t| t.size() == trainee.params.flat().size());
            let Some(weights) = fits else {
                let problem = format!("{}: no weights of this size under {name:?}", path.display());
                return Err(TrainError::Checkpoint(problem));
            };
            trainee.params.flat().copy_(&weights);
            trainee.average.flat().copy_(&weights);
        }
        self.calibration = self.read_calibration(&saved);
        Ok(())
    }

    /// The averaged weights and the calibration, as one small file to ship or to start from.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn save_weights(&self, path: &Path) -> std::io::Result<()> {
        let parts = [("mean", &self.mean), ("scale", &self.scale), ("sampler", &self.sampler)];
        let mut tensors: Vec<(String, Tensor)> =
            parts.iter().map(|(name, trainee)| ((*name).to_owned(), trainee.average.flat())).collect();
        tensors.extend(self.calibration_tensors());
        save(path, &tensors)
    }

    pub(super) fn save_checkpoint(&self, path: &Path) -> std::io::Result<()> {
        let mut tensors = self.mean.state("mean");
        tensors.extend(self.scale.state("scale"));
        tensors.extend(self.sampler.state("sampler"));
        tensors.extend(self.calibration_tensors());
        let recent: Vec<f64> = self.recent.iter().copied().collect();
        tensors.push(("recent".into(), Tensor::from_slice(&recent)));
        tensors.push(place_tensor(self.place));
        save(path, &tensors)
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

    fn read_calibration(&self, saved: &Saved) -> Option<Calibration> {
        let rms = <[f64; 3]>::try_from(saved.numbers("opponent")).ok()?;
        let feature_mean = saved.find("feature_mean")?.to_device(self.device);
        let feature_std = saved.find("feature_std")?.to_device(self.device);
        Some(Calibration { opponent: Opponent { rms }, feature_mean, feature_std })
    }

    /// Measures residual colours and feature statistics on training batches, with the averaged mean net.
    pub(super) fn calibrate(&mut self, corpus: &Corpus) {
        let _guard = tch::no_grad_guard();
        let width = self.recipe.mean.channels;
        let mut energy = [0.0; 3];
        let (mut sum, mut squares) = (
            Tensor::zeros([width], (Kind::Float, self.device)),
            Tensor::zeros([width], (Kind::Float, self.device)),
        );
        let unit = Opponent { rms: [1.0; 3] };
        for step in 0..CALIBRATION_BATCHES {
            let (y, x) = make_batch(corpus, self.batch_plan(CALIBRATION_STAGE), step).tensors(self.device);
            let features = self.nets.mean.features(&self.mean.average, &y, false);
            let residual = unit
                .normalise(&(x - self.nets.mean.mean(&self.mean.average, &y, &features)), self.nets.factor);
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

    pub(super) fn batch_plan(&self, stage: u64) -> BatchPlan {
        let Recipe { batch, patch, scale, seed, .. } = self.recipe;
        BatchPlan { batch, patch, scale, seed, stage }
    }
}

/// Calibration draws its own patches.
const CALIBRATION_STAGE: u64 = 1000;
