//! A consistency net in training: its weights, the target's and the teacher's.

use super::optimiser::Trainee;
use crate::method::Method;
use crate::net::{Layout, Params};
use tch::{Device, Tensor};

/// The three weights of one network.
#[derive(Debug)]
pub struct Student {
    /// θ, with moments and averages.
    pub trainee: Trainee,
    /// θ⁻, where the method gives the target an average of its own.
    target: Params,
    /// The finished diffusion net, whose ODE distillation follows.
    teacher: Params,
}

impl Student {
    /// Fresh weights.
    pub fn new(layout: &Layout, seed: u64, device: Device) -> Student {
        let params = layout.init(seed, device);
        let (target, teacher) = (params.duplicate(), params.duplicate());
        Student { trainee: Trainee::new(params), target, teacher }
    }

    /// A stage begins: from the averaged weights with fresh moments. They are the consistency stage's target
    /// and teacher too.
    pub fn begin_stage(&mut self) {
        self.trainee = Trainee::new(self.trainee.average.duplicate());
        self.target = self.trainee.average.duplicate();
        self.teacher = self.trainee.average.duplicate();
    }

    /// θ⁻ for the method.
    pub fn target(&self, method: &Method, progress: f64) -> &Params {
        if method.target_decay(progress) > 0.0 { &self.target } else { &self.trainee.params }
    }

    /// The teacher's weights.
    pub fn teacher(&self) -> &Params {
        &self.teacher
    }

    /// θ⁻ ← μ·θ⁻ + (1 − μ)·θ.
    pub fn follow(&mut self, method: &Method, progress: f64) {
        let mu = method.target_decay(progress);
        if mu > 0.0 {
            let _guard = tch::no_grad_guard();
            // In place; the result is the same tensor.
            drop(self.target.flat().lerp_(&self.trainee.params.flat(), 1.0 - mu));
        }
    }

    /// Everything needed to go on, by name under `prefix`.
    pub fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut state = self.trainee.state(prefix);
        state.push((format!("{prefix}.target"), self.target.flat()));
        state.push((format!("{prefix}.teacher"), self.teacher.flat()));
        state
    }

    /// Takes back what [`Student::state`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or belongs to another network.
    pub fn restore(&mut self, prefix: &str, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.trainee.restore(prefix, find)?;
        for (name, params) in [("target", &self.target), ("teacher", &self.teacher)] {
            super::optimiser::take_back(&format!("{prefix}.{name}"), params.flat(), find)?;
        }
        Ok(())
    }
}
