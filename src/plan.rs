//! Options and model card → the few values each stage gets. The last place that sees both: after it, no stage
//! can meet a pair that does not fit. Reads no files, starts nothing.

use crate::edge::model::{Device, Facts};
use crate::work::mark::Fingerprint;
use contract::card::ModelCard;
use contract::geometry::{Size, TileGrid};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Largest side of a window on the CPU, halo included. Cost there is linear in pixels, so large windows only
/// save halo: against 256 this one costs 5 % less, 512 would save 10 % for twice the activations
/// (`benches/window.rs`).
pub const CPU_WINDOW_SIDE_PX: usize = 384;
/// Side of every window on a GPU, halo included: one fixed shape, so that nothing is searched or built anew.
pub const CUDA_WINDOW_SIDE_PX: usize = 192;
/// A window keeps at least this much, however large the halo.
const LEAST_CORE_PX: usize = 64;
/// Tiles that share an evaluation on a GPU. On the CPU more than one gains nothing and costs memory.
const CUDA_BATCH_TILES: usize = 8;
/// How long a tile waits for company: far below an evaluation, far above the gap between two tiles of one
/// picture.
const LINGER: Duration = Duration::from_millis(5);
/// Largest strength: the card's own bound, told before a model is opened.
pub const MAX_STRENGTH: f32 = 1.2;

/// What is refused by its header, and how much may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Length of a file.
    pub max_file_mb: u64,
    /// Pixels of a picture.
    pub max_input_mpx: u64,
    /// Pixels of a result.
    pub max_output_mpx: u64,
    /// Pixels of all results in the making; one that is larger is made alone.
    pub budget_mpx: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_file_mb: 200, max_input_mpx: 100, max_output_mpx: 800, budget_mpx: 256 }
    }
}

/// How many threads the machine gives us.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What the user chose, whole and in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The output folder.
    pub output: PathBuf,
    /// A fixed seed, or `None`: from each picture's content.
    pub seed: Option<u64>,
    /// Cores to use.
    pub threads: usize,
    /// Limits.
    pub limits: Limits,
    /// Give up what stands where a result goes, whoever made it.
    pub force: bool,
    /// Remember every output name for the whole run (`once`), not only while in flight (`run`).
    pub keep_names: bool,
}

/// One value for each stage that needs one.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The output folder.
    pub output: PathBuf,
    /// For `admit`.
    pub admission: Admission,
    /// For `decode`.
    pub decoding: Decoding,
    /// For `batch`.
    pub batching: Batching,
    /// For `infer`.
    pub inference: Inference,
    /// For `encode`.
    pub encoding: Encoding,
}

/// What `admit` needs.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The output folder.
    pub output: PathBuf,
    /// Limits.
    pub limits: Limits,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// What makes a result the one we would make.
    pub wanted: Fingerprint,
    /// Give up what stands where a result goes, whoever made it.
    pub force: bool,
    /// Remember every output name for the whole run.
    pub keep_names: bool,
}

/// What `decode` needs.
#[derive(Debug, Clone)]
pub struct Decoding {
    /// Threads.
    pub threads: usize,
    /// How pictures are cut.
    pub tiling: Tiling,
    /// A fixed seed, or `None`: from the content.
    pub seed: Option<u64>,
}

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
}

/// What `batch` needs.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Most tiles of an evaluation.
    pub tiles: usize,
    /// How long a tile waits for company.
    pub linger: Duration,
}

/// What `infer` and `blend` need.
#[derive(Debug, Clone, Copy)]
pub struct Inference {
    /// λ.
    pub strength: f32,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
}

/// What `encode` needs.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// The output folder.
    pub output: PathBuf,
    /// Threads.
    pub threads: usize,
    /// For marks: name of the model.
    pub model: String,
    /// For marks: SHA-256 of the model file.
    pub model_sha256: String,
    /// For marks: λ.
    pub strength: f32,
    /// For marks: where the network runs.
    pub device: String,
}

