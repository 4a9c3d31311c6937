//! How pictures are cut for a model on a device, and the memory of all tiles that may exist at once.
//! Arithmetic only.

use crate::work::crops::Cutting;
use crate::work::device::Device;
use contract::card::{ModelCard, Role, Task};
use contract::geometry::{Size, TileGrid};

/// Largest side of a window on the CPU, halo included. Cost there is linear in pixels, so large windows only
/// save halo: against 256 this one costs 5 % less, 512 would save 10 % for twice the activations
/// (`benches/window.rs`).
pub const CPU_WINDOW_SIDE_PX: usize = 384;
/// Side of every window on a GPU, halo included: one fixed shape, so that nothing is searched or built anew.
pub const GPU_WINDOW_SIDE_PX: usize = 192;
/// Longest side of a crop that is repaired in one evaluation: room for a hole of 500 pixels and its
/// surroundings at the full resolution. Activations grow with its square.
pub const CROP_SIDE_PX: usize = 1024;
/// A window keeps at least this much, however large the halo.
const LEAST_CORE_PX: usize = 64;
/// How pictures are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiling {
    /// Windows shrink to the picture, up to a side.
    Fitted {
        /// Largest side, halo included.
        max_side: usize,
        /// Context in input pixels.
        halo: usize,
        /// Sides are multiples of this.
        multiple: usize,
    },
    /// Every window has one size.
    Fixed {
        /// That size, halo included.
        window: Size,
        /// Context in input pixels.
        halo: usize,
    },
    /// Holes are cut out with what is around them.
    Holes(Cutting),
}

impl Tiling {
    /// How pictures are cut for a model on a device, in windows of at most `wanted` pixels a side, or as is
    /// usual there. There is always a core: a large halo makes a larger window.
    pub fn new(card: &ModelCard, device: Device, wanted: Option<usize>) -> Tiling {
        let halo = card.halo;
        // A graph of one shape is given that, whatever is wanted.
        let multiple = card.window.unwrap_or(card.multiple);
        if card.task == Task::Inpainting {
            // A quarter of it is what a hole is given of its surroundings.
            let least = (4 * halo).min(CROP_SIDE_PX);
            let side = wanted.map_or(CROP_SIDE_PX, |wanted| wanted.clamp(least, CROP_SIDE_PX));
            let max_side = card.window.unwrap_or(side.next_multiple_of(multiple));
            return Tiling::Holes(Cutting { halo, hole_px: card.hole_px, multiple, max_side });
        }
        if let Some(side) = card.window {
            return Tiling::Fixed { window: Size::new(side, side), halo };
        }
        let side = |wanted: usize| {
            let side = wanted / multiple * multiple;
            if side >= 2 * halo + LEAST_CORE_PX {
                side
            } else {
                (2 * halo + LEAST_CORE_PX).next_multiple_of(multiple)
            }
        };
        if device == Device::Cpu {
            return Tiling::Fitted { max_side: side(wanted.unwrap_or(CPU_WINDOW_SIDE_PX)), halo, multiple };
        }
        let side = side(wanted.unwrap_or(GPU_WINDOW_SIDE_PX));
        Tiling::Fixed { window: Size::new(side, side), halo }
    }

    /// The largest window.
    pub fn largest(&self) -> Size {
        match *self {
            Tiling::Fitted { max_side, .. } => Size::new(max_side, max_side),
            Tiling::Fixed { window, .. } => window,
            Tiling::Holes(Cutting { max_side, .. }) => Size::new(max_side, max_side),
        }
    }

    /// Side of the window that the golden tile is evaluated in: the very shape that is served, where there is
    /// one.
    pub fn golden_side(&self, card: &ModelCard) -> usize {
        match *self {
            Tiling::Fixed { window, .. } => window.width.max(card.golden_side()),
            Tiling::Fitted { .. } | Tiling::Holes(_) => card.golden_side(),
        }
    }

