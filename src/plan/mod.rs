//! Options and model cards → the few values each stage gets. The last place that sees both: after it, no
//! stage can meet a pair that does not fit. Reads no files, starts nothing.

mod tiling;

pub use tiling::{CPU_WINDOW_SIDE_PX, CUDA_WINDOW_SIDE_PX, Tiling};

use crate::edge::model::{Device, Facts};
use crate::edge::originals::Originals;
use crate::edge::store::Access;
use crate::error::StartError;
use crate::work::backoff::Backoff;
use crate::work::file_name::FileName;
use crate::work::format::{Format, Writing};
use crate::work::keeping::Keeping;
use crate::work::mark::Fingerprint;
use crate::work::precision::Wanted;
use crate::work::told::Telling;
use contract::card::Precision;
use contract::source::Source;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tiling::pool_bytes;

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
    /// Pixels a byte of the file, of pictures of more than a megapixel.
    pub max_px_per_byte: u64,
    /// Memory for everything that is in flight, the runtime's own not counted.
    pub memory_mb: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_file_mb: 200,
            max_input_mpx: 100,
            max_output_mpx: 800,
            max_px_per_byte: 2000,
            memory_mb: 4000,
        }
    }
}

/// How many threads the machine gives us.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What the user chose for all pictures, whole and in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What the processor computes with.
    pub precision: Wanted,
    /// Cores to use.
    pub threads: usize,
    /// Limits.
    pub limits: Limits,
    /// Room on the outputs' disks that is never filled.
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

/// What the user chose for the pictures of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// What the pipeline is called; empty in `once`.
    pub name: String,
    /// The output folder.
    pub output: PathBuf,
    /// A fixed seed, or `None`: from each picture's content.
    pub seed: Option<u64>,
    /// What the model is told of pictures, or `None`: as their format has it.
    pub source: Option<Source>,
    /// Samples of an uncertainty map, or `None`: no map.
    pub uncertainty: Option<u16>,
    /// What is kept of what pictures say of themselves.
    pub keeping: Keeping,
    /// What results are written as.
    pub format: Writing,
    /// Pictures of fewer or more megapixels are refused.
    pub megapixels: Megapixels,
    /// What results are called.
    pub file_name: FileName,
    /// Whether a result whose name another picture's has gets a number, instead of being refused.
    pub number: bool,
    /// Who may do what with results.
    pub access: Access,
    /// What becomes of pictures that are done.
    pub originals: Originals,
}

impl Wish {
    /// Results below `output`; for the rest, what is usual.
    pub fn new(output: PathBuf) -> Wish {
        Wish {
            name: String::new(),
            output,
            seed: None,
            source: None,
            uncertainty: None,
            keeping: Keeping::default(),
            format: Writing::default(),
            megapixels: Megapixels::default(),
            file_name: FileName::default(),
            number: false,
            access: Access::default(),
            originals: Originals::default(),
        }
    }
}

/// How large a picture must be for a line to take it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Megapixels {
    /// At least this.
    pub least: f64,
    /// At most this.
    pub most: f64,
}

impl Default for Megapixels {
    fn default() -> Megapixels {
        Megapixels { least: 0.0, most: f64::INFINITY }
    }
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
    /// What is done to the pictures of each input; sightings carry their line's number.
    pub lines: Vec<Line>,
    /// For `admit`.
    pub admission: Admission,
    /// Threads of `decode`.
    pub decoders: usize,
    /// For `batch`.
    pub batching: Batching,
    /// Threads of `encode`.
    pub encoders: usize,
    /// For `record`.
    pub recording: Recording,
    /// For `supervise`.
    pub supervision: Supervision,
}

/// One `[[pipeline]]` of the configuration, married to its model. All lines share the threads.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the pipeline is called; empty in `once`.
    pub name: String,
    /// The output folder.
    pub output: PathBuf,
    /// How large its pictures are.
    pub megapixels: Megapixels,
    /// What results are called.
    pub file_name: FileName,
    /// Whether a name that another picture's result has gets a number.
    pub number: bool,
    /// Who may do what with results.
    pub access: Access,
    /// What becomes of pictures that are done.
    pub originals: Originals,
    /// What makes a result the one we would make.
    pub wanted: Fingerprint,
    /// The same as the ledger has it for what is done.
    pub done: String,
    /// And for what failed: limits and version decide there too.
    pub failed: String,
    /// How its pictures are cut.
    pub tiling: Tiling,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// Which of the opened models.
    pub model: usize,
    /// For marks: name of the model.
    pub model_name: String,
    /// For marks: what it computes with.
    pub precision: Precision,
    /// For marks: where the network runs.
    pub device: String,
}

/// What `admit` needs.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Limits.
    pub limits: Limits,
    /// Memory for pictures: what is left of the limit when tiles have theirs.
    pub memory_mb: usize,
    /// Room on the outputs' disks that is never filled.
    pub reserve_mb: u64,
    /// Give up what stands where a result goes, whoever made it.
    pub force: bool,
    /// Somebody waits for these very pictures; see [`Choice::once`].
    pub once: bool,
    /// How often what fails for now is tried, and how soon.
    pub backoff: Backoff,
}

/// What `record` needs.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// For reason files.
    pub limits: Limits,
    /// Somebody waits for these very pictures; see [`Choice::once`].
    pub once: bool,
}

/// What `batch` needs.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Most tiles of an evaluation.
    pub tiles: usize,
    /// How long a tile waits for company.
    pub linger: Duration,
}

