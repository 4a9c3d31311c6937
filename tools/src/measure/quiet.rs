//! What samples draw where next to nothing is to be drawn: in skies and what is out of focus, where every
//! mark is seen and no figure over whole pictures hears it.

use super::sample_figures::{BLOCK, corners};
use contract::pixels::Planes;

/// Of so many blocks one is quiet: those of the smallest local scale.
const SHARE: usize = 4;
/// Of so many pixels the most coloured one is looked at.
const RARE: usize = 1000;

/// Residuals of samples (f) beside the truth's (e) in quiet blocks, block after block.
#[derive(Debug, Default)]
pub(super) struct Quiet(Vec<Block>);

#[derive(Debug)]
struct Block {
    /// The local scale's mean.
    scale: f64,
    /// Σe² and Σf².
    squares: [f64; 2],
    /// How far each pixel's residual is from grey.
    colours: [Vec<f32>; 2],
}

impl Quiet {
    /// Adds a picture. Blocks at the right and the bottom that are not whole are left out.
    pub(super) fn add(&mut self, error: &Planes, sample: &Planes, luma_scale: &[f32]) {
        let width = error.size.width;
        for (left, top) in corners(error, BLOCK) {
            let pixels = || (top..top + BLOCK).flat_map(|y| (left..left + BLOCK).map(move |x| y * width + x));
            let rgb = |planes: &Planes, pixel: usize| [0, 1, 2].map(|c| planes.plane(c)[pixel]);
            let square = |[r, g, b]: [f32; 3]| f64::from(r * r + g * g + b * b);
            let both = [error, sample];
            self.0.push(Block {
                scale: pixels().map(|pixel| f64::from(luma_scale[pixel])).sum::<f64>()
                    / (BLOCK * BLOCK) as f64,
                squares: both.map(|planes| pixels().map(|pixel| square(rgb(planes, pixel))).sum()),
                colours: both.map(|planes| pixels().map(|pixel| colour(rgb(planes, pixel))).collect()),
            });
        }
    }

    /// RMS(f) / RMS(e), and the same of what one pixel in a thousand exceeds in colour; 1 is right for both.
    ///
    /// # Panics
    /// If there are too few blocks for one to be quiet.
    pub(super) fn figures(&self) -> [f64; 2] {
        let mut order: Vec<&Block> = self.0.iter().collect();
        order.sort_by(|a, b| a.scale.total_cmp(&b.scale));
        order.truncate(self.0.len() / SHARE);
        let [truth, sample] = [0, 1].map(|of| {
            let square: f64 = order.iter().map(|block| block.squares[of]).sum();
            let mut colours: Vec<f32> = order.iter().flat_map(|block| &block.colours[of]).copied().collect();
            let rare = colours.len() - 1 - colours.len() / RARE;
            (square.sqrt(), f64::from(*colours.select_nth_unstable_by(rare, f32::total_cmp).1))
        });
        [sample.0 / truth.0, sample.1 / truth.1]
    }
}

/// The distance of a residual from grey.
fn colour(rgb: [f32; 3]) -> f32 {
    let grey = rgb.iter().sum::<f32>() / 3.0;
    rgb.map(|v| (v - grey).powi(2)).iter().sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::{Rect, Size};

    const SIZE: Size = Size::new(128, 64);

    fn grain(seed: u64, strength: impl Fn(usize) -> f32) -> Planes {
        let mut planes = Planes::new(SIZE, 3);
        contract::noise::fill(seed, 0, Rect { x: 0, y: 0, size: SIZE }, &mut planes.values);
        planes.values.iter_mut().enumerate().for_each(|(i, v)| *v *= strength(i % SIZE.area()));
        planes
    }

    fn figures(truth: &Planes, sample: &Planes) -> [f64; 2] {
        let scale: Vec<f32> = (0..SIZE.area()).map(local).collect();
        let mut quiet = Quiet::default();
        quiet.add(truth, sample, &scale);
        quiet.figures()
    }

    /// The left quarter is quiet.
    fn local(pixel: usize) -> f32 {
        if pixel % 128 < 32 { 0.01 } else { 0.1 }
    }

    #[test]
    fn what_is_loud_elsewhere_is_not_heard() {
        let truth = grain(1, local);
        let [ratio, dots] = figures(&truth, &grain(2, |pixel| local(pixel).powi(2) * 100.0));
        assert!((ratio - 1.0).abs() < 0.05 && (dots - 1.0).abs() < 0.1, "{ratio} {dots}");
        let [ratio, dots] = figures(&truth, &grain(2, |pixel| 2.0 * local(pixel)));
        assert!((ratio - 2.0).abs() < 0.1 && (dots - 2.0).abs() < 0.2, "{ratio} {dots}");
    }

    /// Three coloured dots in a sample that is right otherwise, and the same in grey.
    #[test]
    fn dots_are_seen_where_they_are_coloured() {
        let truth = grain(1, local);
        let dotted = |planes: std::ops::Range<usize>| {
            let mut sample = grain(2, local);
            for plane in planes {
                for pixel in [2 * 128 + 9, 20 * 128 + 3, 40 * 128 + 30, 60 * 128 + 17] {
                    sample.values[plane * SIZE.area() + pixel] += 0.2;
                }
            }
            figures(&truth, &sample)
        };
        let ([_, coloured], [_, grey]) = (dotted(0..1), dotted(0..3));
        assert!(coloured > 3.0 && grey < 1.1, "{coloured} {grey}");
    }
}
