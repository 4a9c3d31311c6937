//! What a walk needs to know of the thing it trains: super-resolution and generation are two courses through
//! the same loop.

use super::checkpoint::Place;
use super::optimiser::Trainee;
use crate::data::Random;
use crate::recipe::{RunPlan, Stage, StagePlan};
use std::collections::VecDeque;
use tch::{Device, Tensor};

/// Where a walk stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// The place in the recipe.
    pub place: Place,
    /// The latest finite losses: what a blow-up is judged by.
    pub recent: VecDeque<f64>,
    /// The first step of the losses in a row that are not finite, and how many they are.
    pub not_finite: (u64, usize),
}

/// Something that trains in stages.
pub trait Course {
    /// What batches are made of; shared with the thread that makes them.
    type Data: Sync;
    /// How batches are made.
    type BatchPlan: Copy + Send + Sync;
    /// One batch, on the device.
    type Batch: Send;

    /// The numbers every run has.
    fn run(&self) -> &RunPlan;
    /// Where it stands.
    fn standing(&mut self) -> &mut Standing;
    /// How batches of a stage are made.
    fn batch_plan(&self, stage: u64) -> Self::BatchPlan;
    /// Where batches go.
    fn device(&self) -> Device;
    /// The batch of one step, on `device`: depends on plan and step alone, so that resuming is exact. Made
    /// and sent ahead, beside the training loop.
    fn make_batch(data: &Self::Data, plan: Self::BatchPlan, device: Device, step: u64) -> Self::Batch;
    /// What has to be ready before a stage's first step.
    fn begin(&mut self, data: &Self::Data, stage: Stage);
    /// The loss of a batch at `progress` 0…1 of the stage. A critic of the samples learns from them
    /// meanwhile.
    fn loss(&mut self, plan: StagePlan, progress: f64, batch: &Self::Batch, random: &mut Random) -> Tensor;
    /// The latest loss of a critic that learned beside, where there is one.
    fn critic(&self) -> Option<f64> {
        None
    }
    /// What a stage trains.
    fn trainee(&mut self, stage: Stage) -> &mut Trainee;
    /// After a step of the optimiser: a target's own average follows here.
    fn after_step(&mut self, stage: Stage, progress: f64);
    /// Everything needed to go on, by name.
    fn state(&self) -> Vec<(String, Tensor)>;
    /// Takes back what [`Course::state`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or belongs to another network.
    fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String>;
}
