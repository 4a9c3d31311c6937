//! The walk through a recipe: stage after stage, step after step, with checkpoints, the log and the way out.
//! Decides nothing: every number comes from the recipe.

use super::checkpoint::{Place, Saved, place_tensor, save};
use super::course::{Course, Standing};
use super::schedule;
use crate::data::{Random, with_batches};
use crate::progress::Progress;
use crate::recipe::{Stage, StagePlan};
use crate::run_folder::RunFolder;
use crossbeam_channel::Receiver;
use serde::Serialize;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Tensor;

/// Seconds between two checkpoints.
const CHECKPOINT_SECONDS: f64 = 60.0;
/// Weights after a step whose loss exceeds this multiple of the recent median do not enter the average.
const BLOW_UP: f64 = 10.0;
/// Losses in a row that are not finite and end the run. The weights are those before the first.
const PATIENCE: usize = 100;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    critic: Option<f64>,
}

/// Runs the recipe from where the course stands to its end, or until `stop` is set.
///
/// # Errors
/// See [`TrainError`]; what was reached lies in the run folder.
pub fn run<C: Course>(
    course: &mut C,
    data: &C::Data,
    folder: &mut RunFolder,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Interrupted, TrainError> {
    let checkpoint = folder.file("checkpoint.safetensors");
    loop {
        let place = course.standing().place;
        let Some(plan) = course.run().stages.get(place.stage).copied() else { return Ok(Interrupted::No) };
        if place.step == 0 {
            course.begin(data, plan.stage);
        }
        progress.stage(plan.stage, plan.limit);
        let (batches, first) = (course.batch_plan(plan.stage as u64), place.step);
        let device = course.device();
        let make = |number| C::make_batch(data, batches, device, number);
        let end = with_batches(make, first * course.run().micro_batches as u64, |batches| {
            train_stage(
                course,
                plan,
                batches,
                &mut Surroundings { folder, progress, stop, checkpoint: &checkpoint },
            )
        })?;
        if end == Interrupted::Yes {
            save_checkpoint(course, &checkpoint)?;
            return Ok(end);
        }
        let standing = course.standing();
        let total_seconds = standing.place.total_seconds;
        standing.place = Place { stage: standing.place.stage + 1, step: 0, seconds: 0.0, total_seconds };
        standing.recent.clear();
        save_checkpoint(course, &checkpoint)?;
    }
}

/// Continues a course from a checkpoint.
///
/// # Errors
/// If the file is missing, damaged or belongs to other networks.
pub fn resume<C: Course>(course: &mut C, path: &Path) -> Result<(), TrainError> {
    let saved = Saved::load(path).map_err(TrainError::Checkpoint)?;
    let whole = |problem: String| TrainError::Checkpoint(format!("{}: {problem}", path.display()));
    let place = saved.place().ok_or_else(|| whole("it is not a checkpoint".into()))?;
    course.restore(&|name| saved.find(name)).map_err(whole)?;
    *course.standing() = Standing { place, recent: saved.numbers("recent").into(), ..Standing::default() };
    Ok(())
}

fn save_checkpoint<C: Course>(course: &mut C, path: &Path) -> std::io::Result<()> {
    let mut tensors = course.state();
    let standing = course.standing();
    let recent: Vec<f64> = standing.recent.iter().copied().collect();
    tensors.push(("recent".into(), Tensor::from_slice(&recent)));
    tensors.push(place_tensor(standing.place));
    save(path, &tensors)
}

/// The world a stage trains in.
struct Surroundings<'a> {
    folder: &'a mut RunFolder,
    progress: &'a Progress,
    stop: &'a AtomicBool,
    checkpoint: &'a Path,
}

