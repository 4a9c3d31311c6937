//! The recipe: every option of a run made explicit, written into the run folder before the first step.
//! Presets and budgets become plain numbers here and nowhere else. What every run has is in this file; what
//! super-resolution, repair and generation add is in theirs.

mod check;
mod generator;
mod inpaint;
mod super_resolution;

pub use generator::{GeneratorChoices, GeneratorRecipe};
pub use inpaint::{InpaintChoices, InpaintRecipe, REPAIR_LEVELS};
pub use super_resolution::{Choices, LEVELS, METHOD, MIX, MeanChoice, ModelSize, Preset, Recipe};

use crate::method::{Distance, Levels, Method};
use crate::train::AdamOptions;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The stages, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A: the mean net.
    Mean,
    /// The local-scale head on the finished mean net's features.
    Scale,
    /// B: diffusion training of the consistency net, which gives it a start.
    Diffusion,
    /// C: consistency training to one step.
    Consistency,
    /// D: one-step samples are held against the truth by the energy score and by a critic.
    Adversarial,
}

/// When a stage ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// After so many seconds of training.
    Seconds(f64),
    /// After so many steps: exactly repeatable.
    Steps(u64),
}

impl Limit {
    /// How far along a stage is, 0…1, after `steps` steps and `seconds` seconds.
    pub fn progress(self, steps: u64, seconds: f64) -> f64 {
        match self {
            Limit::Seconds(limit) => (seconds / limit).min(1.0),
            Limit::Steps(limit) => (steps as f64 / limit as f64).min(1.0),
        }
    }
}

/// The critic's head start in the adversarial stage. Without one, samplers moved at their full rate on what
/// a critic thought that knew nothing.
const HEAD_START: f64 = 0.06;

/// One stage, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StagePlan {
    /// Which.
    pub stage: Stage,
    /// How long.
    pub limit: Limit,
    /// The optimiser's numbers.
    pub adam: AdamOptions,
    /// Steps over which the learning rate rises.
    pub warmup: u64,
    /// Share of the stage, 0…1, over which its weights stand still while a critic learns to tell what they
    /// give from the truth: one that knows nothing teaches noise.
    #[serde(default)]
    pub head_start: f64,
    /// Whether the bodies of the networks run in bf16 (weights, losses and preconditioning are f32 always).
    pub bf16: bool,
}

/// What every run has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The folder of pictures.
    pub data: PathBuf,
    /// Weights to start from instead of fresh ones.
    pub init_from: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Pictures or patches in a batch.
    pub batch: usize,
    /// Batches whose gradients are averaged before a step.
    pub micro_batches: usize,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// The stages, in order.
    pub stages: Vec<StagePlan>,
    /// Noise levels of the diffusion stage.
    pub diffusion: Levels,
    /// Noise levels of the consistency stage.
    pub consistency: Levels,
    /// How the consistency function is trained.
    pub method: Method,
    /// What its estimates are compared by.
    pub distance: Distance,
}

impl RunPlan {
    /// The stages and how long each takes, in a line.
    pub fn summary(&self) -> String {
        let stages = self.stages.iter().map(|plan| match plan.limit {
            Limit::Seconds(seconds) => format!("{:?} {:.1} min", plan.stage, seconds / 60.0),
            Limit::Steps(steps) => format!("{:?} {steps} steps", plan.stage),
        });
        format!(
            "plan: {}; export and evaluation come on top",
            stages.collect::<Vec<_>>().join(", ").to_lowercase()
        )
    }
}

/// The name of a run's recipe and weights in its folder, and the recipe as it lies there.
pub trait RunRecipe: Serialize + for<'a> Deserialize<'a> {
    /// What the run folder is called after its number.
    fn name(&self) -> &str;
    /// The part every run has.
    fn run(&self) -> &RunPlan;
    /// Every reason why this cannot be trained, as sentences; none is well.
    fn problems(&self) -> Vec<String>;

    /// As JSON, the way it lies in the run folder.
    fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, texts and lists always have a JSON form") + "\n"
    }
}

/// Shares of a budget or given steps, as limits.
fn limits<const N: usize>(budget: Duration, steps: Option<[u64; N]>, shares: [f64; N]) -> [Limit; N] {
    std::array::from_fn(|index| match steps {
        Some(steps) => Limit::Steps(steps[index]),
        None => Limit::Seconds(budget.as_secs_f64() * shares[index]),
    })
}

/// Reads `90m`, `1h30m`, `45s`, `2h`.
///
/// # Errors
/// A sentence that shows the form.
pub fn parse_budget(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 90m, 1h30m or 45s");
    let (mut seconds, mut digits) = (0u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        let count: u64 = digits.parse().ok().ok_or_else(wrong)?;
        seconds = count.checked_mul(unit).and_then(|s| s.checked_add(seconds)).ok_or_else(wrong)?;
        digits.clear();
    }
    if !digits.is_empty() || seconds == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_nonsense_is_refused() {
        let seconds = |text| parse_budget(text).map(|d| d.as_secs());
        assert_eq!((seconds("90m"), seconds("1h30m"), seconds("45s")), (Ok(5400), Ok(5400), Ok(45)));
        for wrong in ["", "90", "m", "0m", "5d", "-3m", "99999999999999999999h"] {
            assert_eq!(seconds(wrong), Err(format!("{wrong:?} is not a time such as 90m, 1h30m or 45s")));
        }
    }
}
