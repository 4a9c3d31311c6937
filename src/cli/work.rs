//! Words of what makes results: `once`, `run`, `bench`.

use super::{side, strength};
use crate::work::device::Devices;
use crate::work::keeping::Keeping;
use crate::work::masking::White;
use crate::work::precision::Wanted;
use clap::{Args, ValueEnum};
use contract::source::Source;
use std::path::PathBuf;

/// Words of `once`.
#[derive(Debug, Args)]
pub struct Once {
    /// Pictures (JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, QOI) or folders of them.
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Folder for the results: the same tree as below each IN.
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// What is done to the pictures; `inpaint,super-resolution` does both, one after the other.
    #[arg(long, value_name = "TASK", value_enum, value_delimiter = ',', default_value = "super-resolution")]
    pub task: Vec<TaskName>,
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
    /// Name of a model, or the path of an ONNX file; for two tasks two, with a comma between them. Default:
    /// sr-x4, or inpaint with inpaint.
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Option<String>,
    /// A configuration whose models are meant too: its `[[model]]` tables (models from elsewhere) and its
    /// folder of models. Nothing else of it is used.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How much of the sampled detail to add: 0 is the mean alone. Default: what the model says looks best.
    #[arg(long, value_name = "X", value_parser = strength)]
    pub strength: Option<f32>,
    /// Seed of the noise. Default: from each picture's content.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// What the model is told of the pictures: clean (every pixel is meant), photo (a camera's or the web's
    /// JPEG) or heavy (blurred, noisy, saved badly). Default: photo where the format loses
    /// something (JPEG, WebP, JPEG XL), else clean.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<Source>,
    /// Also write NAME.uncertainty.png: how far so many samples lie apart, as grey levels, eight for each
    /// 8-bit level of standard deviation. Costs as many further evaluations.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=64))]
    pub uncertainty: Option<u16>,
    /// What is kept of what pictures say of themselves (Exif, IPTC, XMP, texts): keep (all that stays true),
    /// no-gps (all but the place), copyright (who made them and whose they are) or strip (the colour profile
    /// alone).
    #[arg(long, value_name = "WORD", default_value = "keep")]
    pub metadata: Keeping,
    /// Say in each result's XMP how it came to be (IPTC Digital Source Type): enhanced by an algorithm at
    /// strength 0, partly from a trained model else.
    #[arg(long)]
    pub digital_source_type: bool,
    /// Refuse pictures of inks (CMYK) instead of making them RGB.
    #[arg(long)]
    pub refuse_cmyk: bool,
    /// What results are written as.
    #[arg(long, value_name = "F", value_enum, default_value_t)]
    pub format: FormatName,
    /// Quality of JPEG, 1 to 100, also with `same`. Default: 92. Or of WebP, where it may lose something.
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// auto, cpu, cuda, cuda:N, cuda:GPU-UUID, tensorrt or tensorrt:N; several GPUs with commas between
    /// them. A device that is named is used, or nothing is done (exit code 78).
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
    /// Memory for everything in flight, in MB. Default: half of what the machine or its control group has.
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

/// Words of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Pictures or folders of them. Default: pictures that are made up.
    #[arg(value_name = "IN", conflicts_with_all = ["pictures", "side"])]
    pub inputs: Vec<PathBuf>,
    /// Name of a model that enlarges, or the path of an ONNX file. Default: sr-x4.
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Option<String>,
    /// How much of the sampled detail to add. Default: what the model says looks best.
    #[arg(long, value_name = "X", value_parser = strength)]
    pub strength: Option<f32>,
    /// Where: as with `once`.
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: Devices,
    /// What is computed with: as with `once`.
    #[arg(long, value_name = "P", default_value = "auto")]
    pub precision: Wanted,
    /// Cores to use. Default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Windows that are evaluated together. Default: one on the CPU, what is measured to be best on GPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: Option<u16>,
    /// Largest side of a window in pixels. Default: as is usual on the device.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u16).range(64..=2048))]
    pub window: Option<u16>,
    /// How many pictures are made up.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub pictures: u16,
    /// Their sides in pixels.
    #[arg(long, value_name = "PX", default_value_t = 512, value_parser = side)]
    pub side: u16,
    /// What results are written as.
    #[arg(long, value_name = "F", value_enum, default_value_t)]
    pub format: FormatName,
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
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

impl TaskName {
    /// The word itself.
    pub fn word(self) -> &'static str {
        match self {
            TaskName::SuperResolution => "super-resolution",
            TaskName::Inpaint => "inpaint",
        }
    }
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
    /// Nothing is lost; smaller than PNG. With a quality (feature webp-lossy) much smaller, and something is.
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
