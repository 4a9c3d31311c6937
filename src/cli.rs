//! The words of the command line. The only file that names `clap`. Knows words and ranges, not what they do.

use crate::plan::MAX_STRENGTH;
use crate::work::device::Devices;
use crate::work::keeping::Keeping;
use crate::work::masking::White;
use crate::work::precision::Wanted;
use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::source::Source;
use std::path::PathBuf;
use std::time::Duration;

/// Gives every picture back enlarged, in one network evaluation.
#[derive(Debug, Parser)]
#[command(name = "onestep", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How lines of the log look: for people, or one JSON object a line.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enlarge these pictures and folders, then end. A second run skips what is finished.
    Once(Once),
    /// Watch a folder and enlarge what lands in it, until SIGINT or SIGTERM.
    Run(Run),
    /// Tell what became of pictures, or why nothing did. Works beside a onestep at work and after its end.
    Why(Why),
    /// Tell how far everything is. Works beside a onestep at work and after its end.
    Status(Status),
    /// Forget failures, so that these pictures are tried again when they are seen next.
    Retry(Retry),
    /// Forget with which options results were made, so that these pictures are done again when they are seen
    /// next.
    Reprocess(Reprocess),
    /// Tell what run would do now: how many pictures, how long, how much disk, which would be refused and
    /// why.
    Plan(Run),
    /// Compare every result with its receipt, byte for byte.
    Verify(Verify),
    /// Let what is in flight land, and begin nothing new. Holds also when it is started anew.
    Pause(Pause),
    /// Go on after a pause.
    Resume(Pause),
    /// List the models that are there: what each can do, and what a strength costs.
    Models(Models),
    /// Check the configuration, its folders and its model, and tell everything that is wrong.
    Validate(Run),
    /// Tell what is here and what is missing: runtime, devices, libraries, models, folders. Exit code 78
    /// where a device that is named cannot be used, 2 where something else is bad.
    Doctor(Doctor),
}

/// Words of `once`.
#[derive(Debug, Args)]
pub struct Once {
    /// Pictures (JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, QOI) or folders of them.
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Folder for the results: the same tree as below each IN.
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// What is done to the pictures.
    #[arg(long, value_name = "TASK", value_enum, default_value_t)]
    pub task: TaskName,
    /// With inpaint, what is to be repaired: sidecar (the white of NAME.mask.png or NAME_mask.png beside
    /// NAME.jpg), alpha (what is transparent), a colour such as '#FF00FF', or a path with a / or a . in it: a
    /// folder of masks in the same tree, or one mask file for all. Default: sidecar.
    #[arg(long, value_name = "WHAT")]
    pub mask: Option<String>,
    /// What white means in a mask file: repair (the default) or keep.
    #[arg(long, value_name = "WORD")]
    pub mask_white: Option<White>,
    /// How far a channel may be from the colour that marks, of 255. Default: 0.
    #[arg(long, value_name = "N")]
    pub mask_tolerance: Option<u8>,
    /// By how many pixels what is marked is grown, 0 to 64. Default: 2.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=64))]
    pub mask_grow_px: Option<u8>,
    /// What becomes of a mask of another size than its picture: refuse (the default) or nearest (its nearest
    /// pixels are taken).
    #[arg(long, value_name = "WORD", value_enum)]
    pub mask_resize: Option<ResizeName>,
    /// Name of a model, or the path of an ONNX file. Default: sr-x4, or inpaint-mean with inpaint.
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Option<String>,
    /// How much of the sampled detail to add: 0 is the mean alone. Default: what the model says looks best.
    #[arg(long, value_name = "X", value_parser = strength)]
    pub strength: Option<f32>,
    /// Seed of the noise. Default: from each picture's content.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// What the model is told of the pictures: clean (every pixel is meant), photo (a camera's or the web's
    /// JPEG) or heavy (blurred, noisy, saved badly). Default: photo for JPEG, clean for PNG.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<Source>,
    /// Also write NAME.uncertainty.png: how far so many samples lie apart, as grey levels, eight for each
    /// 8-bit level of standard deviation. Costs as many further evaluations.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=64))]
    pub uncertainty: Option<u16>,
    /// What is kept of what pictures say of themselves (Exif, XMP, texts): keep (all that stays true), no-gps
    /// (all but the place) or strip (the colour profile alone).
    #[arg(long, value_name = "WORD", default_value = "keep")]
    pub metadata: Keeping,
    /// What results are written as.
    #[arg(long, value_name = "F", value_enum, default_value_t)]
    pub format: FormatName,
    /// Quality of JPEG, 1 to 100, also with `same`. Default: 92.
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N; several GPUs with commas between them. A device that
    /// is named is used, or nothing is done (exit code 78).
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: Devices,
    /// What is computed with: auto (where the model has it, int8 on processors that are fast at it and f16 on
    /// GPUs), f32, f16 (GPUs) or int8 (processors).
    #[arg(long, value_name = "P", default_value = "auto")]
    pub precision: Wanted,
    /// Cores to use. Default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Overwrite files in OUT that onestep did not make, or made from another picture.
    #[arg(long)]
    pub force: bool,
    /// Memory for everything in flight, in MB. Default: half of what the machine has.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub memory_mb: Option<u64>,
    /// Folder of the ledger of what was done, on a local disk. Default: one for this OUT in
    /// ~/.local/state/onestep.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
}

