//! What can go wrong, in three kinds that never mix, and how the process ends.
//!
//! - [`JobError`]: this picture is bad. Its verdict; a reason file and one `warn`; the others go on.
//! - [`Fatal`]: we cannot go on. Returned by the stage where it happened; stop, drain, exit 3.
//! - [`StartError`]: we should not start (arguments, configuration, model card, device). Told whole, exit 2
//!   or 78.
//!
//! Errors carry values; the sentence is made here. Paths are added once, by whoever logs. Knows no logging.

mod system;

pub use system::SystemError;

use contract::geometry::Size;
use std::path::{Path, PathBuf};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every picture is done or was already there, or a running daemon was asked to stop.
    AllDone = 0,
    /// Some pictures failed, or `once` was stopped before it had seen them all.
    SomeFailed = 1,
    /// Arguments, configuration, runtime library or model card are wrong: nothing was begun.
    Usage = 2,
    /// Work was begun and cannot go on.
    Fatal = 3,
    /// The device is lost; a fresh start may find it again.
    DeviceLost = 75,
    /// The device that was asked for by name is not usable (EX_CONFIG: a supervisor should not restart us).
    DeviceAbsent = 78,
}

/// Why one picture failed. `Clone`, since a batch that fails fails all its pictures.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobError {
    /// The operating system would not give us the bytes.
    #[error("cannot be read: {0}")]
    Unreadable(SystemError),
    /// It was there when it was admitted.
    #[error("is gone")]
    Gone,
    /// Neither a file nor a link to one.
    #[error("is not a regular file")]
    NotAFile,
    /// Zero bytes.
    #[error("is empty")]
    Empty,
    /// More bytes than `max_file_mb`.
    #[error("file has {bytes} bytes, the limit is {limit_mb} MB")]
    FileTooLarge {
        /// Size of the file.
        bytes: u64,
        /// The limit that it passes.
        limit_mb: u64,
    },
    /// More pixels than `max_input_mpx`, by the header alone.
    #[error("picture has {size} pixels ({:.1} Mpx), the limit is {limit_mpx} Mpx", mpx(*.size))]
    InputTooLarge {
        /// Size in the header.
        size: Size,
        /// The limit that it passes.
        limit_mpx: u64,
    },
    /// More pixels than `max_output_mpx` after enlarging.
    #[error("result would have {size} pixels ({:.1} Mpx), the limit is {limit_mpx} Mpx", mpx(*.size))]
    OutputTooLarge {
        /// Size of the result.
        size: Size,
        /// The limit that it passes.
        limit_mpx: u64,
    },
    /// Fewer or more pixels than its pipeline takes.
    #[error("picture has {size} pixels ({:.1} Mpx), its pipeline takes {least} to {most} Mpx", mpx(*.size))]
    NotForThisPipeline {
        /// Size in the header.
        size: Size,
        /// At least this.
        least: f64,
        /// At most this.
        most: f64,
    },
    /// So many pixels in so few bytes: made to be large, not to be looked at.
    #[error("picture has {size} pixels in {bytes} bytes, the limit is {limit} pixels a byte")]
    Implausible {
        /// Size in the header.
        size: Size,
        /// Size of the file.
        bytes: u64,
        /// The limit that it passes.
        limit: u64,
    },
    /// It would take more memory than all pictures together may.
    #[error("would take {need_mb} MB of memory ({size} pixels, ×{scale}), pictures may take {limit_mb} MB")]
    NeedsMemory {
        /// What it needs at most, in MB.
        need_mb: u64,
        /// What `memory_mb` leaves for pictures.
        limit_mb: u64,
        /// Size in the header.
        size: Size,
        /// Output pixels per input pixel along a side.
        scale: usize,
    },
    /// Its content is of no format that is read, whatever its name says.
    #[error("content is neither JPEG, PNG, WebP, TIFF, GIF, BMP, PNM nor QOI")]
    NotAPicture,
    /// A format, or a kind of pixels, that is known and not read.
    #[error("cannot be read: {0}")]
    Unsupported(String),
    /// Begins like a picture, does not decode to its end.
    #[error("cannot be decoded: {0}")]
    Damaged(String),
    /// Ends before the picture does. While it is `young`, more may come.
    #[error("cannot be decoded: {what}")]
    EndsEarly {
        /// The decoder's words.
        what: String,
        /// Whether it changed a moment ago.
        young: bool,
    },
    /// Size, time or header changed between looking and reading.
    #[error("changed while it was being read")]
    Changed,
    /// Another picture gives, or gave, the same output name.
    #[error("output name taken by {by}")]
    NameTaken {
        /// The picture that has the name.
        by: String,
    },
    /// The target exists and carries no mark of ours.
    #[error("output exists and was not made by onestep (--force overwrites it)")]
    ForeignTarget,
    /// The output would replace its own input.
    #[error("output would overwrite the picture itself")]
    OverItself,
    /// The network gave NaN or infinity.
    #[error("network output is not finite")]
    NonFinite,
    /// The result is no picture of its picture.
    #[error("the result would do harm: {what}")]
    Harmful {
        /// What is wrong with it.
        what: String,
        /// Whether it may still be done without a sample.
        again: bool,
    },
    /// The network could not be evaluated on this picture, though it can on others.
    #[error("network evaluation failed: {0}")]
    Inference(String),
    /// A decoder or encoder panicked: our mistake, this picture's trigger.
    #[error("internal error: {0}")]
    Panicked(String),
    /// The result could not be written durably.
    #[error("result cannot be written: {0}")]
    Write(SystemError),
    /// onestep crashed while this picture was being worked on, more than once.
    #[error("onestep crashed {crashes} times while this picture was in work: left alone until it changes")]
    Quarantined {
        /// How often.
        crashes: u32,
    },
}

