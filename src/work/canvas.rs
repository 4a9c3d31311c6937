//! Tiles in any order → one picture. Kept parts cover the picture exactly once, so there is nothing to
//! feather: each tile gives its own pixels, rounded to 8 bits as soon as they are known, which keeps whatever
//! waits at one byte a sample.

use contract::geometry::{Rect, Size, Tile};
use contract::pixels::{Picture, Planes, to_byte};
use contract::resample::enlarge;

/// What one tile gives to the result: 8-bit samples of its own part, interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Which part, in output pixels.
    keep: Rect,
    /// 1 for grey, else 3.
    channels: usize,
    samples: Vec<u8>,
    /// The uncertainty of its pixels, where that is wanted.
    map: Option<Vec<u8>>,
}

/// A tile held NaN or infinity where it matters.
#[derive(Debug, PartialEq, Eq)]
pub struct NonFinite;

impl Patch {
    /// Cuts what `tile` keeps out of `values`, the planar network output of its window, rounded to 8 bits.
    /// Grey is the mean of the three planes.
    ///
    /// # Errors
    /// If a kept value is not finite.
    pub fn cut(tile: &Tile, scale: usize, grey: bool, values: &[f32]) -> Result<Patch, NonFinite> {
        let (keep, window) = (tile.keep.times(scale), tile.window.times(scale));
        let (left, top) = ((keep.x - window.x) as usize, (keep.y - window.y) as usize);
        let (area, width) = (window.size.area(), keep.size.width);
        let channels = if grey { 1 } else { 3 };
        let mut samples = vec![0; keep.size.area() * channels];
        for (row, line) in samples.chunks_exact_mut(width * channels).enumerate() {
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
                    .for_each(|(sample, ((r, g), b))| *sample = to_byte((r + g + b) / 3.0));
            } else {
                for (samples, ((r, g), b)) in line.chunks_exact_mut(3).zip(pixels) {
                    samples.copy_from_slice(&[to_byte(*r), to_byte(*g), to_byte(*b)]);
                }
            }
        }
        Ok(Patch { keep, channels, samples, map: None })
    }

    /// With the uncertainty of its pixels, one sample each.
    pub fn with_map(mut self, map: Option<Vec<u8>>) -> Patch {
        self.map = map;
        self
    }
}

/// A result in the making.
#[derive(Debug)]
pub struct Canvas {
    scale: usize,
    colour: Picture,
    map: Option<Picture>,
    missing: usize,
}

impl Canvas {
    /// An empty canvas for a picture of `size` input pixels that is cut into `tiles` tiles. Grey pictures get
    /// one channel, all others three.
    pub fn new(size: Size, scale: usize, grey: bool, tiles: usize) -> Canvas {
        let colour = Picture::new(size.times(scale), if grey { 1 } else { 3 });
        Canvas { scale, colour, map: None, missing: tiles }
    }

    /// Places a patch of this picture.
    pub fn place(&mut self, patch: &Patch) {
        put(&mut self.colour, &patch.keep, &patch.samples);
        if let Some(samples) = &patch.map {
            let size = self.colour.size;
            put(self.map.get_or_insert_with(|| Picture::new(size, 1)), &patch.keep, samples);
        }
        self.missing = self.missing.saturating_sub(1);
    }

    /// Whether every tile was placed.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The finished uncertainty map, where one was made.
    pub fn take_map(&mut self) -> Option<Picture> {
        self.map.take()
    }

    /// The finished picture. `alpha`, one sample an input pixel, is enlarged by itself, so that what the
    /// network makes of colours never leaks into what is transparent.
    pub fn finish(self, alpha: Option<&Picture>) -> Picture {
        let Some(alpha) = alpha else { return self.colour };
        let alpha = enlarge(&Planes::from_picture(alpha), self.scale);
        let channels = self.colour.channels;
        let mut picture = Picture::new(self.colour.size, channels + 1);
        let pixels = picture.samples.chunks_exact_mut(channels + 1);
        for ((pixel, colour), &a) in pixels.zip(self.colour.samples.chunks_exact(channels)).zip(&alpha.values)
        {
            pixel[..channels].copy_from_slice(colour);
            pixel[channels] = to_byte(a);
        }
        picture
    }
}

/// Puts interleaved samples where they belong.
fn put(picture: &mut Picture, keep: &Rect, samples: &[u8]) {
    let (stride, channels) = (picture.size.width * picture.channels, picture.channels);
    let (left, width) = (keep.x as usize * channels, keep.size.width * channels);
    for (row, line) in samples.chunks_exact(width).enumerate() {
        let begin = (keep.y as usize + row) * stride + left;
        picture.samples[begin..begin + width].copy_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::TileGrid;

    #[test]
    fn a_canvas_is_complete_when_every_tile_was_placed() {
        let size = Size::new(5, 3);
        let grid = TileGrid::fitted(size, 4, 1, 1).expect("4 has a core");
        let mut canvas = Canvas::new(size, 2, false, grid.len());
        for tile in grid.tiles() {
            assert!(!canvas.is_complete());
            let values = vec![1.0; 3 * tile.window.size.times(2).area()];
            canvas.place(&Patch::cut(&tile, 2, false, &values).expect("finite"));
        }
        assert!(canvas.is_complete());
        assert!(canvas.finish(None).samples.iter().all(|&v| v == 255));
    }

    #[test]
    fn what_is_not_finite_is_refused_only_where_it_is_kept() {
        let grid = TileGrid::fixed(Size::new(2, 2), Size::new(4, 4), 1).expect("a core of 2");
        let tile = grid.tile(0);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5; 48];
            values[0] = bad;
            assert!(Patch::cut(&tile, 1, false, &values).is_ok(), "{bad} in the halo");
            values[16 + 5] = bad;
            assert_eq!(Patch::cut(&tile, 1, true, &values), Err(NonFinite), "{bad} in the core");
        }
    }

    #[test]
    fn grey_is_the_mean_and_alpha_is_kept_apart() {
        let size = Size::new(2, 1);
        let grid = TileGrid::fixed(size, size, 0).expect("one tile");
        let mut canvas = Canvas::new(size, 1, true, 1);
        let values = [0.0, 0.3, 0.3, 0.3, 0.6, 0.3];
        canvas.place(&Patch::cut(&grid.tile(0), 1, true, &values).expect("finite"));
        let alpha = Picture { size, channels: 1, samples: vec![255, 0] };
        let picture = canvas.finish(Some(&alpha));
        assert_eq!((picture.channels, picture.samples), (2, vec![77, 255, 77, 0]));
    }
}
