//! How much texture a picture has at each fineness: radial power spectra of Y, and how far two of them lie
//! apart above the Nyquist frequency of the small picture. The one door to rustfft; knows nothing of models.

use super::figures::luma_inside;
use contract::geometry::Size;
use contract::pixels::Picture;
use rustfft::num_complex::Complex;
use rustfft::{FftDirection, FftPlanner};
use std::f64::consts::PI;

/// Power in squared 8-bit steps that is added before the logarithm: about a thousandth of rounding noise
/// (1/12), so that flat pictures stay finite and no other figure moves.
const FLOOR: f64 = 1e-4;

/// Radial log-spectrum error: RMS over k of |log₁₀ P_out(k) − log₁₀ P_truth(k)| for 1/(2·scale) < k ≤ 1/2
/// cycles per pixel, the part of the spectrum the small picture cannot hold. 0 is right; 1 is ten times too
/// much or too little power throughout. P is that of Y (BT.601, 16…235) without its mean, under a Hann
/// window. Plain noise of the right strength also scores well here: read it beside the grain row.
///
/// # Panics
/// If the sizes differ or the pictures are too small to have such a frequency (sides of 2 pixels).
pub fn spectrum_error(out: &Picture, truth: &Picture, scale: usize) -> f64 {
    assert_eq!(out.size, truth.size, "two pictures of one size");
    let spectrum = |picture: &Picture| radial_spectrum(luma_inside(picture, 0).0, picture.size);
    log_distance(&spectrum(out), &spectrum(truth), scale, truth.size)
}

