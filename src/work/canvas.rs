//! Tiles in any order → one picture. Kept parts cover the picture exactly once, so there is nothing to
//! feather: each tile gives its own pixels, rounded to samples as soon as they are known, which keeps
//! whatever waits at one byte a sample, or two.

use crate::work::crops::Crop;
use crate::work::gate::{Comparison, Figures, Gate};
use crate::work::pixels::Pixels;
use contract::geometry::{Rect, Size, Tile};
use contract::pixels::{Picture, Planes, Sample};

/// What one tile gives to the result: samples of its own part, interleaved.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// Which part, in output pixels.
    keep: Rect,
    /// One channel for grey, else three.
    pixels: Pixels,
    /// Which of them count, where not all do: the pixels of a hole.
    own: Option<Vec<bool>>,
    /// The uncertainty of its pixels, where that is wanted.
    map: Option<Vec<u8>>,
    /// How it compares with the picture.
    comparison: Option<Comparison>,
}

/// What kind of pixels a result has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// One channel instead of three.
    pub grey: bool,
    /// 16 bits a sample instead of 8.
    pub deep: bool,
}

/// A tile held NaN or infinity where it matters.
#[derive(Debug, PartialEq, Eq)]
pub struct NonFinite;

impl Patch {
    /// Cuts what `tile` keeps out of `values`, the planar network output of its window, rounded to samples.
    /// Grey is the mean of the three planes.
    ///
    /// # Errors
    /// If a kept value is not finite.
    pub fn cut(tile: &Tile, scale: usize, depth: Depth, values: &[f32]) -> Result<Patch, NonFinite> {
        let pixels = if depth.deep {
            Pixels::Sixteen(rounded(tile, scale, depth.grey, values)?)
        } else {
            Pixels::Eight(rounded(tile, scale, depth.grey, values)?)
        };
        Ok(Patch { keep: tile.keep.times(scale), pixels, own: None, map: None, comparison: None })
    }

    /// The pixels of `crop`'s holes, `own` of its box, out of its repaired planes: read between pixels where
    /// those stand for several of the picture.
    ///
    /// # Errors
    /// If a value of its own is not finite.
    pub fn repaired(crop: &Crop, own: Vec<bool>, depth: Depth, planes: &Planes) -> Result<Patch, NonFinite> {
        let pixels = if depth.deep {
            Pixels::Sixteen(read(crop, &own, depth.grey, planes)?)
        } else {
            Pixels::Eight(read(crop, &own, depth.grey, planes)?)
        };
        Ok(Patch { keep: crop.keep, pixels, own: Some(own), map: None, comparison: None })
    }

    /// With the uncertainty of its pixels, one sample each.
    pub fn with_map(mut self, map: Option<Vec<u8>>) -> Patch {
        self.map = map;
        self
    }

    /// Compared with its part of the picture; `window` is the input that it was made from.
    pub fn compared(mut self, tile: &Tile, scale: usize, window: &[f32]) -> Patch {
        self.comparison = Some(Comparison::new(tile, scale, window, &self.pixels));
        self
    }
}

fn rounded<S: Sample>(
    tile: &Tile,
    scale: usize,
    grey: bool,
    values: &[f32],
) -> Result<Picture<S>, NonFinite> {
    let (keep, window) = (tile.keep.times(scale), tile.window.times(scale));
    let (left, top) = ((keep.x - window.x) as usize, (keep.y - window.y) as usize);
    let (area, width) = (window.size.area(), keep.size.width);
    let mut picture = Picture::blank(keep.size, if grey { 1 } else { 3 });
    for (row, line) in picture.samples.chunks_exact_mut(width * picture.channels).enumerate() {
        let from = (top + row) * window.size.width + left;
        let [red, green, blue] = [0, 1, 2].map(|plane| &values[plane * area + from..][..width]);
        // `fold` instead of `all`: without an early end it is a handful of vector instructions.
        if ![red, green, blue].iter().all(|line| line.iter().fold(true, |ok, v| ok & v.is_finite())) {
            return Err(NonFinite);
        }
        let pixels = red.iter().zip(green).zip(blue);
        if grey {
            line.iter_mut()
                .zip(pixels)
                .for_each(|(sample, ((r, g), b))| *sample = S::nearest((r + g + b) / 3.0));
        } else {
            for (samples, ((r, g), b)) in line.chunks_exact_mut(3).zip(pixels) {
                samples.copy_from_slice(&[S::nearest(*r), S::nearest(*g), S::nearest(*b)]);
            }
        }
    }
    Ok(picture)
}

