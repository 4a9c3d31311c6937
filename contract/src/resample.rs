//! Bicubic resampling by an integer factor: Keys' kernel with a = −0.5, half-pixel centres, antialiased when
//! shrinking, borders by repeated mirror. It makes the training pairs, the fixed enlargement inside the
//! models, and alpha.
//!
//! Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981, equation 15.

use crate::geometry::{Size, mirror};
use crate::pixels::Planes;

/// Keys' cubic kernel with a = −0.5; zero beyond |t| = 2.
pub fn cubic(t: f64) -> f64 {
    const A: f64 = -0.5;
    let t = t.abs();
    if t <= 1.0 {
        ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        A * (((t - 5.0) * t + 8.0) * t - 4.0)
    } else {
        0.0
    }
}

/// One output sample: the first input index (may be negative) and the weights from there on, which sum to
/// one.
struct Taps {
    first: i64,
    weights: Vec<f32>,
}

/// Weights for output sample `i` when `ratio` = input samples per output sample (4 shrinks by four, ¼
/// enlarges).
fn taps(i: usize, ratio: f64) -> Taps {
    let stretch = ratio.max(1.0); // Antialiasing: the kernel widens with the output pixel.
    let centre = (i as f64 + 0.5) * ratio - 0.5;
    let first = (centre - 2.0 * stretch).floor() as i64 + 1;
    let last = (centre + 2.0 * stretch).ceil() as i64 - 1;
    let raw: Vec<f64> = (first..=last).map(|j| cubic((j as f64 - centre) / stretch)).collect();
    let sum: f64 = raw.iter().sum();
    Taps { first, weights: raw.iter().map(|w| (w / sum) as f32).collect() }
}

/// Shrinks by an integer factor, antialiased. A remainder of the sides is dropped at the right and bottom, so
/// that output pixel i covers input pixels factor·i … factor·i + factor − 1.
pub fn shrink(planes: &Planes, factor: usize) -> Planes {
    let size = Size::new(planes.size.width / factor, planes.size.height / factor);
    resample(planes, size, factor as f64)
}

/// Enlarges by an integer factor.
pub fn enlarge(planes: &Planes, factor: usize) -> Planes {
    resample(planes, planes.size.times(factor), 1.0 / factor as f64)
}

/// Separable: rows first, then columns.
fn resample(planes: &Planes, size: Size, ratio: f64) -> Planes {
    let (width, height) = (planes.size.width, planes.size.height);
    let columns: Vec<Taps> = (0..size.width).map(|i| taps(i, ratio)).collect();
    let rows: Vec<Taps> = (0..size.height).map(|i| taps(i, ratio)).collect();
    let mut out = Planes::new(size, planes.channels);
    let mut middle = vec![0.0f32; size.width * height];
    for channel in 0..planes.channels {
        let source = planes.plane(channel);
        for (line, into) in source.chunks_exact(width).zip(middle.chunks_exact_mut(size.width)) {
            for (value, tap) in into.iter_mut().zip(&columns) {
                *value = tap
                    .weights
                    .iter()
                    .enumerate()
                    .map(|(k, w)| w * line[mirror(tap.first + k as i64, width)])
                    .sum();
            }
        }
        let target = &mut out.values[channel * size.area()..(channel + 1) * size.area()];
        for (into, tap) in target.chunks_exact_mut(size.width).zip(&rows) {
            for (k, &weight) in tap.weights.iter().enumerate() {
                let y = mirror(tap.first + k as i64, height);
                let line = &middle[y * size.width..(y + 1) * size.width];
                for (value, &m) in into.iter_mut().zip(line) {
                    *value += weight * m;
                }
            }
        }
    }
    out
}

/// Radius in input pixels of [`phase_kernel`]: a 5×5 window holds all taps of every phase.
pub const PHASE_RADIUS: usize = 2;

