//! Pictures that nobody took, for measuring: detail of all sizes, so that encoders have about the work that
//! photos give them. The same every time.

use crate::edge::codec::{Metadata, encode};
use crate::work::format::Format;
use crate::work::pixels::Pixels;
use contract::geometry::{Rect, Size};
use contract::noise;
use contract::pixels::{Picture, to_byte};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// As cameras have it.
const QUALITY: u8 = 92;
/// Cells of the coarsest layer, along a side.
const COARSEST_PX: usize = 128;
/// Standard deviation of the coarsest layer in [0, 1]; each finer one has half of the one before.
const CONTRAST: f32 = 0.14;

/// Writes so many JPEGs of a size into a folder, which is made.
///
/// # Errors
/// What the system says.
pub(super) fn write(folder: &Path, count: usize, size: Size) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for number in 0..count {
        let mut file = BufWriter::new(File::create(folder.join(format!("{number:05}.jpg")))?);
        let pixels = Pixels::Eight(picture(number as u64, size));
        encode(&pixels, "", &Metadata::default(), Format::Jpeg(QUALITY), &mut file)?;
        file.flush()?;
    }
    Ok(())
}

/// Layers of noise, each of cells half as large as the one before and half as strong: about the spectrum of
/// photos.
fn picture(seed: u64, size: Size) -> Picture {
    let mut planes = vec![0.5; 3 * size.area()];
    let (mut cell, mut contrast, mut stream) = (COARSEST_PX, CONTRAST, 0);
    while cell > 0 {
        let cells = Size::new(size.width / cell + 2, size.height / cell + 2);
        let mut layer = vec![0.0; 3 * cells.area()];
        noise::fill(seed, stream, Rect { x: 0, y: 0, size: cells }, &mut layer);
        for (plane, layer) in planes.chunks_exact_mut(size.area()).zip(layer.chunks_exact(cells.area())) {
            for (at, value) in plane.iter_mut().enumerate() {
                *value += contrast * between(layer, cells.width, (at % size.width, at / size.width), cell);
            }
        }
        (cell, contrast, stream) = (cell / 2, contrast / 2.0, stream + 1);
    }
    let area = size.area();
    let samples =
        (0..area).flat_map(|at| [0, 1, 2].map(|plane| to_byte(planes[plane * area + at]))).collect();
    Picture { size, channels: 3, samples }
}

/// A layer at a pixel, straight between its cells' corners.
fn between(layer: &[f32], width: usize, (x, y): (usize, usize), cell: usize) -> f32 {
    let (column, row) = (x / cell, y / cell);
    let (right, down) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
    let line = |row: usize| {
        let at = row * width + column;
        layer[at] + right * (layer[at + 1] - layer[at])
    };
    line(row) + down * (line(row + 1) - line(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_detail_stay_in_range_and_are_the_same_every_time() {
        let size = Size::new(150, 70);
        let made = picture(3, size);
        assert_eq!((made.samples.len(), &made), (3 * size.area(), &picture(3, size)));
        assert_ne!(made, picture(4, size));
        let mean =
            made.samples.iter().map(|value| f64::from(*value)).sum::<f64>() / made.samples.len() as f64;
        let clipped = made.samples.iter().filter(|value| [0, 255].contains(*value)).count();
        assert!((90.0..166.0).contains(&mean) && clipped < made.samples.len() / 50, "{mean} {clipped}");
    }
}