impl Plan {
    /// Marries a choice and the wishes of each line to their opened models, all of them on one device.
    ///
    /// # Errors
    /// If a model cannot do what is wished, or the tiles of all threads do not leave enough memory for a
    /// small picture.
    pub fn new(choice: &Choice, wishes: &[(Wish, Facts)]) -> Result<Plan, StartError> {
        let on_cpu = wishes.iter().all(|(_, facts)| facts.device == Device::Cpu);
        let tiles = if on_cpu { 1 } else { CUDA_BATCH_TILES };
        // On the CPU the network takes nearly all the time; on a GPU, packing PNGs does.
        let encoders = if on_cpu { choice.threads.div_ceil(2) } else { choice.threads };
        let (decoders, workers) = (choice.threads.div_ceil(4), if on_cpu { choice.threads } else { 1 });
        let pool_mb = |(wish, facts): &(Wish, Facts)| {
            let window = Tiling::new(&facts.card, facts.device).largest();
            let mapped = wish.uncertainty.is_some();
            pool_bytes(&facts.card, window, tiles, workers, decoders, mapped).div_ceil(1_000_000)
        };
        // Tiles of all lines share the queues.
        let pool_mb = wishes.iter().map(pool_mb).max().unwrap_or(0);
        let Limits { memory_mb, .. } = choice.limits;
        let left_mb = memory_mb.saturating_sub(pool_mb);
        if left_mb < LEAST_PICTURES_MB {
            let names: Vec<&str> = wishes.iter().map(|(_, facts)| facts.card.name.as_str()).collect();
            return Err(StartError::usage(format!(
                "memory_mb is {memory_mb}, but the tiles of {workers} threads with model {} take \
                 {pool_mb} MB: give it at least {} or fewer threads",
                names.join(", "),
                pool_mb + LEAST_PICTURES_MB
            )));
        }
        let lines = wishes.iter().map(|(wish, facts)| Line::new(choice, wish, facts));
        let (limits, once) = (choice.limits, choice.once);
        Ok(Plan {
            lines: lines.collect::<Result<_, _>>()?,
            admission: Admission {
                limits,
                memory_mb: usize::try_from(left_mb).unwrap_or(usize::MAX),
                reserve_mb: choice.reserve_mb,
                force: choice.force,
                once,
                backoff: Backoff::default(),
            },
            decoders,
            batching: Batching { tiles, linger: LINGER },
            encoders,
            recording: Recording { limits, once },
            supervision: choice.supervision,
        })
    }
}

impl Line {
    /// Where the result of a picture goes that is written as this.
    pub fn target(&self, relative: &Path, format: Format) -> PathBuf {
        self.file_name.target(&self.output, relative, self.scale, &self.model_name, format)
    }

    /// Its name, and where its results go.
    pub fn stands_on(&self) -> (&str, &Path) {
        (&self.name, &self.output)
    }

    fn new(choice: &Choice, wish: &Wish, facts: &Facts) -> Result<Line, StartError> {
        let telling = Telling::new(&facts.card.sources, wish.source)
            .map_err(|problem| StartError::Model { name: facts.card.name.clone(), problem })?;
        let wanted = Fingerprint {
            model_sha256: facts.sha256.clone(),
            strength: facts.strength,
            seed: wish.seed,
            telling,
            uncertainty: wish.uncertainty,
            keeping: wish.keeping,
            format: wish.format,
            precision: choice.precision,
        };
        let done = wanted.to_text();
        let Megapixels { least, most } = wish.megapixels;
        let rule = if wish.megapixels == Megapixels::default() {
            String::new()
        } else {
            format!(" {least} to {most} MP")
        };
        let failed = format!("{done} {:?}{rule} version {}", choice.limits, env!("CARGO_PKG_VERSION"));
        Ok(Line {
            name: wish.name.clone(),
            output: wish.output.clone(),
            megapixels: wish.megapixels,
            file_name: wish.file_name.clone(),
            number: wish.number,
            access: wish.access,
            originals: wish.originals.clone(),
            wanted,
            done,
            failed,
            tiling: Tiling::new(&facts.card, facts.device),
            scale: facts.card.scale,
            model: facts.model,
            model_name: facts.card.name.clone(),
            precision: facts.card.precision,
            device: facts.device.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_refused_with_what_it_takes() {
        let facts = Facts {
            card: tiling::card(8, 1),
            sha256: "feed".into(),
            strength: 0.0,
            device: Device::Cpu,
            model: 0,
        };
        let choice = |memory_mb| Choice {
            precision: Wanted::Auto,
            threads: 2,
            limits: Limits { memory_mb, ..Limits::default() },
            reserve_mb: 0,
            force: false,
            once: true,
            supervision: Supervision::default(),
        };
        let wish = Wish::new("/out".into());
        // Ten windows of 384² and what is kept of five outputs, 16 times as large.
        let pool = 10 * 12 * 384 * 384 + 5 * 3 * 16 * 384 * 384;
        let plan = |memory_mb, uncertainty| {
            Plan::new(&choice(memory_mb), &[(Wish { uncertainty, ..wish.clone() }, facts.clone())])
        };
        let error = plan(100, None).expect_err("too little").to_string();
        let told = format!("take {} MB: give it at least {}", pool / 1_000_000 + 1, pool / 1_000_000 + 65);
        assert!(error.contains(&told), "{error}");
        assert_eq!(plan(500, None).expect("enough").admission.memory_mb, 500 - pool / 1_000_000 - 1);
        // One more channel of what is kept, and two floats a pixel in each thread.
        let mapped = pool + (5 + 2 * 8) * 16 * 384 * 384;
        assert_eq!(plan(500, Some(2)).expect("enough").admission.memory_mb, 500 - mapped / 1_000_000 - 1);
    }
}