/// The enlargement as one small convolution: `factor²` kernels of 5×5, kernel (i·factor + j) giving the
/// output pixel at row phase i and column phase j. Followed by DepthToSpace it equals [`enlarge`] away from
/// the border. Layout: `[phase][row][column]`, each kernel sums to one.
pub fn phase_kernel(factor: usize) -> Vec<f32> {
    let side = 2 * PHASE_RADIUS + 1;
    // Output sample `factor·r + phase` is centred near input sample r; take r = PHASE_RADIUS so indices start
    // at 0.
    let phases: Vec<Vec<f64>> = (0..factor)
        .map(|phase| {
            let tap = taps(PHASE_RADIUS * factor + phase, 1.0 / factor as f64);
            let mut row = vec![0.0; side];
            for (k, &w) in tap.weights.iter().enumerate() {
                row[(tap.first + k as i64) as usize] += f64::from(w);
            }
            row
        })
        .collect();
    let mut kernel = Vec::with_capacity(factor * factor * side * side);
    for rows in &phases {
        for columns in &phases {
            kernel.extend(rows.iter().flat_map(|r| columns.iter().map(move |c| (r * c) as f32)));
        }
    }
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(size: Size) -> Planes {
        let values =
            (0..size.area()).map(|i| ((i * 37 + i / size.width * 11) % 101) as f32 / 101.0).collect();
        Planes { size, channels: 1, values }
    }

    #[test]
    fn the_kernel_is_keys_with_a_half() {
        assert_eq!((cubic(0.0), cubic(1.0), cubic(2.0)), (1.0, 0.0, 0.0));
        assert!((cubic(0.5) - 0.5625).abs() < 1e-12 && (cubic(1.5) + 0.0625).abs() < 1e-12);
    }

    #[test]
    fn flat_stays_flat_and_one_pixel_replicates() {
        for size in [Size::new(1, 1), Size::new(2, 5), Size::new(8, 3)] {
            let flat = Planes { size, channels: 3, values: vec![0.25; 3 * size.area()] };
            for out in [enlarge(&flat, 4), enlarge(&flat, 2)] {
                assert!(out.values.iter().all(|v| (v - 0.25).abs() < 1e-6));
            }
        }
        let flat = Planes { size: Size::new(9, 8), channels: 1, values: vec![0.75; 72] };
        let small = shrink(&flat, 4);
        assert_eq!(small.size, Size::new(2, 2));
        assert!(small.values.iter().all(|v| (v - 0.75).abs() < 1e-6));
    }

    /// A linear ramp is reproduced exactly by both directions, away from the border.
    #[test]
    fn a_ramp_stays_a_ramp() {
        let values = (0..256).map(|i| (i % 64) as f32).collect();
        let planes = Planes { size: Size::new(64, 4), channels: 1, values };
        let small = shrink(&planes, 4);
        for i in 4..12 {
            assert!((small.values[i] - (4.0 * i as f32 + 1.5)).abs() < 1e-4, "{i}: {}", small.values[i]);
        }
        let large = enlarge(&planes, 4);
        for i in 40..200 {
            assert!((large.values[i] - ((i as f32 + 0.5) / 4.0 - 0.5)).abs() < 1e-4);
        }
    }

    #[test]
    fn the_phase_kernel_is_the_enlargement() {
        for factor in [2, 4] {
            let planes = ramp(Size::new(11, 9));
            let large = enlarge(&planes, factor);
            let kernel = phase_kernel(factor);
            for y in 2..7 {
                for x in 2..9 {
                    for phase in 0..factor * factor {
                        let sum: f32 = (0..25)
                            .map(|t| {
                                kernel[phase * 25 + t] * planes.values[(y + t / 5 - 2) * 11 + x + t % 5 - 2]
                            })
                            .sum();
                        let at = (y * factor + phase / factor) * 11 * factor + x * factor + phase % factor;
                        assert!((sum - large.values[at]).abs() < 1e-5, "×{factor} {x},{y} phase {phase}");
                    }
                }
            }
        }
    }
}
