//! config.toml as it is written: every key optional, none unknown. The only file that names `toml`. Checks no
//! ranges and knows no defaults.

use serde::Deserialize;
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    /// `[[pipeline]]`
    pub(super) pipeline: Vec<Pipeline>,
    /// `[[model]]`
    pub(super) model: Vec<Model>,
    /// `[models]`
    pub(super) models: Models,
    /// `[device]`
    pub(super) device: Device,
    /// `[limits]`
    pub(super) limits: Limits,
    /// `[service]`
    pub(super) service: Service,
    /// `[runtime]`
    pub(super) runtime: Runtime,
}

/// `[[pipeline]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pipeline {
    /// What it is called in messages.
    pub(super) name: Option<String>,
    /// Folder that pictures land in.
    pub(super) input: Option<PathBuf>,
    /// Folder for results.
    pub(super) output: Option<PathBuf>,
    /// How long a file that nobody closes must stay the same.
    pub(super) settle_ms: Option<i64>,
    /// auto, events, poll.
    pub(super) watch: Option<String>,
    /// Seconds between two looks where it is polled.
    pub(super) poll_s: Option<i64>,
    /// arrival, name, oldest, newest, smallest.
    pub(super) order: Option<String>,
    /// Higher comes first.
    pub(super) priority: Option<i64>,
    /// Whether `_status.txt` is written into the input folder.
    pub(super) status_file: bool,
    /// Globs of what is left alone.
    pub(super) ignore: Vec<String>,
    /// super-resolution, inpaint, or both.
    pub(super) task: Option<Words>,
    /// sidecar, alpha, a colour, a path.
    pub(super) mask: Option<String>,
    /// Ends of masks' names.
    pub(super) mask_suffix: Option<Vec<String>>,
    /// repair, keep.
    pub(super) mask_white: Option<String>,
    /// Difference of a channel.
    pub(super) mask_tolerance: Option<i64>,
    /// How far a hole is grown.
    pub(super) mask_grow_px: Option<i64>,
    /// refuse, nearest.
    pub(super) mask_resize: Option<String>,
    /// How long a picture waits for its mask.
    pub(super) mask_wait_s: Option<i64>,
    /// Name or path, one for each task.
    pub(super) model: Option<Words>,
    /// λ.
    pub(super) strength: Option<f64>,
    /// Seed of the noise.
    pub(super) seed: Option<i64>,
    /// What the model is told of pictures.
    pub(super) source: Option<String>,
    /// Samples of an uncertainty map.
    pub(super) uncertainty: Option<i64>,
    /// keep, no-gps, strip.
    pub(super) metadata: Option<String>,
    /// Whether results say how they came to be.
    pub(super) digital_source_type: Option<bool>,
    /// png, jpeg.
    pub(super) format: Option<String>,
    /// Of JPEG.
    pub(super) quality: Option<i64>,
    /// Smaller pictures are refused.
    pub(super) min_mpx: Option<f64>,
    /// Larger pictures are refused.
    pub(super) max_mpx: Option<f64>,
    /// Template of results' names.
    pub(super) file_name: Option<String>,
    /// refuse, number.
    pub(super) name_taken: Option<String>,
    /// Permission bits of results, octal.
    pub(super) mode: Option<String>,
    /// Group of results.
    pub(super) group: Option<String>,
    /// keep, move, trash, delete.
    pub(super) originals: Option<String>,
    /// Where pictures are moved.
    pub(super) originals_folder: Option<PathBuf>,
}

/// `[[model]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Model {
    /// What pipelines call it.
    pub(super) name: Option<String>,
    /// The ONNX file.
    pub(super) file: Option<PathBuf>,
    /// super-resolution, inpaint.
    pub(super) task: Option<String>,
    /// Output pixels per input pixel along a side.
    pub(super) scale: Option<i64>,
    /// Name of the graph's input.
    pub(super) input: Option<String>,
    /// And of that for the mask.
    pub(super) mask_input: Option<String>,
    /// And of its output.
    pub(super) output: Option<String>,
    /// Black and white going in.
    pub(super) range: Option<String>,
    /// And coming out.
    pub(super) output_range: Option<String>,
    /// rgb, bgr.
    pub(super) channels: Option<String>,
    /// nchw, nhwc.
    pub(super) layout: Option<String>,
    /// 1, 0.
    pub(super) mask_hole: Option<i64>,
    /// smooth, zero.
    pub(super) hole_fill: Option<String>,
    /// Sides of windows.
    pub(super) multiple_of: Option<i64>,
    /// Context of tiles.
    pub(super) halo: Option<i64>,
    /// Of the weights.
    pub(super) licence: Option<String>,
}

/// `[models]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Models {
    /// Folder of models.
    pub(super) folder: Option<PathBuf>,
}

/// `[device]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Device {
    /// auto, cpu, cuda, cuda:N, tensorrt, tensorrt:N.
    pub(super) device: Option<Words>,
    /// auto, f32, f16, int8.
    pub(super) precision: Option<String>,
    /// Cores to use.
    pub(super) threads: Option<i64>,
    /// Largest side of a window.
    pub(super) window_px: Option<i64>,
    /// Tiles that a GPU evaluates together.
    pub(super) batch: Option<i64>,
    /// Share of a GPU's memory, in percent.
    pub(super) gpu_memory: Option<String>,
    /// Where TensorRT's engines are kept.
    pub(super) engines: Option<PathBuf>,
    /// How often a device is proven.
    pub(super) prove_s: Option<i64>,
}

/// One word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    /// One; of devices, or several with commas between them.
    One(String),
    /// A list.
    Several(Vec<String>),
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Length of a file.
    pub(super) max_file_mb: Option<i64>,
    /// Pixels of a picture.
    pub(super) max_input_mpx: Option<i64>,
    /// Pixels of a result.
    pub(super) max_output_mpx: Option<i64>,
    /// Pixels a byte of the file.
    pub(super) max_px_per_byte: Option<i64>,
    /// Whether pictures of inks are refused.
    pub(super) refuse_cmyk: Option<bool>,
    /// Seconds that decoding a picture may take.
    pub(super) max_decode_s: Option<i64>,
    /// Memory for everything in flight.
    pub(super) memory_mb: Option<i64>,
    /// Room on the output's disk that is never filled.
    pub(super) reserve_mb: Option<i64>,
}

/// `[service]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Service {
    /// Folder of ledger and lock.
    pub(super) state: Option<PathBuf>,
    /// How long what is in flight may take after the stop.
    pub(super) drain_s: Option<i64>,
    /// How long nothing may move.
    pub(super) stall_s: Option<i64>,
}

/// `[runtime]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Runtime {
    /// ONNX Runtime's shared library.
    pub(super) library: Option<PathBuf>,
}

/// Reads the text.
///
/// # Errors
/// The first thing that is wrong, with line and column.
pub(super) fn parse(text: &str) -> Result<Raw, String> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().map(|span| place(text, span.start)).unwrap_or_default();
        format!("{place}{}", error.message())
    })
}

fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line_begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_begin..].chars().count() + 1;
    format!("line {}, column {column}: ", before.matches('\n').count() + 1)
}
