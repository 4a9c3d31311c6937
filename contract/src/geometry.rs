//! Where tiles lie, in integers only: sizes, rectangles, the mirrored border and the tile grid.
//! Knows nothing of pixel values.

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// A size from its two sides, width first.
    pub const fn new(width: usize, height: usize) -> Size {
        Size { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.width * self.height
    }

    /// Both sides multiplied by an integer scale.
    pub const fn times(self, scale: usize) -> Size {
        Size { width: self.width * scale, height: self.height * scale }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}", self.width, self.height)
    }
}

/// A rectangle whose corner may lie outside the picture (negative): the part outside is mirrored into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left column.
    pub x: i64,
    /// Top row.
    pub y: i64,
    /// Width and height.
    pub size: Size,
}

impl Rect {
    /// The same rectangle in a picture that is `scale` times larger.
    pub const fn times(self, scale: usize) -> Rect {
        let s = scale as i64;
        Rect { x: self.x * s, y: self.y * s, size: self.size.times(scale) }
    }
}

/// Index of the sample that stands at `i` when a row of `n` samples is continued on both sides by repeated
/// mirroring about its end samples (…2 1 | 0 1 2 | 1 0 1…). A row of one sample is replicated.
///
/// # Panics
/// If `n` is zero: an empty row has nothing to mirror.
pub const fn mirror(i: i64, n: usize) -> usize {
    assert!(n > 0, "an empty row has nothing to mirror");
    if n == 1 {
        return 0;
    }
    let last = (n - 1) as i64;
    let period = i.rem_euclid(2 * last);
    (if period <= last { period } else { 2 * last - period }) as usize
}

/// One tile: the window a network evaluation sees and the part of its output that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// What the network sees, halo included, in input pixels; every window of a grid has the same size.
    pub window: Rect,
    /// What this tile alone gives to the result, in input pixels; the kept parts of a grid cover the picture
    /// exactly once.
    pub keep: Rect,
}

/// How a picture is cut: equal windows that overlap by the halo, each owning one part of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileGrid {
    picture: Size,
    window: Size,
    halo: usize,
    columns: usize,
    rows: usize,
}

impl TileGrid {
    /// Cuts `picture` into windows of exactly `window` pixels (halo included), for devices that want one
    /// fixed shape. Returns `None` where a window has no core, i.e. a side ≤ 2·halo, or the picture is empty.
    pub fn fixed(picture: Size, window: Size, halo: usize) -> Option<TileGrid> {
        if picture.area() == 0 || window.width <= 2 * halo || window.height <= 2 * halo {
            return None;
        }
        let columns = picture.width.div_ceil(window.width - 2 * halo);
        let rows = picture.height.div_ceil(window.height - 2 * halo);
        Some(TileGrid { picture, window, halo, columns, rows })
    }

    /// Cuts `picture` into as few windows of at most `max_side` pixels a side as possible and makes them as
    /// small as that number allows, for devices where cost is linear in pixels. Windows are multiples of
    /// `multiple` pixels, where `max_side` has room for it. Returns `None` where no window of that size has a
    /// core.
    pub fn fitted(picture: Size, max_side: usize, halo: usize, multiple: usize) -> Option<TileGrid> {
        let multiple = multiple.max(1);
        let max_side = max_side / multiple * multiple;
        if picture.area() == 0 || max_side <= 2 * halo {
            return None;
        }
        let side = |length: usize| {
            let count = length.div_ceil(max_side - 2 * halo);
            (length.div_ceil(count) + 2 * halo).next_multiple_of(multiple)
        };
        TileGrid::fixed(picture, Size::new(side(picture.width), side(picture.height)), halo)
    }

    /// Number of tiles.
    pub fn len(&self) -> usize {
        self.columns * self.rows
    }

    /// Never: a grid has at least one tile.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The size of every window.
    pub fn window(&self) -> Size {
        self.window
    }

    /// The picture that is cut.
    pub fn picture(&self) -> Size {
        self.picture
    }

