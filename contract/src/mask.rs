//! What is to be repaired of a picture: masks, and the push-pull fill that stands in for what is not known.
//! Trainer and daemon fill holes with this code, so a network meets when serving what it met when training.
//!
//! Push-pull: Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4.

use crate::geometry::{Rect, Size};
use crate::golden::Golden;
use crate::pixels::Planes;

/// What a network is told of a pixel of which nothing is known; 0 is told of a known one.
pub const UNKNOWN: f32 = 1.0;
/// What it is told of a pixel that is known at half the resolution: repaired there, and enlarged.
pub const COARSE: f32 = 0.5;

/// Which pixels are to be repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Width and height.
    pub size: Size,
    /// Row after row; `true` is to be repaired.
    pub holes: Vec<bool>,
}

impl Mask {
    /// Nothing is to be repaired.
    pub fn none(size: Size) -> Mask {
        Mask { size, holes: vec![false; size.area()] }
    }

    /// Pixels to be repaired.
    pub fn count(&self) -> usize {
        self.holes.iter().filter(|hole| **hole).count()
    }

    /// With every pixel to be repaired that lies within `radius` pixels (Euclidean) of one that is.
    pub fn grown(&self, radius: usize) -> Mask {
        let (width, height, r) = (self.size.width as i64, self.size.height as i64, radius as i64);
        let mut grown = self.clone();
        // Only a hole's border pixels reach further than the hole itself.
        for (x, y) in self.border() {
            for down in -r..=r {
                let across = (r * r - down * down).isqrt();
                let row = y + down;
                if (0..height).contains(&row) {
                    let (left, right) = ((x - across).max(0), (x + across).min(width - 1));
                    grown.holes[(row * width + left) as usize..=(row * width + right) as usize].fill(true);
                }
            }
        }
        grown
    }

    /// Pixels to be repaired beside one that is not.
    fn border(&self) -> impl Iterator<Item = (i64, i64)> {
        let Size { width, height } = self.size;
        let is_known = move |x: usize, y: usize| !self.holes[y * width + x];
        (0..height).flat_map(move |y| (0..width).map(move |x| (x, y))).filter_map(move |(x, y)| {
            let inside = !is_known(x, y)
                && ((x > 0 && is_known(x - 1, y))
                    || (x + 1 < width && is_known(x + 1, y))
                    || (y > 0 && is_known(x, y - 1))
                    || (y + 1 < height && is_known(x, y + 1)));
            inside.then_some((x as i64, y as i64))
        })
    }

    /// A part that lies wholly inside.
    ///
    /// # Panics
    /// If it does not.
    pub fn part(&self, window: Rect) -> Mask {
        let rows = window.y as usize..window.y as usize + window.size.height;
        let begin = window.x as usize;
        let line = |y: usize| &self.holes[y * self.size.width + begin..][..window.size.width];
        Mask { size: window.size, holes: rows.flat_map(line).copied().collect() }
    }

    /// Half as large (sides rounded up): a pixel is to be repaired where any of its four is.
    pub fn halved(&self) -> Mask {
        let mut half = Mask::none(halved(self.size));
        for (y, line) in self.holes.chunks_exact(self.size.width.max(1)).enumerate() {
            let into = &mut half.holes[y / 2 * half.size.width..][..half.size.width];
            line.iter().enumerate().for_each(|(x, hole)| into[x / 2] |= hole);
        }
        half
    }

