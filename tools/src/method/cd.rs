//! Consistency distillation (Song et al. 2023, algorithm 2): x_r is where a solver of the teacher's ODE goes
//! from x_t, the target net an EMA of the student (or the student itself).

use super::Pairs;
use super::levels::Levels;
use super::solver::Solver;
use crate::data::Random;
use serde::{Deserialize, Serialize};

/// CD's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cd {
    /// Points of the grid, N.
    pub points: usize,
    /// The teacher's solver; with Euler the sample's spread shrinks as in CT, with Heun hardly.
    pub solver: Solver,
    /// Decay of the target's EMA; 0: the student's own weights.
    pub mu: f64,
}

impl Cd {
    /// `count` neighbours of the grid, all intervals alike; weight 1.
    pub fn pairs(self, levels: &Levels, count: usize, random: &mut Random) -> Pairs {
        let grid = levels.grid(self.points);
        Pairs::neighbours(&grid, count, &mut || random.below(grid.len() - 1))
    }
}
