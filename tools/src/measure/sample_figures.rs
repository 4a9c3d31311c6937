//! Is the sample texture or grain? Figures of one-step samples against the truth, each printed beside the
//! same figure of the grain baseline, because std ratio and spectra alone are fooled by plain noise.

use super::estimate::Estimate;
use super::quiet::Quiet;
use super::spectrum::spectrum_error;
use super::strength::{StrengthCurve, StrengthSums, at_strength};
use contract::pixels::Planes;
use serde::{Deserialize, Serialize};

/// Side of the blocks whose log RMS is compared, in HR pixels.
pub(super) const BLOCK: usize = 16;
/// Side of the patches of the energy score, in HR pixels.
const PATCH: usize = 8;
/// Strengths at which the spectrum is compared; 0 is μ.
pub const SPECTRUM_STRENGTHS: [f32; 3] = [0.0, 0.5, 1.0];

/// Figures of a set of samples. The truth's residual is e = x − μ, a sample's f.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SampleFigures {
    /// RMS(f) / RMS(e); 1 is right.
    pub std_ratio: f64,
    /// Correlation of log block RMS of f with that of e, 16×16 blocks; 1 is right.
    pub block_correlation: f64,
    /// Energy score on 8×8×3 patches over that of μ alone: mean‖x_k − x‖ − ½ mean_{j≠k}‖x_j − x_k‖. Proper:
    /// lower is better.
    pub energy_score: f64,
    /// Kurtosis of f's luma over its local scale: 3 is Gaussian grain.
    pub kurtosis: f64,
    /// The same of e: what is right.
    pub truth_kurtosis: f64,
    /// RMS(f) / RMS(e) in the quarter of the blocks where the local scale is smallest (skies, what is out of
    /// focus); 1 is right.
    pub quiet_ratio: f64,
    /// There, what one pixel in a thousand exceeds in colour, f over e: 1 is right; coloured dots show in it.
    pub quiet_colour: f64,
    /// PSNR of the mean of the samples minus that of one sample, RGB, dB: 2.5 is right for 8 samples, 0 is
    /// collapse.
    pub posterior_gain: f64,
    /// Mean variance of the samples (unbiased) over the squared error of their mean, times (K + 1)/K: 1 is
    /// right for any number K of samples, below 1 is too sure of itself.
    pub spread_skill: f64,
    /// Radial log-spectrum error of 8-bit pictures at [`SPECTRUM_STRENGTHS`]; 0 is right.
    pub spectrum_error: [f64; SPECTRUM_STRENGTHS.len()],
    /// What strength costs.
    pub strength: StrengthCurve,
}

/// Which residuals of an estimate are judged.
pub type Choose<'a> = &'a dyn Fn(&Estimate) -> &[Planes];

/// Figures over several pictures: estimates with their truths (RGB planes of the same size, of 8-bit
/// pictures), `scale` output pixels per input pixel along a side.
///
/// # Panics
/// If there are no pictures or fewer than two samples of one.
pub fn sample_figures(set: &[(Estimate, Planes)], scale: usize, choose: Choose<'_>) -> SampleFigures {
    assert!(set.iter().all(|(estimate, _)| choose(estimate).len() > 1), "an energy score needs two samples");
    let mut sums = Sums::default();
    for (estimate, truth) in set {
        let e: Vec<f32> = truth.values.iter().zip(&estimate.mean.values).map(|(x, m)| x - m).collect();
        let error = Planes { values: e, ..truth.clone() };
        sums.add(&error, choose(estimate), &estimate.luma_scale);
        sums.quiet.add(&error, &choose(estimate)[0], &estimate.luma_scale);
        sums.strength.add(truth, &estimate.mean, choose(estimate));
        sums.add_spectra(truth, &estimate.mean, choose(estimate), scale);
    }
    sums.figures()
}

#[derive(Default)]
struct Sums {
    truth_square: f64,
    sample_square: f64,
    count: f64,
    ensemble_square: f64,
    single_square: f64,
    /// Σ of the unbiased variance over the samples, times (K + 1)/K.
    spread: f64,
    score: f64,
    mean_score: f64,
    log_blocks: Vec<(f64, f64)>,
    quiet: Quiet,
    truth_moments: [f64; 3],
    sample_moments: [f64; 3],
    strength: StrengthSums,
    pictures: f64,
    spectrum_error: [f64; SPECTRUM_STRENGTHS.len()],
}

