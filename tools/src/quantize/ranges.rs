//! Which part of a tensor's values its 256 codes cover: the part with the least squared error, where cutting
//! off rare extremes is weighed against coarser steps. Knows numbers, not graphs.

use super::rewrite::Range;
use crate::data::Random;

/// Values kept of one tensor; more would not move a percentile.
const KEPT: usize = 60_000;
/// Shares cut off at each end that are tried.
const CUTS: [f64; 6] = [0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3];

/// A sample of one tensor's values, and its extremes.
#[derive(Debug, Default)]
pub struct Observed {
    kept: Vec<f32>,
    seen: u64,
    low: f32,
    high: f32,
}

impl Observed {
    /// Takes part in the sample (reservoir sampling: each value ever seen is kept with the same chance).
    pub fn see(&mut self, values: &[f32], random: &mut Random) {
        for &value in values {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
            self.seen += 1;
            if self.kept.len() < KEPT {
                self.kept.push(value);
            } else {
                let place = random.below(self.seen as usize);
                if place < KEPT {
                    self.kept[place] = value;
                }
            }
        }
    }

    /// The range with the least squared error over the sample.
    pub fn best(&self) -> Range {
        let mut sorted = self.kept.clone();
        sorted.sort_by(f32::total_cmp);
        let end = |cut: f64| (cut * sorted.len() as f64) as usize;
        let low = |cut| if cut == 0.0 { self.low } else { sorted[end(cut)] };
        let high = |cut| if cut == 0.0 { self.high } else { sorted[sorted.len() - 1 - end(cut)] };
        let error = |range: Range| {
            let squares = self.kept.iter().map(|&v| f64::from(range.rounded(v) - v).powi(2));
            squares.sum::<f64>()
        };
        let tried = CUTS.iter().flat_map(|&a| CUTS.iter().map(move |&b| (a, b)));
        let ranges = tried.map(|(a, b)| Range::covering(low(a), high(b)));
        let best = ranges.map(|range| (error(range), range)).min_by(|a, b| a.0.total_cmp(&b.0));
        best.expect("there are cuts to try").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value a little beyond the others is not worth coarser steps for all; values far beyond are.
    #[test]
    fn rare_extremes_are_weighed_against_coarser_steps() {
        let best = |extremes: &[f32]| {
            let mut observed = Observed::default();
            let values: Vec<f32> =
                (0..50_000).map(|i| i as f32 / 50_000.0).chain(extremes.to_vec()).collect();
            observed.see(&values, &mut Random::new(&[1]));
            observed.best().scale * 255.0
        };
        assert!(best(&[1.08]) < 1.01, "{}", best(&[1.08]));
        assert!(best(&[4.0, 4.0, 4.0]) > 3.9, "{}", best(&[4.0, 4.0, 4.0]));
    }
}
