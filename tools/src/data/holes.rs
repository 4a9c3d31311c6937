//! Holes to learn repair by: strokes of the brush and boxes, as LaMa draws them (Suvorov et al. 2022, section
//! 3.3), and what people remove from photographs: scratches, lettering, round things. Sizes follow the side
//! of the patch. Knows no pictures.

use super::random::Random;
use contract::geometry::Size;
use contract::mask::Mask;
use std::f64::consts::TAU;

/// Largest share of a patch that is hole.
const MOST: f64 = 0.5;

/// A mask of `side`×`side` pixels with at least one hole, at most half of it.
pub fn draw_holes(side: usize, random: &mut Random) -> Mask {
    loop {
        let mut drawing = Drawing::new(side);
        match random.below(20) {
            0..4 => drawing.strokes(random, 4 + random.clone().below(30), (0.02, 0.06), (0.05, 0.25)),
            4..9 => drawing.strokes(random, 1 + random.clone().below(5), (0.04, 0.3), (0.1, 0.8)),
            9..13 => drawing.boxes(random),
            13..16 => drawing.scratches(random),
            16..18 => drawing.lettering(random),
            _ => drawing.ellipses(random),
        }
        let holes = drawing.mask.count();
        if holes > 0 && holes as f64 <= MOST * (side * side) as f64 {
            return drawing.mask;
        }
    }
}

/// Uniform between the two.
pub(super) fn within(random: &mut Random, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * random.uniform()
}

struct Drawing {
    side: f64,
    mask: Mask,
}

impl Drawing {
    fn new(side: usize) -> Drawing {
        Drawing { side: side as f64, mask: Mask::none(Size::new(side, side)) }
    }

    fn spot(&self, random: &mut Random) -> (f64, f64) {
        (random.uniform() * self.side, random.uniform() * self.side)
    }

    /// Broken lines of a round brush; widths and lengths are shares of the side.
    fn strokes(&mut self, random: &mut Random, count: usize, widths: (f64, f64), lengths: (f64, f64)) {
        for _ in 0..count {
            let mut at = self.spot(random);
            let (segments, turn) = (1 + random.below(4), 0.3 + random.uniform());
            let radius = self.side * within(random, widths) / 2.0;
            let mut angle = random.uniform() * TAU;
            for _ in 0..segments {
                let length = self.side * within(random, lengths) / segments as f64;
                let to = (at.0 + length * angle.cos(), at.1 + length * angle.sin());
                self.line(at, to, radius);
                (at, angle) = (to, angle + turn * if random.below(2) == 0 { 1.0 } else { -1.0 });
            }
        }
    }

    fn boxes(&mut self, random: &mut Random) {
        for _ in 0..1 + random.below(4) {
            let mut span = || {
                let length = self.side * within(random, (0.08, 0.5));
                let begin = random.uniform() * (self.side - length);
                (begin, begin + length)
            };
            let (across, down) = (span(), span());
            self.set(|x, y| across.0 <= x && x < across.1 && down.0 <= y && y < down.1);
        }
    }

    /// Long, thin and slightly bent.
    fn scratches(&mut self, random: &mut Random) {
        for _ in 0..1 + random.below(8) {
            let mut at = self.spot(random);
            let (mut angle, bend) = (random.uniform() * TAU, within(random, (-0.1, 0.1)));
            let (radius, step) = (within(random, (0.5, 3.0)), self.side / 16.0);
            for _ in 0..4 + random.below(16) {
                let to = (at.0 + step * angle.cos(), at.1 + step * angle.sin());
                self.line(at, to, radius);
                (at, angle) = (to, angle + bend);
            }
        }
    }

    /// Rows of small shapes made of two or three strokes each.
    fn lettering(&mut self, random: &mut Random) {
        let (height, thick) = (self.side * within(random, (0.06, 0.2)), within(random, (0.5, 2.5)));
        let (left, mut top) = self.spot(random);
        for _ in 0..1 + random.below(3) {
            let mut x = left * 0.4;
            while x < self.side && random.below(24) > 0 {
                for _ in 0..2 + random.below(2) {
                    let mut end = || {
                        let across = height * 0.6 * random.below(3) as f64 / 2.0;
                        (x + across, top + height * random.below(3) as f64 / 2.0)
                    };
                    let (from, to) = (end(), end());
                    self.line(from, to, thick);
                }
                x += height * if random.below(6) == 0 { 1.6 } else { 0.9 };
            }
            top += 1.5 * height;
        }
    }

    fn ellipses(&mut self, random: &mut Random) {
        for _ in 0..1 + random.below(3) {
            let (x0, y0) = self.spot(random);
            let (a, b) = (within(random, (0.04, 0.25)), within(random, (0.04, 0.25)));
            let (a, b) = (a * self.side, b * self.side);
            let (sin, cos) = (random.uniform() * TAU).sin_cos();
            self.set(|x, y| {
                let (dx, dy) = (x - x0, y - y0);
                ((dx * cos + dy * sin) / a).powi(2) + ((dy * cos - dx * sin) / b).powi(2) <= 1.0
            });
        }
    }

    /// Everything within `radius` of the line between two points.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), radius: f64) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = (dx * dx + dy * dy).max(1e-9);
        self.set_around([from, to], radius, |x, y| {
            let along = (((x - from.0) * dx + (y - from.1) * dy) / square).clamp(0.0, 1.0);
            let (off_x, off_y) = (x - from.0 - along * dx, y - from.1 - along * dy);
            off_x * off_x + off_y * off_y <= radius * radius
        });
    }

    fn set(&mut self, inside: impl Fn(f64, f64) -> bool) {
        self.set_around([(0.0, 0.0), (self.side, self.side)], 0.0, inside);
    }

    /// Sets the pixels whose centres are inside, looking no further than `radius` around two corners.
    fn set_around(&mut self, corners: [(f64, f64); 2], radius: f64, inside: impl Fn(f64, f64) -> bool) {
        let side = self.mask.size.width;
        let span = |a: f64, b: f64| {
            let (low, high) = (a.min(b) - radius, a.max(b) + radius);
            // `as` saturates: what lies outside of the patch is cut off.
            (low.floor().max(0.0) as usize).min(side)..(high.ceil().max(0.0) as usize + 1).min(side)
        };
        for y in span(corners[0].1, corners[1].1) {
            for x in span(corners[0].0, corners[1].0) {
                self.mask.holes[y * side + x] |= inside(x as f64 + 0.5, y as f64 + 0.5);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_some_of_the_patch_and_of_every_width() {
        let mut depths: Vec<usize> = Vec::new();
        for seed in 0..200 {
            let mask = draw_holes(128, &mut Random::new(&[seed]));
            let share = mask.count() as f64 / 16384.0;
            assert!(0.0 < share && share <= MOST, "{share}");
            depths.push(mask.depth());
            assert_eq!(mask, draw_holes(128, &mut Random::new(&[seed])), "a stream repeats");
        }
        depths.sort_unstable();
        assert!(depths[20] <= 6 && depths[100] > 6 && depths[180] > 24, "{depths:?}");
    }
}
