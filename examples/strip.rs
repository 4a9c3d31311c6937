//! Puts pictures of several folders side by side at 100 %: the middle of each original, stretched by plain
//! bicubic, then the same place in each folder of enlargements. `strip OUT.png ORIGINALS FOLDER...`; used by
//! `scripts/demo`.

use contract::geometry::{Rect, Size};
use contract::pixels::{Picture, Planes};
use contract::resample::enlarge;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Side of each cell: large enough to judge texture, small enough for one screen.
const CELL: usize = 384;
const GAP: usize = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [out, originals, folders @ ..] = arguments.as_slice() else {
        return Err("usage: strip OUT.png ORIGINALS FOLDER...".into());
    };
    let mut rows = Vec::new();
    for original in pictures(originals)? {
        let stem = original.file_stem().ok_or("a picture has a name")?;
        let small = read(&original)?;
        let mut row = Vec::new();
        for folder in folders {
            row.push(read(&folder.join(stem).with_extension("png"))?);
        }
        let scale = row.first().map_or(1, |large| large.size.width / small.size.width);
        row.insert(0, enlarge(&Planes::from_picture(&small), scale).to_picture());
        rows.push(row.iter().map(middle).collect::<Vec<_>>());
    }
    let columns = folders.len() + 1;
    let size = Size::new(columns * (CELL + GAP) - GAP, rows.len() * (CELL + GAP) - GAP);
    let mut sheet = Picture { size, channels: 3, samples: vec![255; 3 * size.area()] };
    for (row, cells) in rows.iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            paste(&mut sheet, cell, column * (CELL + GAP), row * (CELL + GAP));
        }
    }
    let (width, height) = (size.width as u32, size.height as u32);
    image::save_buffer(out, &sheet.samples, width, height, image::ExtendedColorType::Rgb8)?;
    Ok(())
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "jpg" || e == "png"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Picture, Box<dyn Error>> {
    let rgb = image::open(path).map_err(|e| format!("{}: {e}", path.display()))?.into_rgb8();
    let size = Size::new(rgb.width() as usize, rgb.height() as usize);
    Ok(Picture { size, channels: 3, samples: rgb.into_raw() })
}

/// The middle cell of a picture; what lies outside a smaller picture is mirrored.
fn middle(picture: &Picture) -> Picture {
    let corner = |length: usize| (length as i64 - CELL as i64) / 2;
    let window =
        Rect { x: corner(picture.size.width), y: corner(picture.size.height), size: Size::new(CELL, CELL) };
    let mut planes = Planes::new(window.size, 3);
    contract::pixels::cut_window(picture, [0, 1, 2], window, &mut planes.values);
    planes.to_picture()
}

fn paste(sheet: &mut Picture, cell: &Picture, x: usize, y: usize) {
    for (line, pixels) in cell.samples.chunks_exact(3 * CELL).enumerate() {
        let begin = ((y + line) * sheet.size.width + x) * 3;
        sheet.samples[begin..begin + pixels.len()].copy_from_slice(pixels);
    }
}
