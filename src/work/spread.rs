//! How far the samples of one batch lie apart, pixel by pixel: a running mean and sum of squares of their
//! luma (Welford 1962), which keeps small spreads of bright pixels. Knows no model and no noise.

use contract::geometry::{Size, Tile};

/// Grey levels of an uncertainty map per 8-bit level of standard deviation: the map's white is a deviation of
/// 32 levels and more.
pub const LEVELS_PER_LEVEL: f32 = 8.0;

/// The samples of a batch so far.
#[derive(Debug)]
pub struct Spread {
    /// Pixels of one tile's output window.
    area: usize,
    samples: u32,
    mean: Vec<f32>,
    squares: Vec<f32>,
}

impl Spread {
    /// For `tiles` tiles of `window` output pixels.
    pub fn new(tiles: usize, window: Size) -> Spread {
        let pixels = tiles * window.area();
        Spread { area: window.area(), samples: 0, mean: vec![0.0; pixels], squares: vec![0.0; pixels] }
    }

    /// Takes one more sample of every tile, N×3×H×W RGB in [0, 1]. Luma is Y' of BT.601.
    pub fn add(&mut self, output: &[f32]) {
        self.samples += 1;
        let count = self.samples as f32;
        let tiles = output.chunks_exact(3 * self.area);
        let moments = self.mean.chunks_exact_mut(self.area).zip(self.squares.chunks_exact_mut(self.area));
        for (planes, (mean, squares)) in tiles.zip(moments) {
            let (red, rest) = planes.split_at(self.area);
            let (green, blue) = rest.split_at(self.area);
            let colours = red.iter().zip(green).zip(blue);
            for (((r, g), b), (mean, squares)) in colours.zip(mean.iter_mut().zip(squares)) {
                let luma = 0.299 * r + 0.587 * g + 0.114 * b;
                let off = luma - *mean;
                *mean += off / count;
                *squares += off * (luma - *mean);
            }
        }
    }

    /// The standard deviation (of n − 1) of what the tile of this number keeps, as grey levels of a map.
    pub fn cut(&self, number: usize, tile: &Tile, scale: usize) -> Vec<u8> {
        let (keep, window) = (tile.keep.times(scale), tile.window.times(scale));
        let (left, top) = ((keep.x - window.x) as usize, (keep.y - window.y) as usize);
        let squares = &self.squares[number * self.area..][..self.area];
        let degrees = self.samples.saturating_sub(1).max(1) as f32;
        let rows = (0..keep.size.height).flat_map(|row| {
            let from = (top + row) * window.size.width + left;
            &squares[from..from + keep.size.width]
        });
        rows.map(|sum| ((sum / degrees).sqrt() * 255.0 * LEVELS_PER_LEVEL).round().min(255.0) as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::TileGrid;

    /// Two tiles of 4×4 that keep 2×2 each; sample k adds k steps of an 8-bit level to one kept pixel.
    #[test]
    fn the_deviation_is_that_of_the_luma_in_eighths_of_a_level() {
        let window = Size::new(4, 4);
        let grid = TileGrid::fixed(Size::new(4, 2), window, 1).expect("a core of 2");
        let mut spread = Spread::new(2, window);
        for k in 0..3u8 {
            let mut output = vec![0.9; 2 * 48];
            for plane in 0..3 {
                output[48 + plane * 16 + 5] += f32::from(k) / 255.0;
            }
            // Outside of what is kept, whatever happens there.
            output[0] = f32::from(k);
            spread.add(&output);
        }
        assert_eq!(spread.cut(0, &grid.tile(0), 1), [0; 4]);
        assert_eq!(spread.cut(1, &grid.tile(1), 1), [8, 0, 0, 0], "0, 1 and 2 deviate by 1");
    }

    #[test]
    fn blue_counts_less_than_green_and_white_is_the_end() {
        let window = Size::new(1, 1);
        let tile = TileGrid::fixed(window, window, 0).expect("one tile").tile(0);
        let map = |colour: usize, step: f32| {
            let mut spread = Spread::new(1, window);
            for k in [0.0, 1.0, 2.0] {
                let mut output = [0.5; 3];
                output[colour] += k * step / 255.0;
                spread.add(&output);
            }
            spread.cut(0, &tile, 1)[0]
        };
        assert_eq!((map(1, 10.0), map(2, 10.0), map(1, 1000.0)), (47, 9, 255));
    }
}