impl Sums {
    fn add(&mut self, error: &Planes, samples: &[Planes], luma_scale: &[f32]) {
        let k = samples.len() as f64;
        self.count += error.values.len() as f64;
        self.truth_square += square(&error.values);
        self.sample_square += samples.iter().map(|f| square(&f.values)).sum::<f64>() / k;
        for i in 0..error.values.len() {
            let e = f64::from(error.values[i]);
            let all = samples.iter().map(|f| f64::from(f.values[i]));
            let mean = all.clone().sum::<f64>() / k;
            self.ensemble_square += (mean - e).powi(2);
            self.spread += all.clone().map(|f| (f - mean).powi(2)).sum::<f64>() / (k - 1.0) * (k + 1.0) / k;
            self.single_square += all.map(|f| (f - e).powi(2)).sum::<f64>() / k;
        }
        self.add_blocks(error, &samples[0]);
        self.add_patches(error, samples);
        moments(error, luma_scale, &mut self.truth_moments);
        samples.iter().for_each(|f| moments(f, luma_scale, &mut self.sample_moments));
    }

    fn add_blocks(&mut self, error: &Planes, sample: &Planes) {
        let floor = 1e-4; // a tenth of an 8-bit step keeps the logarithm of flat blocks finite
        let rms = |planes: &Planes, x, y| {
            (patch(planes, x, y, BLOCK).map(|v| v * v).sum::<f64>() / (3 * BLOCK * BLOCK) as f64).sqrt()
        };
        for (x, y) in corners(error, BLOCK) {
            self.log_blocks.push(((rms(error, x, y) + floor).ln(), (rms(sample, x, y) + floor).ln()));
        }
    }

    fn add_patches(&mut self, error: &Planes, samples: &[Planes]) {
        let k = samples.len();
        for (x, y) in corners(error, PATCH) {
            let truth: Vec<f64> = patch(error, x, y, PATCH).collect();
            let drawn: Vec<Vec<f64>> = samples.iter().map(|f| patch(f, x, y, PATCH).collect()).collect();
            let to_truth: f64 = drawn.iter().map(|f| distance(f, &truth)).sum::<f64>() / k as f64;
            let pairs: f64 = (0..k)
                .flat_map(|i| (i + 1..k).map(move |j| (i, j)))
                .map(|(i, j)| distance(&drawn[i], &drawn[j]))
                .sum();
            self.score += to_truth - pairs / (k * (k - 1)) as f64;
            self.mean_score += truth.iter().map(|v| v * v).sum::<f64>().sqrt();
        }
    }

    fn add_spectra(&mut self, truth: &Planes, mean: &Planes, samples: &[Planes], scale: usize) {
        let truth = truth.to_picture();
        self.pictures += 1.0;
        for (sum, &strength) in self.spectrum_error.iter_mut().zip(&SPECTRUM_STRENGTHS) {
            // All samples are μ at strength 0.
            let judged = if strength == 0.0 { &samples[..1] } else { samples };
            let error = |f| spectrum_error(&at_strength(mean, f, strength).to_picture(), &truth, scale);
            *sum += judged.iter().map(error).sum::<f64>() / judged.len() as f64;
        }
    }

    fn figures(&self) -> SampleFigures {
        let [quiet_ratio, quiet_colour] = self.quiet.figures();
        let kurtosis = |[n, second, fourth]: [f64; 3]| fourth / n / (second / n).powi(2);
        SampleFigures {
            std_ratio: (self.sample_square / self.truth_square).sqrt(),
            block_correlation: correlation(&self.log_blocks),
            energy_score: self.score / self.mean_score,
            kurtosis: kurtosis(self.sample_moments),
            truth_kurtosis: kurtosis(self.truth_moments),
            quiet_ratio,
            quiet_colour,
            posterior_gain: 10.0 * (self.single_square / self.ensemble_square).log10(),
            spread_skill: self.spread / self.ensemble_square,
            spectrum_error: self.spectrum_error.map(|sum| sum / self.pictures),
            strength: self.strength.curve(),
        }
    }
}

fn square(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum()
}

/// The upper left corners (x, y) of all whole squares.
pub(super) fn corners(planes: &Planes, side: usize) -> impl Iterator<Item = (usize, usize)> {
    let (columns, rows) = (planes.size.width / side, planes.size.height / side);
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (column * side, row * side)))
}

