//! A training session: the state of a run and the loop that takes it through its recipe. Decides nothing: every number
//! comes from the recipe.

use super::checkpoint::{Place, Saved, place_tensor, save};
use super::optimiser::Trainee;
use super::stages::{self, Calibration, Frozen, Networks};
use super::{loss, schedule};
use crate::data::{Batch, BatchPlan, Corpus, Random, make_batch, with_batches};
use crate::net::{MeanNet, Opponent, SamplerNet, ScaleHead};
use crate::progress::Progress;
use crate::recipe::{Recipe, Stage, StagePlan};
use crate::run_folder::RunFolder;
use crossbeam_channel::Receiver;
use serde::Serialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// Batches over which the mean net's residuals and features are measured.
const CALIBRATION_BATCHES: u64 = 48;
/// Seconds between two checkpoints.
const CHECKPOINT_SECONDS: f64 = 60.0;
/// A step whose loss exceeds this multiple of the recent median is left out of weights and average alike.
const BLOW_UP: f64 = 10.0;
/// Losses that make up "recent".
const RECENT: usize = 101;

/// Why training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Log or checkpoint cannot be written.
    #[error("the run folder cannot be written: {0}")]
    Folder(#[from] std::io::Error),
    /// A checkpoint or weights file does not fit.
    #[error("{0}")]
    Checkpoint(String),
    /// The loss became NaN or infinite and stayed so.
    #[error("the loss of stage {stage:?} is not finite since step {step}; the last good checkpoint is kept")]
    Diverged {
        /// Which stage.
        stage: Stage,
        /// Since when.
        step: u64,
    },
}

/// Whether a run reached its end or was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// All stages are done.
    No,
    /// A checkpoint was written; the run can be resumed.
    Yes,
}

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
    place: Place,
    recent: VecDeque<f64>,
}

