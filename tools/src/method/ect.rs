//! Easy consistency tuning (Geng et al. 2024): continuous times t, each paired with r(t) < t that comes
//! nearer as tuning goes on, or is near from the start. Weight 1/(t − r), no target EMA.

use super::Pairs;
use super::levels::Levels;
use crate::data::Random;
use serde::{Deserialize, Serialize};

/// Sharpness of the mapping near 0, k and b of the paper.
const K: f64 = 8.0;
const B: f64 = 1.0;

/// ECT's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ect {
    /// Base of the fineness: in stage m, 1 − r/t is about q^−(m+1).
    pub q: f64,
    /// Stages in equal parts of the training; 1 keeps q fixed.
    pub stages: u32,
}

impl Ect {
    /// r(t) = t·(1 − q^−(m+1)·(1 + k·sigmoid(−b·t))) in stage m (eq. 16), not below 0.
    pub fn r(self, t: f64, stage: u32) -> f64 {
        let sigmoid = 1.0 / (1.0 + (B * t).exp());
        (t * (1.0 - self.q.powi(-(stage as i32 + 1)) * (1.0 + K * sigmoid))).max(0.0)
    }

    /// `count` pairs at `progress` 0…1. Where r falls below σ_min the truth itself is the target: r = 0.
    pub fn pairs(self, levels: &Levels, progress: f64, count: usize, random: &mut Random) -> Pairs {
        let stage = ((progress * f64::from(self.stages)) as u32).min(self.stages - 1);
        let t = levels.lognormal(count, random);
        let near = |&t: &f64| Some(self.r(t, stage)).filter(|&r| r >= levels.sigma_min).unwrap_or(0.0);
        let r: Vec<f64> = t.iter().map(near).collect();
        Pairs::weighed_by_length(t, r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_ordered_and_come_nearer_by_stages() {
        let ect = Ect { q: 2.0, stages: 8 };
        for t in [0.002, 0.1, 1.0, 5.0, 80.0] {
            let near: Vec<f64> = (0..8).map(|stage| ect.r(t, stage)).collect();
            assert!(near.iter().all(|r| (0.0..t).contains(r)));
            assert!(near.windows(2).all(|pair| pair[0] <= pair[1]), "{near:?}");
        }
        // Stage 0 of q = 2 is pure diffusion training up to t = ln 7.
        assert_eq!(ect.r(1.94, 0), 0.0);
        assert!(ect.r(1.96, 0) > 0.0);
        assert!((Ect { q: 16.0, stages: 1 }.r(20.0, 0) / 20.0 - 15.0 / 16.0).abs() < 1e-6);
    }
}