    /// The diameter of the largest circle that lies in a hole, in pixels, to within a pixel and 6 %, 43 689
    /// at most; what lies beyond the picture counts as hole.
    pub fn depth(&self) -> usize {
        // Two passes with steps of 3 and 4 thirds of a pixel (Borgefors 1986) are within 6 % of Euclid.
        let (width, height) = (self.size.width as i64, self.size.height as i64);
        let mut far: Vec<u16> = self.holes.iter().map(|hole| if *hole { u16::MAX } else { 0 }).collect();
        let mut pass = |sign: i64| {
            for i in 0..width * height {
                let at = if sign > 0 { width * height - 1 - i } else { i };
                let (x, y) = (at % width, at / width);
                for (dx, dy, step) in [(sign, 0, 3), (0, sign, 3), (1, sign, 4), (-1, sign, 4)] {
                    let (nx, ny) = (x + dx, y + dy);
                    if (0..width).contains(&nx) && (0..height).contains(&ny) {
                        let there = far[(ny * width + nx) as usize].saturating_add(step);
                        far[at as usize] = far[at as usize].min(there);
                    }
                }
            }
        };
        pass(-1);
        pass(1);
        let most = usize::from(far.iter().copied().max().unwrap_or(0));
        // From the middle of the last known pixel to the innermost: half a pixel is known's.
        if most == 0 { 0 } else { (2 * most).div_ceil(3).saturating_sub(1) }
    }
}

fn halved(size: Size) -> Size {
    Size::new(size.width.div_ceil(2), size.height.div_ceil(2))
}

/// Fills the holes of `planes` from what is known around them, smoothly, and leaves the rest as it is. Values
/// in holes are not looked at. Where nothing at all is known, 0.
///
/// # Panics
/// If planes and mask differ in size.
pub fn fill(planes: &mut Planes, mask: &Mask) {
    assert_eq!(planes.size, mask.size, "a picture and its mask");
    let weights: Vec<f32> = mask.holes.iter().map(|hole| if *hole { 0.0 } else { 1.0 }).collect();
    let Planes { size, channels, ref mut values } = *planes;
    for channel in values.chunks_exact_mut(size.area().max(1)).take(channels) {
        push_pull(size, channel, &weights);
    }
}

/// One plane and level: holes (weight below 1) are filled from the level of half the size, which is filled
/// likewise.
fn push_pull(size: Size, values: &mut [f32], weights: &[f32]) {
    if weights.iter().all(|weight| *weight >= 1.0) {
        return;
    }
    if size.area() <= 1 {
        values
            .iter_mut()
            .zip(weights)
            .filter(|(_, weight)| **weight == 0.0)
            .for_each(|(value, _)| *value = 0.0);
        return;
    }
    let half = halved(size);
    let (mut sums, mut totals) = (vec![0.0f32; half.area()], vec![0.0f32; half.area()]);
    for y in 0..size.height {
        for x in 0..size.width {
            let (from, to) = (y * size.width + x, y / 2 * half.width + x / 2);
            // What has no weight may be anything, NaN too.
            if weights[from] > 0.0 {
                sums[to] += weights[from] * values[from];
                totals[to] += weights[from];
            }
        }
    }
    for (sum, total) in sums.iter_mut().zip(&mut totals) {
        *sum = if *total > 0.0 { *sum / *total } else { 0.0 };
        *total = total.min(1.0);
    }
    push_pull(half, &mut sums, &totals);
    for y in 0..size.height {
        for x in 0..size.width {
            let at = y * size.width + x;
            let weight = weights[at];
            if weight < 1.0 {
                let coarse = between(half, &sums, x, y);
                values[at] =
                    if weight > 0.0 { weight * values[at] + (1.0 - weight) * coarse } else { coarse };
            }
        }
    }
}

/// The value of a plane of half the size at a pixel: bilinear, half-pixel centres, the border repeated.
fn between(half: Size, values: &[f32], x: usize, y: usize) -> f32 {
    let near = |at: usize, length: usize| {
        let other =
            if at.is_multiple_of(2) { (at / 2).saturating_sub(1) } else { (at / 2 + 1).min(length - 1) };
        (at / 2, other)
    };
    let ((x0, x1), (y0, y1)) = (near(x, half.width), near(y, half.height));
    let row = |y: usize| 0.75 * values[y * half.width + x0] + 0.25 * values[y * half.width + x1];
    0.75 * row(y0) + 0.25 * row(y1)
}