/// RMS over the rings above the small picture's Nyquist frequency of the difference of log₁₀ power.
fn log_distance(out: &[f64], truth: &[f64], scale: usize, size: Size) -> f64 {
    let rings = size.width.min(size.height);
    let above = out.iter().zip(truth).enumerate().filter(|(ring, _)| ring * 2 * scale > rings);
    let squares: Vec<f64> = above.map(|(_, (a, b))| ((a + FLOOR) / (b + FLOOR)).log10().powi(2)).collect();
    assert!(!squares.is_empty(), "{size} pixels have no frequency above 1/{}", 2 * scale);
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// Mean power in rings of width 1/n cycles per pixel around k = 0, 1/n … 1/2, n the shorter side. White noise
/// of variance v has v in every ring, whatever the size. The corners beyond 1/2 are left out.
fn radial_spectrum(mut luma: Vec<f64>, size: Size) -> Vec<f64> {
    let Size { width, height } = size;
    let mean = luma.iter().sum::<f64>() / luma.len() as f64;
    let (across, down) = (hann(width), hann(height));
    let mut window_square = 0.0;
    for (i, value) in luma.iter_mut().enumerate() {
        let window = across[i % width] * down[i / width];
        window_square += window * window;
        *value = (*value - mean) * window;
    }
    let transformed = fourier(luma.into_iter().map(Complex::from).collect(), size, FftDirection::Forward);
    let n = width.min(height);
    let mut sums = vec![(0.0, 0.0); n / 2 + 1];
    for (i, value) in transformed.iter().enumerate() {
        let ring = (frequency(i % width, width).hypot(frequency(i / width, height)) * n as f64).round();
        if let Some((power, count)) = sums.get_mut(ring as usize) {
            *power += value.norm_sqr() / window_square;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(power, count)| power / count).collect()
}

/// Cycles per pixel of bin `i` of `n`, 0…1/2.
fn frequency(i: usize, n: usize) -> f64 {
    i.min(n - i) as f64 / n as f64
}

/// The periodic Hann window, sin²(π(i + ½)/n): the half keeps it symmetric about the picture's middle.
fn hann(n: usize) -> Vec<f64> {
    (0..n).map(|i| (PI * (i as f64 + 0.5) / n as f64).sin().powi(2)).collect()
}

/// The two-dimensional Fourier transform, not normalised: rows, then columns. Row after row, as it came.
fn fourier(mut values: Vec<Complex<f64>>, size: Size, direction: FftDirection) -> Vec<Complex<f64>> {
    let mut planner = FftPlanner::new();
    planner.plan_fft(size.width, direction).process(&mut values);
    let mut turned = transpose(&values, size.width);
    planner.plan_fft(size.height, direction).process(&mut turned);
    transpose(&turned, size.height)
}

/// Columns become rows.
fn transpose(values: &[Complex<f64>], width: usize) -> Vec<Complex<f64>> {
    (0..width).flat_map(|column| values[column..].iter().step_by(width)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::Rect;

    const SIZE: Size = Size::new(96, 64);

    fn noise(seed: u64) -> Vec<f64> {
        let mut values = vec![0.0f32; 3 * SIZE.area()];
        contract::noise::fill(seed, 0, Rect { x: 0, y: 0, size: SIZE }, &mut values);
        values[..SIZE.area()].iter().map(|&v| 10.0 * f64::from(v)).collect()
    }

    fn picture(f: impl Fn(usize, usize) -> u8) -> Picture {
        let samples = (0..SIZE.area()).flat_map(|i| [f(i % SIZE.width, i / SIZE.width); 3]).collect();
        Picture { size: SIZE, channels: 3, samples }
    }

    #[test]
    fn a_picture_has_no_error_against_itself_and_flat_ones_are_finite() {
        let a = picture(|x, y| ((x * 37 + y * 91) % 251) as u8);
        assert_eq!(spectrum_error(&a, &a, 4), 0.0);
        let flat = picture(|_, _| 90);
        assert_eq!(spectrum_error(&flat, &flat, 4), 0.0);
        assert!(spectrum_error(&flat, &a, 4) > 4.0, "{}", spectrum_error(&flat, &a, 4));
    }

    /// Half the amplitude is a quarter of the power. The cut lies three bins below 1/8, out of the window's
    /// reach, which is one bin.
    #[test]
    fn a_halved_high_band_is_off_by_the_logarithm_of_four() {
        let truth = noise(1);
        let complex = truth.iter().copied().map(Complex::from).collect();
        let mut bins = fourier(complex, SIZE, FftDirection::Forward);
        for (i, value) in bins.iter_mut().enumerate() {
            let k = frequency(i % 96, 96).hypot(frequency(i / 96, 64));
            *value *= if k > 5.0 / 64.0 { 0.5 } else { 1.0 };
        }
        let back = fourier(bins, SIZE, FftDirection::Inverse);
        let out: Vec<f64> = back.iter().map(|v| v.re / SIZE.area() as f64).collect();
        let (out, truth) = (radial_spectrum(out, SIZE), radial_spectrum(truth, SIZE));
        let error = log_distance(&out, &truth, 4, SIZE);
        assert!((error - 4.0f64.log10()).abs() < 1e-4, "{error}");
        // What the small picture can hold is not judged.
        assert!((out[2] / truth[2] - 1.0).abs() < 1e-9, "{} {}", out[2], truth[2]);
    }

    #[test]
    fn white_noise_has_its_variance_in_every_ring_and_a_wave_its_own_ring() {
        let spectra: Vec<Vec<f64>> = (1..17).map(|seed| radial_spectrum(noise(seed), SIZE)).collect();
        assert!(spectra.iter().all(|spectrum| spectrum.len() == 33));
        for ring in 8..33 {
            let power = spectra.iter().map(|spectrum| spectrum[ring]).sum::<f64>() / 16.0;
            assert!((power / 100.0 - 1.0).abs() < 0.15, "ring {ring}: {power}");
        }

        // 15 periods over 96 columns are 10 over 64.
        let wave = (0..SIZE.area()).map(|i| (2.0 * PI * 15.0 * (i % 96) as f64 / 96.0).cos()).collect();
        let spectrum = radial_spectrum(wave, SIZE);
        let largest = (0..33).max_by(|&a, &b| spectrum[a].total_cmp(&spectrum[b]));
        assert_eq!(largest, Some(10), "{spectrum:?}");
    }
}
