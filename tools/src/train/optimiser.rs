//! Adam with a global gradient clip and the EMA of the weights, on flat tensors. libtorch's own optimisers do
//! not let their state be saved through tch, and resuming must be exact.

use crate::net::Params;
use tch::Tensor;

/// Adam's numbers.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AdamOptions {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Gradients longer than this are shortened to it.
    pub clip: f64,
    /// Limit of the EMA's decay.
    pub ema: f64,
}

/// A network in training: its weights, their moments and their running average.
#[derive(Debug)]
pub struct Trainee {
    /// The weights being trained.
    pub params: Params,
    /// Their exponential moving average: what is evaluated and shipped.
    pub average: Params,
    first: Tensor,
    second: Tensor,
}

impl Trainee {
    /// Starts from `params`, with fresh moments.
    pub fn new(mut params: Params) -> Trainee {
        params.set_trainable(true);
        let average = params.duplicate();
        let (first, second) = (params.flat().zeros_like(), params.flat().zeros_like());
        Trainee { params, average, first, second }
    }

    /// One step of Adam (Kingma & Ba 2015) and of the EMA. `step` counts from 0. Returns the gradient's norm
    /// before clipping; a gradient that is not finite changes nothing.
    pub fn step(&mut self, options: &AdamOptions, rate: f64, step: u64, ema_decay: f64) -> f64 {
        let _guard = tch::no_grad_guard();
        let mut gradient = self.params.take_gradient();
        let norm = gradient.norm().double_value(&[]);
        if !norm.is_finite() {
            return norm;
        }
        if norm > options.clip {
            gradient *= options.clip / norm;
        }
        let n = (step + 1) as i32;
        self.first = self.first.lerp_(&gradient, 1.0 - options.beta1);
        self.second = self.second.lerp_(&gradient.square(), 1.0 - options.beta2);
        let correction1 = 1.0 - options.beta1.powi(n);
        let correction2 = 1.0 - options.beta2.powi(n);
        let denominator = (&self.second / correction2).sqrt() + 1e-8;
        let mut flat = self.params.flat();
        flat -= &self.first / denominator * (rate / correction1);
        drop(self.average.flat().lerp_(&flat, 1.0 - ema_decay)); // in place; the result is the same tensor
        norm
    }

    /// Everything needed to go on, by name under `prefix`.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let parts = [("weights", self.params.flat()), ("average", self.average.flat())];
        let moments = [("first", self.first.shallow_clone()), ("second", self.second.shallow_clone())];
        parts.into_iter().chain(moments).map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)).collect()
    }

    /// Takes back what [`Trainee::state`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or belongs to another network.
    pub fn restore(&mut self, prefix: &str, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        let _guard = tch::no_grad_guard();
        for (name, mut tensor) in self.state(prefix) {
            let saved = find(&name).ok_or_else(|| format!("the checkpoint lacks {name}"))?;
            if saved.size() != tensor.size() {
                return Err(format!("{name} has {} values, this network {}", saved.numel(), tensor.numel()));
            }
            tensor.copy_(&saved);
        }
        Ok(())
    }
}
