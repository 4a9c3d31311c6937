//! An input with its known answer, which every model file carries in its card. Knows pixels, not models.

use crate::geometry::{Rect, Size};
use crate::pixels::{Picture, cut_window};

/// A small crop and what the model makes of its middle: shows a wrong device, precision or driver before any
/// picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Golden {
    /// The crop, RGB, square.
    pub image: Picture,
    /// Seed of the noise, whose origin is the crop's corner; stream 0; strength 1; source clean.
    pub seed: u64,
    /// Side in input pixels of the middle square whose output is known.
    pub middle: usize,
    /// Planar output of the middle, `round(v · 65535)` of the value clipped to [0, 1].
    pub expected: Vec<u16>,
}

/// The largest difference in [0, 1] from the golden answer that f32 arithmetic may show: far above reordering
/// of sums (about 1e-5), far below one 8-bit step (4e-3).
pub const GOLDEN_TOLERANCE: f32 = 1e-3;
/// The same for int8, where a reordered sum can tip an inner code over to the next.
pub const INT8_GOLDEN_TOLERANCE: f32 = 2e-2;
/// The same for f16, whose 11 bits round each inner value by up to 5e-4 of itself. Shipped files are off by
/// less than 1e-4 where sums are f32; the rest is for devices that add in f16 too, and for TensorRT, which
/// puts into f16 whatever it likes.
pub const F16_GOLDEN_TOLERANCE: f32 = 1e-2;

impl Golden {
    /// The window to evaluate: the crop, mirrored outwards to a square of `side` input pixels. What is served
    /// in windows of one fixed size is proven in that size.
    pub fn window(&self, side: usize) -> Rect {
        let before = side.saturating_sub(self.image.size.width) / 2;
        Rect { x: -(before as i64), y: -(before as i64), size: Size::new(side, side) }
    }

    /// Planar RGB of a window of [`Golden::window`].
    pub fn input(&self, window: Rect) -> Vec<f32> {
        let mut out = vec![0.0; 3 * window.size.area()];
        cut_window(&self.image, [0, 1, 2], window, &mut out);
        out
    }

    /// Where the middle begins in a window, along either side, in input pixels.
    pub fn middle_begin(&self, window: Rect) -> usize {
        window.x.unsigned_abs() as usize + (self.image.size.width - self.middle) / 2
    }

    /// The middle of a planar output of the window, ready to compare or to store.
    pub fn middle_of(&self, output: &[f32], window: Rect, scale: usize) -> Vec<f32> {
        let (side, middle) = (window.size.width * scale, self.middle * scale);
        let begin = self.middle_begin(window) * scale;
        let rows =
            (0..3).flat_map(|plane| (begin..begin + middle).map(move |y| (plane * side + y) * side + begin));
        rows.flat_map(|at| output[at..at + middle].iter().copied()).collect()
    }

    /// Largest difference of an evaluation's output from the known answer, in [0, 1]; NaN counts as 1.
    pub fn error(&self, output: &[f32], window: Rect, scale: usize) -> f32 {
        let middle = self.middle_of(output, window, scale);
        let gaps = middle.iter().zip(&self.expected).map(|(&v, &known)| {
            let gap = (v.clamp(0.0, 1.0) - f32::from(known) / 65535.0).abs();
            if gap.is_nan() { 1.0 } else { gap }
        });
        gaps.fold(0.0, f32::max)
    }
}
