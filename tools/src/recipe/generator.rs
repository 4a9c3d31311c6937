//! The recipe of unconditional generation at a fixed size: a diffusion stage (the teacher), then consistency.

use super::{Limit, RunPlan, RunRecipe, Stage, StagePlan, limits};
use crate::device::bf16_pays;
use crate::method::{Distance, Levels, Method};
use crate::net::UNetConfig;
use crate::train::AdamOptions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tch::Device;

/// EDM's levels for pictures in [−1, 1] (Karras et al. 2022, table 1).
const DIFFUSION: Levels = Levels {
    sigma_data: 0.5,
    sigma_min: 0.002,
    sigma_max: 80.0,
    log_mean: -1.2,
    log_std: 1.2,
    at_max_every: 0,
};
/// iCT's and ECT's: wider, since the one-step sample starts at the top.
const CONSISTENCY: Levels = Levels { log_mean: -1.1, log_std: 2.0, ..DIFFUSION };
/// Shares of the time: diffusion, consistency.
const SHARES: [f64; 2] = [0.6, 0.4];

/// A run, resolved: nothing is decided after this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorRecipe {
    /// What it is called.
    pub name: String,
    /// What every run has.
    #[serde(flatten)]
    pub run: RunPlan,
    /// Size of the U-Net.
    pub net: UNetConfig,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct GeneratorChoices {
    /// Folder of the pack.
    pub data: PathBuf,
    /// Weights to start from: a teacher, or an earlier run of the same size.
    pub init_from: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// How the consistency function is trained.
    pub method: Method,
    /// Training time.
    pub budget: Duration,
    /// Steps of the two stages instead of a time; 0 leaves a stage out.
    pub steps: Option<[u64; 2]>,
    /// Batches whose gradients are averaged before a step.
    pub micro_batches: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl GeneratorRecipe {
    /// Fills in every number.
    pub fn resolve(choices: &GeneratorChoices) -> GeneratorRecipe {
        let gpu = choices.device != "cpu";
        let bf16 = bf16_pays(if gpu { Device::Cuda(0) } else { Device::Cpu });
        let [diffusion, consistency] = limits(choices.budget, choices.steps, SHARES);
        let stages = [
            StagePlan {
                stage: Stage::Diffusion,
                limit: diffusion,
                adam: AdamOptions::adam(1e-3, 0.99, 1.0, 0.999),
                warmup: 200,
                head_start: 0.0,
                bf16,
            },
            StagePlan {
                stage: Stage::Consistency,
                limit: consistency,
                adam: AdamOptions { rectified: true, ..AdamOptions::adam(4e-4, 0.99, 1.0, 0.999) },
                warmup: 200,
                head_start: 0.0,
                bf16: bf16 && choices.method.bears_bf16(),
            },
        ];
        let distance = match choices.method {
            Method::Ect(_) | Method::Ict(_) => Distance::PseudoHuber,
            Method::Ct(_) | Method::Cd(_) => Distance::MeanSquare,
        };
        GeneratorRecipe {
            name: "cifar10".into(),
            net: if gpu { large() } else { small() },
            run: RunPlan {
                data: choices.data.clone(),
                init_from: choices.init_from.clone(),
                device: choices.device.clone(),
                seed: choices.seed,
                batch: if gpu { 512 } else { 32 },
                micro_batches: choices.micro_batches,
                log_every: 50,
                stages: stages.into_iter().filter(|plan| plan.limit != Limit::Steps(0)).collect(),
                diffusion: DIFFUSION,
                consistency: CONSISTENCY,
                method: choices.method,
                distance,
            },
        }
    }
}

/// For two CPU cores: everything at half size and below.
fn small() -> UNetConfig {
    UNetConfig { side: 32, fold: 2, widths: vec![48, 96, 128], blocks: 1, attention: 8, embedding: 128 }
}

/// For a GPU: the width of EDM's CIFAR-10 net at half its depth.
fn large() -> UNetConfig {
    UNetConfig { side: 32, fold: 1, widths: vec![128, 256, 256], blocks: 2, attention: 16, embedding: 512 }
}

impl RunRecipe for GeneratorRecipe {
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
    use crate::method::ct::Ct;

    #[test]
    fn a_recipe_survives_its_file_and_a_stage_of_no_steps_is_left_out() {
        let choices = GeneratorChoices {
            data: "cifar10".into(),
            init_from: Some("teacher".into()),
            device: "cpu".into(),
            method: Method::Ct(Ct { s0: 2.0, s1: 150.0, mu0: 0.9 }),
            budget: Duration::from_secs(60),
            steps: Some([0, 100]),
            micro_batches: 1,
            seed: 1,
        };
        let recipe = GeneratorRecipe::resolve(&choices);
        assert_eq!(recipe.run.stages.iter().map(|plan| plan.stage).collect::<Vec<_>>(), [Stage::Consistency]);
        assert_eq!(serde_json::from_str::<GeneratorRecipe>(&recipe.to_text()).unwrap(), recipe);
    }
}
