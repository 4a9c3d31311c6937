//! Adam and RAdam with a global gradient clip and running averages of the weights, on flat tensors: a handful
//! of launches a step. libtorch's own optimisers do not let their state be saved through tch, and resuming
//! must be exact.

use super::schedule;
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
    /// Limits of the decays of the running averages: the one that ships, and one four times as slow, also on
    /// the way to its limit.
    pub ema: [f64; 2],
    /// Whether the first steps wait for the second moment's variance (RAdam, Liu et al. 2020).
    pub rectified: bool,
}

impl AdamOptions {
    /// Adam with β₁ = 0.9.
    pub fn adam(learning_rate: f64, beta2: f64, clip: f64, ema: f64) -> AdamOptions {
        let ema = [ema, 1.0 - (1.0 - ema) / 4.0];
        AdamOptions { learning_rate, beta1: 0.9, beta2, clip, ema, rectified: false }
    }

    /// RAdam's factor r_t at step `n` counted from 1 (Liu et al. 2020, algorithm 2); `None` while the second
    /// moment's variance is unknown and the step does without it. Adam's is 1 always.
    fn rectification(&self, n: f64) -> Option<f64> {
        if !self.rectified {
            return Some(1.0);
        }
        let decay = self.beta2.powf(n);
        let longest = 2.0 / (1.0 - self.beta2) - 1.0; // ρ_∞
        let length = longest - 2.0 * n * decay / (1.0 - decay); // ρ_t
        let ratio = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
        (length > 5.0).then(|| ratio.sqrt())
    }
}

/// A network in training: its weights, their moments and their running average.
#[derive(Debug)]
pub struct Trainee {
    /// The weights being trained.
    pub params: Params,
    /// Their exponential moving average: what is evaluated and shipped.
    pub average: Params,
    /// A slower one, to compare.
    pub slow_average: Params,
    first: Tensor,
    second: Tensor,
}

impl Trainee {
    /// Starts from `params`, with fresh moments.
    pub fn new(mut params: Params) -> Trainee {
        params.set_trainable(true);
        let (average, slow_average) = (params.duplicate(), params.duplicate());
        let (first, second) = (params.flat().zeros_like(), params.flat().zeros_like());
        Trainee { params, average, slow_average, first, second }
    }

    /// The gradient of everything, the mean of the `batches` it was summed over, and its norm, which is
    /// waited for; the next one begins from nothing.
    pub fn take_gradient(&mut self, batches: usize) -> (Tensor, f64) {
        let _guard = tch::no_grad_guard();
        let mut gradient = self.params.take_gradient();
        if batches > 1 {
            gradient /= batches as f64;
        }
        let norm = gradient.norm().double_value(&[]);
        (gradient, norm)
    }

    /// One step of Adam (Kingma & Ba 2015) and of the averages. `step` counts from 0; `averaged` says whether
    /// the averages take part. A gradient that is not finite changes nothing.
    pub fn step(
        &mut self,
        options: &AdamOptions,
        rate: f64,
        step: u64,
        (mut gradient, norm): (Tensor, f64),
        averaged: bool,
    ) {
        let _guard = tch::no_grad_guard();
        if !norm.is_finite() {
            return;
        }
        if norm > options.clip {
            gradient *= options.clip / norm;
        }
        let n = (step + 1) as i32;
        self.first = self.first.lerp_(&gradient, 1.0 - options.beta1);
        self.second = self.second.lerp_(&gradient.square(), 1.0 - options.beta2);
        let correction1 = 1.0 - options.beta1.powi(n);
        let correction2 = 1.0 - options.beta2.powi(n);
        let mut flat = self.params.flat();
        match options.rectification(f64::from(n)) {
            Some(factor) => {
                let denominator = (&self.second / correction2).sqrt() + 1e-8;
                flat -= &self.first / denominator * (factor * rate / correction1);
            }
            None => flat -= &self.first * (rate / correction1),
        }
        if averaged {
            let [limit, slow_limit] = options.ema;
            for (average, step, limit) in
                [(&self.average, step, limit), (&self.slow_average, 4 * step, slow_limit)]
            {
                // In place; the result is the same tensor.
                drop(average.flat().lerp_(&flat, 1.0 - schedule::ema_decay(step, limit)));
            }
        }
    }

