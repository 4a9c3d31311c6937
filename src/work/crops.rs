//! Where the holes of a picture are cut out to be repaired: each with some known surroundings, near ones
//! together, long ones in pieces, and those too deep for one evaluation at a part of the resolution. Every
//! pixel of a hole belongs to one crop, so the order in which crops come back decides nothing.

use crate::work::runs::{Run, connected, drawn, runs};
use contract::geometry::{Rect, Size, mirror};
use contract::mask::Mask;
use contract::repair::levels;
use std::borrow::Cow;
use std::ops::Range;

/// What bounds the crops of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    /// Known surroundings that a crop has at least, in pixels.
    pub halo: usize,
    /// The deepest hole that one evaluation repairs.
    pub hole_px: usize,
    /// Sides of what is evaluated are multiples of this.
    pub multiple: usize,
    /// Longest side of what is evaluated.
    pub max_side: usize,
}

/// A part of a picture that is evaluated for its holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop {
    /// What is looked at, in pixels of the picture, beyond which it may reach where the picture is small.
    pub window: Rect,
    /// The box around its own holes.
    pub keep: Rect,
    /// Pixels of the picture per evaluated pixel, along a side.
    pub shrink: usize,
    /// Levels below the evaluated resolution.
    pub levels: usize,
    /// `None`: every hole in the box.
    own: Option<Vec<Run>>,
}

/// Crops in the making: pixels with what they need.
#[derive(Debug, Clone)]
struct Piece {
    own: Option<Vec<Run>>,
    columns: Range<usize>,
    rows: Range<usize>,
    context: usize,
    shrink: usize,
    levels: usize,
}

/// Surroundings grow with the depth of a hole, up to so many halos.
const MOST_HALOS: usize = 4;
/// Evaluated sides are multiples of this at least, so that crops of different pictures are of one size often.
const STEP_PX: usize = 32;
/// With more runs than this a mask is noise, and cut by a grid without looking for its parts: those would
/// take more memory than the mask.
pub const MOST_RUNS: usize = 500_000;
/// How many crops back it is looked for one to join.
const LOOK_BACK: usize = 64;

/// The crops of a mask; none where nothing is to be repaired. They depend on the mask and the bounds alone.
pub fn crops(mask: &Mask, cutting: &Cutting) -> Vec<Crop> {
    let count = runs(mask).take(MOST_RUNS + 1).count();
    let pieces = if count > MOST_RUNS {
        by_grid(mask, cutting)
    } else {
        // No more memory than they need, and a piece at a time: `footprint` reckons with that.
        let mut all = Vec::with_capacity(count);
        all.extend(runs(mask));
        let pieces = connected(all).into_iter().flat_map(|part| pieces(part, mask.size, cutting));
        join(pieces, mask.size, cutting)
    };
    pieces.into_iter().map(|piece| piece.crop(mask.size, cutting)).collect()
}

impl Crop {
    /// Size of what is evaluated.
    pub fn size(&self) -> Size {
        Size::new(self.window.size.width / self.shrink, self.window.size.height / self.shrink)
    }

    /// Which pixels of [`Crop::keep`] are its own, of the mask that it was made for.
    pub fn own(&self, whole: &Mask) -> Vec<bool> {
        match &self.own {
            None => whole.part(self.keep).holes,
            Some(own) => drawn(own, self.keep).holes,
        }
    }

    /// What is to be repaired in its window, at the evaluated resolution: a pixel where any pixel of the
    /// picture is that it stands for.
    pub fn mask(&self, whole: &Mask) -> Mask {
        let mut mask = Mask::none(self.size());
        let Rect { x, y, size } = self.window;
        let columns: Vec<usize> = (0..size.width).map(|i| mirror(x + i as i64, whole.size.width)).collect();
        for row in 0..size.height {
            let line = &whole.holes[mirror(y + row as i64, whole.size.height) * whole.size.width..];
            let into = &mut mask.holes[row / self.shrink * mask.size.width..][..mask.size.width];
            for (i, &column) in columns.iter().enumerate() {
                into[i / self.shrink] |= line[column];
            }
        }
        mask
    }
}

