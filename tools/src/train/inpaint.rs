//! A session of repair: the mean net and everything that changes while it trains. The loop that moves it on
//! is in `walk`.

use super::checkpoint::{Saved, save};
use super::course::{Course, Standing};
use super::optimiser::Trainee;
use super::walk::TrainError;
use crate::data::{Corpus, HoleBatch, HolePlan, Holed, Random, make_hole_batch};
use crate::net::RepairNet;
use crate::recipe::{InpaintRecipe, RunPlan, Stage, StagePlan};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Known pixels around a hole that count in the loss, in pixels, and how much one counts beside one of the
/// hole: what the net makes of them shows how it meets the border.
const RING: (i64, f64) = (4, 0.1);
/// A start that shares less than this of the weights is another network's.
const LEAST_START: f64 = 0.5;

/// The network and everything that changes while it trains.
#[derive(Debug)]
pub struct InpaintSession {
    /// What is to be done.
    pub recipe: InpaintRecipe,
    /// Where tensors live.
    pub device: Device,
    /// The layers.
    pub net: RepairNet,
    /// The weights.
    pub mean: Trainee,
    standing: Standing,
}

impl InpaintSession {
    /// Fresh weights for a recipe.
    pub fn new(recipe: InpaintRecipe, device: Device) -> InpaintSession {
        let (net, layout) = RepairNet::new(recipe.net.clone());
        let mean = Trainee::new(layout.init(recipe.run.seed, device));
        InpaintSession { recipe, device, net, mean, standing: Standing::default() }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> i64 {
        self.mean.params.flat().numel() as i64
    }

    /// Seconds of training so far.
    pub fn total_seconds(&self) -> f64 {
        self.standing.place.total_seconds
    }

    /// Starts from the averaged weights of another run (its weights.safetensors, or an ONNX file's), with
    /// fresh moments.
    ///
    /// # Errors
    /// If the net finds less than half of its weights.
    pub fn init_from(&mut self, saved: &Saved, path: &Path) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let named = saved.below("mean");
        let share = self.mean.params.adopt(&named);
        for params in [&self.mean.average, &self.mean.slow_average] {
            params.adopt(&named);
        }
        let told = format!("{}: {:.0} % of mean", path.display(), 100.0 * share);
        if share < LEAST_START {
            return Err(TrainError::Checkpoint(format!("{told}: belongs to another network")));
        }
        log::info!("starting from {told}");
        Ok(())
    }

    /// The averaged weights, as one small file to ship or to start from.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn save_weights(&self, path: &Path) -> std::io::Result<()> {
        save(path, &self.mean.average.tensors("mean"))
    }
}

/// Charbonnier distance √(d² + 10⁻⁶) over the holes, and a little over the known ring around them: the mean
/// over a patch's own pixels, then over patches. By pixels, large holes, of which little can be known, would
/// drown what thin ones teach.
fn repair_loss(output: &Tensor, holed: &Holed) -> Tensor {
    let square = (output - &holed.truth).square() + 1e-6;
    let distance = square.sqrt().mean_dim(&[1i64][..], true, Kind::Float);
    let hole = holed.mask.gt(0.0).to_kind(Kind::Float);
    let side = 2 * RING.0 + 1;
    let grown = hole.max_pool2d([side, side], [1, 1], [RING.0, RING.0], [1, 1], false);
    let weight = &hole + (grown - &hole) * RING.1;
    let sum = |x: &Tensor| x.sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float);
    (sum(&(distance * &weight)) / sum(&weight)).mean(Kind::Float)
}

impl Course for InpaintSession {
    type Data = Corpus;
    type BatchPlan = HolePlan;
    type Batch = HoleBatch;

    fn run(&self) -> &RunPlan {
        &self.recipe.run
    }

    fn standing(&mut self) -> &mut Standing {
        &mut self.standing
    }

    fn batch_plan(&self, stage: u64) -> HolePlan {
        let RunPlan { batch, seed, .. } = self.recipe.run;
        HolePlan { batch, patch: self.recipe.patch, seed, stage }
    }

    fn make_batch(data: &Corpus, plan: HolePlan, step: u64) -> HoleBatch {
        make_hole_batch(data, plan, step)
    }

    fn begin(&mut self, _data: &Corpus, _stage: Stage) {}

    fn loss(&self, plan: StagePlan, _progress: f64, batch: &HoleBatch, _random: &mut Random) -> Tensor {
        let holed = batch.tensors(self.device);
        repair_loss(&self.net.forward(&self.mean.params, &holed.image, &holed.mask, plan.bf16), &holed)
    }

    fn trainee(&mut self, _stage: Stage) -> &mut Trainee {
        &mut self.mean
    }

    fn after_step(&mut self, _stage: Stage, _progress: f64) {}

    fn state(&self) -> Vec<(String, Tensor)> {
        self.mean.state("mean")
    }

    fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.mean.restore("mean", find)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known and far from a hole costs nothing, the ring a tenth.
    #[test]
    fn the_loss_looks_at_holes_and_a_little_at_their_ring() {
        let zeros = |planes: i64| Tensor::zeros([1, planes, 32, 32], (Kind::Float, Device::Cpu));
        let holed = Holed { truth: zeros(3), image: zeros(3), mask: zeros(1) };
        drop(holed.mask.narrow(2, 8, 4).narrow(3, 8, 4).fill_(1.0));
        let loss = |top: i64| {
            let output = zeros(3);
            drop(output.narrow(2, top, 4).narrow(3, 8, 4).fill_(0.5));
            repair_loss(&output, &holed).double_value(&[]) - 1e-3
        };
        let (hole, ring, far) = (loss(8), loss(12), loss(24));
        assert!(far.abs() < 1e-6, "{far}");
        assert!((hole / ring - 10.0).abs() < 0.1, "{hole} {ring}");
    }
}
