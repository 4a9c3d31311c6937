//! PSNR and SSIM on luma, the way super-resolution papers state them: 8-bit pictures, `crop` pixels off each
//! border, Y of BT.601 in studio swing, f64.

use contract::pixels::{Picture, luma};

/// Y of an RGB picture inside the border, with its width and height.
pub(super) fn luma_inside(picture: &Picture, crop: usize) -> (Vec<f64>, usize, usize) {
    let (width, height) = (picture.size.width - 2 * crop, picture.size.height - 2 * crop);
    let mut values = Vec::with_capacity(width * height);
    for y in crop..crop + height {
        for x in crop..crop + width {
            let at = (y * picture.size.width + x) * 3;
            let [r, g, b] = [0, 1, 2].map(|c| f64::from(picture.samples[at + c]) / 255.0);
            values.push(luma(r, g, b));
        }
    }
    (values, width, height)
}

/// Peak signal-to-noise ratio on Y in dB, 10·log₁₀(255² / MSE).
///
/// # Panics
/// If the sizes differ or nothing is left inside the border.
pub fn psnr_y(out: &Picture, truth: &Picture, crop: usize) -> f64 {
    assert_eq!(out.size, truth.size, "two pictures of one size");
    let (a, _, _) = luma_inside(out, crop);
    let (b, _, _) = luma_inside(truth, crop);
    assert!(!a.is_empty(), "nothing inside a border of {crop}");
    let mse = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / a.len() as f64;
    // What is exact has 138 dB: infinity would hide all others in a mean.
    10.0 * (255.0f64.powi(2) / mse.max(1e-9)).log10()
}

/// Structural similarity on Y (Wang et al. 2004): Gaussian window 11×11, σ 1.5, K = (0.01, 0.03), L = 255,
/// mean over the windows that lie wholly inside.
///
/// # Panics
/// If the sizes differ or are below 11 pixels inside the border.
pub fn ssim_y(out: &Picture, truth: &Picture, crop: usize) -> f64 {
    let values = ssim_windows(out, truth, crop).0;
    values.iter().sum::<f64>() / values.len() as f64
}

/// The similarity of each window, row after row; how many are in a row; and how far the middle of the first
/// lies from the corner, in pixels.
///
/// # Panics
/// As [`ssim_y`].
pub(super) fn ssim_map_y(out: &Picture, truth: &Picture) -> (Vec<f64>, usize, usize) {
    let (values, width) = ssim_windows(out, truth, 0);
    (values, width, 5)
}

fn ssim_windows(out: &Picture, truth: &Picture, crop: usize) -> (Vec<f64>, usize) {
    assert_eq!(out.size, truth.size, "two pictures of one size");
    let (a, width, height) = luma_inside(out, crop);
    let (b, _, _) = luma_inside(truth, crop);
    let blur = |v: &[f64]| gaussian_valid(v, width, height);
    let product = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(p, q)| p * q).collect() };
    let (mean_a, mean_b) = (blur(&a), blur(&b));
    let (aa, bb, ab) = (blur(&product(&a, &a)), blur(&product(&b, &b)), blur(&product(&a, &b)));
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let values = (0..mean_a.len()).map(|i| {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (va, vb, cov) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
        (2.0 * ma * mb + c1) * (2.0 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    });
    (values.collect(), width - 10)
}

/// Separable Gaussian of 11 taps, windows wholly inside.
fn gaussian_valid(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    let raw: Vec<f64> = (-5..=5).map(|i| (-f64::from(i * i) / (2.0 * 1.5 * 1.5)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    let taps: Vec<f64> = raw.iter().map(|w| w / sum).collect();
    let (w, h) = (width - 10, height - 10);
    let rows: Vec<f64> = (0..height)
        .flat_map(|y| (0..w).map(move |x| (x, y)))
        .map(|(x, y)| taps.iter().enumerate().map(|(k, t)| t * values[y * width + x + k]).sum())
        .collect();
    (0..h)
        .flat_map(|y| (0..w).map(move |x| (x, y)))
        .map(|(x, y)| taps.iter().enumerate().map(|(k, t)| t * rows[(y + k) * w + x]).sum())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::Size;

    fn picture(f: impl Fn(usize, usize) -> u8) -> Picture {
        let size = Size::new(24, 20);
        let samples = (0..size.area()).flat_map(|i| [f(i % 24, i / 24); 3]).collect();
        Picture { size, channels: 3, samples }
    }

    /// A grey step of one level changes Y by 219/255, so PSNR-Y is 20·log₁₀(255 / (219/255)).
    #[test]
    fn psnr_of_one_grey_level_is_known() {
        let (a, b) = (picture(|_, _| 100), picture(|_, _| 101));
        let expected = 20.0 * (255.0 * 255.0 / 219.0f64).log10();
        assert!((psnr_y(&a, &b, 4) - expected).abs() < 1e-4, "{}", psnr_y(&a, &b, 4));
    }

    #[test]
    fn ssim_is_one_for_equals_and_falls_with_noise() {
        let a = picture(|x, y| ((x * 11 + y * 7) % 200) as u8);
        let slight = picture(|x, y| ((x * 11 + y * 7) % 200) as u8 + (x % 2) as u8 * 8);
        let strong = picture(|x, y| ((x * 11 + y * 7) % 200) as u8 + (x % 2) as u8 * 40);
        assert!((ssim_y(&a, &a, 4) - 1.0).abs() < 1e-12);
        assert!(ssim_y(&a, &slight, 4) < 1.0 && ssim_y(&a, &strong, 4) < ssim_y(&a, &slight, 4));
    }
}