/// One part as it can be evaluated: whole, or in pieces where it is long; at a part of the resolution where
/// it is too deep for either, and at no smaller one than its depth asks for.
fn pieces(own: Vec<Run>, picture: Size, cutting: &Cutting) -> Vec<Piece> {
    let mut piece = Piece::new(own);
    let depth = piece.depth(picture, cutting);
    piece.context = depth.clamp(cutting.halo, MOST_HALOS * cutting.halo).min(cutting.max_side / 4);
    piece.levels = levels(depth, cutting.hole_px);
    while !piece.fits(picture, cutting) {
        let core = piece.core(cutting);
        if depth <= core {
            return piece.cut(core);
        }
        piece.shrink *= 2;
        piece.levels = levels(depth.div_ceil(piece.shrink), cutting.hole_px);
    }
    vec![piece]
}

/// Every hole of each cell of a grid together.
fn by_grid(mask: &Mask, cutting: &Cutting) -> Vec<Piece> {
    let core = (cutting.max_side / 2).max(1);
    let cells = |length: usize| (0..length.div_ceil(core)).map(move |i| i * core..length.min((i + 1) * core));
    // Twice this and the cell leave an eighth of a window for rounding.
    let room = cutting.max_side / 4 - cutting.max_side / 16;
    let all = cells(mask.size.height).flat_map(|rows| {
        cells(mask.size.width).map(move |columns| {
            let rows = rows.clone();
            Piece { own: None, columns, rows, context: cutting.halo.min(room), shrink: 1, levels: 0 }
        })
    });
    let halves = halves(mask);
    let marked = all.filter(|piece| mask.part(piece.around(0, mask.size)).count() > 0);
    marked.map(|piece| seeing(piece, room, &halves, cutting)).collect()
}

/// A cell with as much around it as it takes that something is known there, at its coarsest level too: up to
/// `room` evaluated pixels, at a half, a quarter … of the resolution. Where no window has that, the first in
/// which anything is known.
fn seeing(cell: Piece, room: usize, halves: &[Cow<'_, Mask>], cutting: &Cutting) -> Piece {
    let picture = halves[0].size;
    let wider = (0..halves.len()).map(|half| (half, room << half));
    let mut found = None;
    for (half, context) in std::iter::once((0, cell.context)).chain(wider) {
        let piece = Piece { context, shrink: 1 << half, ..cell.clone() };
        let window = piece.window(picture, cutting);
        if piece.sees(halves, cutting) {
            let depth = part(halves, half, window).map_or(0, |mask| mask.depth());
            let deepest = levels(depth, cutting.hole_px);
            let fitting = (0..=deepest).rev().map(|levels| Piece { levels, ..piece.clone() });
            let mut fitting = fitting.filter(|piece| piece.fits(picture, cutting)).enumerate();
            match fitting.find(|(_, piece)| piece.sees(halves, cutting)) {
                Some((0, piece)) => return piece,
                Some((_, piece)) => found = found.or(Some(piece)),
                None => {}
            }
        }
        if window.size.width >= picture.width && window.size.height >= picture.height {
            break;
        }
    }
    found.unwrap_or(cell)
}

/// The mask, and it at a half, a quarter … of its resolution: known there is what is known in all of a pixel.
fn halves(mask: &Mask) -> Vec<Cow<'_, Mask>> {
    let mut halves = vec![Cow::Borrowed(mask)];
    while let Some(last) = halves.last().filter(|last| last.size.area() > 1) {
        let half = last.halved();
        halves.push(Cow::Owned(half));
    }
    halves
}

/// What of such a half lies in a window of the picture with all that it stands for, if anything does.
fn part(halves: &[Cow<'_, Mask>], half: usize, window: Rect) -> Option<Mask> {
    let span = |begin: i64, length: usize, whole: usize| {
        // Windows begin in the picture.
        let begin = begin as usize;
        let (first, end) = (begin.div_ceil(1 << half), (begin + length).min(whole) >> half);
        (first as i64, end.saturating_sub(first))
    };
    let (x, width) = span(window.x, window.size.width, halves[0].size.width);
    let (y, height) = span(window.y, window.size.height, halves[0].size.height);
    let size = Size::new(width, height);
    halves.get(half).filter(|_| size.area() > 0).map(|mask| mask.part(Rect { x, y, size }))
}

/// Near pieces together, where that is not more to evaluate.
fn join(pieces: impl Iterator<Item = Piece>, picture: Size, cutting: &Cutting) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        let area = |piece: &Piece| piece.window(picture, cutting).size.area();
        let recent = joined.len().saturating_sub(LOOK_BACK);
        let one = joined[recent..].iter_mut().find_map(|other| {
            let both = other.with(&piece)?;
            let gains = area(&both) <= area(other) + area(&piece);
            (gains && both.fits(picture, cutting)).then_some((other, both))
        });
        match one {
            Some((other, both)) => {
                let mut own = other.own.take().unwrap_or_default();
                own.extend(piece.own.into_iter().flatten());
                *other = Piece { own: Some(own), ..both };
            }
            None => joined.push(piece),
        }
    }
    joined
}

