//! The configuration, complete, in range, its paths resolved against its file. All problems are told at once.
//! Knows no TOML and no model.

mod computing;
mod elsewhere;
mod masking;
mod pipeline;
mod raw;
mod tasks;

pub use pipeline::Pipeline;
pub use tasks::Tasks;

use crate::edge::machine;
use crate::error::StartError;
use crate::plan::{Computing, Limits, Supervision};
use crate::work::terms::Terms;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The model that enlarges where none is named.
pub const DEFAULT_MODEL: &str = "sr-x4";
/// The model that repairs where none is named.
pub const DEFAULT_INPAINTING_MODEL: &str = "inpaint";
/// Room that is left on a disk where none is named: databases and logs on it go on.
pub const DEFAULT_RESERVE_MB: u64 = 500;
/// Bounds of whatever is counted in millions.
const LARGE: (u64, u64) = (1, 1_000_000);

/// What `run` was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// At least one.
    pub pipelines: Vec<Pipeline>,
    /// Where models are looked for by name, or `None` for the usual places.
    pub model_folder: Option<PathBuf>,
    /// Models from elsewhere, by the names that pipelines call them.
    pub elsewhere: Vec<Terms>,
    /// Where networks run, and with what.
    pub computing: Computing,
    /// Limits.
    pub limits: Limits,
    /// Room on the outputs' disks that is never filled.
    pub reserve_mb: u64,
    /// Folder of ledger and lock, or `None` for the usual place.
    pub state: Option<PathBuf>,
    /// How patient we are.
    pub supervision: Supervision,
    /// ONNX Runtime's shared library, or `None` for the usual places.
    pub library: Option<PathBuf>,
}

/// Memory where none is named: half of what the machine, or our control group, has.
pub fn default_memory_mb() -> u64 {
    machine::memory_mb().map_or(Limits::default().memory_mb, |all| all / 2)
}

/// Reads and checks a file.
///
/// # Errors
/// The file, and everything that is wrong with it.
pub fn load(file: &Path) -> Result<Config, StartError> {
    checked(file, read)
}

/// The models of a file alone: those from elsewhere, and the folder of all others. It needs no pipeline.
///
/// # Errors
/// As of [`load`], of its models.
pub fn load_models(file: &Path) -> Result<(Vec<Terms>, Option<PathBuf>), StartError> {
    checked(file, |text, folder| {
        let raw = raw::parse(text).map_err(|problem| vec![problem])?;
        let mut check = Check { problems: Vec::new() };
        let models = check.elsewhere(raw.model, folder);
        let model_folder = raw.models.folder.map(|path| folder.join(path));
        if check.problems.is_empty() { Ok((models, model_folder)) } else { Err(check.problems) }
    })
}

fn checked<T>(
    file: &Path,
    read: impl FnOnce(&str, &Path) -> Result<T, Vec<String>>,
) -> Result<T, StartError> {
    let refusal = |problems| StartError::Config { file: file.to_owned(), problems };
    let text = std::fs::read_to_string(file).map_err(|error| {
        refusal(vec![format!(
            "cannot be read: {error}: --config names another, and onestep comes with one to begin with"
        )])
    })?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    read(&text, folder).map_err(refusal)
}

/// Checks the text of a file that lies in `folder`.
///
/// # Errors
/// Everything that is wrong with it, or the first thing that is not TOML of ours.
pub fn read(text: &str, folder: &Path) -> Result<Config, Vec<String>> {
    let raw = raw::parse(text).map_err(|problem| vec![problem])?;
    let mut check = Check { problems: Vec::new() };
    let (limits, patience) = (Limits::default(), Supervision::default());
    let path = |path: PathBuf| folder.join(path);
    if raw.pipeline.is_empty() {
        check
            .problems
            .push("there is no [[pipeline]]: one names an input folder and an output folder".into());
    }
    let pipelines = raw.pipeline.into_iter().enumerate();
    let config = Config {
        pipelines: pipelines.map(|(index, raw)| check.pipeline(index + 1, raw, folder)).collect(),
        model_folder: raw.models.folder.map(path),
        elsewhere: check.elsewhere(raw.model, folder),
        computing: check.computing(raw.device, folder),
        limits: Limits {
            max_file_mb: check.number(
                "limits.max_file_mb",
                raw.limits.max_file_mb,
                limits.max_file_mb,
                LARGE,
            ),
            max_input_mpx: check.number(
                "limits.max_input_mpx",
                raw.limits.max_input_mpx,
                limits.max_input_mpx,
                LARGE,
            ),
            max_output_mpx: check.number(
                "limits.max_output_mpx",
                raw.limits.max_output_mpx,
                limits.max_output_mpx,
                LARGE,
            ),
            max_px_per_byte: check.number(
                "limits.max_px_per_byte",
                raw.limits.max_px_per_byte,
                limits.max_px_per_byte,
                LARGE,
            ),
            refuse_cmyk: raw.limits.refuse_cmyk.unwrap_or(false),
            max_decode_s: check.number(
                "limits.max_decode_s",
                raw.limits.max_decode_s,
                limits.max_decode_s,
                LARGE,
            ),
            memory_mb: check.number("limits.memory_mb", raw.limits.memory_mb, default_memory_mb(), LARGE),
        },
        reserve_mb: check.number(
            "limits.reserve_mb",
            raw.limits.reserve_mb,
            DEFAULT_RESERVE_MB,
            (0, LARGE.1),
        ),
        state: raw.service.state.map(path),
        supervision: Supervision {
            drain: check.seconds("service.drain_s", raw.service.drain_s, patience.drain),
            stall: check.seconds("service.stall_s", raw.service.stall_s, patience.stall),
        },
        library: raw.runtime.library.map(path),
    };
    if check.problems.is_empty() { Ok(config) } else { Err(check.problems) }
}

/// Remembers what was wrong, so that all of it is told at once.
struct Check {
    problems: Vec<String>,
}

impl Check {
    fn present<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problems.push(format!("{key} is missing"));
        }
        value
    }

    fn number(&mut self, key: &str, value: Option<i64>, default: u64, (least, most): (u64, u64)) -> u64 {
        let Some(value) = value else { return default };
        match u64::try_from(value).ok().filter(|value| (least..=most).contains(value)) {
            Some(value) => value,
            None => {
                self.problems.push(format!("{key} is {value}, not {least} to {most}"));
                default
            }
        }
    }

    fn seconds(&mut self, key: &str, value: Option<i64>, default: Duration) -> Duration {
        Duration::from_secs(self.number(key, value, default.as_secs(), (1, 86_400)))
    }
}
