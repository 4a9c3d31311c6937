//! Small pictures as tensors and as sheets of PNG: reading cells of a sheet, writing rows of pictures. Knows
//! no networks.

use crate::data::{crop, read_rgb};
use crate::measure::strip;
use crate::run_folder::replace_with;
use contract::geometry::Size;
use contract::pixels::{Picture, Planes};
use contract::resample::shrink;
use std::io;
use std::path::Path;
use tch::{Kind, Tensor};

/// Pixels between pictures of a sheet.
const GAP: usize = 2;
/// Every pixel is drawn this many times along a side, so that eyes see it.
const ENLARGED: usize = 2;

/// The first `count` pictures of `path`, N×3×S×S in [−1, 1]: the cells of a sheet, or the pictures of a
/// folder, cut to a square in the middle and shrunk.
///
/// # Errors
/// If something cannot be read, or there is no picture.
pub fn read_pictures(path: &Path, side: usize, count: usize) -> Result<Tensor, String> {
    if !path.is_dir() {
        return read_cells(path, side, count);
    }
    let entries = std::fs::read_dir(path).map_err(|e| e.to_string())?;
    let paths: Result<Vec<_>, std::io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = paths.map_err(|e| e.to_string())?;
    files.retain(|file| file.is_file());
    files.sort();
    let picture = |file: &std::path::PathBuf| match read_rgb(file) {
        Ok(picture) => {
            let small = shrunk(&picture, side);
            if small.is_none() {
                log::warn!("skipped, smaller than {side}×{side}: {}", file.display());
            }
            small
        }
        Err(problem) => {
            log::warn!("skipped, cannot be decoded: {problem}: {}", file.display());
            None
        }
    };
    let pictures = files.iter().filter_map(picture);
    let values: Vec<Tensor> = pictures.take(count).map(|planes| Tensor::from_slice(&planes.values)).collect();
    if values.is_empty() {
        return Err(format!("no picture of at least {side}×{side} in the folder"));
    }
    let side = side as i64;
    Ok(Tensor::stack(&values, 0).view([-1, 3, side, side]) * 2.0 - 1.0)
}

/// The middle of a picture at `side`×`side`; `None` where it is smaller.
fn shrunk(picture: &Picture, side: usize) -> Option<Planes> {
    let factor = picture.size.width.min(picture.size.height) / side;
    if factor == 0 {
        return None;
    }
    let square = side * factor;
    let (x, y) = ((picture.size.width - square) / 2, (picture.size.height - square) / 2);
    let middle = crop(picture, x, y, Size::new(square, square));
    Some(if factor == 1 {
        Planes::from_picture(&middle)
    } else {
        shrink(&Planes::from_picture(&middle), factor)
    })
}

/// The first `count` cells of side `side`, row by row, of a sheet whose sides are multiples of it; N×3×S×S in
/// [−1, 1].
///
/// # Errors
/// If the file cannot be read or its sides are no multiples.
fn read_cells(path: &Path, side: usize, count: usize) -> Result<Tensor, String> {
    let sheet = read_rgb(path)?;
    let Size { width, height } = sheet.size;
    if width % side + height % side != 0 {
        return Err(format!("a sheet of {side}×{side} pictures is needed, this is {width}×{height}"));
    }
    let (columns, rows) = (width / side, height / side);
    let count = count.min(columns * rows);
    let mut values = Vec::with_capacity(count * 3 * side * side);
    for index in 0..count {
        let (x, y) = (index % columns * side, index / columns * side);
        for channel in 0..3 {
            for pixel in 0..side * side {
                let at = (y + pixel / side) * width + x + pixel % side;
                values.push(f32::from(sheet.samples[3 * at + channel]) / 127.5 - 1.0);
            }
        }
    }
    let side = side as i64;
    Ok(Tensor::from_slice(&values).view([count as i64, 3, side, side]))
}