impl Piece {
    /// Whole, at the full resolution; its context is not known yet.
    fn new(own: Vec<Run>) -> Piece {
        let least = |of: fn(&Run) -> u32| own.iter().map(of).min().unwrap_or(0) as usize;
        let most = |of: fn(&Run) -> u32| own.iter().map(of).max().unwrap_or(0) as usize;
        let columns = least(|run| run.left)..most(|run| run.right);
        let rows = least(|run| run.y)..most(|run| run.y + 1);
        Piece { own: Some(own), columns, rows, context: 0, shrink: 1, levels: 0 }
    }

    /// How deep it is; or, where nothing depends on how shallow, as deep as it may be. To measure a scratch
    /// takes its whole box.
    fn depth(&self, picture: Size, cutting: &Cutting) -> usize {
        let own = self.own.as_deref().unwrap_or_default();
        // A circle has its width in a row of it, and is as high.
        let longest = own.iter().map(|run| run.columns().len()).max().unwrap_or(0);
        let bound = longest.min(self.rows.len());
        // As `Mask::depth` measures, a little more.
        let bound = bound + bound / 16 + 2;
        // Beyond the picture holes go on.
        let is_inside = |own: &Range<usize>, whole: usize| own.start > 0 && own.end < whole;
        let is_inside = is_inside(&self.columns, picture.width) && is_inside(&self.rows, picture.height);
        if is_inside && bound <= cutting.halo.min(cutting.hole_px).min(cutting.max_side / 4) {
            return bound;
        }
        drawn(own, self.around(1, picture)).depth()
    }

    /// Its box and so many pixels around it, as far as there is picture.
    fn around(&self, pixels: usize, picture: Size) -> Rect {
        let (left, top) = (self.columns.start.saturating_sub(pixels), self.rows.start.saturating_sub(pixels));
        let right = (self.columns.end + pixels).min(picture.width);
        let bottom = (self.rows.end + pixels).min(picture.height);
        Rect { x: left as i64, y: top as i64, size: Size::new(right - left, bottom - top) }
    }

    /// Sides are multiples of this, in pixels of the picture.
    fn step(&self, cutting: &Cutting) -> usize {
        // Both are powers of two where a model is ours; any multiple of both will do.
        let halves = cutting.multiple << self.levels;
        halves * STEP_PX.div_ceil(halves) * self.shrink
    }

    /// The longest side that fits with its context.
    fn core(&self, cutting: &Cutting) -> usize {
        let step = self.step(cutting);
        (cutting.max_side * self.shrink / step * step).saturating_sub(2 * self.context)
    }

    fn fits(&self, picture: Size, cutting: &Cutting) -> bool {
        let Size { width, height } = self.window(picture, cutting).size;
        width.max(height) <= cutting.max_side * self.shrink
    }

    /// Its box with the context, inside of the picture as far as that is large enough.
    fn window(&self, picture: Size, cutting: &Cutting) -> Rect {
        let step = self.step(cutting);
        let span = |own: &Range<usize>, whole: usize| {
            let begin = own.start.saturating_sub(self.context);
            let needed = (own.end + self.context).min(whole) - begin;
            let length = needed.next_multiple_of(step);
            // What rounding adds is taken on both sides, where there is picture.
            let begin = begin.saturating_sub((length - needed) / 2);
            (begin.min(whole.saturating_sub(length)) as i64, length)
        };
        let ((x, width), (y, height)) =
            (span(&self.columns, picture.width), span(&self.rows, picture.height));
        Rect { x, y, size: Size::new(width, height) }
    }

