//! The recipe: every option of a run made explicit, written into the run folder before the first step.
//! Presets and budgets become plain numbers here and nowhere else.

use crate::net::{MeanConfig, SamplerConfig};
use crate::train::AdamOptions;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Super-resolution ×4.
    SrX4,
}

impl Preset {
    /// The name of the model file and its card.
    pub fn name(self) -> &'static str {
        match self {
            Preset::SrX4 => "sr-x4",
        }
    }

    /// Output pixels per input pixel along a side.
    pub fn scale(self) -> usize {
        match self {
            Preset::SrX4 => 4,
        }
    }
}

/// How large the networks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSize {
    /// For CPUs: 375 K parameters of mean net, 0.6 M of consistency net.
    S,
    /// For GPUs: about four times as many.
    M,
}

/// The stages, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A: the mean net.
    Mean,
    /// The local-scale head on the finished mean net's features.
    Scale,
    /// B: diffusion training of the consistency net, which gives it a start.
    Diffusion,
    /// C: consistency training to one step (ECT).
    Consistency,
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
    /// Whether the bodies of the networks run in bf16 (weights, losses and preconditioning are f32 always).
    pub bf16: bool,
}

/// A run, resolved: nothing is decided after this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What is trained.
    pub preset: Preset,
    /// Enlargement.
    pub scale: usize,
    /// The folder of pictures.
    pub data: PathBuf,
    /// The list of files that must not be trained on.
    pub held_out: Option<PathBuf>,
    /// Weights to start from instead of fresh ones.
    pub init_from: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Size of the mean net.
    pub mean: MeanConfig,
    /// Size of the consistency net.
    pub sampler: SamplerConfig,
    /// Patches in a batch.
    pub batch: usize,
    /// Side of a patch in LR pixels.
    pub patch: usize,
    /// LR pixels at a patch's border that losses ignore.
    pub border: usize,
    /// Fineness q of ECT's step from t to r.
    pub ect_q: f64,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// The stages, in order.
    pub stages: Vec<StagePlan>,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Choices {
    /// What is trained.
    pub preset: Preset,
    /// Size of the networks.
    pub size: ModelSize,
    /// The folder of pictures.
    pub data: PathBuf,
    /// The held-out list.
    pub held_out: Option<PathBuf>,
    /// Weights to start from.
    pub init_from: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Time for all stages together.
    pub budget: Duration,
    /// Steps of the four stages instead of a time.
    pub steps: Option<[u64; 4]>,
    /// Seed.
    pub seed: u64,
}

/// Shares of the time: mean net, scale head, diffusion, consistency. After 11 CPU-minutes the mean net's
/// curve was flattening; the sampler never had enough.
const SHARES: [(Stage, f64); 4] =
    [(Stage::Mean, 0.36), (Stage::Scale, 0.02), (Stage::Diffusion, 0.17), (Stage::Consistency, 0.45)];

impl Recipe {
    /// Fills in every number.
    pub fn resolve(choices: &Choices) -> Recipe {
        let gpu = choices.device != "cpu";
        let (mean, sampler) = match choices.size {
            ModelSize::S => {
                (MeanConfig { channels: 48, blocks: 8 }, SamplerConfig { channels: 64, blocks: 6 })
            }
            ModelSize::M => {
                (MeanConfig { channels: 80, blocks: 12 }, SamplerConfig { channels: 96, blocks: 10 })
            }
        };
        let stages = SHARES.iter().enumerate().map(|(index, &(stage, share))| {
            let limit = match choices.steps {
                Some(steps) => Limit::Steps(steps[index]),
                None => Limit::Seconds(choices.budget.as_secs_f64() * share),
            };
            stage_plan(stage, limit, bf16_pays(gpu))
        });
        Recipe {
            preset: choices.preset,
            scale: choices.preset.scale(),
            data: choices.data.clone(),
            held_out: choices.held_out.clone(),
            init_from: choices.init_from.clone(),
            device: choices.device.clone(),
            seed: choices.seed,
            mean,
            sampler,
            batch: if gpu { 64 } else { 16 },
            patch: if gpu { 48 } else { 32 },
            border: 2,
            ect_q: 16.0,
            log_every: 50,
            stages: stages.collect(),
        }
    }

    /// As JSON, the way it lies in the run folder.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers, texts and lists always have a JSON form") + "\n"
    }

    /// Radius in LR pixels of everything the sample depends on: the consistency net on top of the features.
    pub fn sample_radius(&self) -> usize {
        let features = self.mean.feature_radius();
        (features + self.sampler.radius()).max(features + crate::net::SCALE_RADIUS)
    }
}

/// bf16 convolutions need avx512_bf16 on a CPU; elsewhere they are emulated and several times slower than
/// f32.
fn bf16_pays(gpu: bool) -> bool {
    #[cfg(target_arch = "x86_64")]
    let native = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let native = false;
    gpu || native
}

fn stage_plan(stage: Stage, limit: Limit, bf16: bool) -> StagePlan {
    let adam = |learning_rate, beta2, clip, ema| AdamOptions { learning_rate, beta1: 0.9, beta2, clip, ema };
    let (adam, warmup) = match stage {
        Stage::Mean => (adam(1e-3, 0.999, 0.5, 0.999), 100),
        Stage::Scale => (adam(1e-3, 0.999, 1.0, 0.99), 20),
        Stage::Diffusion => (adam(1e-3, 0.99, 1.0, 0.999), 200),
        // With a noise floor of 0.02 this rate and twice it blew up again and again; with 0.1 it was calm.
        Stage::Consistency => (adam(1e-4, 0.99, 1.0, 0.9995), 500),
    };
    StagePlan { stage, limit, adam, warmup, bf16 }
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

    #[test]
    fn a_recipe_survives_its_file() {
        let choices = Choices {
            preset: Preset::SrX4,
            size: ModelSize::S,
            data: "data".into(),
            held_out: None,
            init_from: None,
            device: "cpu".into(),
            budget: Duration::from_secs(3600),
            steps: None,
            seed: 1,
        };
        let recipe = Recipe::resolve(&choices);
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
        let total: f64 = SHARES.iter().map(|(_, share)| share).sum();
        assert!((total - 1.0).abs() < 1e-12);
        assert_eq!((recipe.mean.receptive_field(), recipe.sample_radius()), (19, 32));
    }
}