/// N×3×S×S in [−1, 1], clipped, as pictures.
pub fn to_pictures(x: &Tensor) -> Vec<Picture> {
    let x = ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to_kind(Kind::Uint8);
    let x = x.permute([0, 2, 3, 1]).contiguous().to_device(tch::Device::Cpu);
    let size = x.size();
    let bytes = Vec::<u8>::try_from(&x.reshape([-1])).expect("bytes become a vector");
    let one = Size::new(size[2] as usize, size[1] as usize);
    bytes
        .chunks_exact(3 * one.area())
        .map(|samples| Picture { size: one, channels: 3, samples: samples.to_vec() })
        .collect()
}

/// Writes rows of equally sized pictures as one PNG, enlarged twofold on a white ground.
///
/// # Errors
/// If there is nothing to write or the file cannot be written.
pub fn write_sheet(path: &Path, rows: &[Vec<Picture>]) -> io::Result<()> {
    if rows.iter().all(Vec::is_empty) {
        return Err(io::Error::other("no pictures"));
    }
    let rows: Vec<Vec<Picture>> = rows.iter().map(|row| row.iter().map(enlarged).collect()).collect();
    write_png(path, &strip(&rows, GAP))
}

/// Every pixel [`ENLARGED`] times along a side.
fn enlarged(picture: &Picture) -> Picture {
    let mut large = Picture::new(picture.size.times(ENLARGED), 3);
    let width = large.size.width;
    for (at, pixel) in large.samples.chunks_exact_mut(3).enumerate() {
        let from = 3 * (at / width / ENLARGED * picture.size.width + at % width / ENLARGED);
        pixel.copy_from_slice(&picture.samples[from..from + 3]);
    }
    large
}

/// Writes an RGB picture as PNG, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_png(path: &Path, picture: &Picture) -> io::Result<()> {
    let (width, height) = (picture.size.width as u32, picture.size.height as u32);
    let (kind, format) = (image::ExtendedColorType::Rgb8, image::ImageFormat::Png);
    replace_with(path, |temp| {
        image::save_buffer_with_format(temp, &picture.samples, width, height, kind, format)
            .map_err(io::Error::other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn a_written_sheet_has_the_pictures_in_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let x = Tensor::from_slice(&[-1.0f32, 0.2, 1.0]).view([3, 1, 1, 1]).expand([3, 3, 4, 4], false);
        let pictures = to_pictures(&x.to_device(Device::Cpu));
        write_sheet(&path, &[pictures[..2].to_vec(), pictures[2..].to_vec()]).unwrap();
        let back = read_rgb(&path).unwrap();
        assert_eq!((back.size.width, back.size.height), (18, 18));
        let at = |x: usize, y: usize| back.samples[3 * (y * 18 + x)];
        assert_eq!([at(0, 0), at(8, 0), at(10, 0), at(0, 10), at(10, 10)], [0, 255, 153, 255, 255]);
    }

    #[test]
    fn a_folder_gives_the_middle_of_each_picture_shrunk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        let bytes: Vec<u8> = (0..16 * 9).flat_map(|p| [if p % 16 < 8 { 0 } else { 255 }; 3]).collect();
        image::save_buffer(&path, &bytes, 16, 9, image::ExtendedColorType::Rgb8).unwrap();
        let read = read_pictures(folder.path(), 4, 9).unwrap();
        assert_eq!(read.size(), [1, 3, 4, 4]);
        assert!(read.double_value(&[0, 0, 0, 0]) < -0.9 && read.double_value(&[0, 0, 0, 3]) > 0.9);
        assert!(read_pictures(folder.path(), 32, 9).unwrap_err().starts_with("no picture of at least 32×32"));
    }

    #[test]
    fn cells_are_read_row_by_row_and_odd_sheets_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.png");
        let bytes: Vec<u8> = (0..8 * 4).flat_map(|pixel| [if pixel % 8 < 4 { 0 } else { 255 }; 3]).collect();
        image::save_buffer(&path, &bytes, 8, 4, image::ExtendedColorType::Rgb8).unwrap();
        let cells = read_cells(&path, 4, 9).unwrap();
        assert_eq!(cells.size(), [2, 3, 4, 4]);
        assert_eq!((cells.double_value(&[0, 0, 0, 0]), cells.double_value(&[1, 2, 3, 3])), (-1.0, 1.0));
        assert!(read_cells(&path, 5, 1).unwrap_err().contains("8×4"));
    }
}
