//! What a strength costs: the forecast of the squared error along μ + λ·f, and the same measured. Knows
//! planes, not networks.

use contract::pixels::Planes;
use serde::{Deserialize, Serialize};

/// Strengths of the curve.
pub const CURVE: [f32; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The picture at strength λ, μ + λ·f, not clipped; μ itself, bit for bit, at 0.
pub fn at_strength(mean: &Planes, residual: &Planes, strength: f32) -> Planes {
    if strength == 0.0 {
        return mean.clone(); // −0 + 0·f may become +0.
    }
    let values = mean.values.iter().zip(&residual.values).map(|(m, f)| m + strength * f).collect();
    Planes { values, ..*mean }
}

/// E|e − λf|² = A − 2λB + λ²C, a mean over pixels and RGB planes of values in [0, 1], e = x − μ. The forecast
/// is made from the first half of the samples and measured with the others: from the same samples it would be
/// true by algebra.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrengthCurve {
    /// A = E e²: the error of μ.
    pub a: f64,
    /// B = E⟨e, f⟩: 0 for a perfect sampler, whose samples know nothing of the truth that y does not tell.
    pub b: f64,
    /// C = E f²: A for a perfect sampler.
    pub c: f64,
    /// At the strengths of [`CURVE`].
    pub points: [StrengthPoint; CURVE.len()],
    /// R² of the forecast at the strengths above 0; above 0.999 it may be promised.
    pub r_squared: f64,
}

/// One strength. Each PSNR is that of the mean squared error over all pictures, RGB, dB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrengthPoint {
    /// λ.
    pub strength: f32,
    /// From A, B and C.
    pub forecast: f64,
    /// Measured, not clipped.
    pub measured: f64,
    /// Measured on 8-bit pictures, clipped and rounded: what a user gets.
    pub eight_bit: f64,
}

/// Sums over pictures.
#[derive(Debug, Default)]
pub struct StrengthSums {
    count: f64,
    a: f64,
    b: f64,
    c: f64,
    measured: [f64; CURVE.len()],
    eight_bit: [f64; CURVE.len()],
}

impl StrengthSums {
    /// Adds a picture: x, μ and its samples f, at least two.
    pub fn add(&mut self, truth: &Planes, mean: &Planes, samples: &[Planes]) {
        let (known, unseen) = samples.split_at(samples.len() / 2);
        self.count += truth.values.len() as f64;
        self.a += square_distance(&truth.values, &mean.values);
        for f in known {
            let share = 1.0 / known.len() as f64;
            for (i, &f) in f.values.iter().enumerate() {
                let (e, f) = (f64::from(truth.values[i]) - f64::from(mean.values[i]), f64::from(f));
                self.b += share * e * f;
                self.c += share * f * f;
            }
        }
        for f in unseen {
            let share = 1.0 / unseen.len() as f64;
            for (i, &strength) in CURVE.iter().enumerate() {
                let out = at_strength(mean, f, strength);
                let rounded = Planes::from_picture(&out.to_picture());
                self.measured[i] += share * square_distance(&truth.values, &out.values);
                self.eight_bit[i] += share * square_distance(&truth.values, &rounded.values);
            }
        }
    }

    /// The curve over everything that was added.
    pub fn curve(&self) -> StrengthCurve {
        let [a, b, c] = [self.a, self.b, self.c].map(|sum| sum / self.count);
        let measured = self.measured.map(|sum| sum / self.count);
        let forecast = CURVE.map(|strength| {
            let lambda = f64::from(strength);
            a - 2.0 * lambda * b + lambda * lambda * c
        });
        let points = std::array::from_fn(|i| StrengthPoint {
            strength: CURVE[i],
            forecast: psnr(forecast[i]),
            measured: psnr(measured[i]),
            eight_bit: psnr(self.eight_bit[i] / self.count),
        });
        StrengthCurve { a, b, c, points, r_squared: r_squared(&measured[1..], &forecast[1..]) }
    }
}

/// 10·log₁₀(1 / MSE), values in [0, 1].
fn psnr(mean_square: f64) -> f64 {
    -10.0 * mean_square.log10()
}

/// 1 − Σ(measured − forecast)² / Σ(measured − its mean)².
fn r_squared(measured: &[f64], forecast: &[f64]) -> f64 {
    let mean = measured.iter().sum::<f64>() / measured.len() as f64;
    let left: f64 = measured.iter().zip(forecast).map(|(m, f)| (m - f).powi(2)).sum();
    let whole: f64 = measured.iter().map(|m| (m - mean).powi(2)).sum();
    1.0 - left / whole
}

fn square_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::{Rect, Size};

    const SIZE: Size = Size::new(192, 192);

    fn noise(seed: u64, std: f32) -> Planes {
        let mut planes = Planes::new(SIZE, 3);
        contract::noise::fill(seed, 0, Rect { x: 0, y: 0, size: SIZE }, &mut planes.values);
        planes.values.iter_mut().for_each(|v| *v *= std);
        planes
    }

    fn sum(a: &Planes, b: &Planes) -> Planes {
        at_strength(a, b, 1.0)
    }

    #[test]
    fn strength_zero_is_the_mean_bit_for_bit() {
        let mut mean = noise(1, 0.3);
        mean.values[..3].copy_from_slice(&[-0.0, f32::MIN_POSITIVE / 2.0, 1.0]);
        let mut residual = noise(2, 0.1);
        residual.values[0] = 0.1; // −0 + 0·0.1 would be +0.
        let out = at_strength(&mean, &residual, 0.0);
        let bits = |planes: &Planes| planes.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(&mean));
    }

    /// A sampler of two thirds of the right strength that has seen a little of the truth.
    #[test]
    fn the_parabola_forecasts_what_other_samples_measure() {
        let mean = Planes { values: vec![0.5; 3 * SIZE.area()], ..Planes::new(SIZE, 3) };
        let error = noise(100, 0.06);
        let samples: Vec<Planes> = (1..9)
            .map(|seed| {
                let mut f = noise(seed, 0.04);
                f.values.iter_mut().zip(&error.values).for_each(|(f, e)| *f += 0.1 * e);
                f
            })
            .collect();
        let mut sums = StrengthSums::default();
        sums.add(&sum(&mean, &error), &mean, &samples);
        let curve = sums.curve();
        for (figure, right) in [(curve.a, 3.6e-3), (curve.b, 0.36e-3), (curve.c, 1.636e-3)] {
            assert!((figure / right - 1.0).abs() < 0.08, "{curve:?}");
        }
        assert!(curve.r_squared > 0.999 && curve.r_squared < 1.0, "{curve:?}");
        assert!(curve.points.iter().all(|p| (p.forecast - p.measured).abs() < 0.05), "{curve:?}");
        assert!((curve.points[0].forecast - curve.points[0].measured).abs() < 1e-9, "{curve:?}");
        // Rounding adds 1/12 of a squared step, nothing is clipped.
        let rounded = curve.points[4].measured - curve.points[4].eight_bit;
        assert!((0.0..0.02).contains(&rounded), "{curve:?}");
    }

    /// The forecast is of samples it has not seen: of samples that differ from the first half it fails.
    #[test]
    fn a_forecast_that_does_not_hold_shows() {
        let mean = Planes::new(SIZE, 3);
        let samples = [noise(1, 0.02), noise(2, 0.06)];
        let mut sums = StrengthSums::default();
        sums.add(&noise(3, 0.06), &mean, &samples);
        assert!(sums.curve().r_squared < 0.9, "{:?}", sums.curve());
    }
}
