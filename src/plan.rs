//! Options and model card → the few values each stage gets. The last place that sees both: after it, no stage
//! can meet a pair that does not fit. Reads no files, starts nothing.

use crate::edge::model::{Device, Facts};
use crate::error::StartError;
use crate::work::backoff::Backoff;
use crate::work::mark::Fingerprint;
use crate::work::precision::Wanted;
use crate::work::told::Telling;
use contract::card::{ModelCard, Precision, Role};
use contract::geometry::{Size, TileGrid};
use contract::source::Source;
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
/// Less than this for pictures would refuse nearly all.
const LEAST_PICTURES_MB: u64 = 64;
/// Largest strength: the card's own bound, told before a model is opened.
pub const MAX_STRENGTH: f32 = 1.2;

/// What is refused by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Length of a file.
    pub max_file_mb: u64,
    /// Pixels of a picture.
    pub max_input_mpx: u64,
    /// Pixels of a result.
    pub max_output_mpx: u64,
    /// Memory for everything that is in flight, the runtime's own not counted.
    pub memory_mb: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_file_mb: 200, max_input_mpx: 100, max_output_mpx: 800, memory_mb: 4000 }
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
    /// What the model is told of pictures, or `None`: as their format has it.
    pub source: Option<Source>,
    /// Samples of an uncertainty map, or `None`: no map.
    pub uncertainty: Option<u16>,
    /// What the processor computes with.
    pub precision: Wanted,
    /// Cores to use.
    pub threads: usize,
    /// Limits.
    pub limits: Limits,
    /// Room on the output's disk that is never filled.
    pub reserve_mb: u64,
    /// Give up what stands where a result goes, whoever made it.
    pub force: bool,
    /// Somebody waits for these very pictures (`once`): what failed before is tried again, a result that was
    /// taken away is made again, and output names are kept to the end of the run. A daemon does neither, or
    /// it would do everything again whose result was picked up.
    pub once: bool,
    /// How patient we are.
    pub supervision: Supervision,
}

/// What `supervise` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supervision {
    /// How long after the stop what is in flight may take.
    pub drain: Duration,
    /// How long nothing may move while pictures are in flight, or a thread be at one piece of work.
    pub stall: Duration,
}

impl Default for Supervision {
    fn default() -> Supervision {
        Supervision { drain: Duration::from_secs(60), stall: Duration::from_secs(300) }
    }
}

/// One value for each stage that needs one.
#[derive(Debug, Clone)]
pub struct Plan {
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
    /// For `record`.
    pub recording: Recording,
    /// For `supervise`.
    pub supervision: Supervision,
}

/// What `admit` needs.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The output folder.
    pub output: PathBuf,
    /// Limits.
    pub limits: Limits,
    /// Memory for pictures: what is left of the limit when tiles have theirs.
    pub memory_mb: usize,
    /// Room on the output's disk that is never filled.
    pub reserve_mb: u64,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// What makes a result the one we would make.
    pub wanted: Fingerprint,
    /// The same as the ledger has it for what is done.
    pub done: String,
    /// And for what failed: limits and version decide there too.
    pub failed: String,
    /// Give up what stands where a result goes, whoever made it.
    pub force: bool,
    /// Somebody waits for these very pictures; see [`Choice::once`].
    pub once: bool,
    /// How often what fails for now is tried, and how soon.
    pub backoff: Backoff,
}

/// What `record` needs.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The output folder.
    pub output: PathBuf,
    /// For reason files.
    pub limits: Limits,
    /// For the ledger and receipts: what decides a result.
    pub done: String,
    /// For the ledger: what decides a failure.
    pub failed: String,
    /// Somebody waits for these very pictures; see [`Choice::once`].
    pub once: bool,
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
    /// What the model is told of pictures.
    pub telling: Telling,
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
    /// Samples of an uncertainty map.
    pub uncertainty: Option<u16>,
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
    /// For marks: samples of an uncertainty map.
    pub uncertainty: Option<u16>,
    /// For marks: what it computes with.
    pub precision: Precision,
    /// For marks: where the network runs.
    pub device: String,
}