    /// Whether anything in its window is known, at its coarsest level too.
    fn sees(&self, halves: &[Cow<'_, Mask>], cutting: &Cutting) -> bool {
        let coarsest = self.shrink.ilog2() as usize + self.levels;
        // Its squares begin where the window does; one of twice their side holds a whole one all the same.
        let half = if coarsest > 0 { coarsest + 1 } else { 0 };
        let seen = part(halves, half, self.window(halves[0].size, cutting));
        seen.is_some_and(|mask| mask.holes.contains(&false))
    }

    fn crop(self, picture: Size, cutting: &Cutting) -> Crop {
        let (window, keep) = (self.window(picture, cutting), self.around(0, picture));
        Crop { window, keep, shrink: self.shrink, levels: self.levels, own: self.own }
    }

    /// In pieces of at most `core` pixels a side, by a grid of the picture.
    fn cut(&self, core: usize) -> Vec<Piece> {
        let cells = |span: &Range<usize>| span.start / core..span.end.div_ceil(core);
        let mut grid: Vec<Vec<Run>> = vec![Vec::new(); cells(&self.columns).len() * cells(&self.rows).len()];
        let (first_column, first_row) = (cells(&self.columns).start, cells(&self.rows).start);
        for run in self.own.iter().flatten() {
            let (y, columns) = (run.y(), run.columns());
            for column in cells(&columns) {
                let part = columns.start.max(column * core)..columns.end.min((column + 1) * core);
                let cell = (y / core - first_row) * cells(&self.columns).len() + column - first_column;
                grid[cell].push(Run::new(y, part));
            }
        }
        let filled = grid.into_iter().filter(|own| !own.is_empty());
        let Piece { context, shrink, levels, .. } = *self;
        filled.map(|own| Piece { context, shrink, levels, ..Piece::new(own) }).collect()
    }

    /// Both in one, where they are evaluated alike; without their pixels, since many are tried in vain.
    fn with(&self, other: &Piece) -> Option<Piece> {
        if self.shrink != other.shrink || self.levels != other.levels || self.own.is_none() {
            return None;
        }
        let both = |a: &Range<usize>, b: &Range<usize>| a.start.min(b.start)..a.end.max(b.end);
        let (columns, rows) = (both(&self.columns, &other.columns), both(&self.rows, &other.rows));
        let context = self.context.max(other.context);
        let Piece { shrink, levels, .. } = *self;
        Some(Piece { own: Some(Vec::new()), columns, rows, context, shrink, levels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUTTING: Cutting = Cutting { halo: 16, hole_px: 32, multiple: 8, max_side: 256 };

    fn mask(size: Size, is_hole: impl Fn(usize, usize) -> bool) -> Mask {
        Mask { size, holes: (0..size.area()).map(|i| is_hole(i % size.width, i / size.width)).collect() }
    }

    /// Every pixel of a hole is some crop's own, once; and what is evaluated is within bounds.
    #[track_caller]
    fn check(mask: &Mask, cutting: &Cutting) -> Vec<Crop> {
        let crops = crops(mask, cutting);
        let mut owners = vec![0; mask.holes.len()];
        for crop in &crops {
            let Rect { x, y, size } = crop.keep;
            for (i, own) in crop.own(mask).iter().enumerate() {
                let at = (y as usize + i / size.width) * mask.size.width + x as usize + i % size.width;
                owners[at] += i32::from(*own);
            }
            let evaluated = crop.size();
            assert!(evaluated.width.max(evaluated.height) <= cutting.max_side, "{crop:?}");
            let step = cutting.multiple << crop.levels;
            assert!(evaluated.width % step == 0 && evaluated.height % step == 0, "{crop:?}");
            assert!(
                crop.window.x <= x && x + size.width as i64 <= crop.window.x + crop.window.size.width as i64
            );
            assert_eq!(crop.mask(mask).size, evaluated);
        }
        assert!(owners.iter().zip(&mask.holes).all(|(owners, hole)| *owners == i32::from(*hole)));
        crops
    }

    #[test]
    fn small_holes_have_small_crops_and_near_ones_share_one() {
        let size = Size::new(600, 400);
        let dots = |places: &'static [(usize, usize)]| {
            mask(size, |x, y| places.iter().any(|(a, b)| x.abs_diff(*a) < 3 && y.abs_diff(*b) < 3))
        };
        let one = check(&dots(&[(300, 200)]), &CUTTING);
        assert_eq!((one.len(), one[0].size(), one[0].levels), (1, Size::new(64, 64), 0));
        assert_eq!(check(&dots(&[(300, 200), (310, 203), (295, 190)]), &CUTTING).len(), 1);
        assert_eq!(check(&dots(&[(100, 100), (500, 300), (90, 350)]), &CUTTING).len(), 3);
        let corner = check(&dots(&[(0, 0), (599, 399)]), &CUTTING);
        assert!(corner.iter().all(|crop| crop.window.x >= 0 && crop.size() == Size::new(32, 32)));
        assert_eq!(crops(&Mask::none(size), &CUTTING), []);
    }

    #[test]
    fn deep_holes_get_levels_long_ones_pieces_and_both_a_part_of_the_resolution() {
        let size = Size::new(2000, 900);
        let deep = check(&mask(size, |x, y| x.abs_diff(900) < 40 && y.abs_diff(400) < 40), &CUTTING);
        assert_eq!((deep.len(), deep[0].shrink, deep[0].levels), (1, 1, 2));
        let scratch = check(&mask(size, |x, y| y.abs_diff(x / 3 + 20) < 3), &CUTTING);
        assert!(scratch.len() >= 9 && scratch.iter().all(|crop| (crop.shrink, crop.levels) == (1, 0)));
        let large = check(&mask(size, |x, y| x.abs_diff(1000) < 600 && y.abs_diff(400) < 300), &CUTTING);
        let shrinks: Vec<usize> = large.iter().map(|crop| crop.shrink).collect();
        assert_eq!(shrinks, [4, 4], "600 pixels and twice 64 in 4·256; 1200 are cut");
    }

    /// Where a depth is only bounded, it is no deeper, and cut as if it had been measured.
    #[test]
    fn shallow_holes_are_cut_alike_measured_or_not() {
        let size = Size::new(500, 400);
        let lines = |x: usize, y: usize| {
            (2 * x).abs_diff(3 * y) < 9 || (x + 5 * y).abs_diff(900) < 30 || x.abs_diff(y + 90) < 3
        };
        let dots =
            |x: usize, y: usize| (x / 7 * 31 + y / 5 * 17).is_multiple_of(11) && (x * 7 + y * 3) % 13 > 3;
        let shapes: [&dyn Fn(usize, usize) -> bool; 4] =
            [&lines, &dots, &|x, _| x < 9, &|x, y| x.abs_diff(250).pow(2) + y.abs_diff(200).pow(2) < 144];
        let mut bounded = 0;
        for (number, shape) in shapes.into_iter().enumerate() {
            let mask = mask(size, shape);
            for part in connected(runs(&mask).collect()) {
                let piece = Piece::new(part.clone());
                let measured = drawn(&part, piece.around(1, size)).depth();
                let depth = piece.depth(size, &CUTTING);
                if depth == measured {
                    continue;
                }
                assert!(number != 2, "beyond the picture holes go on");
                assert!(measured < depth && depth <= CUTTING.halo, "{number}: {measured} {depth}");
                bounded += 1;
            }
        }
        assert!(bounded > 50, "{bounded}");
    }

    /// What is evaluated first of a crop has something to go by.
    fn knows(crop: &Crop, whole: &Mask) -> bool {
        let mut mask = crop.mask(whole);
        for _ in 0..crop.levels {
            mask = mask.halved();
        }
        mask.holes.contains(&false)
    }

    /// A frame all round is as long as the picture; what it loses in resolution is what its bar asks for.
    #[test]
    fn long_and_deep_holes_are_cut_at_the_resolution_of_their_depth() {
        let size = Size::new(1500, 1000);
        let frame = mask(size, |x, y| !(5..1495).contains(&x) || !(5..925).contains(&y));
        let crops = check(&frame, &CUTTING);
        assert!(crops.len() > 5 && crops.iter().all(|crop| crop.shrink == 2), "{crops:?}");
        assert!(crops.iter().all(|crop| knows(crop, &frame)));
    }

    /// There may be many pieces, each with many pixels: what is only tried copies none.
    #[test]
    fn pieces_are_joined_without_copies_of_their_pixels() {
        let piece = |x: usize| Piece { context: 16, ..Piece::new(vec![Run::new(9, x..x + 2)]) };
        let both = piece(10).with(&piece(20)).expect("alike");
        assert_eq!((both.own, both.columns, both.rows), (Some(Vec::new()), 10..22, 9..10));
        let joined = join([10, 20, 15].map(piece).into_iter(), Size::new(100, 50), &CUTTING);
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].own.as_ref().map(Vec::len), Some(3));
        check(&mask(Size::new(200, 100), |x, y| x % 2 == 0 && y % 2 == 0), &CUTTING);
    }

    /// `footprint` stands on these.
    #[test]
    fn a_part_of_one_run_takes_no_more_memory_than_that() {
        assert_eq!((size_of::<Run>(), size_of::<Vec<Run>>()), (12, 24));
        let dots = mask(Size::new(60, 40), |x, y| x % 2 == 0 && y % 2 == 0);
        let parts = connected(runs(&dots).collect());
        assert_eq!((parts.len(), parts.capacity()), (600, 600));
        assert!(parts.iter().all(|part| part.capacity() == 1));
    }

    /// As a graph of one shape wants it: every crop is that, with its hole in the middle of it.
    #[test]
    fn crops_of_one_shape_have_it_whatever_the_hole() {
        let one = Cutting { halo: 24, hole_px: 4096, multiple: 192, max_side: 192 };
        let size = Size::new(900, 700);
        let dot = check(&mask(size, |x, y| x.abs_diff(400) < 3 && y.abs_diff(300) < 3), &one);
        assert_eq!(dot[0].window, Rect { x: 305, y: 205, size: Size::new(192, 192) });
        let scratch = check(&mask(size, |x, y| y.abs_diff(x / 2 + 20) < 3), &one);
        assert!(scratch.len() > 5 && scratch.iter().all(|crop| crop.shrink == 1), "{scratch:?}");
        let deep = check(&mask(size, |x, y| x.abs_diff(450) < 200 && y.abs_diff(350) < 200), &one);
        assert_eq!((deep.len(), deep[0].shrink, deep[0].levels), (1, 4, 0));
        for crop in scratch.iter().chain(&deep) {
            assert_eq!(crop.size(), Size::new(192, 192));
        }
    }

    #[test]
    fn pictures_smaller_than_a_crop_are_mirrored() {
        let crops = check(&mask(Size::new(21, 5), |x, _| x > 10), &CUTTING);
        assert_eq!(crops[0].window, Rect { x: 0, y: 0, size: Size::new(32, 32) });
    }

    #[test]
    fn whatever_the_mask_every_hole_has_one_crop() {
        for seed in 0..200u64 {
            let drawn = |salt: u64| (seed * 7 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let size = Size::new(1 + drawn(1) as usize % 300, 1 + drawn(2) as usize % 200);
            let (block, share) = (1 + drawn(3) as usize % 40, drawn(4) % 16);
            // Blocks of one size, each a hole or not.
            let word = |x: usize, y: usize| drawn((x / block * 1000 + y / block) as u64 + 5) % 16;
            check(&mask(size, |x, y| word(x, y) < share), &CUTTING);
        }
    }

    /// More parts than are worth looking for.
    #[test]
    fn noise_is_cut_by_a_grid() {
        let crops = check(&mask(Size::new(1200, 900), |x, y| (x + y) % 2 == 0), &CUTTING);
        assert_eq!(crops.len(), 10 * 8);
        assert!(crops.iter().all(|crop| (crop.shrink, crop.levels) == (1, 0)));
    }

    /// A cell that lies wholly in a hole is evaluated with what is known far off; noise stays as it is.
    #[test]
    fn a_large_hole_beside_noise_is_seen_from_its_border() {
        let hole = |x: usize, y: usize| (1000..1500).contains(&x) && (300..900).contains(&y);
        let noise = |x: usize, y: usize| x < 900 && (x + y).is_multiple_of(2);
        let whole = mask(Size::new(1600, 1200), |x, y| hole(x, y) || noise(x, y));
        let crops = check(&whole, &CUTTING);
        assert!(crops.iter().all(|crop| knows(crop, &whole)));
        assert!(crops.iter().any(|crop| crop.shrink > 1));
        let noisy = crops.iter().filter(|crop| crop.keep.x < 800);
        assert!(noisy.map(|crop| (crop.shrink, crop.levels)).all(|how| how == (1, 0)));
    }

    /// Where nothing is known at any smaller resolution, none is given up.
    #[test]
    fn a_large_hole_in_nothing_but_noise_keeps_its_resolution() {
        let hole = |x: usize, y: usize| (400..900).contains(&x) && (250..750).contains(&y);
        let whole = mask(Size::new(1400, 1000), |x, y| hole(x, y) || (x + y) % 2 == 0);
        let crops = check(&whole, &CUTTING);
        assert!(crops.iter().all(|crop| crop.shrink == 1));
        assert!(crops.iter().any(|crop| !knows(crop, &whole)), "500 pixels are more than a window");
        let known = |crop: &Crop| crop.mask(&whole).holes.contains(&false);
        assert!(crops.iter().filter(|crop| known(crop)).all(|crop| knows(crop, &whole)));
    }
}