impl JobError {
    /// A word for machines to sort failures by; stable across versions.
    pub fn class(&self) -> &'static str {
        match self {
            JobError::Unreadable(_) | JobError::NotAFile | JobError::Gone => "unreadable",
            JobError::FileTooLarge { .. }
            | JobError::InputTooLarge { .. }
            | JobError::OutputTooLarge { .. }
            | JobError::Implausible { .. }
            | JobError::NeedsMemory { .. } => "too-large",
            JobError::NotForThisPipeline { .. } => "not-taken",
            JobError::NotAPicture => "not-a-picture",
            JobError::Unsupported(_) => "unsupported",
            JobError::Empty | JobError::Damaged(_) | JobError::EndsEarly { .. } => "damaged",
            JobError::Changed => "changed",
            JobError::NameTaken { .. } | JobError::ForeignTarget | JobError::OverItself => "name-taken",
            JobError::NonFinite => "not-finite",
            JobError::Harmful { .. } => "harmful",
            JobError::Inference(_) => "inference",
            JobError::Panicked(_) => "internal",
            JobError::Write(_) => "write",
            JobError::Quarantined { .. } => "quarantined",
        }
    }

    /// Whether the same picture with the same options would fail again, whatever else changes around it.
    pub fn is_lasting(&self) -> bool {
        match self {
            JobError::Unreadable(error) => !error.transient,
            JobError::NotAFile
            | JobError::Empty
            | JobError::FileTooLarge { .. }
            | JobError::InputTooLarge { .. }
            | JobError::OutputTooLarge { .. }
            | JobError::Implausible { .. }
            | JobError::NeedsMemory { .. }
            | JobError::NotForThisPipeline { .. }
            | JobError::NotAPicture
            | JobError::Unsupported(_)
            | JobError::Damaged(_)
            | JobError::EndsEarly { .. }
            | JobError::NonFinite
            | JobError::Harmful { .. }
            | JobError::Panicked(_)
            | JobError::Quarantined { .. } => true,
            JobError::Gone
            | JobError::Changed
            | JobError::NameTaken { .. }
            | JobError::ForeignTarget
            | JobError::OverItself
            | JobError::Inference(_)
            | JobError::Write(_) => false,
        }
    }

    /// Whether the same picture may well succeed a little later, with nothing done about it.
    pub fn is_transient(&self) -> bool {
        match self {
            JobError::Unreadable(error) | JobError::Write(error) => error.transient,
            JobError::Gone | JobError::Changed | JobError::Inference(_) => true,
            JobError::EndsEarly { young, .. } => *young,
            JobError::Harmful { again, .. } => *again,
            _ => false,
        }
    }
}

