//! Do no harm: is a result still a picture of its picture? Reduced to the size of the original it must have
//! the same colours and shapes, neither flat where the original is not nor noise where it is smooth, and the
//! borders of tiles must not show. What a model may well change (noise, grain, sharpness, compression) is
//! inside of blocks and is averaged away. Arithmetic only.

use crate::work::pixels::Pixels;
use contract::geometry::{Rect, Tile};
use serde::{Deserialize, Serialize};

/// Side of the blocks whose means are compared, in input pixels.
const BLOCK_PX: usize = 8;
/// Variance that is added on both sides before detail is compared, so that what nobody sees decides nothing:
/// two 8-bit levels.
const UNSEEN: f64 = (2.0 / 255.0) * (2.0 / 255.0);
/// Borders that are shorter show nothing: input pixels.
const LEAST_BORDER_PX: usize = 16;
/// Of fewer pixels means say nothing: a model may well change a few pixels of noise.
const LEAST_PIXELS: f64 = 256.0;
/// An 8-bit level.
const LEVEL: f64 = 1.0 / 255.0;
/// What means of blocks that are equal are called.
const BEST_DB: f64 = 99.0;

/// The worst that is let through: far beyond all that the shipped models did to any picture they were tried
/// on (docs/formats.md), and far before what a broken one does.
const LEAST_DB: f64 = 20.0;
const MOST_COLOUR: f64 = 10.0;
const LEAST_DETAIL: f64 = 0.1;
const MOST_DETAIL: f64 = 3.0;
const MOST_RIDGE: f64 = 4.0;

/// How a result compares with its picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// PSNR of the means of 8×8 input pixels in dB, of the worst tile; 99 where they are equal.
    pub blocks_db: f64,
    /// How far the mean of the worst colour is off, in 8-bit levels.
    pub colour: f64,
    /// Deviation inside of blocks, result's to picture's, of the whole.
    pub detail: f64,
    /// The same of the tile where it is largest.
    pub most_detail: f64,
    /// How far the worst border of two tiles stands out, in 8-bit levels: the step across it, less the steps
    /// beside it and the picture's own.
    pub ridge: f64,
}

impl Figures {
    /// What is wrong, in words, if anything is.
    pub fn harm(&self) -> Option<String> {
        let Figures { blocks_db, colour, detail, most_detail, ridge } = *self;
        if blocks_db < LEAST_DB {
            return Some(format!(
                "reduced again it differs from the picture ({blocks_db:.1} dB, at least {LEAST_DB})"
            ));
        }
        if colour > MOST_COLOUR {
            return Some(format!("a colour is off by {colour:.1} of 255 levels (at most {MOST_COLOUR})"));
        }
        if detail < LEAST_DETAIL {
            return Some(format!(
                "it is flat where the picture is not ({detail:.3}, at least {LEAST_DETAIL})"
            ));
        }
        if most_detail > MOST_DETAIL {
            return Some(format!(
                "it is noise where the picture is not ({most_detail:.1}, at most {MOST_DETAIL})"
            ));
        }
        (ridge > MOST_RIDGE)
            .then(|| format!("a border of tiles shows by {ridge:.1} of 255 levels (at most {MOST_RIDGE})"))
    }
}

/// How what one tile keeps compares with its part of the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Which part, in input pixels.
    keep: Rect,
    sums: Sums,
    /// Mean step of the picture across the left and the upper border, where there is a tile beyond it.
    steps: [Option<f64>; 2],
}

/// Sums over pixels and channels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    samples: f64,
    /// Of squared differences of the means of blocks.
    blocks: f64,
    /// Of differences, by channel.
    colours: [f64; 3],
    /// Of squared deviations from the means of blocks: the picture's, the result's.
    details: [f64; 2],
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.samples += other.samples;
        self.blocks += other.blocks;
        (0..3).for_each(|channel| self.colours[channel] += other.colours[channel]);
        (0..2).for_each(|side| self.details[side] += other.details[side]);
    }

    fn blocks_db(&self) -> f64 {
        (-10.0 * (self.blocks / self.samples).log10()).min(BEST_DB)
    }

    fn detail(&self) -> f64 {
        let [picture, result] = self.details.map(|sum| sum + UNSEEN * self.samples);
        (result / picture).sqrt()
    }
}

