//! The walk through a recipe: stage after stage, step after step, with checkpoints, the log and the way out.
//! Decides nothing: every number comes from the recipe.

use super::checkpoint::Place;
use super::optimiser::Trainee;
use super::schedule;
use super::session::Session;
use super::stages;
use crate::data::{Batch, Corpus, Random, with_batches};
use crate::progress::Progress;
use crate::recipe::{Stage, StagePlan};
use crate::run_folder::RunFolder;
use crossbeam_channel::Receiver;
use serde::Serialize;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Tensor;

/// Seconds between two checkpoints.
const CHECKPOINT_SECONDS: f64 = 60.0;
/// Weights after a step whose loss exceeds this multiple of the recent median do not enter the average.
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

/// One line of log.jsonl.
#[derive(Debug, Serialize)]
struct LogLine {
    stage: Stage,
    step: u64,
    seconds: f64,
    loss: f64,
    gradient_norm: f64,
    learning_rate: f64,
    blown_up: bool,
}

/// Runs the recipe from where the session stands to its end, or until `stop` is set.
///
/// # Errors
/// See [`TrainError`]; what was reached lies in the run folder.
pub fn run(
    session: &mut Session,
    corpus: &Corpus,
    folder: &mut RunFolder,
    progress: &Progress,
    stop: &AtomicBool,
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
            train_stage(
                session,
                plan,
                batches,
                &mut Surroundings { folder, progress, stop, checkpoint: &checkpoint },
            )
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
    session: &mut Session,
    plan: StagePlan,
    batches: &Receiver<Batch>,
    around: &mut Surroundings<'_>,
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

fn train_step(
    session: &mut Session,
    plan: StagePlan,
    progress: f64,
    y: &Tensor,
    x: &Tensor,
) -> Result<LogLine, TrainError> {
    let step = session.place.step;
    // Seeds follow from the place alone, so a resumed run draws the same noise.
    let words = [session.recipe.seed, plan.stage as u64, step, u64::MAX];
    let mut random = Random::new(&words);
    tch::manual_seed(random.next() as i64);
    let loss = stage_loss(session, plan, y, x, &mut random);
    let value = loss.double_value(&[]);
    let rate = plan.adam.learning_rate * schedule::learning_rate(progress, step, plan.warmup);
    let blown_up = !value.is_finite() || blew_up(&session.recent, value);
    let trainee = match plan.stage {
        Stage::Mean => &mut session.mean,
        Stage::Scale => &mut session.scale,
        Stage::Diffusion | Stage::Consistency => &mut session.sampler,
    };
    let mut norm = f64::NAN;
    if value.is_finite() {
        loss.backward();
        // The clipped step is taken, since leaving it out did not end a blow-up; the average keeps out of it.
        let decay = if blown_up { 1.0 } else { schedule::ema_decay(step, plan.adam.ema) };
        norm = trainee.step(&plan.adam, rate, step, decay);
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
    Ok(LogLine {
        stage: plan.stage,
        step,
        seconds,
        loss: value,
        gradient_norm: norm,
        learning_rate: rate,
        blown_up,
    })
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
        Stage::Consistency => stages::consistency_loss(
            &frozen,
            &session.sampler.params,
            y,
            x,
            border,
            session.recipe.ect_q,
            random,
        ),
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
