//! What the user chose, whole and in range, before any model is known.

use crate::edge::originals::Originals;
use crate::edge::store::Access;
use crate::work::device::Devices;
use crate::work::file_name::FileName;
use crate::work::format::Writing;
use crate::work::keeping::Keeping;
use crate::work::masking::Masking;
use crate::work::precision::Wanted;
use contract::source::Source;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Largest strength: the card's own bound, told before a model is opened.
pub const MAX_STRENGTH: f32 = 1.2;

/// What is refused: by its header, or when it takes too long.
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
    /// Whether pictures of inks (CMYK) are refused.
    pub refuse_cmyk: bool,
    /// Seconds that decoding a picture may take.
    pub max_decode_s: u64,
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
            refuse_cmyk: false,
            max_decode_s: 120,
            memory_mb: 4000,
        }
    }
}

/// How many threads the machine gives us: its cores, or fewer where our affinity or the quota of our control
/// group says so.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Where networks run, and with what.
#[derive(Debug, Clone, PartialEq)]
pub struct Computing {
    /// Where.
    pub devices: Devices,
    /// What they compute with.
    pub precision: Wanted,
    /// Cores to use.
    pub threads: usize,
    /// Largest side of a window, or `None`: as is usual on the device.
    pub window_px: Option<usize>,
    /// Tiles that a GPU evaluates together, or `None`: as many as are measured to be best.
    pub batch: Option<usize>,
    /// How much of a GPU's memory is for us.
    pub gpu_memory_percent: u8,
    /// Where TensorRT's engines are kept, or `None`: the usual place for caches.
    pub engines: Option<PathBuf>,
    /// After so long a device must give the golden tile again before it serves.
    pub prove: Duration,
}

impl Default for Computing {
    fn default() -> Computing {
        Computing {
            devices: Devices::Auto,
            precision: Wanted::Auto,
            threads: default_threads(),
            window_px: None,
            batch: None,
            gpu_memory_percent: 80,
            engines: None,
            prove: Duration::from_secs(600),
        }
    }
}

/// What the user chose for all pictures, whole and in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Where networks run, and with what.
    pub computing: Computing,
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
    /// What tells which pixels are to be repaired, or `None`: pictures are enlarged.
    pub masking: Option<Masking>,
    /// A fixed seed, or `None`: from each picture's content.
    pub seed: Option<u64>,
    /// What the model is told of pictures, or `None`: as their format has it.
    pub source: Option<Source>,
    /// Samples of an uncertainty map, or `None`: no map.
    pub uncertainty: Option<u16>,
    /// What is kept of what pictures say of themselves.
    pub keeping: Keeping,
    /// Whether results say how they came to be (IPTC's Digital Source Type).
    pub source_type: bool,
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
            masking: None,
            seed: None,
            source: None,
            uncertainty: None,
            keeping: Keeping::default(),
            source_type: false,
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