impl Comparison {
    /// Compares what `tile` keeps with its part of `window`, three planes of its input.
    pub fn new(tile: &Tile, scale: usize, window: &[f32], result: &Pixels) -> Comparison {
        let (keep, channels) = (tile.keep, result.channels());
        let (left, top) = ((keep.x - tile.window.x) as usize, (keep.y - tile.window.y) as usize);
        let (stride, area) = (tile.window.size.width, tile.window.size.area());
        let reduced = result.reduced(scale);
        let (width, height) = (keep.size.width, keep.size.height);
        let mut sums = Sums { samples: (keep.size.area() * channels) as f64, ..Sums::default() };
        for (y, x) in
            (0..height).step_by(BLOCK_PX).flat_map(|y| (0..width).step_by(BLOCK_PX).map(move |x| (y, x)))
        {
            let (bottom, right) = ((y + BLOCK_PX).min(height), (x + BLOCK_PX).min(width));
            for channel in 0..channels {
                let pairs = (y..bottom).flat_map(|y| {
                    let own = &window[channel * area + (top + y) * stride + left..][x..right];
                    let theirs = &reduced[y * width * channels..][x * channels..right * channels];
                    own.iter().zip(theirs.iter().skip(channel).step_by(channels))
                });
                // The picture's and the result's: sum, sum of squares.
                let mut block = [[0.0; 2]; 2];
                for (own, theirs) in pairs {
                    for (sums, value) in block.iter_mut().zip([*own, *theirs].map(f64::from)) {
                        *sums = [sums[0] + value, sums[1] + value * value];
                    }
                }
                let count = ((bottom - y) * (right - x)) as f64;
                let difference = block[1][0] - block[0][0];
                sums.blocks += difference * difference / count;
                sums.colours[channel] += difference;
                for (detail, [sum, squares]) in sums.details.iter_mut().zip(block) {
                    *detail += (squares - sum * sum / count).max(0.0);
                }
            }
        }
        let mean = |steps: &mut dyn Iterator<Item = f32>, count: usize| {
            f64::from(steps.sum::<f32>()) / (count * channels) as f64
        };
        let planes = || 0..channels;
        let step = |channel: usize, (x, y): (usize, usize), (dx, dy): (usize, usize)| {
            let from = channel * area + (top + y) * stride + left + x;
            (window[from] - window[from - dx - dy * stride]).abs()
        };
        let across_left = (left > 0 && keep.x > 0).then(|| {
            mean(&mut planes().flat_map(|c| (0..height).map(move |y| step(c, (0, y), (1, 0)))), height)
        });
        let across_top = (top > 0 && keep.y > 0).then(|| {
            mean(&mut planes().flat_map(|c| (0..width).map(move |x| step(c, (x, 0), (0, 1)))), width)
        });
        Comparison { keep, sums, steps: [across_left, across_top] }
    }
}

/// All comparisons of one picture.
#[derive(Debug, Default)]
pub struct Gate(Vec<Comparison>);

impl Gate {
    /// One more tile.
    pub fn add(&mut self, comparison: Comparison) {
        self.0.push(comparison);
    }

    /// The figures of a whole result; `None` where it is too small to be compared.
    pub fn figures(&self, scale: usize, result: &Pixels) -> Option<Figures> {
        let mut whole = Sums::default();
        self.0.iter().for_each(|tile| whole.add(&tile.sums));
        let pixels = whole.samples / result.channels() as f64;
        if pixels < LEAST_PIXELS {
            return None;
        }
        let least = LEAST_PIXELS * result.channels() as f64;
        let large = || self.0.iter().map(|tile| &tile.sums).filter(|sums| sums.samples >= least);
        let worst = large().map(Sums::blocks_db).fold(whole.blocks_db(), f64::min);
        let most_detail = large().map(Sums::detail).fold(whole.detail(), f64::max);
        let colours = whole.colours.map(|sum| (sum / pixels / LEVEL).abs());
        let ridge = self.0.iter().flat_map(|tile| ridges(tile, scale, result)).fold(0.0, f64::max);
        Some(Figures {
            blocks_db: worst,
            colour: colours.into_iter().fold(0.0, f64::max),
            detail: whole.detail(),
            most_detail,
            ridge,
        })
    }
}

