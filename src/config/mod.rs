//! The configuration, complete, in range, its paths resolved against its file. All problems are told at once.
//! Knows no TOML and no model.

mod raw;

use crate::edge::machine;
use crate::edge::model::Device;
use crate::error::StartError;
use crate::plan::{Limits, MAX_STRENGTH, Megapixels, Supervision, default_threads};
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
    /// At least one.
    pub pipelines: Vec<Pipeline>,
    /// Where models are looked for by name, or `None` for the usual places.
    pub model_folder: Option<PathBuf>,
    /// Where networks run.
    pub device: Device,
    /// What the processor computes with.
    pub precision: Wanted,
    /// Cores to use.
    pub threads: usize,
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

/// One input folder, and what is done to its pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// What it is called in messages.
    pub name: String,
    /// Folder that pictures land in.
    pub input: PathBuf,
    /// Folder for results.
    pub output: PathBuf,
    /// How long a file that nobody closes must stay the same.
    pub settle: Duration,
    /// Name or path of the model.
    pub model: String,
    /// λ, or `None` for the card's default.
    pub strength: Option<f32>,
    /// A fixed seed, or `None`: from the content.
    pub seed: Option<u64>,
    /// What the model is told of pictures, or `None`: as their format has it.
    pub source: Option<Source>,
    /// Samples of an uncertainty map, or `None`: no map.
    pub uncertainty: Option<u16>,
    /// How large its pictures are.
    pub megapixels: Megapixels,
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
    if raw.pipeline.is_empty() {
        check
            .problems
            .push("there is no [[pipeline]]: one names an input folder and an output folder".into());
    }
    let pipelines = raw.pipeline.into_iter().enumerate();
    let config = Config {
        pipelines: pipelines.map(|(index, raw)| check.pipeline(index + 1, raw, folder)).collect(),
        model_folder: raw.models.folder.map(path),
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

    /// The pipeline of this number, counted from 1.
    fn pipeline(&mut self, number: usize, raw: raw::Pipeline, folder: &Path) -> Pipeline {
        let name = raw.name.unwrap_or_else(|| format!("pipeline {number}"));
        let key = |key: &str| format!("{name}: {key}");
        let path = |path: PathBuf| folder.join(path);
        Pipeline {
            input: self.present(&key("input"), raw.input).map(path).unwrap_or_default(),
            output: self.present(&key("output"), raw.output).map(path).unwrap_or_default(),
            settle: Duration::from_millis(self.number(
                &key("settle_ms"),
                raw.settle_ms,
                DEFAULT_SETTLE_MS,
                (100, 3_600_000),
            )),
            model: self.model(&key("model"), raw.model, folder),
            strength: raw.strength.map(|strength| self.strength(&key("strength"), strength)),
            seed: raw.seed.map(|seed| self.number(&key("seed"), Some(seed), 0, (0, i64::MAX as u64))),
            source: raw.source.and_then(|text| self.source(&key("source"), &text)),
            uncertainty: raw
                .uncertainty
                .map(|samples| self.number(&key("uncertainty"), Some(samples), 0, UNCERTAINTY) as u16),
            megapixels: self.megapixels(&name, raw.min_mpx, raw.max_mpx),
            name,
        }
    }

    fn megapixels(&mut self, name: &str, least: Option<f64>, most: Option<f64>) -> Megapixels {
        let all = Megapixels::default();
        let megapixels = Megapixels { least: least.unwrap_or(all.least), most: most.unwrap_or(all.most) };
        let Megapixels { least, most } = megapixels;
        if !(0.0 <= least && least <= most) {
            self.problems.push(format!("{name}: min_mpx {least} to max_mpx {most} takes no picture"));
        }
        megapixels
    }

    fn strength(&mut self, key: &str, strength: f64) -> f32 {
        if !(0.0..=f64::from(MAX_STRENGTH)).contains(&strength) {
            self.problems.push(format!("{key} is {strength}, not 0 to {MAX_STRENGTH}"));
        }
        strength as f32
    }

    fn source(&mut self, key: &str, text: &str) -> Option<Source> {
        text.parse().map_err(|problem| self.problems.push(format!("{key}: {problem}"))).ok()
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
    fn model(&mut self, key: &str, name: Option<String>, folder: &Path) -> String {
        let name = name.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        if name.is_empty() {
            self.problems.push(format!("{key} is empty"));
        }
        if !name.contains('/') && !name.ends_with(".onnx") {
            return name;
        }
        folder.join(&name).to_str().map_or(name, str::to_owned)
    }
}