    /// How many of its largest windows go together where `tiles` usual windows do; rounded up, so that no mix
    /// of smaller ones takes more memory.
    pub fn together(&self, tiles: usize) -> usize {
        match self {
            Tiling::Holes(_) => {
                (tiles * GPU_WINDOW_SIDE_PX * GPU_WINDOW_SIDE_PX).div_ceil(self.largest().area()).min(tiles)
            }
            Tiling::Fitted { .. } | Tiling::Fixed { .. } => tiles,
        }
    }

    /// The grid of a picture that has pixels. `None` where holes are cut out, and where windows have no core,
    /// which [`Tiling::new`] never makes.
    pub fn grid(&self, picture: Size) -> Option<TileGrid> {
        match *self {
            Tiling::Fitted { max_side, halo, multiple } => {
                TileGrid::fitted(picture, max_side, halo, multiple)
            }
            Tiling::Fixed { window, halo } => TileGrid::fixed(picture, window, halo),
            Tiling::Holes(_) => None,
        }
    }
}

/// How many crops of a size go together where `tiles` usual windows do: as many pixels, but at least one
/// crop.
pub fn crops(tiles: usize, size: Size) -> usize {
    (tiles * GPU_WINDOW_SIDE_PX * GPU_WINDOW_SIDE_PX / size.area().max(1)).clamp(1, tiles.max(1))
}

/// Bytes a pixel that a worker needs for a crop between its levels, beside input and output: all levels (16),
/// what is filled (12), its mask as told (4) and the differences at the border (12), with masks of a byte.
const REPAIR_BYTES: usize = 48;

/// Bytes a pixel, going in and coming out, that a model from elsewhere needs beside that: its values in its
/// own order, and once more as a tensor.
const FOREIGN_BYTES: usize = 32;

/// Memory of all tiles that may exist at once, whatever the pictures, where so many are queued and so many go
/// together: windows waiting and in hand, each worker's noise, what is kept of outputs, waiting and in hand,
/// and what a worker keeps of the samples of an uncertainty map.
pub fn pool_bytes(
    card: &ModelCard,
    window: Size,
    (queued, together): (usize, usize),
    (workers, decoders): (usize, usize),
    (mapped, foreign): (bool, bool),
) -> u64 {
    let repairs = card.task == Task::Inpainting;
    let input = (12 + usize::from(repairs)) * window.area();
    let repair = if repairs { REPAIR_BYTES * window.area() } else { 0 };
    let output = window.times(card.scale).area();
    let noise = if card.role == Role::Sample { 12 * output } else { 0 };
    let converted = if foreign { FOREIGN_BYTES * (window.area() + output) } else { 0 };
    // A batch that is not full is filled up in a copy.
    let filled = if together > 1 { input + noise } else { 0 };
    // Decoders each hold a tile, others wait in their queue and for company, and each worker has one batch
    // waiting and one in hand.
    let windows = decoders + queued + together * 2 * workers;
    let kept = together * (2 * workers + 1);
    // Three samples of two bytes: what results are written as keeps 16 bits by default, and whether a picture
    // has them is not known here. The map has one byte.
    let (bytes, moments) = if mapped { (7, 8 * output) } else { (6, 0) };
    let each = noise + moments + repair + converted + filled;
    (windows * input + workers * together * each + kept * bytes * output) as u64
}

