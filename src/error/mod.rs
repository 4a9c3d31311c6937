//! What can go wrong, in three kinds that never mix, and how the process ends.
//!
//! - [`JobError`]: this picture is bad. Its verdict; a reason file and one `warn`; the others go on.
//! - [`Fatal`]: we cannot go on. Returned by the stage where it happened; stop, drain, exit 3.
//! - [`StartError`]: we should not start (arguments, configuration, model card, device). Told whole, exit 2
//!   or 78.
//!
//! Errors carry values; the sentence is made here. Paths are added once, by whoever logs. Knows no logging.

mod job;
mod system;

pub use job::JobError;
pub use system::SystemError;

use crate::work::lacking::is_out_of_memory;
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

/// One line a problem, each with its file.
fn listed(file: &Path, problems: &[String]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| format!("{}: {p}", file.display())).collect();
    lines.join("\n")
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
            // Somebody else has the memory, and may give it back.
            StartError::Device { reason, .. } if is_out_of_memory(reason) => Exit::DeviceLost,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_room_may_have_some_later_and_one_that_is_absent_is_not_there() {
        let exit = |reason: &str| {
            let (device, remedy) = ("cuda".into(), String::new());
            StartError::Device { device, reason: reason.into(), remedy }.exit()
        };
        assert_eq!(exit("CUDA failure 2: out of memory"), Exit::DeviceLost);
        assert_eq!(exit("CUDA execution provider is not enabled in this build"), Exit::DeviceAbsent);
    }
}