impl Plan {
    /// Marries a choice to an opened model.
    ///
    /// # Errors
    /// If the tiles of all threads do not leave enough memory for a small picture.
    pub fn new(choice: &Choice, facts: &Facts) -> Result<Plan, StartError> {
        let on_cpu = facts.device == Device::Cpu;
        let tiles = if on_cpu { 1 } else { CUDA_BATCH_TILES };
        // On the CPU the network takes nearly all the time; on a GPU, packing PNGs does.
        let encoders = if on_cpu { choice.threads.div_ceil(2) } else { choice.threads };
        let (decoders, workers) = (choice.threads.div_ceil(4), if on_cpu { choice.threads } else { 1 });
        let tiling = Tiling::new(&facts.card, facts.device);
        let mapped = choice.uncertainty.is_some();
        let pool = pool_bytes(&facts.card, tiling.largest(), tiles, workers, decoders, mapped);
        let Limits { memory_mb, .. } = choice.limits;
        let left_mb = memory_mb.saturating_sub(pool.div_ceil(1_000_000));
        if left_mb < LEAST_PICTURES_MB {
            let pool_mb = pool.div_ceil(1_000_000);
            return Err(StartError::usage(format!(
                "memory_mb is {memory_mb}, but the tiles of {workers} threads with model {} take \
                 {pool_mb} MB: give it at least {} or fewer threads",
                facts.card.name,
                pool_mb + LEAST_PICTURES_MB
            )));
        }
        let (sha256, strength) = (facts.sha256.clone(), facts.strength);
        let telling = Telling::new(&facts.card.sources, choice.source)
            .map_err(|problem| StartError::Model { name: facts.card.name.clone(), problem })?;
        let wanted = Fingerprint {
            model_sha256: sha256.clone(),
            strength,
            seed: choice.seed,
            telling,
            uncertainty: choice.uncertainty,
            precision: choice.precision,
        };
        let done = wanted.to_text();
        let failed = format!("{done} {:?} version {}", choice.limits, env!("CARGO_PKG_VERSION"));
        let (output, limits) = (choice.output.clone(), choice.limits);
        Ok(Plan {
            admission: Admission {
                output: output.clone(),
                limits,
                memory_mb: usize::try_from(left_mb).unwrap_or(usize::MAX),
                reserve_mb: choice.reserve_mb,
                scale: facts.card.scale,
                wanted,
                done: done.clone(),
                failed: failed.clone(),
                force: choice.force,
                once: choice.once,
                backoff: Backoff::default(),
            },
            decoding: Decoding { threads: decoders, tiling, seed: choice.seed, telling },
            batching: Batching { tiles, linger: LINGER },
            inference: Inference { strength, scale: facts.card.scale, uncertainty: choice.uncertainty },
            encoding: Encoding {
                output: output.clone(),
                threads: encoders,
                model: facts.card.name.clone(),
                model_sha256: sha256,
                strength,
                uncertainty: choice.uncertainty,
                precision: facts.card.precision,
                device: facts.device.to_string(),
            },
            recording: Recording { output, limits, done, failed, once: choice.once },
            supervision: choice.supervision,
        })
    }
}

/// Memory of all tiles that may exist at once, whatever the pictures: windows waiting and in hand, each
/// worker's noise, what is kept of outputs, waiting and in hand, and what a worker keeps of the samples of an
/// uncertainty map.
fn pool_bytes(
    card: &ModelCard,
    window: Size,
    tiles: usize,
    workers: usize,
    decoders: usize,
    mapped: bool,
) -> u64 {
    let input = 12 * window.area();
    let output = window.times(card.scale).area();
    let noise = if card.role == Role::Sample { 12 * output } else { 0 };
    // Decoders each hold a tile, two batches for each worker wait as tiles, the batcher holds one batch, and
    // each worker has one waiting and one in hand.
    let windows = decoders + tiles * (2 * workers + 1 + 2 * workers);
    let kept = tiles * (2 * workers + 1);
    let (channels, moments) = if mapped { (4, 8 * output) } else { (3, 0) };
    (windows * input + workers * tiles * (noise + moments) + kept * channels * output) as u64
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

    /// The largest window.
    pub fn largest(&self) -> Size {
        match *self {
            Tiling::Fitted { max_side, .. } => Size::new(max_side, max_side),
            Tiling::Fixed { window, .. } => window,
        }
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
    use contract::card::Task;
    use contract::golden::Golden;
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
            sources: vec![],
            companion: None,
            precision: Precision::F32,
            int8: None,
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
    fn too_little_memory_is_refused_with_what_it_takes() {
        let facts = Facts { card: card(8, 1), sha256: "feed".into(), strength: 0.0, device: Device::Cpu };
        let choice = |memory_mb| Choice {
            output: "/out".into(),
            seed: None,
            source: None,
            uncertainty: None,
            precision: Wanted::Auto,
            threads: 2,
            limits: Limits { memory_mb, ..Limits::default() },
            reserve_mb: 0,
            force: false,
            once: true,
            supervision: Supervision::default(),
        };
        // Ten windows of 384² and what is kept of five outputs, 16 times as large.
        let pool = 10 * 12 * 384 * 384 + 5 * 3 * 16 * 384 * 384;
        let error = Plan::new(&choice(100), &facts).expect_err("too little").to_string();
        let told = format!("take {} MB: give it at least {}", pool / 1_000_000 + 1, pool / 1_000_000 + 65);
        assert!(error.contains(&told), "{error}");
        let plan = Plan::new(&choice(500), &facts).expect("enough");
        assert_eq!(plan.admission.memory_mb, 500 - pool / 1_000_000 - 1);
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
