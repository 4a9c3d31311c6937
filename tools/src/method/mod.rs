//! The methods: from data and noise to what a loss compares. One small file per method, with the equation it
//! implements; all end in the same consistency loss,
//!
//! ```text
//! L = w(t, r) · d( f_θ(x_t, t), sg f_θ⁻(x̂_r, r) )        (Song et al. 2023, eq. 7 and 10)
//! ```
//!
//! and differ in how (t, r) are drawn, how x̂_r comes from x_t, and what θ⁻ is. Knows tensors and functions
//! of tensors, no networks, files or recipes.

pub mod cd;
pub mod ct;
pub mod diffusion;
pub mod distance;
pub mod ect;
pub mod editing;
pub mod ict;
pub mod levels;
pub mod precondition;
pub mod sampling;
pub mod solver;
#[cfg(test)]
mod theory;

pub use distance::Distance;
pub use levels::Levels;
pub use solver::{Solver, integrate};

use crate::data::Random;
use precondition::each;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// D or f: N×C×H×W noisy pictures and N levels σ > 0 → N×C×H×W estimates of the clean ones.
pub type Denoiser<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Tensor;

/// Networks are never asked about σ = 0, where ln σ is −∞; this is asked instead, and the answer not used.
pub const LEAST_SIGMA: f64 = 1e-4;

/// A way to train a consistency function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Method {
    /// Easy consistency tuning.
    Ect(ect::Ect),
    /// Consistency training in isolation.
    Ct(ct::Ct),
    /// Improved consistency training.
    Ict(ict::Ict),
    /// Consistency distillation.
    Cd(cd::Cd),
}

impl Method {
    /// `count` pairs of levels at `progress` 0…1 of the training.
    pub fn pairs(&self, levels: &Levels, progress: f64, count: usize, random: &mut Random) -> Pairs {
        match self {
            Method::Ect(ect) => ect.pairs(levels, progress, count, random),
            Method::Ct(ct) => ct.pairs(levels, progress, count, random),
            Method::Ict(ict) => ict.pairs(levels, progress, count, random),
            Method::Cd(cd) => cd.pairs(levels, count, random),
        }
    }

    /// Decay μ of the target's weights θ⁻ ← μ·θ⁻ + (1 − μ)·θ; 0: θ⁻ = θ.
    pub fn target_decay(&self, progress: f64) -> f64 {
        match self {
            Method::Ect(_) | Method::Ict(_) => 0.0,
            Method::Ct(ct) => ct.mu(progress),
            Method::Cd(cd) => cd.mu,
        }
    }

    /// Whether t and r stay so far apart that bf16 bodies do not drown f_t − f_r in rounding (0.2 to 0.4 %):
    /// where 1 − r/t is several per cent at least.
    pub fn bears_bf16(&self) -> bool {
        match self {
            Method::Ect(ect) => ect.q.powi(ect.stages as i32) <= 32.0,
            Method::Cd(cd) => cd.points <= 40,
            Method::Ct(_) | Method::Ict(_) => false,
        }
    }

    /// The solver of the teacher's ODE, where there is a teacher.
    pub fn solver(&self) -> Option<Solver> {
        match self {
            Method::Cd(cd) => Some(cd.solver),
            _ => None,
        }
    }
}

/// Levels t > r ≥ 0 and the weight of each sample of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    /// The student's levels.
    pub t: Vec<f64>,
    /// The target's; 0: the target is x̂_r itself.
    pub r: Vec<f64>,
    /// w(t, r).
    pub weight: Vec<f64>,
}

impl Pairs {
    /// Weights 1/(t − r).
    pub fn weighed_by_length(t: Vec<f64>, r: Vec<f64>) -> Pairs {
        let weight = t.iter().zip(&r).map(|(t, r)| (t - r).recip()).collect();
        Pairs { t, r, weight }
    }

    /// `count` intervals of an ascending grid, chosen by `draw`; weight 1.
    pub fn neighbours(grid: &[f64], count: usize, draw: &mut dyn FnMut() -> usize) -> Pairs {
        let drawn: Vec<usize> = (0..count).map(|_| draw()).collect();
        let at = |shift: usize| drawn.iter().map(|i| grid[i + shift]).collect();
        Pairs { t: at(1), r: at(0), weight: vec![1.0; count] }
    }
}

/// The functions in a consistency loss.
#[derive(Clone, Copy)]
pub struct Functions<'a> {
    /// f_θ, with gradient.
    pub student: Denoiser<'a>,
    /// f_θ⁻; its gradient is not taken.
    pub target: Denoiser<'a>,
    /// D of the teacher and how its ODE is solved; without one x_r has the noise of x_t (the unbiased score
    /// estimate of Song et al. 2023, eq. 9; the same as an Euler step with D := x₀).
    pub teacher: Option<(Denoiser<'a>, Solver)>,
}

impl std::fmt::Debug for Functions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions").field("teacher", &self.teacher.is_some()).finish_non_exhaustive()
    }
}

/// f_θ(x_t, t) − sg f_θ⁻(x̂_r, r), N×C×H×W, for x_t = `clean` + t·`noise`.
pub fn difference(functions: Functions<'_>, clean: &Tensor, noise: &Tensor, pairs: &Pairs) -> Tensor {
    let (t, r) = (levels_tensor(&pairs.t, clean.device()), levels_tensor(&pairs.r, clean.device()));
    let noisy = clean + noise * each(&t);
    let target = {
        let _guard = tch::no_grad_guard();
        let before = match functions.teacher {
            Some((denoise, solver)) => solver.step(denoise, &noisy, &t, &r),
            None => clean + noise * each(&r),
        };
        let asked = (functions.target)(&before, &r.clamp_min(LEAST_SIGMA));
        asked.where_self(&each(&r).gt(0.0), &before) // f(x, 0) = x
    };
    (functions.student)(&noisy, &t) - target
}

/// Levels as an f32 tensor.
pub fn levels_tensor(levels: &[f64], device: Device) -> Tensor {
    Tensor::from_slice(levels).to_kind(Kind::Float).to_device(device)
}
