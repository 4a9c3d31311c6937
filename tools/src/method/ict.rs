//! Improved consistency training (Song & Dhariwal 2023): the number of intervals doubles, intervals are drawn
//! by a lognormal, the distance is whole-vector pseudo-Huber, the target has no EMA.

use super::Pairs;
use super::levels::{Levels, categorical};
use crate::data::Random;
use serde::{Deserialize, Serialize};

/// iCT's options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ict {
    /// Intervals at the start.
    pub s0: usize,
    /// Intervals at the end.
    pub s1: usize,
}

impl Ict {
    /// Points of the grid at `progress` k/K: N(k) = min(s₀·2^⌊k/K'⌋, s₁) + 1, K' = ⌊K/(log₂⌊s₁/s₀⌋ + 1)⌋.
    pub fn points(self, progress: f64) -> usize {
        let doublings = ((self.s1 / self.s0) as f64).log2() + 1.0;
        let done = (progress * doublings) as u32;
        (self.s0 << done.min(63)).min(self.s1) + 1
    }

    /// `count` neighbours of the grid at `progress`, intervals by their lognormal mass; weight 1/(t − r).
    pub fn pairs(self, levels: &Levels, progress: f64, count: usize, random: &mut Random) -> Pairs {
        let points = self.points(progress);
        let masses = levels.interval_masses(points);
        let pairs = Pairs::neighbours(&levels.grid(points), count, &mut || categorical(&masses, random));
        Pairs::weighed_by_length(pairs.t, pairs.r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_intervals_doubles_from_ten_to_1280() {
        let ict = Ict { s0: 10, s1: 1280 };
        let points: Vec<usize> = (0..8).map(|m| ict.points((f64::from(m) + 0.5) / 8.0)).collect();
        assert_eq!(points, [11, 21, 41, 81, 161, 321, 641, 1281]);
        assert_eq!(ict.points(1.0), 1281);
    }
}