    /// Makes the slower average the one that is evaluated and exported.
    pub fn choose_slow_average(&mut self) {
        std::mem::swap(&mut self.average, &mut self.slow_average);
    }

    /// Everything needed to go on, by name under `prefix`.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let parts = [
            ("weights", self.params.flat()),
            ("average", self.average.flat()),
            ("slow_average", self.slow_average.flat()),
        ];
        let moments = [("first", self.first.shallow_clone()), ("second", self.second.shallow_clone())];
        parts.into_iter().chain(moments).map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)).collect()
    }

    /// Takes back what [`Trainee::state`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or belongs to another network.
    pub fn restore(&mut self, prefix: &str, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.state(prefix).into_iter().try_for_each(|(name, tensor)| take_back(&name, tensor, find))
    }
}

/// Copies the saved tensor of that name into `tensor`.
///
/// # Errors
/// If it is missing or of another size.
pub(super) fn take_back(
    name: &str,
    mut tensor: Tensor,
    find: &dyn Fn(&str) -> Option<Tensor>,
) -> Result<(), String> {
    let _guard = tch::no_grad_guard();
    let saved =
        find(name).ok_or_else(|| format!("it lacks {name}: of another version, or not a checkpoint"))?;
    if saved.size() != tensor.size() {
        return Err(format!(
            "{name} has {} values, this network {}: it belongs to another network",
            saved.numel(),
            tensor.numel()
        ));
    }
    tensor.copy_(&saved);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Layout;
    use tch::Device;

    /// One weight pulled to 3 by a square: both optimisers get there, and RAdam begins without the second
    /// moment.
    #[test]
    fn both_optimisers_find_the_least_square() {
        for rectified in [false, true] {
            let mut layout = Layout::default();
            let layer = layout.linear("one", 1, 1, 1.0);
            let mut trainee = Trainee::new(layout.init(1, Device::Cpu));
            let options = AdamOptions { rectified, ..AdamOptions::adam(0.05, 0.99, 1e9, 0.9) };
            let x = Tensor::from_slice(&[1.0f32]).view([1, 1]);
            for step in 0..600 {
                let loss = (trainee.params.linear(layer, &x) - 3.0).square().sum(tch::Kind::Float);
                loss.backward();
                let gradient = trainee.take_gradient(1);
                trainee.step(&options, 0.05, step, gradient, true);
            }
            let out = trainee.average.linear(layer, &x).double_value(&[0, 0]);
            assert!((out - 3.0).abs() < 0.02, "rectified {rectified}: {out}");
        }
    }

    /// Long before either reaches its limit.
    #[test]
    fn the_slow_average_remembers_four_times_as_long() {
        let mut layout = Layout::default();
        layout.linear("one", 1, 1, 1.0);
        let mut trainee = Trainee::new(layout.init(1, Device::Cpu));
        let options = AdamOptions::adam(0.0, 0.99, 1e9, 0.9999);
        // A weight that grows by one each step.
        for step in 0..400 {
            tch::no_grad(|| drop(trainee.params.flat().fill_(step as f64)));
            let nothing = (trainee.params.flat().zeros_like(), 0.0);
            trainee.step(&options, 0.0, step, nothing, true);
        }
        let behind = |average: &Params| 399.0 - average.flat().double_value(&[0]);
        let ratio = behind(&trainee.slow_average) / behind(&trainee.average);
        assert!((2.5..4.5).contains(&ratio), "{ratio}");
    }

    #[test]
    fn radam_waits_for_the_variance_and_then_approaches_adam() {
        let options = AdamOptions { rectified: true, ..AdamOptions::adam(1.0, 0.999, 1.0, 0.9) };
        assert_eq!(options.rectification(5.0), None);
        // Liu et al. 2020: at β₂ = 0.999 the sixth step is the first with a factor.
        let sixth = options.rectification(6.0).unwrap();
        assert!(sixth > 0.0 && sixth < 0.1, "{sixth}");
        assert!(options.rectification(20_000.0).unwrap() > 0.99);
    }
}
