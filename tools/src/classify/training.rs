//! The classifier's training: Nesterov SGD on flat weights, label smoothing, mirrored and shifted pictures, a
//! triangular learning rate. Minutes on two cores.

use super::net::Classifier;
use crate::data::{Random, SmallPictures, cifar_tensor};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use tch::{Device, Tensor};

/// Momentum of SGD.
const MOMENTUM: f64 = 0.85;
/// Part of the target spread over all classes.
const LABEL_SMOOTHING: f64 = 0.2;
/// Where in training the learning rate peaks.
const PEAK: f64 = 0.23;

/// How long and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainingPlan {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures in a batch.
    pub batch: usize,
    /// Peak learning rate for a loss averaged over the batch.
    pub learning_rate: f64,
    /// Pull towards zero, per unit of learning rate.
    pub weight_decay: f64,
    /// Seed of everything random.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Share of the test pictures classified right.
    pub accuracy: f64,
    /// Minutes of training.
    pub minutes: f64,
}

/// Trains a fresh classifier, or `start` further, and tests it.
pub fn train(
    plan: TrainingPlan,
    start: Option<Classifier>,
    pictures: &SmallPictures,
    test: &SmallPictures,
    device: Device,
    bf16: bool,
) -> (Classifier, Outcome) {
    let started = Instant::now();
    let first: Vec<usize> = (0..pictures.len().min(5000)).collect();
    let fresh = || Classifier::new(&pictures.tensor(&first, device), plan.seed);
    let mut net = start.unwrap_or_else(fresh);
    net.params.set_trainable(true);
    let mut velocity = net.params.flat().zeros_like();
    let steps_per_epoch = pictures.len() / plan.batch;
    let total = (plan.epochs * steps_per_epoch).max(1) as f64;
    for epoch in 0..plan.epochs {
        let order = shuffled(pictures.len(), &mut Random::new(&[plan.seed, epoch as u64]));
        let mut losses = 0.0;
        for step in 0..steps_per_epoch {
            let indices = &order[step * plan.batch..(step + 1) * plan.batch];
            let seed = plan.seed ^ ((epoch as u64) << 32);
            // Every picture alternates between its two mirrorings from epoch to epoch.
            let mirrored = |index: usize| Random::new(&[plan.seed, index as u64]).below(2) == epoch % 2;
            let x = cifar_tensor(&pictures.shifted(indices, &mirrored, seed), device);
            let labels = pictures.labels(indices, device);
            let (logits, _) = net.forward(&x, true, bf16);
            let reduction = tch::Reduction::Mean;
            let loss = logits.cross_entropy_loss(&labels, None::<&Tensor>, reduction, -100, LABEL_SMOOTHING);
            loss.backward();
            losses += loss.double_value(&[]);
            let progress = (epoch * steps_per_epoch + step) as f64 / total;
            descend(&mut net, &mut velocity, &plan, plan.learning_rate * rate(progress));
        }
        log::info!(
            "epoch {} of {}: loss {:.4}, {:.1} minutes",
            epoch + 1,
            plan.epochs,
            losses / steps_per_epoch as f64,
            started.elapsed().as_secs_f64() / 60.0
        );
    }
    net.params.set_trainable(false);
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let all: Vec<usize> = (0..test.len()).collect();
    let features = net.features(&test.tensor(&all, device));
    let outcome = Outcome { accuracy: net.accuracy(&features, &test.labels(&all, device)), minutes };
    (net, outcome)
}

/// One step of Nesterov SGD; the decay is part of the gradient.
fn descend(net: &mut Classifier, velocity: &mut Tensor, plan: &TrainingPlan, rate: f64) {
    let _guard = tch::no_grad_guard();
    let gradient = net.params.take_gradient();
    let mut flat = net.params.flat();
    let gradient = gradient + &flat * plan.weight_decay;
    *velocity *= MOMENTUM;
    *velocity += &gradient;
    flat -= (gradient + &*velocity * MOMENTUM) * rate;
}

/// Rises from a fifth to 1 at [`PEAK`], falls to 0.02.
fn rate(progress: f64) -> f64 {
    if progress < PEAK { 0.2 + 0.8 * progress / PEAK } else { 1.0 - 0.98 * (progress - PEAK) / (1.0 - PEAK) }
}

fn shuffled(count: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, random.below(i + 1));
    }
    order
}