/// How far the left and the upper border of a tile stand out in the result, in 8-bit levels.
fn ridges(tile: &Comparison, scale: usize, result: &Pixels) -> impl Iterator<Item = f64> {
    let (size, channels, keep) = (result.size(), result.channels(), tile.keep.times(scale));
    let (x, y) = (keep.x as usize, keep.y as usize);
    // Along the border, and across it.
    let ways =
        [(keep.size.height, size.width, 1, x, size.width), (keep.size.width, 1, size.width, y, size.height)];
    ways.into_iter().zip(tile.steps).filter_map(move |((length, along, across, place, end), own)| {
        let own = own.filter(|_| length >= LEAST_BORDER_PX * scale && place >= 2 && place + 1 < end)?;
        let first = y * size.width + x;
        let step = |behind: isize| {
            let one = |pixel: usize| {
                let at = (first + pixel * along).wrapping_add_signed(behind * across as isize) * channels;
                let before = at - across * channels;
                (0..channels).map(|c| (result.unit(at + c) - result.unit(before + c)).abs()).sum::<f32>()
            };
            f64::from((0..length).map(one).sum::<f32>()) / (length * channels) as f64
        };
        Some((step(0) - step(-1).max(step(1)) - own) / LEVEL)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::{Size, TileGrid};
    use contract::pixels::{Picture, to_byte};

    const SCALE: usize = 2;
    const SIZE: Size = Size { width: 64, height: 40 };

    /// A soft picture with some detail, in [0, 1].
    fn value(x: usize, y: usize) -> f32 {
        0.5 + 0.3 * (x as f32 * 0.11).sin() * (y as f32 * 0.13).cos()
            + 0.05 * ((x * 7 + y * 3) % 5) as f32 / 5.0
    }

    /// The figures of a grey picture in tiles of 20 pixels, where `make` gives the result's value at a place
    /// of the result from that of the picture.
    fn figures(make: impl Fn(usize, usize, f32) -> f32) -> Figures {
        let large = SIZE.times(SCALE);
        let samples = (0..large.area()).map(|at| {
            let (x, y) = (at % large.width, at / large.width);
            to_byte(make(x, y, value(x / SCALE, y / SCALE)))
        });
        let result = Picture { size: large, channels: 1, samples: samples.collect() };
        let grid = TileGrid::fixed(SIZE, Size::new(24, 24), 2).expect("a core of 20");
        let mut gate = Gate::default();
        for tile in grid.tiles() {
            let inside = |at: i64, end: usize| at.clamp(0, end as i64 - 1) as usize;
            let Size { width, height } = tile.window.size;
            let plane = (0..width * height).map(|at| {
                let (x, y) = (tile.window.x + (at % width) as i64, tile.window.y + (at / width) as i64);
                value(inside(x, SIZE.width), inside(y, SIZE.height))
            });
            let plane: Vec<f32> = plane.collect();
            let keep = tile.keep.times(SCALE);
            let mut part = Picture::new(keep.size, 1);
            for row in 0..keep.size.height {
                let from = (keep.y as usize + row) * large.width + keep.x as usize;
                part.samples[row * keep.size.width..][..keep.size.width]
                    .copy_from_slice(&result.samples[from..from + keep.size.width]);
            }
            gate.add(Comparison::new(&tile, SCALE, &plane.repeat(3), &Pixels::Eight(part)));
        }
        gate.figures(SCALE, &Pixels::Eight(result)).expect("large enough")
    }

    #[track_caller]
    fn refused(word: &str, make: impl Fn(usize, usize, f32) -> f32) {
        let figures = figures(make);
        assert!(figures.harm().is_some_and(|harm| harm.contains(word)), "{word}: {figures:?}");
    }

    #[test]
    fn a_true_result_passes_and_each_harm_is_named() {
        let same = figures(|_, _, v| v);
        assert!(same.harm().is_none() && same.blocks_db > 55.0 && same.ridge < 0.5, "{same:?}");
        assert!((same.detail - 1.0).abs() < 0.02, "{same:?}");
        let grain = |x: usize, y: usize| 0.1 * ((x * 31 + y * 17) % 8) as f32 / 8.0 - 0.05;
        assert_eq!(figures(|x, y, v| v + grain(x, y)).harm(), None, "grain is no harm");
        refused("differs from the picture", |_, _, v| 1.0 - v);
        refused("differs from the picture", |_, _, _| 0.5);
        refused("a colour is off", |_, _, v| v + 0.05);
        refused("noise", |x, y, v| v + if (x / 2 + y / 2).is_multiple_of(2) { 0.25 } else { -0.25 });
        refused("a border of tiles", |x, _, v| v + if (x / 40).is_multiple_of(2) { 0.012 } else { -0.012 });
    }

    #[test]
    fn a_few_pixels_are_not_compared() {
        let (size, mut gate) = (Size::new(16, 15), Gate::default());
        let (tile, result) =
            (TileGrid::fixed(size, size, 0).expect("one").tile(0), Pixels::new(size, 1, false));
        gate.add(Comparison::new(&tile, 1, &vec![1.0; 3 * size.area()], &result));
        assert_eq!(gate.figures(1, &result), None);
    }

    #[test]
    fn what_is_flat_where_the_picture_is_not_is_named() {
        let figures = Figures { blocks_db: 40.0, colour: 0.0, detail: 0.05, most_detail: 1.0, ridge: 0.0 };
        assert!(figures.harm().is_some_and(|harm| harm.contains("flat")));
    }
}
