//! Small pictures of one size for unconditional generation: sheets of 32×32 cells with a label each, as the
//! CIFAR-10 pack lays them out. Knows files and bytes, not what is learned from them.

use super::corpus::DataError;
use super::pictures::read_rgb;
use super::random::Random;
use rayon::prelude::*;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Side of a picture.
pub const SIDE: usize = 32;
/// Values of one picture.
const VALUES: usize = 3 * SIDE * SIDE;
/// Pixels by which the classifier's training shifts pictures at most.
const SHIFT: usize = 2;

/// Which part of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// `train_*.webp`
    Train,
    /// `test_*.webp`
    Test,
}

/// Pictures of 32×32 with labels, interleaved 8-bit RGB, in memory.
#[derive(Debug, Clone)]
pub struct SmallPictures {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl SmallPictures {
    /// Reads `train_*` or `test_*` sheets (any size that is a multiple of 32, cells row by row) and
    /// `train_labels.u8` or `test_labels.u8`, a byte per picture.
    ///
    /// # Errors
    /// If files are missing, unreadable, or pictures and labels differ in number.
    pub fn load(folder: &Path, split: Split) -> Result<SmallPictures, DataError> {
        let name = if split == Split::Train { "train_" } else { "test_" };
        let unreadable = |source| DataError::Unreadable { path: folder.to_owned(), source };
        let mut sheets: Vec<_> = std::fs::read_dir(folder)
            .map_err(unreadable)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "webp" || e == "png"))
            .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(name)))
            .collect();
        sheets.sort();
        let labels_path = folder.join(format!("{name}labels.u8"));
        let labels = std::fs::read(&labels_path)
            .map_err(|source| DataError::Unreadable { path: labels_path, source })?;
        let broken = |path: &Path, problem| DataError::Sheet { path: path.to_owned(), problem };
        let cells: Result<Vec<Vec<u8>>, DataError> = sheets
            .par_iter()
            .map(|path| {
                let sheet = read_rgb(path).map_err(|problem| broken(path, problem))?;
                let (width, height) = (sheet.size.width, sheet.size.height);
                if width % SIDE + height % SIDE != 0 {
                    return Err(broken(path, format!("{width}×{height} is no multiple of {SIDE}")));
                }
                Ok(cells(&sheet.samples, width, height))
            })
            .collect();
        let pixels = cells?.concat();
        if pixels.is_empty() || pixels.len() != labels.len() * VALUES {
            let problem = format!("{} pictures but {} labels", pixels.len() / VALUES, labels.len());
            return Err(broken(folder, problem));
        }
        if let Some(label) = labels.iter().find(|&&label| label > 9) {
            return Err(broken(folder, format!("a label is {label}; ten classes are 0 to 9")));
        }
        Ok(SmallPictures { pixels, labels })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never, by construction.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pictures `indices`: N×3×32×32 f32 in [−1, 1], channels last.
    pub fn tensor(&self, indices: &[usize], device: Device) -> Tensor {
        let bytes: Vec<u8> = indices.iter().flat_map(|&i| self.picture(i)).copied().collect();
        to_tensor(&bytes, device)
    }

    /// Labels `indices`, N of i64.
    pub fn labels(&self, indices: &[usize], device: Device) -> Tensor {
        let labels: Vec<i64> = indices.iter().map(|&i| i64::from(self.labels[i])).collect();
        Tensor::from_slice(&labels).to_device(device)
    }

    /// `count` pictures drawn by `random`, half of them mirrored left to right, as bytes for [`to_tensor`].
    pub fn draw(&self, count: usize, random: &mut Random) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count * VALUES);
        for _ in 0..count {
            let picture = self.picture(random.below(self.len()));
            let mirrored = random.below(2) == 1;
            for pixel in 0..SIDE * SIDE {
                let (row, column) = (pixel / SIDE, pixel % SIDE);
                let at = 3 * (row * SIDE + if mirrored { SIDE - 1 - column } else { column });
                bytes.extend_from_slice(&picture[at..at + 3]);
            }
        }
        bytes
    }

    /// Pictures `indices`, mirrored where `mirrored` says so of a picture and shifted by up to two pixels
    /// (borders reflected), as bytes for [`to_tensor`]: the classifier's augmentation.
    pub fn shifted(
        &self,
        indices: &[usize],
        mirrored: &(dyn Fn(usize) -> bool + Sync),
        seed: u64,
    ) -> Vec<u8> {
        let one = |&index: &usize| {
            let mut random = Random::new(&[seed, index as u64]);
            let (dx, dy) = (random.below(2 * SHIFT + 1), random.below(2 * SHIFT + 1));
            let (picture, flip) = (self.picture(index), mirrored(index));
            let mut out = Vec::with_capacity(VALUES);
            for pixel in 0..SIDE * SIDE {
                let row = reflected(pixel / SIDE + dy);
                let column = reflected(pixel % SIDE + dx);
                let at = 3 * (row * SIDE + if flip { SIDE - 1 - column } else { column });
                out.extend_from_slice(&picture[at..at + 3]);
            }
            out
        };
        indices.par_iter().flat_map_iter(one).collect()
    }

    fn picture(&self, index: usize) -> &[u8] {
        &self.pixels[index * VALUES..(index + 1) * VALUES]
    }
}

