//! The recipe of conditional super-resolution: mean net, local scale, diffusion, consistency, critic.

use super::{HEAD_START, Limit, RunPlan, RunRecipe, Stage, StagePlan, limits};
use crate::data::Mix;
use crate::device::bf16_pays;
use crate::method::{Distance, Levels, Method, ect::Ect};
use crate::net::{BodyKind, MeanConfig, SamplerConfig};
use crate::train::AdamOptions;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tch::Device;

/// What can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Super-resolution ×4.
    SrX4,
    /// Super-resolution ×2.
    SrX2,
}

impl Preset {
    /// The name of the model file and its card.
    pub fn name(self) -> &'static str {
        match self {
            Preset::SrX4 => "sr-x4",
            Preset::SrX2 => "sr-x2",
        }
    }

    /// Output pixels per input pixel along a side.
    pub fn scale(self) -> usize {
        match self {
            Preset::SrX4 => 4,
            Preset::SrX2 => 2,
        }
    }
}

/// How large the networks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSize {
    /// For CPUs: about 0.4 M parameters of mean net, 0.6 M of consistency net.
    S,
    /// For GPUs: about four times as many.
    M,
}

/// A run, resolved: nothing is decided after this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What is trained.
    pub preset: Preset,
    /// What every run has.
    #[serde(flatten)]
    pub run: RunPlan,
    /// Enlargement.
    pub scale: usize,
    /// The list of files that must not be trained on.
    pub held_out: Option<PathBuf>,
    /// Size of the mean net.
    pub mean: MeanConfig,
    /// Size of the consistency net.
    pub sampler: SamplerConfig,
    /// Where the patches come from.
    #[serde(default)]
    pub mix: Mix,
    /// Side of a patch in LR pixels.
    pub patch: usize,
    /// LR pixels at a patch's border that losses ignore.
    pub border: usize,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Choices {
    /// What is trained.
    pub preset: Preset,
    /// Size of the networks.
    pub size: ModelSize,
    /// The mean net, where it is not the size's own.
    pub mean: MeanChoice,
    /// The folder of pictures.
    pub data: PathBuf,
    /// Where the patches come from.
    pub mix: Mix,
    /// The held-out list.
    pub held_out: Option<PathBuf>,
    /// Weights to start from.
    pub init_from: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// How the consistency function is trained.
    pub method: Method,
    /// Batches whose gradients are averaged before a step.
    pub micro_batches: usize,
    /// Which stages run.
    pub stages: Vec<Stage>,
    /// Time for all stages together.
    pub budget: Duration,
    /// Steps of the five stages instead of a time; 0 leaves one out.
    pub steps: Option<[u64; 5]>,
    /// Seed.
    pub seed: u64,
}

/// Numbers of the mean net that replace those of its size.
#[derive(Debug, Clone, Copy, Default)]
pub struct MeanChoice {
    /// What its body is made of.
    pub body: Option<BodyKind>,
    /// Width of the body.
    pub channels: Option<i64>,
    /// Blocks of the body.
    pub blocks: Option<usize>,
}

impl Choices {
    /// What is trained when nothing else is asked for: an hour of all stages, size S, on the CPU.
    pub fn new(preset: Preset, data: PathBuf) -> Choices {
        Choices {
            preset,
            size: ModelSize::S,
            mean: MeanChoice::default(),
            data,
            mix: MIX,
            held_out: None,
            init_from: None,
            device: "cpu".into(),
            method: METHOD,
            micro_batches: 1,
            stages: SHARES.map(|(stage, _)| stage).to_vec(),
            budget: Duration::from_secs(3600),
            steps: None,
            seed: 1,
        }
    }

    /// The chosen stages with their limits.
    fn limits(&self) -> Vec<(Stage, Limit)> {
        let chosen = SHARES.map(|(stage, share)| if self.stages.contains(&stage) { share } else { 0.0 });
        let total: f64 = chosen.iter().sum();
        let limits = limits(self.budget, self.steps, chosen.map(|share| share / total));
        let all = SHARES.iter().map(|(stage, _)| *stage).zip(limits);
        // Steps name every stage themselves.
        let chosen = |stage: &Stage| self.steps.is_some() || self.stages.contains(stage);
        all.filter(|(stage, limit)| chosen(stage) && *limit != Limit::Steps(0)).collect()
    }
}

/// Where the patches come from unless something else is asked for: most stay clean, so that clean pictures
/// lose little.
pub const MIX: Mix = Mix { photo: 0.3, heavy: 0.1 };

/// Shares of the time, as far as stages are chosen. After 11 CPU-minutes the mean net's curve was flattening;
/// the sampler never had enough.
const SHARES: [(Stage, f64); 5] = [
    (Stage::Mean, 0.33),
    (Stage::Scale, 0.02),
    (Stage::Diffusion, 0.12),
    (Stage::Consistency, 0.23),
    (Stage::Adversarial, 0.3),
];

