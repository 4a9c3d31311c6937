//! Consistency training in isolation (Song et al. 2023, algorithm 3): no teacher; the unbiased score estimate
//! makes x_r from x₀ with the noise of x_t. N(k) grows, the target's decay μ(k) grows with it.

use super::Pairs;
use super::levels::Levels;
use crate::data::Random;
use serde::{Deserialize, Serialize};

/// CT's options, with the paper's symbols.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ct {
    /// Intervals at the start.
    pub s0: f64,
    /// Intervals at the end.
    pub s1: f64,
    /// Decay of the target's EMA at the start.
    pub mu0: f64,
}

impl Ct {
    /// Points of the grid at `progress` k/K: N(k) = ⌈√(k/K·((s₁+1)² − s₀²) + s₀²) − 1⌉ + 1.
    pub fn points(self, progress: f64) -> usize {
        let grown = progress * ((self.s1 + 1.0).powi(2) - self.s0.powi(2)) + self.s0.powi(2);
        ((grown.sqrt() - 1.0).ceil().max(1.0) + 1.0) as usize
    }

    /// Decay of the target's EMA, μ(k) = exp(s₀·ln μ₀ / m) with the grid's m = N − 1 intervals, as the
    /// authors' code has it.
    pub fn mu(self, progress: f64) -> f64 {
        (self.s0 * self.mu0.ln() / (self.points(progress) - 1) as f64).exp()
    }

    /// `count` neighbours of the grid at `progress`, all intervals alike; weight 1.
    pub fn pairs(self, levels: &Levels, progress: f64, count: usize, random: &mut Random) -> Pairs {
        let grid = levels.grid(self.points(progress));
        Pairs::neighbours(&grid, count, &mut || random.below(grid.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_starts_at_two_points_and_ends_at_s1_plus_one() {
        let ct = Ct { s0: 2.0, s1: 150.0, mu0: 0.9 };
        assert_eq!((ct.points(0.0), ct.points(1.0)), (2, 151));
        assert!((ct.mu(0.0) - 0.81).abs() < 1e-12, "μ₀^s₀ on one interval");
        assert!((ct.mu(1.0) - (2.0 * 0.9f64.ln() / 150.0).exp()).abs() < 1e-12);
        let points: Vec<usize> = (0..=100).map(|k| ct.points(f64::from(k) / 100.0)).collect();
        assert!(points.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
