//! Gaussian noise that belongs to a place in the output picture: the same pixel of the same picture gets the
//! same noise whatever the tiling, batch, thread or machine, so tiles join without seams and runs repeat to
//! the byte.
//!
//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), counter = (⌊x/2⌋,
//! y, stream, 0), key = seed. One block is eight 16-bit words: two neighbouring pixels × three planes, two
//! words unused. A word w becomes Φ⁻¹((w + ½) / 2¹⁶), so values lie within ±4.33.

use crate::geometry::Rect;
use std::sync::OnceLock;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One block of Philox4x32-10: four words from a counter and a key.
#[inline]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p0 = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let p1 = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// Fills three planes of `window` (in output pixels, its corner may be negative) with unit normals.
/// `out` is planar, 3 · window area values; `stream` keeps independent draws of one picture apart.
///
/// # Panics
/// If `out` has another length.
pub fn fill(seed: u64, stream: u32, window: Rect, out: &mut [f32]) {
    let (width, area) = (window.size.width, window.size.area());
    assert_eq!(out.len(), 3 * area, "three planes of the window");
    if area == 0 {
        return;
    }
    let table = normal_table();
    let key = [seed as u32, (seed >> 32) as u32];
    let (red, rest) = out.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    for row in 0..window.size.height {
        // Coordinates wrap modulo 2³²: outside the picture they only have to be stable, not small.
        let y = (window.y + row as i64) as u32;
        let line = row * width..(row + 1) * width;
        let (r, g, b) = (&mut red[line.clone()], &mut green[line.clone()], &mut blue[line]);
        let first = window.x.div_euclid(2);
        let last = (window.x + width as i64 - 1).div_euclid(2);
        for pair in first..=last {
            let words = philox([pair as u32, y, stream, 0], key);
            let at = 2 * pair - window.x;
            let normal = |word: u32| (table[(word & 0xFFFF) as usize], table[(word >> 16) as usize]);
            let ((r0, g0), (b0, r1), (g1, b1)) = (normal(words[0]), normal(words[1]), normal(words[2]));
            if at >= 0 {
                let i = at as usize;
                (r[i], g[i], b[i]) = (r0, g0, b0);
            }
            if at + 1 < width as i64 {
                let i = (at + 1) as usize;
                (r[i], g[i], b[i]) = (r1, g1, b1);
            }
        }
    }
}

/// Φ⁻¹ at the 2¹⁶ midpoints, built once (about 20 ms) with a pure-Rust libm: the same bits on every platform.
fn normal_table() -> &'static [f32] {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let half: Vec<f32> =
            (0..32768u32).map(|w| inverse_normal((f64::from(w) + 0.5) / 65536.0) as f32).collect();
        // The distribution is symmetric; mirroring the lower half makes the table exactly so.
        half.iter().copied().chain(half.iter().rev().map(|v| -v)).collect()
    })
}

/// Φ⁻¹(p) for 0 < p ≤ ½ by Newton's method on Φ(x) = erfc(−x/√2)/2, started from the tail's asymptote.
fn inverse_normal(p: f64) -> f64 {
    // Φ is convex below 0, so from the left of the root Newton's steps overshoot once and then fall
    // monotonically.
    let mut x = -libm::sqrt(-2.0 * libm::log(2.0 * p));
    for _ in 0..60 {
        let error = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) - p;
        let density = libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * std::f64::consts::PI);
        let step = error / density;
        x -= step;
        if libm::fabs(step) < 1e-13 {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    /// The published test vectors of Philox4x32-10.
    #[test]
    fn philox_matches_its_published_vectors() {
        let ones = u32::MAX;
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn the_normal_table_is_these_bits_everywhere() {
        let digest = normal_table().iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, v| {
            (h ^ u64::from(v.to_bits())).wrapping_mul(0x100_0000_01b3)
        });
        assert_eq!(digest, GOLDEN_DIGEST, "{digest:#x}");
        let table = normal_table();
        assert!((table[0] + 4.3249).abs() < 1e-3, "{}", table[0]);
        assert!((table[65535 - 1491] - 2.0).abs() < 1e-3, "Φ(2) = 0.97725");
        let mean = table.iter().map(|&v| f64::from(v)).sum::<f64>() / 65536.0;
        let variance = table.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 65536.0;
        assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-3, "mean {mean}, variance {variance}");
    }
    const GOLDEN_DIGEST: u64 = 0xc74e_bdc0_32ef_e1c1;

    /// The noise of a crop is the crop of the noise, for every parity of corner and side, also left of the
    /// picture.
    #[test]
    fn noise_of_a_crop_is_the_crop_of_the_noise() {
        let whole = Rect { x: -4, y: -3, size: Size::new(13, 9) };
        let mut all = vec![0.0; 3 * whole.size.area()];
        fill(7, 1, whole, &mut all);
        for x in -4..4 {
            for width in 1..5 {
                let crop = Rect { x, y: -1, size: Size::new(width, 3) };
                let mut part = vec![0.0; 3 * crop.size.area()];
                fill(7, 1, crop, &mut part);
                for plane in 0..3 {
                    for row in 0..3 {
                        let begin = plane * 117 + (row + 2) * 13 + (x + 4) as usize;
                        let here = &part[(plane * 3 + row) * width..][..width];
                        assert_eq!(here, &all[begin..begin + width], "x {x} width {width}");
                    }
                }
            }
        }
    }

    #[test]
    fn noise_is_unit_normal_and_streams_and_seeds_differ() {
        let window = Rect { x: 0, y: 0, size: Size::new(200, 200) };
        let draw = |seed, stream| {
            let mut out = vec![0.0; 3 * window.size.area()];
            fill(seed, stream, window, &mut out);
            out
        };
        let a = draw(1, 0);
        let mean = |v: &[f32]| v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        let correlation =
            |b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x * y)).sum::<f64>() / a.len() as f64;
        assert!(mean(&a).abs() < 0.01 && (correlation(&a) - 1.0).abs() < 0.02);
        assert!(correlation(&draw(2, 0)).abs() < 0.01 && correlation(&draw(1, 1)).abs() < 0.01);
    }
}