fn train_stage<C: Course>(
    course: &mut C,
    plan: StagePlan,
    batches: &Receiver<C::Batch>,
    around: &mut Surroundings<'_>,
) -> Result<Interrupted, TrainError> {
    let (mut since_checkpoint, mut waited, mut worked) = (0.0, 0.0, 0.0);
    let end = loop {
        let Place { step, seconds, .. } = course.standing().place;
        let progress = plan.limit.progress(step, seconds);
        if progress >= 1.0 {
            break Interrupted::No;
        }
        if around.stop.load(Ordering::Relaxed) {
            break Interrupted::Yes;
        }
        let started = Instant::now();
        let mut line = train_step(course, plan, progress, batches, &mut waited)?;
        let spent = started.elapsed().as_secs_f64();
        let place = &mut course.standing().place;
        place.step += 1;
        place.seconds += spent;
        place.total_seconds += spent;
        around.progress.step(plan.limit.progress(step + 1, seconds + spent), line.loss);
        if step % course.run().log_every == 0 {
            line.critic = course.critic();
            around.folder.log(&line)?;
        }
        worked += spent;
        since_checkpoint += spent;
        if since_checkpoint > CHECKPOINT_SECONDS {
            save_checkpoint(course, around.checkpoint)?;
            since_checkpoint = 0.0;
        }
    };
    let share = 100.0 * waited / f64::max(worked, f64::MIN_POSITIVE);
    log::info!("stage {:?}: {worked:.0} s, {share:.1} % of them waiting for data", plan.stage);
    Ok(end)
}

fn train_step<C: Course>(
    course: &mut C,
    plan: StagePlan,
    progress: f64,
    batches: &Receiver<C::Batch>,
    waited: &mut f64,
) -> Result<LogLine, TrainError> {
    let Place { step, seconds, .. } = course.standing().place;
    // Seeds follow from the place alone, so a resumed run draws the same noise.
    let mut random = Random::new(&[course.run().seed, plan.stage as u64, step, u64::MAX]);
    tch::manual_seed(random.next() as i64);
    let micro_batches = course.run().micro_batches;
    let mut losses = Vec::new();
    for _ in 0..micro_batches {
        let started = Instant::now();
        let batch = batches.recv().expect("the maker of batches outlives the loop");
        *waited += started.elapsed().as_secs_f64();
        let loss = course.loss(plan, progress, &batch, &mut random);
        loss.backward();
        losses.push(loss.detach());
    }
    // A number that is read waits for the GPU: one wait a step, when all is under way (and a critic's).
    let gradient = course.trainee(plan.stage).take_gradient(micro_batches);
    let value = losses.iter().map(|loss| loss.double_value(&[])).sum::<f64>() / micro_batches as f64;
    let rate =
        plan.adam.learning_rate * schedule::learning_rate(progress, step, plan.warmup, plan.head_start);
    // The scale's likelihood may be any number, so that no multiple of its median says much.
    let may_blow_up = plan.stage != Stage::Scale;
    let blown_up = !value.is_finite() || (may_blow_up && blew_up(&course.standing().recent, value));
    let mut norm = f64::NAN;
    if value.is_finite() {
        norm = gradient.1;
        // The clipped step is taken, since leaving it out did not end a blow-up; the averages keep out of it.
        course.trainee(plan.stage).step(&plan.adam, rate, step, gradient, !blown_up);
        course.after_step(plan.stage, progress);
    }
    let standing = course.standing();
    if value.is_finite() {
        standing.not_finite.1 = 0;
        standing.recent.push_back(value);
        if standing.recent.len() > RECENT {
            standing.recent.pop_front();
        }
    } else {
        let (since, count) = match standing.not_finite {
            (_, 0) => (step, 1),
            (since, count) => (since, count + 1),
        };
        standing.not_finite = (since, count);
        if count >= PATIENCE {
            return Err(TrainError::Diverged { stage: plan.stage, step: since });
        }
    }
    Ok(LogLine {
        stage: plan.stage,
        step,
        seconds,
        loss: value,
        gradient_norm: norm,
        learning_rate: rate,
        blown_up,
        critic: None,
    })
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