/// Interleaved bytes of whole pictures → N×3×32×32 f32 in [−1, 1], channels last.
pub fn to_tensor(bytes: &[u8], device: Device) -> Tensor {
    let shape = [(bytes.len() / VALUES) as i64, SIDE as i64, SIDE as i64, 3];
    let tensor = Tensor::from_data_size(bytes, &shape, Kind::Uint8).to_device(device);
    (tensor.to_kind(Kind::Float) / 127.5 - 1.0).permute([0, 3, 1, 2])
}

/// Place in the picture of a place in it widened by [`SHIFT`] reflected pixels on each side.
fn reflected(place: usize) -> usize {
    let at = place.abs_diff(SHIFT);
    if at < SIDE { at } else { 2 * (SIDE - 1) - at }
}

fn cells(samples: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(samples.len());
    for (y, x) in (0..height / SIDE).flat_map(|y| (0..width / SIDE).map(move |x| (y, x))) {
        for row in 0..SIDE {
            let begin = 3 * ((y * SIDE + row) * width + x * SIDE);
            out.extend_from_slice(&samples[begin..begin + 3 * SIDE]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_row_by_row_and_shifts_reflect() {
        let (width, height) = (2 * SIDE, 2 * SIDE);
        let of = |pixel: usize| (2 * (pixel / width / SIDE) + pixel % width / SIDE) as u8;
        let sheet: Vec<u8> = (0..width * height).flat_map(|pixel| [of(pixel); 3]).collect();
        let cut = cells(&sheet, width, height);
        for (index, picture) in cut.chunks_exact(VALUES).enumerate() {
            assert!(picture.iter().all(|&v| usize::from(v) == index));
        }
        assert_eq!([0, 1, 2, 33, 34, 35].map(reflected), [2, 1, 0, 31, 30, 29]);
    }

    #[test]
    fn drawn_pictures_come_from_the_pack_and_half_are_mirrored() {
        let gradient: Vec<u8> = (0..SIDE * SIDE).flat_map(|p| [(p % SIDE) as u8; 3]).collect();
        let pack = SmallPictures { pixels: gradient.clone(), labels: vec![0] };
        let drawn = pack.draw(200, &mut Random::new(&[1]));
        let straight = drawn.chunks_exact(VALUES).filter(|p| *p == &gradient[..]).count();
        assert!((70..130).contains(&straight), "{straight}");
        let (low, high) = (to_tensor(&[0; VALUES], Device::Cpu), to_tensor(&[255; VALUES], Device::Cpu));
        assert_eq!((low.double_value(&[0, 0, 0, 0]), high.double_value(&[0, 2, 31, 31])), (-1.0, 1.0));
    }
}
