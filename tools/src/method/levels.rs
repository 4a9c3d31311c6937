//! Noise levels σ: the Karras grid, lognormal draws, and draws from a grid's intervals by the lognormal's
//! mass. Plain numbers; knows no networks.

use crate::data::Random;
use serde::{Deserialize, Serialize};

/// Curvature of the Karras grid.
const RHO: f64 = 7.0;

/// Which noise levels a model lives on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Standard deviation of the data, σ_data.
    pub sigma_data: f64,
    /// Smallest level that is drawn or asked about.
    pub sigma_min: f64,
    /// Largest: where a one-step sample starts.
    pub sigma_max: f64,
    /// Mean of ln σ in training.
    pub log_mean: f64,
    /// Standard deviation of ln σ in training.
    pub log_std: f64,
    /// One draw in so many is σ_max itself, where the one-step output lives; 0: none.
    pub at_max_every: usize,
}

impl Levels {
    /// `count` levels: ln σ ~ N(mean, std²) clipped to [σ_min, σ_max], some exactly σ_max.
    pub fn lognormal(&self, count: usize, random: &mut Random) -> Vec<f64> {
        let draw = |random: &mut Random| {
            let at_max = self.at_max_every > 0 && random.below(self.at_max_every) == 0;
            let normal = random.normal();
            if at_max {
                self.sigma_max
            } else {
                (self.log_mean + self.log_std * normal).exp().clamp(self.sigma_min, self.sigma_max)
            }
        };
        (0..count).map(|_| draw(random)).collect()
    }

    /// `points` levels, ascending, σ_i = (σ_min^(1/ρ) + i/(N−1)·(σ_max^(1/ρ) − σ_min^(1/ρ)))^ρ with ρ = 7
    /// (Karras et al. 2022, eq. 5).
    ///
    /// # Panics
    /// If there are fewer than two.
    pub fn karras(&self, points: usize) -> Vec<f64> {
        assert!(points > 1, "a grid has two ends");
        let (low, high) = (self.sigma_min.powf(RHO.recip()), self.sigma_max.powf(RHO.recip()));
        let level = |i: usize| (low + i as f64 / (points - 1) as f64 * (high - low)).powf(RHO);
        (0..points).map(level).collect()
    }

    /// The grid of discrete consistency training: Karras' with its lowest level replaced by 0, where f(x, 0)
    /// = x holds exactly (the papers shift the coefficients to σ_min instead).
    pub fn grid(&self, points: usize) -> Vec<f64> {
        let mut grid = self.karras(points);
        grid[0] = 0.0;
        grid
    }

    /// Probabilities of a grid's intervals under the lognormal (iCT, Song & Dhariwal 2023, section 3.5):
    /// p_i ∝ erf((ln σ_{i+1} − m)/(√2·s)) − erf((ln σ_i − m)/(√2·s)).
    pub fn interval_masses(&self, points: usize) -> Vec<f64> {
        let at =
            |sigma: f64| libm::erf((sigma.ln() - self.log_mean) / (std::f64::consts::SQRT_2 * self.log_std));
        let masses: Vec<f64> = self.karras(points).windows(2).map(|pair| at(pair[1]) - at(pair[0])).collect();
        let total: f64 = masses.iter().sum();
        masses.into_iter().map(|mass| mass / total).collect()
    }
}

/// An index drawn with the given probabilities.
pub fn categorical(masses: &[f64], random: &mut Random) -> usize {
    let mut left = random.uniform();
    for (index, mass) in masses.iter().enumerate() {
        left -= mass;
        if left < 0.0 {
            return index;
        }
    }
    masses.len() - 1 // rounding left a crumb
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIFAR: Levels = Levels {
        sigma_data: 0.5,
        sigma_min: 0.002,
        sigma_max: 80.0,
        log_mean: -1.1,
        log_std: 2.0,
        at_max_every: 0,
    };

    /// The ends of the grid.
    #[test]
    fn the_karras_grid_runs_from_end_to_end() {
        for points in [2, 18, 40, 1281] {
            let grid = CIFAR.karras(points);
            assert_eq!(grid.len(), points);
            assert!((grid[0] - 0.002).abs() < 1e-12 && (grid[points - 1] - 80.0).abs() < 1e-9);
            assert!(grid.windows(2).all(|pair| pair[0] < pair[1]));
        }
        // Karras et al. state σ_{N−2} of the 18-step grid as 57.6.
        assert!((CIFAR.karras(18)[16] - 57.586).abs() < 0.01);
        assert_eq!(CIFAR.grid(18)[0], 0.0);
    }

    #[test]
    fn lognormal_draws_are_clipped_and_some_lie_at_the_top() {
        let levels = Levels { at_max_every: 10, sigma_min: 0.1, sigma_max: 20.0, log_std: 1.4, ..CIFAR };
        let mut draws = levels.lognormal(20_000, &mut Random::new(&[1]));
        assert!(draws.iter().all(|s| (0.1..=20.0).contains(s)));
        let at_max = draws.iter().filter(|&&s| s == 20.0).count() as f64 / 20_000.0;
        assert!((at_max - 0.102).abs() < 0.01, "{at_max}"); // a tenth, plus the lognormal's own tail
        draws.retain(|&s| s < 20.0);
        draws.sort_by(f64::total_cmp);
        assert!((draws[draws.len() / 2].ln() + 1.1).abs() < 0.06);
    }

    #[test]
    fn intervals_are_drawn_by_their_mass() {
        let masses = CIFAR.interval_masses(11);
        assert!((masses.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let mut random = Random::new(&[5]);
        let mut counts = vec![0.0; masses.len()];
        (0..50_000).for_each(|_| counts[categorical(&masses, &mut random)] += 1.0 / 50_000.0);
        assert!(counts.iter().zip(&masses).all(|(c, m): (&f64, &f64)| (c - m).abs() < 0.01), "{counts:?}");
    }
}