/// A card as tests want one.
#[cfg(test)]
pub fn card(halo: usize, multiple: usize) -> ModelCard {
    use contract::card::{Precision, Task};
    use contract::golden::Golden;
    use contract::pixels::Picture;
    let image = Picture::new(Size::new(1, 1), 3);
    ModelCard {
        name: "test".into(),
        task: Task::SuperResolution,
        role: Role::Mean,
        scale: 4,
        receptive_field: halo,
        halo,
        multiple,
        window: None,
        hole_px: 0,
        sources: vec![],
        companion: None,
        precision: Precision::F32,
        int8: None,
        f16: None,
        default_strength: 0.0,
        residual_rms: 0.1,
        sigma_max: 1.0,
        licence: "CC0-1.0".into(),
        facts: [].into(),
        golden: Golden { image, seed: 0, middle: 1, expected: vec![0; 48] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every card that the contract allows can be served.
    #[test]
    fn there_is_always_a_core_and_windows_honour_the_multiple() {
        for halo in [0, 1, 12, 96, 127, 128, 512] {
            for multiple in [1, 2, 7, 8, 64, 256] {
                for device in [Device::Cpu, Device::Cuda(0)] {
                    let tiling = Tiling::new(&card(halo, multiple), device, None);
                    for picture in [Size::new(1, 1), Size::new(1000, 3)] {
                        let grid = tiling.grid(picture).unwrap_or_else(|| panic!("{tiling:?} has no core"));
                        let window = grid.window();
                        assert_eq!((window.width % multiple, window.height % multiple), (0, 0), "{tiling:?}");
                    }
                }
            }
        }
    }

    /// Results of 16 bits wait as such.
    #[test]
    fn what_is_kept_of_outputs_has_two_bytes_a_sample_and_one_of_the_map() {
        let pool = |mapped| pool_bytes(&card(12, 1), Size::new(100, 100), (4, 1), (1, 1), (mapped, false));
        let output = 16 * 100 * 100;
        // Seven windows, and what is kept of three outputs.
        assert_eq!(pool(false), 7 * 12 * 100 * 100 + 3 * 6 * output);
        assert_eq!(pool(true), pool(false) + 3 * output + 8 * output);
    }

    #[test]
    fn usual_windows_are_the_named_ones() {
        let side = CPU_WINDOW_SIDE_PX;
        assert_eq!(
            Tiling::new(&card(12, 1), Device::Cpu, None),
            Tiling::Fitted { max_side: side, halo: 12, multiple: 1 }
        );
        let window = Size::new(GPU_WINDOW_SIDE_PX, GPU_WINDOW_SIDE_PX);
        for device in [Device::Cuda(1), Device::TensorRt(0)] {
            assert_eq!(Tiling::new(&card(12, 8), device, None), Tiling::Fixed { window, halo: 12 });
        }
        let only = ModelCard { window: Some(64), ..card(12, 1) };
        for device in [Device::Cpu, Device::Cuda(0)] {
            let tiling = Tiling::new(&only, device, Some(500));
            assert_eq!(tiling, Tiling::Fixed { window: Size::new(64, 64), halo: 12 });
            assert_eq!(tiling.golden_side(&only), 64);
        }
        let repairs = ModelCard { task: Task::Inpainting, ..only };
        let Tiling::Holes(cutting) = Tiling::new(&repairs, Device::Cpu, None) else { panic!("it repairs") };
        assert_eq!((cutting.multiple, cutting.max_side), (64, 64));
        let of =
            |wanted| match Tiling::new(&ModelCard { window: None, ..repairs.clone() }, Device::Cpu, wanted) {
                Tiling::Holes(cutting) => cutting.max_side,
                other => panic!("{other:?}"),
            };
        assert_eq!([None, Some(512), Some(32), Some(2048)].map(of), [1024, 512, 48, 1024]);
        // Large crops go alone where eight windows go together; of small ones no more than eight go together.
        let free = ModelCard { window: None, ..repairs };
        assert_eq!(Tiling::new(&free, Device::Cuda(0), None).together(8), 1);
        let sides = [1024, 192, 128, 32];
        assert_eq!(sides.map(|side| crops(8, Size::new(side, side))), [1, 8, 8, 8]);
        assert_eq!(sides.map(|side| crops(1, Size::new(side, side))), [1; 4]);
        let smaller = Size::new(120, 120);
        let asked = Tiling::new(&card(12, 8), Device::Cuda(1), Some(127));
        assert_eq!(asked, Tiling::Fixed { window: smaller, halo: 12 });
    }
}
