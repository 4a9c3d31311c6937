//! Words of what asks, and of what only changes the books: `why`, `status`, `doctor`, `retry` and the like.

use super::ago;
use crate::work::device::Devices;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Words that say whose ledger is asked.
#[derive(Debug, Args)]
pub struct Asked {
    /// The configuration of `run`. Default: config.toml where there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The output folder of `once`.
    #[arg(short, long, value_name = "OUT", conflicts_with = "config")]
    pub output: Option<PathBuf>,
    /// The state folder itself. Without any of the three all of the user's are asked; what changes a ledger
    /// takes that of config.toml here, or the only one there is.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "output"])]
    pub state: Option<PathBuf>,
}

/// Words of `why`.
#[derive(Debug, Args)]
pub struct Why {
    /// Pictures, or results.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Whose ledger.
    #[command(flatten)]
    pub asked: Asked,
}

/// Words of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
    /// As metrics for Prometheus, in its text format.
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
    /// Ends with code 1 where no onestep is at work, or one is paused or holds a pipeline.
    #[arg(long)]
    pub check: bool,
    /// Whose ledger.
    #[command(flatten)]
    pub asked: Asked,
}

/// Words of `retry`.
#[derive(Debug, Args)]
pub struct Retry {
    /// Only failures whose reason has this in it, e.g. too-large.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only failures of the last so many minutes, hours or days, e.g. 2d.
    #[arg(long, value_name = "TIME", value_parser = ago)]
    pub since: Option<Duration>,
    /// Whose ledger.
    #[command(flatten)]
    pub asked: Asked,
}

/// Words of `reprocess`, which needs one of the three: all results anew is another output folder.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true, args = ["only", "except", "since"])]
pub struct Reprocess {
    /// Only results whose options, as `why` tells them, have this in them, e.g. "strength 0.25".
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Only results whose options do not have this in them, e.g. the beginning of the new model's SHA-256.
    #[arg(long, value_name = "TEXT")]
    pub except: Option<String>,
    /// Only results of the last so many minutes, hours or days, e.g. 2d.
    #[arg(long, value_name = "TIME", value_parser = ago)]
    pub since: Option<Duration>,
    /// Whose ledger.
    #[command(flatten)]
    pub asked: Asked,
}

/// Words of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The configuration of `run`, whose output folders are compared.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// The output folder of `once`, instead.
    #[arg(short, long, value_name = "OUT", conflicts_with = "config")]
    pub output: Option<PathBuf>,
}

/// Words of `pause` and `resume`.
#[derive(Debug, Args)]
pub struct Pause {
    /// Only this pipeline, by its name in the configuration.
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Whose ledger.
    #[command(flatten)]
    pub asked: Asked,
}

/// Words of `models`.
#[derive(Debug, Args)]
pub struct Models {
    /// Folder of models, instead of the usual places.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// A configuration whose models are meant: its `[[model]]` tables (models from elsewhere), each of which
    /// is evaluated once, and its folder of models. Default: config.toml where there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
}

/// Words of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The configuration of `run`. Default: config.toml where there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The device to look into, instead of the configuration's.
    #[arg(long, value_name = "D")]
    pub device: Option<Devices>,
    /// Folder of models, instead of the usual places.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
}
