//! The recipe of repair: a mean net that sees the picture with its holes filled, and the mask.

use super::{LEVELS, Limit, METHOD, ModelSize, RunPlan, RunRecipe, Stage, StagePlan, limits};
use crate::device::bf16_pays;
use crate::method::Distance;
use crate::net::RepairConfig;
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
    /// Size of the net.
    pub net: RepairConfig,
    /// Side of a patch in pixels.
    pub patch: usize,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct InpaintChoices {
    /// The folder of pictures.
    pub data: PathBuf,
    /// Size of the net.
    pub size: ModelSize,
    /// The held-out list.
    pub held_out: Option<PathBuf>,
    /// Weights to start from.
    pub init_from: Option<PathBuf>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Training time.
    pub budget: Duration,
    /// Steps instead of a time.
    pub steps: Option<u64>,
    /// Batches whose gradients are averaged before a step.
    pub micro_batches: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl InpaintRecipe {
    /// Fills in every number.
    pub fn resolve(choices: &InpaintChoices) -> InpaintRecipe {
        let gpu = choices.device != "cpu";
        let net = match choices.size {
            ModelSize::S => RepairConfig { widths: [32, 64, 96], dilations: vec![1, 2, 4, 8, 2, 1] },
            ModelSize::M => RepairConfig { widths: [48, 96, 128], dilations: vec![1, 2, 4, 8, 2, 1] },
        };
        let [limit] = limits(choices.budget, choices.steps.map(|steps| [steps]), [1.0]);
        let mean = StagePlan {
            stage: Stage::Mean,
            limit,
            adam: AdamOptions::adam(8e-4, 0.999, 0.5, 0.999),
            warmup: 200,
            bf16: bf16_pays(if gpu { Device::Cuda(0) } else { Device::Cpu }),
        };
        InpaintRecipe {
            name: "inpaint".into(),
            held_out: choices.held_out.clone(),
            net,
            // Holes reach half of this, and the middle's dilations want some room around them.
            patch: if gpu { 256 } else { 128 },
            run: RunPlan {
                data: choices.data.clone(),
                init_from: choices.init_from.clone(),
                device: choices.device.clone(),
                seed: choices.seed,
                batch: if gpu { 64 } else { 8 },
                micro_batches: choices.micro_batches,
                log_every: 50,
                stages: if limit == Limit::Steps(0) { vec![] } else { vec![mean] },
                diffusion: LEVELS,
                consistency: LEVELS,
                method: METHOD,
                distance: Distance::BlockHuber,
            },
        }
    }
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
        let mut choices = InpaintChoices {
            data: "data".into(),
            size: ModelSize::S,
            held_out: None,
            init_from: None,
            device: "cpu".into(),
            budget: Duration::from_secs(60),
            steps: None,
            micro_batches: 1,
            seed: 1,
        };
        let recipe = InpaintRecipe::resolve(&choices);
        assert_eq!(serde_json::from_str::<InpaintRecipe>(&recipe.to_text()).unwrap(), recipe);
        assert_eq!(recipe.problems(), Vec::<String>::new());
        choices.steps = Some(0);
        assert!(InpaintRecipe::resolve(&choices).problems()[0].contains("nothing would be trained"));
    }
}