impl Plan {
    /// Marries a choice to an opened model.
    pub fn new(choice: &Choice, facts: &Facts) -> Plan {
        let on_cpu = facts.device == Device::Cpu;
        let tiles = if on_cpu { 1 } else { CUDA_BATCH_TILES };
        // On the CPU the network takes nearly all the time; on a GPU, packing PNGs does.
        let encoders = if on_cpu { choice.threads.div_ceil(2) } else { choice.threads };
        Plan {
            output: choice.output.clone(),
            admission: Admission {
                output: choice.output.clone(),
                limits: choice.limits,
                scale: facts.card.scale,
                wanted: Fingerprint {
                    model_sha256: facts.sha256.clone(),
                    strength: facts.strength,
                    seed: choice.seed,
                },
                force: choice.force,
                keep_names: choice.keep_names,
            },
            decoding: Decoding {
                threads: choice.threads.div_ceil(4),
                tiling: Tiling::new(&facts.card, facts.device),
                seed: choice.seed,
            },
            batching: Batching { tiles, linger: LINGER },
            inference: Inference { strength: facts.strength, scale: facts.card.scale },
            encoding: Encoding {
                output: choice.output.clone(),
                threads: encoders,
                model: facts.card.name.clone(),
                model_sha256: facts.sha256.clone(),
                strength: facts.strength,
                device: facts.device.to_string(),
            },
        }
    }
}

impl Tiling {
    /// How pictures are cut for a model on a device. There is always a core: a large halo makes a larger
    /// window.
    pub fn new(card: &ModelCard, device: Device) -> Tiling {
        let (halo, multiple) = (card.halo, card.multiple);
        let side = |wanted: usize| {
            let side = wanted / multiple * multiple;
            if side >= 2 * halo + LEAST_CORE_PX {
                side
            } else {
                (2 * halo + LEAST_CORE_PX).next_multiple_of(multiple)
            }
        };
        if device == Device::Cpu {
            return Tiling::Fitted { max_side: side(CPU_WINDOW_SIDE_PX), halo, multiple };
        }
        let side = side(CUDA_WINDOW_SIDE_PX);
        Tiling::Fixed { window: Size::new(side, side), halo }
    }

    /// The grid of a picture that has pixels. `None` where windows have no core, which [`Tiling::new`] never
    /// makes.
    pub fn grid(&self, picture: Size) -> Option<TileGrid> {
        match *self {
            Tiling::Fitted { max_side, halo, multiple } => {
                TileGrid::fitted(picture, max_side, halo, multiple)
            }
            Tiling::Fixed { window, halo } => TileGrid::fixed(picture, window, halo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::card::{Golden, Role, Task};
    use contract::pixels::Picture;

    fn card(halo: usize, multiple: usize) -> ModelCard {
        let image = Picture::new(Size::new(1, 1), 3);
        ModelCard {
            name: "test".into(),
            task: Task::SuperResolution,
            role: Role::Mean,
            scale: 4,
            receptive_field: halo,
            halo,
            multiple,
            companion: None,
            default_strength: 0.0,
            residual_rms: 0.1,
            sigma_max: 1.0,
            licence: "CC0-1.0".into(),
            facts: [].into(),
            golden: Golden { image, seed: 0, middle: 1, expected: vec![0; 48] },
        }
    }

    /// Every card that the contract allows can be served.
    #[test]
    fn there_is_always_a_core_and_windows_honour_the_multiple() {
        for halo in [0, 1, 12, 96, 127, 128, 512] {
            for multiple in [1, 2, 7, 8, 64, 256] {
                for device in [Device::Cpu, Device::Cuda(0)] {
                    let tiling = Tiling::new(&card(halo, multiple), device);
                    for picture in [Size::new(1, 1), Size::new(1000, 3)] {
                        let grid = tiling.grid(picture).unwrap_or_else(|| panic!("{tiling:?} has no core"));
                        let window = grid.window();
                        assert_eq!((window.width % multiple, window.height % multiple), (0, 0), "{tiling:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn usual_windows_are_the_named_ones() {
        let side = CPU_WINDOW_SIDE_PX;
        assert_eq!(
            Tiling::new(&card(12, 1), Device::Cpu),
            Tiling::Fitted { max_side: side, halo: 12, multiple: 1 }
        );
        let window = Size::new(CUDA_WINDOW_SIDE_PX, CUDA_WINDOW_SIDE_PX);
        assert_eq!(Tiling::new(&card(12, 8), Device::Cuda(1)), Tiling::Fixed { window, halo: 12 });
    }
}