/// The box of a crop; what is not its own stays black.
fn read<S: Sample>(crop: &Crop, own: &[bool], grey: bool, planes: &Planes) -> Result<Picture<S>, NonFinite> {
    let mut picture = Picture::blank(crop.keep.size, if grey { 1 } else { 3 });
    let Size { width, .. } = crop.keep.size;
    let (left, top) = ((crop.keep.x - crop.window.x) as usize, (crop.keep.y - crop.window.y) as usize);
    let pixels = picture.samples.chunks_exact_mut(picture.channels).zip(own).enumerate();
    for (i, (samples, _)) in pixels.filter(|(_, (_, own))| **own) {
        let (x, y) = (left + i % width, top + i / width);
        let rgb = [0, 1, 2].map(|plane| between(planes, plane, crop.shrink, (x, y)));
        if !rgb.iter().all(|value| value.is_finite()) {
            return Err(NonFinite);
        }
        match samples {
            [grey] => *grey = S::nearest((rgb[0] + rgb[1] + rgb[2]) / 3.0),
            colours => colours.iter_mut().zip(rgb).for_each(|(sample, value)| *sample = S::nearest(value)),
        }
    }
    Ok(picture)
}

/// The value of a plane at a pixel of what is `shrink` times as large: bilinear, half-pixel centres, the
/// border repeated.
fn between(planes: &Planes, plane: usize, shrink: usize, (x, y): (usize, usize)) -> f32 {
    let (plane, Size { width, height }) = (planes.plane(plane), planes.size);
    if shrink == 1 {
        return plane[y * width + x];
    }
    let near = |at: usize, length: usize| {
        let at = ((at as f32 + 0.5) / shrink as f32 - 0.5).clamp(0.0, (length - 1) as f32);
        (at as usize, (at as usize + 1).min(length - 1), at.fract())
    };
    let ((x0, x1, right), (y0, y1, down)) = (near(x, width), near(y, height));
    let row = |y: usize| plane[y * width + x0] * (1.0 - right) + plane[y * width + x1] * right;
    row(y0) * (1.0 - down) + row(y1) * down
}

/// A result in the making.
#[derive(Debug)]
pub struct Canvas {
    scale: usize,
    colour: Pixels,
    map: Option<Pixels>,
    gate: Gate,
    missing: usize,
}

impl Canvas {
    /// An empty canvas for a picture of `size` input pixels that is cut into `tiles` tiles. Grey pictures get
    /// one channel, all others three.
    pub fn new(size: Size, scale: usize, depth: Depth, tiles: usize) -> Canvas {
        let colour = Pixels::new(size.times(scale), if depth.grey { 1 } else { 3 }, depth.deep);
        Canvas { scale, colour, map: None, gate: Gate::default(), missing: tiles }
    }

    /// A canvas that is this picture: its colours stand as they are, and so many crops are to be placed on
    /// them.
    pub fn over(pixels: Pixels, crops: usize) -> Canvas {
        Canvas { scale: 1, colour: pixels.without_alpha(), map: None, gate: Gate::default(), missing: crops }
    }

    /// Places a patch of this picture.
    pub fn place(&mut self, patch: Patch) {
        match &patch.own {
            Some(own) => self.colour.put_some(&patch.keep, &patch.pixels, own),
            None => self.colour.put(&patch.keep, &patch.pixels),
        }
        if let Some(samples) = patch.map {
            let part = Picture { size: patch.keep.size, channels: 1, samples };
            let size = self.colour.size();
            self.map
                .get_or_insert_with(|| Pixels::new(size, 1, false))
                .put(&patch.keep, &Pixels::Eight(part));
        }
        if let Some(comparison) = patch.comparison {
            self.gate.add(comparison);
        }
        self.missing = self.missing.saturating_sub(1);
    }

    /// Whether every tile was placed.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// How the finished picture compares with its original, where it is large enough.
    pub fn figures(&self) -> Option<Figures> {
        self.gate.figures(self.scale, &self.colour)
    }

    /// The finished uncertainty map, where one was made.
    pub fn take_map(&mut self) -> Option<Pixels> {
        self.map.take()
    }

