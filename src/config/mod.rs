//! The configuration, complete, in range, its paths resolved against its file. All problems are told at once.
//! Knows no TOML and no model.

mod raw;

use crate::edge::machine;
use crate::edge::model::Device;
use crate::error::StartError;
use crate::plan::{Limits, MAX_STRENGTH, Supervision, default_threads};
use crate::work::precision::Wanted;
use contract::source::Source;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The model where none is named.
pub const DEFAULT_MODEL: &str = "sr-x4";
/// Room that is left on a disk where none is named: databases and logs on it go on.
pub const DEFAULT_RESERVE_MB: u64 = 500;
const DEFAULT_SETTLE_MS: u64 = 2000;
/// Bounds of the samples of an uncertainty map: one has no spread.
const UNCERTAINTY: (u64, u64) = (2, 64);
/// Bounds of whatever is counted in millions.
const LARGE: (u64, u64) = (1, 1_000_000);

/// What `run` was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Folder that pictures land in.
    pub input: PathBuf,
    /// Folder for results.
    pub output: PathBuf,
    /// How long a file that nobody closes must stay the same.
    pub settle: Duration,
    /// Name or path of the model.
    pub model: String,
    /// Where models are looked for by name, or `None` for the usual places.
    pub model_folder: Option<PathBuf>,
    /// λ, or `None` for the card's default.
    pub strength: Option<f32>,
    /// A fixed seed, or `None`: from the content.
    pub seed: Option<u64>,
    /// What the model is told of pictures, or `None`: as their format has it.
    pub source: Option<Source>,
    /// Samples of an uncertainty map, or `None`: no map.
    pub uncertainty: Option<u16>,
    /// Where networks run.
    pub device: Device,
    /// What the processor computes with.
    pub precision: Wanted,
    /// Cores to use.
    pub threads: usize,
    /// Limits.
    pub limits: Limits,
    /// Room on the output's disk that is never filled.
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
    let refusal = |problems| StartError::Config { file: file.to_owned(), problems };
    let text =
        std::fs::read_to_string(file).map_err(|error| refusal(vec![format!("cannot be read: {error}")]))?;
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
    let config = Config {
        input: check.present("watch.input", raw.watch.input).map(path).unwrap_or_default(),
        output: check.present("watch.output", raw.watch.output).map(path).unwrap_or_default(),
        settle: Duration::from_millis(check.number(
            "watch.settle_ms",
            raw.watch.settle_ms,
            DEFAULT_SETTLE_MS,
            (100, 3_600_000),
        )),
        model: check.model(raw.model.name, folder),
        model_folder: raw.model.folder.map(path),
        strength: raw.model.strength.map(|strength| check.strength(strength)),
        seed: raw.model.seed.map(|seed| check.number("model.seed", Some(seed), 0, (0, i64::MAX as u64))),
        source: raw.model.source.and_then(|text| check.source(&text)),
        uncertainty: raw
            .model
            .uncertainty
            .map(|samples| check.number("model.uncertainty", Some(samples), 0, UNCERTAINTY) as u16),
        device: check.device(raw.device.device),
        precision: check.precision(raw.device.precision),
        threads: check.number("device.threads", raw.device.threads, default_threads() as u64, (1, 1024))
            as usize,
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

    fn strength(&mut self, strength: f64) -> f32 {
        if !(0.0..=f64::from(MAX_STRENGTH)).contains(&strength) {
            self.problems.push(format!("model.strength is {strength}, not 0 to {MAX_STRENGTH}"));
        }
        strength as f32
    }

    fn source(&mut self, text: &str) -> Option<Source> {
        text.parse().map_err(|problem| self.problems.push(format!("model.source: {problem}"))).ok()
    }

    fn precision(&mut self, text: Option<String>) -> Wanted {
        text.map_or(Ok(Wanted::Auto), |text| text.parse()).unwrap_or_else(|problem| {
            self.problems.push(format!("device.precision: {problem}"));
            Wanted::Auto
        })
    }

    fn device(&mut self, text: Option<String>) -> Device {
        text.map_or(Ok(Device::Auto), |text| text.parse()).unwrap_or_else(|problem| {
            self.problems.push(format!("device.device: {problem}"));
            Device::Auto
        })
    }

    /// A name stays a name; a path is resolved like all others.
    fn model(&mut self, name: Option<String>, folder: &Path) -> String {
        let name = name.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        if name.is_empty() {
            self.problems.push("model.name is empty".into());
        }
        if !name.contains('/') && !name.ends_with(".onnx") {
            return name;
        }
        folder.join(&name).to_str().map_or(name, str::to_owned)
    }
}
