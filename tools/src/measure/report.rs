//! The report of a model: public sets through the ONNX files that ship, samples on the held-out crops, as
//! Markdown and JSON. It says what was measured, with which seeds, and what was not.

use super::figures::{psnr_y, ssim_y};
use super::sample_figures::SampleFigures;
use crate::data::read_rgb;
use crate::export::ModelFiles;
use crate::onnx::{OnnxError, OnnxModel, bicubic};
use contract::pixels::{Picture, Planes};
use contract::resample::shrink;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Strengths at which the sets are evaluated; 0 is the mean file.
pub const STRENGTHS: [f32; 4] = [0.0, 0.3, 0.5, 1.0];
/// The first two lines of the table of the public sets.
pub const TABLE_HEAD: &str = "| set | method | PSNR-Y dB | SSIM-Y | LR-PSNR-Y dB |\n|---|---|---|---|---|";
/// Seed of the samples on the public sets.
const SEED: u64 = 1;

/// One line of the table: a set, a method, mean figures over its pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the set's folder.
    pub set: String,
    /// `bicubic`, or the strength.
    pub method: String,
    /// Pictures in the set.
    pub pictures: usize,
    /// dB, Y, 8 bit, border of `scale` pixels left out.
    pub psnr_y: f64,
    /// On Y, same border.
    pub ssim_y: f64,
    /// PSNR-Y of the output shrunk again against the input, dB.
    pub lr_psnr_y: f64,
}

/// Everything measured on one model.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Model name.
    pub model: String,
    /// Minutes of training.
    pub minutes: f64,
    /// What it was trained on.
    pub device: String,
    /// Parameters: mean net, scale head, consistency net.
    pub parameters: [i64; 3],
    /// Largest difference between files and networks.
    pub parity: f32,
    /// The public sets.
    pub rows: Vec<Row>,
    /// Held-out crops and samples per crop behind the next two.
    pub held_out: (usize, usize),
    /// One-step samples.
    pub sample: SampleFigures,
    /// The grain baseline.
    pub grain: SampleFigures,
}

/// Evaluates both files, at 0 and other strengths, on every folder of pictures below `sets`. A folder that
/// holds no picture is left out.
///
/// # Errors
/// If a file cannot be opened or a set cannot be read.
pub fn evaluate(
    files: &ModelFiles,
    strengths: &[f32],
    scale: usize,
    context: usize,
    sets: &Path,
) -> Result<Vec<Row>, OnnxError> {
    let mut mean = OnnxModel::open(&files.mean, scale, 2)?;
    let mut sample = OnnxModel::open(&files.sample, scale, 2)?;
    let mut rows = Vec::new();
    for folder in sorted(sets) {
        let truths: Vec<Picture> =
            sorted(&folder).iter().filter_map(|path| read_rgb(path).ok()).map(|p| trim(&p, scale)).collect();
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Masks and other one-bit helpers lie beside the sets; they are too small in number of colours to be
        // photos.
        if truths.is_empty() || name.starts_with("masks") {
            continue;
        }
        let mut add = |method: String, outputs: &mut dyn FnMut(&Picture) -> Result<Picture, OnnxError>| {
            let mut sums = [0.0; 3];
            for truth in &truths {
                let small = shrink(&Planes::from_picture(truth), scale).to_picture();
                let out = outputs(&small)?;
                let back = shrink(&Planes::from_picture(&out), scale).to_picture();
                let figures =
                    [psnr_y(&out, truth, scale), ssim_y(&out, truth, scale), psnr_y(&back, &small, 0)];
                sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
            }
            let [psnr_y, ssim_y, lr_psnr_y] = sums.map(|sum| sum / truths.len() as f64);
            rows.push(Row { set: name.clone(), method, pictures: truths.len(), psnr_y, ssim_y, lr_psnr_y });
            Ok::<(), OnnxError>(())
        };
        add("bicubic".into(), &mut |small| Ok(bicubic(small, scale)))?;
        for &strength in strengths {
            let model = if strength == 0.0 { &mut mean } else { &mut sample };
            add(format!("{strength}"), &mut |small| {
                Ok(model.enlarge(small, context, SEED, strength)?.to_picture())
            })?;
        }
    }
    Ok(rows)
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Sides cut to multiples of the scale.
fn trim(picture: &Picture, scale: usize) -> Picture {
    let mut out = Picture::new(
        contract::geometry::Size::new(
            picture.size.width / scale * scale,
            picture.size.height / scale * scale,
        ),
        3,
    );
    for (row, into) in out.samples.chunks_exact_mut(3 * out.size.width).enumerate() {
        let begin = row * picture.size.width * 3;
        into.copy_from_slice(&picture.samples[begin..begin + into.len()]);
    }
    out
}

impl Report {
    /// The report as a page.
    pub fn to_markdown(&self) -> String {
        let [mean, scale, sampler] = self.parameters;
        let mut lines = vec![
            format!("# {}\n", self.model),
            format!("Trained {:.0} minutes on {}.", self.minutes, self.device),
            format!("Parameters: mean net {mean}, scale head {scale}, consistency net {sampler}."),
            format!("ONNX Runtime (CPU, f32) differs from the networks by at most {:.1e}.\n", self.parity),
            TABLE_HEAD.into(),
        ];
        lines.extend(self.rows.iter().map(Row::to_markdown));
        let (crops, samples) = self.held_out;
        lines.push(format!(
            "\n{crops} held-out crops, {samples} samples each (seeds 1 to {samples}), strength 1:\n"
        ));
        let heads = ["", "std ratio", "block correlation", "energy score", "kurtosis", "posterior gain dB"];
        lines.push(format!("| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len())));
        for (name, f) in [("one-step sample", self.sample), ("grain, no network", self.grain)] {
            let figures = [f.std_ratio, f.block_correlation, f.energy_score, f.kurtosis, f.posterior_gain];
            lines.push(format!("| {name} | {} |", figures.map(|v| format!("{v:.4}")).join(" | ")));
        }
        let (kurtosis, gain) = (self.sample.truth_kurtosis, ideal_gain(samples));
        lines.push(format!("| right | 1 | 1 | lower is better | {kurtosis:.4} | {gain:.4} |\n"));
        lines.push("One training run, one seed. Not measured: other degradations than bicubic, FD.".into());
        lines.join("\n") + "\n"
    }
}

impl Row {
    /// As a line of the table.
    pub fn to_markdown(&self) -> String {
        let Row { set, method, pictures, psnr_y, ssim_y, lr_psnr_y } = self;
        let word = if method == "bicubic" { "" } else { "strength " };
        format!("| {set} ({pictures}) | {word}{method} | {psnr_y:.2} | {ssim_y:.4} | {lr_psnr_y:.1} |")
    }
}

/// Posterior gain of a perfect sampler with k samples: 10·log₁₀(2 / (1 + 1/k)).
fn ideal_gain(k: usize) -> f64 {
    10.0 * (2.0 / (1.0 + 1.0 / k as f64)).log10()
}
