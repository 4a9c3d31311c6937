//! The probability-flow ODE dx/dσ = (x − D(x; σ))/σ and its two solvers (Karras et al. 2022, algorithm 1
//! without churn). Works on any denoiser, a network or a formula.

use super::precondition::each;
use super::{Denoiser, LEAST_SIGMA};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// How a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// First order: one evaluation a step.
    Euler,
    /// Second order: two evaluations a step, one for a step to 0.
    Heun,
}

impl Solver {
    /// One step from σ = t to σ = r < t of N×C×H×W `x`; t and r of N values, r may be 0.
    pub fn step(self, denoise: Denoiser<'_>, x: &Tensor, t: &Tensor, r: &Tensor) -> Tensor {
        let slope = (x - denoise(x, t)) / each(t);
        let length = each(&(r - t));
        let euler = x + &slope * &length;
        if self == Solver::Euler {
            return euler;
        }
        // At σ = 0 the slope is 0/0; Heun's last step is Euler's.
        let asked = r.clamp_min(LEAST_SIGMA);
        let second = (&euler - denoise(&euler, &asked)) / each(&asked);
        let heun = x + (slope + second) * 0.5 * length;
        heun.where_self(&each(r).gt(0.0), &euler)
    }
}

/// Follows the ODE from N×C×H×W `x` at `levels[0]` down `levels`, all samples alike.
pub fn integrate(solver: Solver, denoise: Denoiser<'_>, x: &Tensor, levels: &[f64]) -> Tensor {
    let all = |sigma: f64| Tensor::full([x.size()[0]], sigma, (tch::Kind::Float, x.device()));
    let mut x = x.shallow_clone();
    for pair in levels.windows(2) {
        // Where all go to 0 the second evaluation would be thrown away.
        let solver = if pair[1] > 0.0 { solver } else { Solver::Euler };
        x = solver.step(denoise, &x, &all(pair[0]), &all(pair[1]));
    }
    x
}