impl Session {
    /// Fresh networks for a recipe.
    pub fn new(recipe: Recipe, device: Device) -> Session {
        let factor = recipe.scale as i64;
        let (mean, mean_layout) = MeanNet::new(recipe.mean, factor);
        let (scale, scale_layout) = ScaleHead::new(recipe.mean.channels);
        let (sampler, sampler_layout) = SamplerNet::new(recipe.sampler, recipe.mean.channels, factor);
        let trainee = |layout: &crate::net::Layout, salt| Trainee::new(layout.init(recipe.seed + salt, device));
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
    pub fn seconds(&self) -> f64 {
        self.place.total_seconds
    }

    /// Number of parameters: mean net, scale head, consistency net.
    pub fn parameters(&self) -> [i64; 3] {
        [&self.mean, &self.scale, &self.sampler].map(|t| t.params.flat().numel() as i64)
    }

    /// The finished parts, for estimating pictures; `None` before the mean net is finished.
    pub fn frozen(&self, bf16: bool) -> Option<Frozen<'_>> {
        let calibration = self.calibration.as_ref()?;
        Some(Frozen { nets: &self.nets, mean: &self.mean.average, scale: &self.scale.average, calibration, bf16 })
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// If the file is missing, damaged or belongs to other networks.
    pub fn resume(&mut self, path: &Path) -> Result<(), TrainError> {
        let saved = Saved::load(path).map_err(TrainError::Checkpoint)?;
        let whole = |e: String| TrainError::Checkpoint(format!("{}: {e}", path.display()));
        for (trainee, name) in [(&mut self.mean, "mean"), (&mut self.scale, "scale"), (&mut self.sampler, "sampler")] {
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

    fn save_checkpoint(&self, path: &Path) -> std::io::Result<()> {
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
        self.calibration.iter().flat_map(|c| {
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
    fn calibrate(&mut self, corpus: &Corpus) {
        let _guard = tch::no_grad_guard();
        let width = self.recipe.mean.channels;
        let mut energy = [0.0; 3];
        let (mut sum, mut squares) = (Tensor::zeros([width], (Kind::Float, self.device)), Tensor::zeros([width], (Kind::Float, self.device)));
        let unit = Opponent { rms: [1.0; 3] };
        for step in 0..CALIBRATION_BATCHES {
            let (y, x) = make_batch(corpus, self.batch_plan(CALIBRATION_STAGE), step).tensors(self.device);
            let features = self.nets.mean.features(&self.mean.average, &y, false);
            let residual = unit.normalise(&(x - self.nets.mean.mean(&self.mean.average, &y, &features)), self.nets.factor);
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

    fn batch_plan(&self, stage: u64) -> BatchPlan {
        let Recipe { batch, patch, scale, seed, .. } = self.recipe;
        BatchPlan { batch, patch, scale, seed, stage }
    }
}

/// Calibration draws its own patches.
const CALIBRATION_STAGE: u64 = 1000;

/// One line of log.jsonl.
#[derive(Debug, Serialize)]
struct LogLine {
    stage: Stage,
    step: u64,
    seconds: f64,
    loss: f64,
    gradient_norm: f64,
    learning_rate: f64,
    skipped: bool,
}

/// Runs the recipe from where the session stands to its end, or until `stop` is set.
///
/// # Errors
/// See [`TrainError`]; what was reached lies in the run folder.
pub fn run(
    session: &mut Session, corpus: &Corpus, folder: &mut RunFolder, progress: &Progress, stop: &AtomicBool,
) -> Result<Interrupted, TrainError> {
    let checkpoint = folder.file("checkpoint.safetensors");
    while let Some(plan) = session.recipe.stages.get(session.place.stage).copied() {
        if session.place.step == 0 {
            begin_stage(session, corpus, plan.stage);
        }
        progress.stage(plan.stage, plan.limit);
        let batches = session.batch_plan(plan.stage as u64);
        let first = session.place.step;
        let end = with_batches(corpus, batches, first, |batches| {
            train_stage(session, plan, batches, &mut Surroundings { folder, progress, stop, checkpoint: &checkpoint })
        })?;
        if end == Interrupted::Yes {
            session.save_checkpoint(&checkpoint)?;
            return Ok(end);
        }
        let total_seconds = session.place.total_seconds;
        session.place = Place { stage: session.place.stage + 1, step: 0, seconds: 0.0, total_seconds };
        session.recent.clear();
        session.save_checkpoint(&checkpoint)?;
    }
    Ok(Interrupted::No)
}

/// What has to be ready before a stage's first step.
fn begin_stage(session: &mut Session, corpus: &Corpus, stage: Stage) {
    match stage {
        Stage::Mean => {}
        Stage::Scale => session.calibrate(corpus),
        Stage::Diffusion | Stage::Consistency => {
            // Each of these continues from the averaged weights with a fresh optimiser.
            session.sampler = Trainee::new(session.sampler.average.duplicate());
        }
    }
}

/// The world a stage trains in.
struct Surroundings<'a> {
    folder: &'a mut RunFolder,
    progress: &'a Progress,
    stop: &'a AtomicBool,
    checkpoint: &'a PathBuf,
}

fn train_stage(
    session: &mut Session, plan: StagePlan, batches: &Receiver<Batch>, around: &mut Surroundings<'_>,
) -> Result<Interrupted, TrainError> {
    let mut since_checkpoint = 0.0;
    loop {
        let Place { step, seconds, .. } = session.place;
        let progress = plan.limit.progress(step, seconds);
        if progress >= 1.0 {
            return Ok(Interrupted::No);
        }
        if around.stop.load(Ordering::Relaxed) {
            return Ok(Interrupted::Yes);
        }
        let started = Instant::now();
        let batch = batches.recv().expect("the maker of batches outlives the loop");
        let (y, x) = batch.tensors(session.device);
        let line = train_step(session, plan, progress, &y, &x)?;
        let spent = started.elapsed().as_secs_f64();
        session.place.step += 1;
        session.place.seconds += spent;
        session.place.total_seconds += spent;
        around.progress.step(plan.limit.progress(step + 1, seconds + spent), line.loss);
        if step % session.recipe.log_every == 0 {
            around.folder.log(&line)?;
        }
        since_checkpoint += spent;
        if since_checkpoint > CHECKPOINT_SECONDS {
            session.save_checkpoint(around.checkpoint)?;
            since_checkpoint = 0.0;
        }
    }
}

fn train_step(session: &mut Session, plan: StagePlan, progress: f64, y: &Tensor, x: &Tensor) -> Result<LogLine, TrainError> {
    let step = session.place.step;
    // Seeds follow from the place alone, so a resumed run draws the same noise.
    let words = [session.recipe.seed, plan.stage as u64, step, u64::MAX];
    let mut random = Random::new(&words);
    tch::manual_seed(random.next() as i64);
    let loss = stage_loss(session, plan, y, x, &mut random);
    let value = loss.double_value(&[]);
    let rate = plan.adam.learning_rate * schedule::learning_rate(progress, step, plan.warmup);
    let skipped = !value.is_finite() || blew_up(&session.recent, value);
    let trainee = match plan.stage {
        Stage::Mean => &mut session.mean,
        Stage::Scale => &mut session.scale,
        Stage::Diffusion | Stage::Consistency => &mut session.sampler,
    };
    let mut norm = f64::NAN;
    if !skipped {
        loss.backward();
        norm = trainee.step(&plan.adam, rate, step, schedule::ema_decay(step, plan.adam.ema));
    }
    if value.is_finite() {
        session.recent.push_back(value);
        if session.recent.len() > RECENT {
            session.recent.pop_front();
        }
    } else if session.recent.is_empty() {
        return Err(TrainError::Diverged { stage: plan.stage, step });
    } else {
        session.recent.pop_front(); // RECENT losses in a row that are not finite end the run.
    }
    let seconds = session.place.seconds;
    Ok(LogLine { stage: plan.stage, step, seconds, loss: value, gradient_norm: norm, learning_rate: rate, skipped })
}

fn stage_loss(session: &Session, plan: StagePlan, y: &Tensor, x: &Tensor, random: &mut Random) -> Tensor {
    let (nets, border, bf16) = (&session.nets, session.recipe.border as i64, plan.bf16);
    if plan.stage == Stage::Mean {
        return stages::mean_loss(&nets.mean, &session.mean.params, y, x, border, bf16);
    }
    let frozen = session.frozen(bf16).expect("the mean net was calibrated when its stage ended");
    match plan.stage {
        Stage::Mean | Stage::Scale => stages::scale_loss(&frozen, &session.scale.params, y, x, border),
        Stage::Diffusion => stages::diffusion_loss(&frozen, &session.sampler.params, y, x, border, random),
        Stage::Consistency => {
            stages::consistency_loss(&frozen, &session.sampler.params, y, x, border, session.recipe.ect_q, random)
        }
    }
}

/// Whether a loss is far above the recent median.
fn blew_up(recent: &VecDeque<f64>, value: f64) -> bool {
    if recent.len() < RECENT / 2 {
        return false;
    }
    let mut sorted: Vec<f64> = recent.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    value > BLOW_UP * sorted[sorted.len() / 2].max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_far_above_the_recent_ones_blows_up() {
        let recent: VecDeque<f64> = (0..60).map(|i| 1.0 + f64::from(i % 7) * 0.1).collect();
        assert!(!blew_up(&recent, 9.0) && blew_up(&recent, 20.0));
        assert!(!blew_up(&VecDeque::from([1.0; 5]), 1e6), "too few to judge");
    }
}