fn patch(planes: &Planes, x: usize, y: usize, side: usize) -> impl Iterator<Item = f64> + '_ {
    let rows = (0..planes.channels).flat_map(move |c| (y..y + side).map(move |row| (c, row)));
    rows.flat_map(move |(c, row)| {
        let begin = c * planes.size.area() + row * planes.size.width + x;
        planes.values[begin..begin + side].iter().map(|&v| f64::from(v))
    })
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// Adds count, Σv² and Σv⁴ of the luma-like plane over its local scale.
fn moments(residual: &Planes, luma_scale: &[f32], into: &mut [f64; 3]) {
    let third = 3.0f64.sqrt().recip();
    for (i, &scale) in luma_scale.iter().enumerate() {
        let luma: f64 = (0..3).map(|c| f64::from(residual.plane(c)[i])).sum::<f64>() * third;
        let v = (luma / f64::from(scale)).powi(2);
        into[0] += 1.0;
        into[1] += v;
        into[2] += v * v;
    }
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (ma, mb) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let cov: f64 = pairs.iter().map(|(a, b)| (a - ma) * (b - mb)).sum();
    let (va, vb): (f64, f64) =
        pairs.iter().fold((0.0, 0.0), |(va, vb), (a, b)| (va + (a - ma).powi(2), vb + (b - mb).powi(2)));
    cov / (va * vb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::{Rect, Size};

    const SIZE: Size = Size::new(128, 128);

    /// An RGB picture of independent values: `shape` of a standard normal one.
    fn drawn(seed: u64, shape: impl Fn(usize, f32) -> f32) -> Planes {
        let mut planes = Planes::new(SIZE, 3);
        contract::noise::fill(seed, 0, Rect { x: 0, y: 0, size: SIZE }, &mut planes.values);
        planes.values.iter_mut().enumerate().for_each(|(i, v)| *v = shape(i % SIZE.area(), *v));
        planes
    }

    /// Figures of eight residuals drawn by `draw` against a truth of that kind, μ a mid grey.
    fn figures_of(
        draw: impl Fn(u64) -> Planes,
        truth: Planes,
        scale: impl Fn(usize) -> f32,
    ) -> SampleFigures {
        let grey = Planes { values: vec![0.5; 3 * SIZE.area()], ..Planes::new(SIZE, 3) };
        let estimate = Estimate {
            residuals: (1..9).map(draw).collect(),
            two_steps: Default::default(),
            grain: vec![],
            luma_scale: (0..SIZE.area()).map(scale).collect(),
            mean: grey.clone(),
        };
        sample_figures(&[(estimate, at_strength(&grey, &truth, 1.0))], 4, &|e| &e.residuals)
    }

    /// Truth and samples drawn from one Gaussian with a local scale: every figure must show a perfect
    /// sampler.
    #[test]
    fn a_perfect_sampler_gets_perfect_figures() {
        let scale = |i: usize| if i % 128 < 64 { 0.02f32 } else { 0.08 };
        let draw = |seed| drawn(seed, |i, v| v * scale(i));
        let figures = figures_of(draw, draw(100), scale);
        assert!((figures.std_ratio - 1.0).abs() < 0.02, "{figures:?}");
        assert!(figures.block_correlation > 0.98, "{figures:?}");
        assert!(
            (figures.kurtosis - 3.0).abs() < 0.1 && (figures.truth_kurtosis - 3.0).abs() < 0.2,
            "{figures:?}"
        );
        assert!((figures.quiet_ratio - 1.0).abs() < 0.05, "{figures:?}");
        assert!((figures.quiet_colour - 1.0).abs() < 0.1, "{figures:?}");
        assert!((figures.posterior_gain - 10.0 * (2.0f64 / 1.125).log10()).abs() < 0.1, "{figures:?}");
        assert!((figures.spread_skill - 1.0).abs() < 0.03, "{figures:?}");
        // High-dimensional Gaussian patches: √2 − √2/2 of μ's distance.
        assert!((figures.energy_score - 0.707).abs() < 0.01, "{figures:?}");
        let curve = figures.strength;
        assert!(curve.r_squared > 0.999 && curve.b.abs() < 0.02 * curve.a, "{figures:?}");
        // A flat μ has no power, half a sample a quarter of it.
        let [flat, half, whole] = figures.spectrum_error;
        assert!(flat > 4.0 && (half - 4.0f64.log10()).abs() < 0.05 && whole < 0.15, "{figures:?}");
    }

    /// What y leaves open is one of two values. A perfect sampler of both gains, one that answers their mean
    /// does not, and one that is too narrow is told apart from it by spread over skill.
    #[test]
    fn samples_of_two_modes_gain_over_one_of_them() {
        let modes = |seed| drawn(seed, |_, v| 0.1f32.copysign(v) + 0.005 * v);
        let right = figures_of(modes, modes(100), |_| 0.1);
        assert!(right.posterior_gain > 2.0, "{right:?}");
        assert!((right.posterior_gain - 10.0 * (2.0f64 / 1.125).log10()).abs() < 0.1, "{right:?}");
        assert!((right.spread_skill - 1.0).abs() < 0.03, "{right:?}");
        let collapsed = figures_of(|seed| drawn(seed, |_, v| 1e-4 * v), modes(100), |_| 0.1);
        assert!(collapsed.posterior_gain < 0.01 && collapsed.spread_skill < 0.01, "{collapsed:?}");
        let narrow = figures_of(|seed| drawn(seed, |_, v| 0.05f32.copysign(v)), modes(100), |_| 0.1);
        assert!((narrow.spread_skill - 0.253).abs() < 0.01, "{narrow:?}");
    }
}