    /// Pixels evaluated per pixel of the picture: the price of the halo.
    pub fn overhead(&self) -> f64 {
        (self.len() * self.window.area()) as f64 / self.picture.area() as f64
    }

    /// Tile number `index`, row by row.
    ///
    /// # Panics
    /// If `index` is not below [`TileGrid::len`].
    pub fn tile(&self, index: usize) -> Tile {
        assert!(index < self.len(), "tile {index} of {}", self.len());
        let (x, keep_x, width) = self.span(index % self.columns, self.picture.width, self.window.width);
        let (y, keep_y, height) = self.span(index / self.columns, self.picture.height, self.window.height);
        Tile {
            window: Rect { x, y, size: self.window },
            keep: Rect { x: keep_x, y: keep_y, size: Size::new(width, height) },
        }
    }

    /// All tiles, row by row.
    pub fn tiles(&self) -> impl DoubleEndedIterator<Item = Tile> + '_ {
        (0..self.len()).map(|index| self.tile(index))
    }

    /// Along one side: where window `index` begins, and the begin and length of what it keeps. The last
    /// window is shifted back into the picture, so that it sees as much of the real picture as the others.
    fn span(&self, index: usize, length: usize, window: usize) -> (i64, i64, usize) {
        let core = window - 2 * self.halo;
        let keep = index * core;
        let start = keep.min(length.saturating_sub(core));
        (start as i64 - self.halo as i64, keep as i64, core.min(length - keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_repeats_and_replicates_one_pixel() {
        let row: Vec<usize> = (-5..8).map(|i| mirror(i, 3)).collect();
        assert_eq!(row, [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert!((-9..9).all(|i| mirror(i, 1) == 0));
        assert_eq!((mirror(-1, 2), mirror(2, 2), mirror(-2, 2)), (1, 0, 0));
    }

    /// Exhaustive over small sizes: kept parts cover every pixel once, lie at least a halo inside their
    /// window or at the picture's border, and all windows are equal.
    #[test]
    fn kept_parts_cover_the_picture_exactly_once() {
        for width in 1..12 {
            for height in [1, 2, 5, 9] {
                for halo in 0..4 {
                    for max_side in 2 * halo + 1..2 * halo + 8 {
                        check(TileGrid::fitted(Size::new(width, height), max_side, halo, 1), max_side);
                        check(
                            TileGrid::fixed(Size::new(width, height), Size::new(max_side, max_side), halo),
                            max_side,
                        );
                    }
                }
            }
        }
    }

    #[track_caller]
    fn check(grid: Option<TileGrid>, max_side: usize) {
        let grid = grid.expect("a side over twice the halo always cuts");
        let mut seen = vec![0u8; grid.picture.area()];
        for tile in grid.tiles() {
            assert_eq!(tile.window.size, grid.window());
            assert!(tile.window.size.width <= max_side && tile.window.size.height <= max_side);
            let halo = grid.halo as i64;
            for y in tile.keep.y..tile.keep.y + tile.keep.size.height as i64 {
                for x in tile.keep.x..tile.keep.x + tile.keep.size.width as i64 {
                    seen[y as usize * grid.picture.width + x as usize] += 1;
                    assert!(x >= tile.window.x + halo && y >= tile.window.y + halo);
                    assert!(x < tile.window.x + tile.window.size.width as i64 - halo);
                    assert!(y < tile.window.y + tile.window.size.height as i64 - halo);
                }
            }
        }
        assert!(seen.iter().all(|&n| n == 1), "{grid:?}: {seen:?}");
    }

    #[test]
    fn windows_honour_the_multiple() {
        let grid = TileGrid::fitted(Size::new(101, 37), 64, 6, 8).expect("64 has a core");
        assert_eq!((grid.window().width % 8, grid.window().height % 8), (0, 0));
        assert!(TileGrid::fitted(Size::new(10, 10), 12, 6, 1).is_none(), "12 is all halo");
    }
}