/// One line a problem, each with its file.
fn listed(file: &Path, problems: &[String]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| format!("{}: {p}", file.display())).collect();
    lines.join("\n")
}

fn mpx(size: Size) -> f64 {
    size.width as f64 * size.height as f64 / 1e6
}

/// Why the whole daemon cannot go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fatal {
    /// A thread panicked.
    #[error("thread {0} panicked")]
    Panicked(String),
    /// The operating system gave no thread.
    #[error("thread {name} cannot be started: {reason}")]
    NoThread {
        /// The thread's name.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// The network fails on its own golden tile too: it is the device, not a picture.
    #[error("the model cannot be evaluated any more: {0}")]
    Device(String),
    /// The folder cannot be watched.
    #[error("cannot watch the input folder: {reason}: {}", folder.display())]
    Watch {
        /// What the system said.
        reason: String,
        /// The input folder.
        folder: PathBuf,
    },
    /// The output folder cannot be made or read.
    #[error("cannot use the output folder: {reason}: {}", folder.display())]
    Output {
        /// What the system said.
        reason: String,
        /// The output folder.
        folder: PathBuf,
    },
    /// The ledger cannot be read or written any more.
    #[error("cannot use the ledger: {reason}: {}", folder.display())]
    Ledger {
        /// What the database said.
        reason: String,
        /// The state folder.
        folder: PathBuf,
    },
}

/// How a stage ends: a closed neighbour is a clean end, so an `Err` is always the cause itself.
pub type End = Result<(), Fatal>;

/// Why we should not start.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StartError {
    /// Arguments that do not go together, or name what is not there.
    #[error("{}", .0.join("\n"))]
    Usage(Vec<String>),
    /// Everything that is wrong with a configuration file.
    #[error("{}", listed(.file, .problems))]
    Config {
        /// The file.
        file: PathBuf,
        /// One sentence a problem.
        problems: Vec<String>,
    },
    /// ONNX Runtime was not found or does not load.
    #[error(
        "ONNX Runtime (libonnxruntime.so) {reason}; looked at:\n{}\nscripts/fetch-runtime fetches it; \
         --ort-lib or ORT_DYLIB_PATH name another",
        .looked.iter().map(|place| format!("  {place}")).collect::<Vec<_>>().join("\n")
    )]
    Library {
        /// "was not found" or what the loader said.
        reason: String,
        /// Every place, in order.
        looked: Vec<String>,
    },
    /// The model file is missing, or its card and its graph do not fit this program.
    #[error("model {name}: {problem}")]
    Model {
        /// As the user named it, or the file.
        name: String,
        /// One sentence.
        problem: String,
    },
    /// Another onestep works with the same state.
    #[error("another onestep ({holder}) is at work with this state folder: {}", folder.display())]
    Held {
        /// Its pid, as far as it told.
        holder: String,
        /// The state folder.
        folder: PathBuf,
    },
    /// The state folder or the ledger in it cannot be used.
    #[error("cannot use the state folder: {reason}: {}", folder.display())]
    State {
        /// What the system or the database said.
        reason: SystemError,
        /// The state folder.
        folder: PathBuf,
    },
    /// A device asked for by name is not usable here.
    #[error("device {device} is not usable: {reason}; {remedy}")]
    Device {
        /// As asked for.
        device: String,
        /// What the runtime said.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
}

impl StartError {
    /// A usage error of one sentence.
    pub fn usage(sentence: impl Into<String>) -> StartError {
        StartError::Usage(vec![sentence.into()])
    }

    /// The exit code that belongs to it.
    pub fn exit(&self) -> Exit {
        match self {
            StartError::Device { .. } => Exit::DeviceAbsent,
            // A supervisor may try again.
            StartError::State { reason, .. } if reason.transient => Exit::Fatal,
            _ => Exit::Usage,
        }
    }
}

/// Anything that ends a command early.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// Nothing was begun.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Work was begun.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

impl CommandError {
    /// The exit code that belongs to it.
    pub fn exit(&self) -> Exit {
        match self {
            CommandError::Start(error) => error.exit(),
            CommandError::Fatal(Fatal::Device(_)) => Exit::DeviceLost,
            CommandError::Fatal(_) => Exit::Fatal,
        }
    }
}