/// Noise levels in units of the normalised residual. At 20 σ_data nothing of the residual is left to see;
/// below a tenth of the local RMS f(x, σ) = x is right. At a floor of 0.02 the weight 1/(t − r) reached 160
/// and single small-σ samples blew the training up.
pub const LEVELS: Levels = Levels {
    sigma_data: 1.0,
    sigma_min: 0.1,
    sigma_max: 20.0,
    log_mean: -0.4,
    log_std: 1.4,
    at_max_every: 10,
};
/// The method without another choice: ECT at a fixed q.
pub const METHOD: Method = Method::Ect(Ect { q: 16.0, stages: 1 });

impl Recipe {
    /// Fills in every number.
    pub fn resolve(choices: &Choices) -> Recipe {
        let gpu = choices.device != "cpu";
        let (mean, sampler) = match choices.size {
            ModelSize::S => {
                let mean = MeanConfig { body: BodyKind::Residual, channels: 48, blocks: 8 };
                (mean, SamplerConfig { channels: 64, blocks: 6 })
            }
            ModelSize::M => {
                let mean = MeanConfig { body: BodyKind::Residual, channels: 80, blocks: 12 };
                (mean, SamplerConfig { channels: 96, blocks: 10 })
            }
        };
        let bf16 = bf16_pays(if gpu { Device::Cuda(0) } else { Device::Cpu });
        let mean = MeanConfig {
            body: choices.mean.body.unwrap_or(mean.body),
            channels: choices.mean.channels.unwrap_or(mean.channels),
            blocks: choices.mean.blocks.unwrap_or(mean.blocks),
        };
        let stages = choices.limits().into_iter().map(|(stage, limit)| {
            let rounds = stage == Stage::Consistency && !choices.method.bears_bf16();
            stage_plan(stage, limit, bf16 && !rounds)
        });
        Recipe {
            preset: choices.preset,
            scale: choices.preset.scale(),
            held_out: choices.held_out.clone(),
            mean,
            sampler,
            mix: choices.mix,
            patch: if gpu { 48 } else { 32 },
            border: 2,
            run: RunPlan {
                data: choices.data.clone(),
                init_from: choices.init_from.clone(),
                device: choices.device.clone(),
                seed: choices.seed,
                batch: if gpu { 64 } else { 16 },
                micro_batches: choices.micro_batches,
                log_every: 50,
                stages: stages.collect(),
                diffusion: LEVELS,
                consistency: LEVELS,
                method: choices.method,
                distance: Distance::BlockHuber,
            },
        }
    }

    /// Whether the mean net is all that is trained: then only its file is made.
    pub fn mean_only(&self) -> bool {
        self.run.stages.iter().all(|plan| plan.stage == Stage::Mean)
    }

    /// Radius in LR pixels of everything the sample depends on: the consistency net on top of the features.
    pub fn sample_radius(&self) -> usize {
        let features = self.mean.feature_radius();
        (features + self.sampler.radius()).max(features + crate::net::SCALE_RADIUS)
    }
}

impl RunRecipe for Recipe {
    fn name(&self) -> &str {
        self.preset.name()
    }

    fn run(&self) -> &RunPlan {
        &self.run
    }

    fn problems(&self) -> Vec<String> {
        self.contradictions()
    }
}

fn stage_plan(stage: Stage, limit: Limit, bf16: bool) -> StagePlan {
    let adam = AdamOptions::adam;
    let (adam, warmup) = match stage {
        Stage::Mean => (adam(1e-3, 0.999, 0.5, 0.999), 100),
        Stage::Scale => (adam(1e-3, 0.999, 1.0, 0.99), 20),
        Stage::Diffusion => (adam(1e-3, 0.99, 1.0, 0.999), 200),
        // With a noise floor of 0.02 this rate and twice it blew up again and again; with 0.1 it was calm.
        Stage::Consistency => (adam(1e-4, 0.99, 1.0, 0.9995), 500),
        Stage::Adversarial => (AdamOptions { beta1: 0.5, ..adam(2e-4, 0.99, 1.0, 0.999) }, 100),
    };
    let head_start = if stage == Stage::Adversarial { HEAD_START } else { 0.0 };
    StagePlan { stage, limit, adam, warmup, head_start, bf16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_its_file() {
        let choices = Choices::new(Preset::SrX4, "data".into());
        let recipe = Recipe::resolve(&choices);
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
        let total: f64 = SHARES.iter().map(|(_, share)| share).sum();
        assert!((total - 1.0).abs() < 1e-12);
        assert_eq!((recipe.mean.receptive_field(), recipe.sample_radius()), (19, 32));
    }

    #[test]
    fn chosen_stages_share_the_budget() {
        let mut choices = Choices::new(Preset::SrX4, "data".into());
        choices.stages = vec![Stage::Mean];
        choices.budget = Duration::from_secs(60);
        assert_eq!(choices.limits(), [(Stage::Mean, Limit::Seconds(60.0))]);
        assert!(Recipe::resolve(&choices).mean_only());
        let mut choices = Choices::new(Preset::SrX4, "data".into());
        choices.steps = Some([0, 5, 0, 7, 0]);
        let expected = [(Stage::Scale, Limit::Steps(5)), (Stage::Consistency, Limit::Steps(7))];
        assert_eq!(choices.limits(), expected);
    }
}