/// Words of `reprocess`.
#[derive(Debug, Args)]
pub struct Reprocess {
    /// Only results whose options, as `why` tells them, have this in them, e.g. "strength 0.25".
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Only results whose options do not have this in them, e.g. the beginning of the new model's SHA-256.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["only", "since"])]
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

/// What is done to pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TaskName {
    /// They are enlarged.
    #[default]
    SuperResolution,
    /// What is marked is repaired.
    Inpaint,
}

/// What becomes of a mask of another size than its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResizeName {
    /// The picture fails.
    Refuse,
    /// Its nearest pixels are taken.
    Nearest,
}

/// What results are written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Nothing is lost.
    #[default]
    Png,
    /// Much smaller; where pixels are transparent, white shows through.
    Jpeg,
    /// Nothing is lost; smaller than PNG.
    Webp,
    /// Nothing is lost.
    Tiff,
    /// Each as its picture: JPEG, PNG, WebP or TIFF; all others as PNG.
    Same,
}

impl FormatName {
    /// The word itself.
    pub fn word(self) -> &'static str {
        match self {
            FormatName::Png => "png",
            FormatName::Jpeg => "jpeg",
            FormatName::Webp => "webp",
            FormatName::Tiff => "tiff",
            FormatName::Same => "same",
        }
    }
}

/// Words of `run`, `plan` and `validate`.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// ONNX Runtime's shared library, instead of the configuration's.
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
}

/// Words of `models`.
#[derive(Debug, Args)]
pub struct Models {
    /// Folder of models, instead of the usual places.
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
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

/// Words that say whose ledger is asked.
#[derive(Debug, Args)]
pub struct Asked {
    /// The configuration of `run`. Default: config.toml where there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The output folder of `once`.
    #[arg(short, long, value_name = "OUT", conflicts_with = "config")]
    pub output: Option<PathBuf>,
    /// The state folder itself. Without any of the three all of the user's are asked.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "output"])]
    pub state: Option<PathBuf>,
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

/// Reads the command line; ends the process with code 2 and a sentence where it makes no sense.
pub fn parse() -> Cli {
    Cli::parse()
}

/// A time span: a number and m, h or d.
fn ago(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and m, h or d, e.g. 90m, 12h or 2d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let minutes: u64 = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = number.parse().ok().filter(|count| *count <= 1_000_000).ok_or_else(wrong)?;
    Ok(Duration::from_secs(60 * minutes * count))
}

fn strength(text: &str) -> Result<f32, String> {
    let strength = text.parse::<f32>().ok().filter(|strength| (0.0..=MAX_STRENGTH).contains(strength));
    strength.ok_or_else(|| format!("a strength is a number from 0 to {MAX_STRENGTH}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        let minutes = |text| ago(text).map(|span| span.as_secs() / 60);
        assert_eq!((minutes("90m"), minutes("12h"), minutes("2d")), (Ok(90), Ok(720), Ok(2880)));
        for wrong in ["", "2", "d", "-1d", "2w", "1.5h", "99999999d", "2ä"] {
            assert!(ago(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn strengths_out_of_range_are_refused() {
        for text in ["-0.1", "1.3", "NaN", "inf", "much"] {
            assert!(strength(text).is_err(), "{text}");
        }
        assert_eq!((strength("0"), strength("1.2")), (Ok(0.0), Ok(1.2)));
    }
}