    /// The finished picture, with `alpha`, one sample an input pixel.
    pub fn finish(self, alpha: Option<&Pixels>) -> Pixels {
        match alpha {
            Some(alpha) => self.colour.with_alpha(alpha, self.scale),
            None => self.colour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::crops::{Cutting, crops};
    use contract::geometry::TileGrid;
    use contract::mask::Mask;

    const COLOUR: Depth = Depth { grey: false, deep: false };
    const GREY: Depth = Depth { grey: true, deep: false };

    #[test]
    fn a_canvas_is_complete_when_every_tile_was_placed() {
        let size = Size::new(5, 3);
        let grid = TileGrid::fitted(size, 4, 1, 1).expect("4 has a core");
        let mut canvas = Canvas::new(size, 2, COLOUR, grid.len());
        for tile in grid.tiles() {
            assert!(!canvas.is_complete());
            let values = vec![1.0; 3 * tile.window.size.times(2).area()];
            canvas.place(Patch::cut(&tile, 2, COLOUR, &values).expect("finite"));
        }
        assert!(canvas.is_complete());
        let white = Picture { size: size.times(2), channels: 3, samples: vec![255; 180] };
        assert_eq!(canvas.finish(None), Pixels::Eight(white));
    }

    #[test]
    fn what_is_not_finite_is_refused_only_where_it_is_kept() {
        let grid = TileGrid::fixed(Size::new(2, 2), Size::new(4, 4), 1).expect("a core of 2");
        let tile = grid.tile(0);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5; 48];
            values[0] = bad;
            assert!(Patch::cut(&tile, 1, COLOUR, &values).is_ok(), "{bad} in the halo");
            values[16 + 5] = bad;
            assert_eq!(Patch::cut(&tile, 1, GREY, &values), Err(NonFinite), "{bad} in the core");
        }
    }

    /// Large holes are repaired at a part of the resolution: what was there comes back in its place.
    #[test]
    fn a_ramp_that_was_shrunk_is_read_between_pixels_where_it_was() {
        let size = Size::new(640, 480);
        let value = |x: usize, y: usize, channel: usize| (x * 50 + y * 20 + channel * 900) as u16;
        let at = |i: usize| value(i / 3 % 640, i / 3 / 640, i % 3);
        let samples = (0..3 * size.area()).map(at).collect();
        let pixels = Pixels::Sixteen(Picture { size, channels: 3, samples });
        for (radius, shrink) in [(30, 1), (70, 2), (140, 4)] {
            let is_hole = |i: usize| (i % 640).abs_diff(330) < radius && (i / 640).abs_diff(230) < radius;
            let mask = Mask { size, holes: (0..size.area()).map(is_hole).collect() };
            let cutting = Cutting { halo: 16, hole_px: 32, multiple: 8, max_side: 128 };
            let mut canvas = Canvas::over(Pixels::new(size, 3, true), 9);
            let crops = crops(&mask, &cutting);
            assert!(crops.iter().all(|crop| crop.shrink == shrink), "{crops:?}");
            for crop in &crops {
                let planes = pixels.shrunk_window([0, 1, 2], crop.window, crop.shrink);
                let depth = Depth { grey: false, deep: true };
                canvas.place(Patch::repaired(crop, crop.own(&mask), depth, &planes).expect("finite"));
            }
            let Pixels::Sixteen(made) = canvas.finish(None) else { panic!("it is deep") };
            for (i, sample) in made.samples.iter().enumerate() {
                let expected = if is_hole(i / 3) { at(i) } else { 0 };
                assert!(sample.abs_diff(expected) <= 1, "{shrink}: {i}: {sample} instead of {expected}");
            }
        }
    }

    #[test]
    fn a_picture_that_is_its_own_canvas_comes_back_bit_for_bit() {
        let size = Size::new(256, 256);
        for channels in 1..=4 {
            let samples = (0..size.area() * channels).map(|at| at as u16).collect();
            let pixels = Pixels::Sixteen(Picture { size, channels, samples });
            let alpha = pixels.alpha();
            let canvas = Canvas::over(pixels.clone(), 0);
            assert!(canvas.is_complete() && canvas.figures().is_none());
            assert_eq!(canvas.finish(alpha.as_ref()), pixels);
        }
    }

    #[test]
    fn grey_is_the_mean_and_alpha_is_kept_apart() {
        let size = Size::new(2, 1);
        let grid = TileGrid::fixed(size, size, 0).expect("one tile");
        let mut canvas = Canvas::new(size, 1, GREY, 1);
        let values = [0.0, 0.3, 0.3, 0.3, 0.6, 0.3];
        canvas.place(Patch::cut(&grid.tile(0), 1, GREY, &values).expect("finite"));
        let alpha = Pixels::Eight(Picture { size, channels: 1, samples: vec![255, 0] });
        let picture = Picture { size, channels: 2, samples: vec![77, 255, 77, 0] };
        assert_eq!(canvas.finish(Some(&alpha)), Pixels::Eight(picture));
    }
}