/// The mask that belongs to a golden tile's window: its middle is to be repaired.
pub fn golden_mask(golden: &Golden, window: Rect) -> Mask {
    let mut mask = Mask::none(window.size);
    let begin = golden.middle_begin(window);
    for line in mask.holes.chunks_exact_mut(window.size.width).skip(begin).take(golden.middle) {
        line[begin..begin + golden.middle].fill(true);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(size: Size, is_hole: impl Fn(usize, usize) -> bool) -> Mask {
        let holes = (0..size.area()).map(|i| is_hole(i % size.width, i / size.width)).collect();
        Mask { size, holes }
    }

    #[test]
    fn a_fill_keeps_what_is_known_and_stays_within_its_range() {
        let size = Size::new(37, 23);
        let hole = mask(size, |x, y| (5..30).contains(&x) && (4..19).contains(&y));
        let mut planes = Planes::new(size, 2);
        for (i, value) in planes.values.iter_mut().enumerate() {
            *value = if hole.holes[i % size.area()] { f32::NAN } else { 0.2 + (i % 7) as f32 / 10.0 };
        }
        let before = planes.clone();
        fill(&mut planes, &hole);
        for (i, (now, was)) in planes.values.iter().zip(&before.values).enumerate() {
            if hole.holes[i % size.area()] {
                assert!((0.2..=0.8).contains(now), "{now} at {i}");
            } else {
                assert_eq!(now.to_bits(), was.to_bits());
            }
        }
    }

    #[test]
    fn an_even_picture_is_filled_evenly_and_nothing_known_is_black() {
        let size = Size::new(50, 9);
        for radius in [1, 4, 20] {
            let hole = mask(size, |x, _| x.abs_diff(25) < radius);
            let mut planes = Planes { size, channels: 1, values: vec![0.25; size.area()] };
            fill(&mut planes, &hole);
            assert!(planes.values.iter().all(|v| (v - 0.25).abs() < 1e-6));
        }
        let mut planes = Planes { size, channels: 1, values: vec![f32::NAN; size.area()] };
        fill(&mut planes, &mask(size, |_, _| true));
        assert!(planes.values.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn a_grown_mask_has_what_is_near() {
        let size = Size::new(40, 30);
        let near = |x: usize, y: usize, r: usize| {
            let of = |a: usize, b: usize| a.abs_diff(b).pow(2);
            [(3, 4), (20, 15), (39, 29)].iter().any(|(a, b)| of(x, *a) + of(y, *b) <= r * r)
        };
        for radius in [0, 1, 3, 9] {
            let points = mask(size, |x, y| near(x, y, 0));
            assert_eq!(points.grown(radius), mask(size, |x, y| near(x, y, radius)), "{radius}");
        }
    }

    #[test]
    fn depth_is_the_width_of_what_is_narrow_and_the_diameter_of_what_is_round() {
        let size = Size::new(120, 100);
        assert_eq!(Mask::none(size).depth(), 0);
        for width in [1, 2, 5, 16] {
            let depth = mask(size, |x, _| (50..50 + width).contains(&x)).depth();
            assert!(depth.abs_diff(width) <= 1, "{width}: {depth}");
        }
        let depth = mask(size, |x, y| (x.abs_diff(60).pow(2) + y.abs_diff(50).pow(2)) <= 30 * 30).depth();
        assert!(depth.abs_diff(61) <= 4, "{depth}");
        assert!(mask(size, |_, _| true).depth() >= 120, "without an edge");
    }

    #[test]
    fn parts_and_halves_keep_every_hole() {
        let whole = mask(Size::new(9, 7), |x, y| x == 8 || (x, y) == (2, 3));
        let part = whole.part(Rect { x: 1, y: 2, size: Size::new(3, 4) });
        assert_eq!(part, mask(Size::new(3, 4), |x, y| (x, y) == (1, 1)));
        assert_eq!(whole.halved(), mask(Size::new(5, 4), |x, y| x == 4 || (x, y) == (1, 1)));
    }
}
