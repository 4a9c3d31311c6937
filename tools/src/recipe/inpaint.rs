//! The recipe of repair: a mean net that sees the picture with its holes filled, and the mask; then local
//! scale, diffusion, consistency and a critic on what it misses in holes.

use super::{HEAD_START, Limit, METHOD, ModelSize, RunPlan, RunRecipe, Stage, StagePlan, limits};
use crate::device::bf16_pays;
use crate::method::{Distance, Levels, Method};
use crate::net::{RepairConfig, RepairSamplerConfig};
use crate::train::AdamOptions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tch::Device;

/// A run, resolved: nothing is decided after this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InpaintRecipe {
    /// What it is called.
    pub name: String,
    /// What every run has.
    #[serde(flatten)]
    pub run: RunPlan,
    /// The list of files that must not be trained on.
    pub held_out: Option<PathBuf>,
    /// Size of the mean net.
    pub net: RepairConfig,
    /// Size of the consistency net.
    pub sampler: RepairSamplerConfig,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Diameter in pixels of the largest circle in a hole that one evaluation repairs: what wider holes hold
    /// is coarsely known, in training as in serving.
    pub hole_px: usize,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct InpaintChoices {
    /// The folder of pictures.
    pub data: PathBuf,
    /// Size of the networks.
    pub size: ModelSize,
    /// The held-out list.
    pub held_out: Option<PathBuf>,
    /// Weights to start from.
    pub init_from: Option<PathBuf>,
    /// Widest hole that one evaluation repairs, in pixels; half a patch where it is not said.
    pub hole_px: Option<usize>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// How the consistency function is trained.
    pub method: Method,
    /// Which stages run.
    pub stages: Vec<Stage>,
    /// Time for all stages together.
    pub budget: Duration,
    /// Steps of the five stages instead of a time; 0 leaves one out.
    pub steps: Option<[u64; 5]>,
    /// Batches whose gradients are averaged before a step.
    pub micro_batches: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Noise levels of repair. What is missed in a hole hangs together over dozens of pixels, over which noise
/// averages out: at 20 σ_data, where super-resolution begins, the mean of a hole of 40 pixels would still
/// show through.
pub const REPAIR_LEVELS: Levels = Levels {
    sigma_data: 1.0,
    sigma_min: 0.1,
    sigma_max: 80.0,
    log_mean: 0.0,
    log_std: 1.8,
    at_max_every: 10,
};

/// The stages and their shares of the time, as far as they are chosen.
const SHARES: [(Stage, f64); 5] = [
    (Stage::Mean, 0.3),
    (Stage::Scale, 0.02),
    (Stage::Diffusion, 0.18),
    (Stage::Consistency, 0.2),
    (Stage::Adversarial, 0.3),
];

impl InpaintChoices {
    /// What is trained when nothing else is asked for: an hour of all stages, size S, on the CPU.
    pub fn new(data: PathBuf) -> InpaintChoices {
        InpaintChoices {
            data,
            size: ModelSize::S,
            held_out: None,
            init_from: None,
            hole_px: None,
            device: "cpu".into(),
            method: METHOD,
            stages: SHARES.map(|(stage, _)| stage).to_vec(),
            budget: Duration::from_secs(3600),
            steps: None,
            micro_batches: 1,
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

impl InpaintRecipe {
    /// Fills in every number.
    pub fn resolve(choices: &InpaintChoices) -> InpaintRecipe {
        let gpu = choices.device != "cpu";
        let (net, sampler) = match choices.size {
            ModelSize::S => ([32, 64, 96], [32, 48, 64]),
            ModelSize::M => ([48, 96, 128], [48, 80, 112]),
        };
        // Holes reach half of this, and the middle's dilations want some room around them.
        let patch = if gpu { 256 } else { 128 };
        let bf16 = bf16_pays(if gpu { Device::Cuda(0) } else { Device::Cpu });
        let stages = choices.limits().into_iter().map(|(stage, limit)| {
            let rounds = stage == Stage::Consistency && !choices.method.bears_bf16();
            stage_plan(stage, limit, bf16 && !rounds)
        });
        InpaintRecipe {
            name: "inpaint".into(),
            held_out: choices.held_out.clone(),
            net: RepairConfig { widths: net, dilations: vec![1, 2, 4, 8, 2, 1] },
            sampler: RepairSamplerConfig { widths: sampler, dilations: vec![1, 2, 4, 1] },
            patch,
            hole_px: choices.hole_px.unwrap_or(patch / 2),
            run: RunPlan {
                data: choices.data.clone(),
                init_from: choices.init_from.clone(),
                device: choices.device.clone(),
                seed: choices.seed,
                batch: if gpu { 32 } else { 8 },
                micro_batches: choices.micro_batches,
                log_every: 50,
                stages: stages.collect(),
                diffusion: REPAIR_LEVELS,
                consistency: REPAIR_LEVELS,
                method: choices.method,
                distance: Distance::BlockHuber,
            },
        }
    }

    /// Whether the mean net is all that is trained: then only its file is made.
    pub fn mean_only(&self) -> bool {
        self.run.stages.iter().all(|plan| plan.stage == Stage::Mean)
    }

    /// Radius in pixels of everything the sample depends on: the consistency net on top of the features.
    pub fn sample_radius(&self) -> usize {
        // The local scale looks no further than the consistency net, at half the resolution.
        self.net.receptive_field() + self.sampler.radius()
    }
}

fn stage_plan(stage: Stage, limit: Limit, bf16: bool) -> StagePlan {
    let adam = AdamOptions::adam;
    let (adam, warmup) = match stage {
        Stage::Mean => (adam(8e-4, 0.999, 0.5, 0.999), 200),
        Stage::Scale => (adam(1e-3, 0.999, 1.0, 0.99), 20),
        Stage::Diffusion => (adam(1e-3, 0.99, 1.0, 0.999), 200),
        // Twice this rate began to blow up after some 700 steps.
        Stage::Consistency => (adam(1e-4, 0.99, 1.0, 0.9995), 500),
        Stage::Adversarial => (AdamOptions { beta1: 0.5, ..adam(2e-4, 0.99, 1.0, 0.999) }, 100),
    };
    let head_start = if stage == Stage::Adversarial { HEAD_START } else { 0.0 };
    StagePlan { stage, limit, adam, warmup, head_start, bf16 }
}

impl RunRecipe for InpaintRecipe {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self) -> &RunPlan {
        &self.run
    }

    fn problems(&self) -> Vec<String> {
        self.contradictions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_its_file_and_nothing_to_train_is_a_problem() {
        let mut choices = InpaintChoices::new("data".into());
        let recipe = InpaintRecipe::resolve(&choices);
        assert_eq!(serde_json::from_str::<InpaintRecipe>(&recipe.to_text()).unwrap(), recipe);
        assert_eq!(recipe.problems(), Vec::<String>::new());
        assert!(!recipe.mean_only() && recipe.run.stages.len() == 5);
        choices.steps = Some([0; 5]);
        assert!(InpaintRecipe::resolve(&choices).problems()[0].contains("nothing would be trained"));
        choices.steps = Some([0, 1, 1, 1, 1]);
        assert!(InpaintRecipe::resolve(&choices).problems()[0].contains("need a mean net"));
        (choices.steps, choices.stages) = (None, vec![Stage::Mean]);
        let recipe = InpaintRecipe::resolve(&choices);
        assert!(recipe.mean_only() && recipe.run.stages[0].limit == Limit::Seconds(3600.0));
    }
}
