//! The public sets through ONNX files as they ship: a row for a set and a method. Decides what is measured of
//! a picture; the figures themselves are its neighbours'.

use super::figures::{luma_inside, psnr_y, ssim_y};
use super::spectrum::spectrum_error;
use super::uncertainty::{Foretold, foretold};
use crate::data::{Random, degrade, is_picture, read_rgb};
use crate::export::ModelFiles;
use crate::onnx::{Asked, OnnxError, OnnxModel, bicubic};
use contract::pixels::{Picture, Planes};
use contract::resample::shrink;
use contract::source::Source;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Strengths at which the sets are evaluated; 0 is the mean file.
pub const STRENGTHS: [f32; 4] = [0.0, 0.3, 0.5, 1.0];
/// The first two lines of the table of the public sets.
pub const TABLE_HEAD: &str =
    "| set | method | PSNR-Y dB | SSIM-Y | LR-PSNR-Y dB | spectrum error |\n|---|---|---|---|---|---|";
/// Seed of the samples on the public sets.
pub const SETS_SEED: u64 = 1;
/// One line of the table: a set, a method, mean figures over its pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the set's folder.
    pub set: String,
    /// `bicubic`, the strength, or what the model was told.
    pub method: String,
    /// Pictures in the set.
    pub pictures: usize,
    /// dB, Y, 8 bit, border of `scale` pixels left out.
    pub psnr_y: f64,
    /// On Y, same border.
    pub ssim_y: f64,
    /// PSNR-Y of the output shrunk again against the input, dB.
    pub lr_psnr_y: f64,
    /// Radial log-spectrum error of Y above the small picture's Nyquist frequency; 0 is right.
    pub spectrum_error: f64,
}

impl Row {
    /// As a line of the table.
    pub fn to_markdown(&self) -> String {
        let Row { set, method, pictures, psnr_y, ssim_y, lr_psnr_y, spectrum_error } = self;
        let figures = format!("{psnr_y:.2} | {ssim_y:.4} | {lr_psnr_y:.1} | {spectrum_error:.3}");
        format!("| {set} ({pictures}) | {method} | {figures} |")
    }
}

/// What a set is enlarged for: a line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What the line is called.
    pub method: String,
    /// λ; 0 is the mean file's.
    pub strength: f32,
    /// What the model is told.
    pub source: Source,
}

impl Trial {
    /// One line a strength, the model told that pictures are clean.
    pub fn strengths(strengths: &[f32]) -> Vec<Trial> {
        let one = |&strength: &f32| {
            let method = format!("strength {strength}");
            Trial { method, strength, source: Source::Clean }
        };
        strengths.iter().map(one).collect()
    }

    /// One line for each thing a model can be told, at strength 0.
    pub fn sources(told: &[Source]) -> Vec<Trial> {
        let one = |&source: &Source| Trial { method: format!("told {source}"), strength: 0.0, source };
        told.iter().map(one).collect()
    }
}

/// Measures the files on every folder of pictures below `sets`, whose pictures are shrunk and then damaged as
/// `damage` has it. A folder that holds no picture is left out.
///
/// # Errors
/// If a file cannot be opened or a set cannot be read.
pub fn evaluate(
    files: &ModelFiles,
    trials: &[Trial],
    damage: Source,
    scale: usize,
    context: usize,
    sets: &Path,
) -> Result<Vec<Row>, OnnxError> {
    let mut mean = OnnxModel::open(&files.mean, scale, 2)?;
    let mut sample = match trials.iter().any(|trial| trial.strength > 0.0) {
        true => Some(OnnxModel::open(&files.sample, scale, 2)?),
        false => None,
    };
    let mut rows = Vec::new();
    for Set { name, pairs } in read_sets(sets, scale, damage) {
        let row = |method: &str, outputs: &mut dyn FnMut(&Picture) -> Result<Picture, OnnxError>| {
            let mut sums = [0.0; 4];
            for (small, truth) in &pairs {
                let out = outputs(small)?;
                let back = shrink(&Planes::from_picture(&out), scale).to_picture();
                let figures = [
                    psnr_y(&out, truth, scale),
                    ssim_y(&out, truth, scale),
                    psnr_y(&back, small, 0),
                    spectrum_error(&out, truth, scale),
                ];
                sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
            }
            let [psnr_y, ssim_y, lr_psnr_y, spectrum_error] = sums.map(|sum| sum / pairs.len() as f64);
            let (set, method, pictures) = (name.clone(), method.to_owned(), pairs.len());
            Ok::<Row, OnnxError>(Row { set, method, pictures, psnr_y, ssim_y, lr_psnr_y, spectrum_error })
        };
        rows.push(row("bicubic", &mut |small| Ok(bicubic(small, scale)))?);
        for Trial { method, strength, source } in trials {
            let model = if *strength == 0.0 { &mut mean } else { sample.as_mut().unwrap_or(&mut mean) };
            let asked = Asked { seed: SETS_SEED, strength: *strength, source: *source };
            rows.push(row(method, &mut |small| Ok(model.enlarge(small, context, asked)?.to_picture()))?);
        }
    }
    Ok(rows)
}

/// How well the spread of `samples` samples (seeds 1 to that many) foretells the mean's error on each set:
/// the figures of its pictures, averaged.
///
/// # Errors
/// If a file cannot be opened or used.
pub fn evaluate_uncertainty(
    files: &ModelFiles,
    samples: u16,
    damage: Source,
    scale: usize,
    context: usize,
    sets: &Path,
) -> Result<Vec<(String, Foretold)>, OnnxError> {
    let mut mean = OnnxModel::open(&files.mean, scale, 2)?;
    let mut sample = OnnxModel::open(&files.sample, scale, 2)?;
    let luma_of = |picture: &Picture| luma_inside(picture, scale).0;
    let mut rows = Vec::new();
    for Set { name, pairs } in read_sets(sets, scale, damage) {
        let mut sum = Foretold { pixels: 0.0, blocks: 0.0 };
        for (small, truth) in &pairs {
            let asked = |seed, strength| Asked { seed, strength, source: damage };
            let middle = luma_of(&mean.enlarge(small, context, asked(SETS_SEED, 0.0))?.to_picture());
            let drawn: Vec<Vec<f64>> = (1..=u64::from(samples))
                .map(|seed| Ok(luma_of(&sample.enlarge(small, context, asked(seed, 1.0))?.to_picture())))
                .collect::<Result<_, OnnxError>>()?;
            let found = foretold(&drawn, &middle, &luma_of(truth), truth.size.width - 2 * scale);
            (sum.pixels, sum.blocks) = (sum.pixels + found.pixels, sum.blocks + found.blocks);
        }
        let count = pairs.len() as f64;
        rows.push((name, Foretold { pixels: sum.pixels / count, blocks: sum.blocks / count }));
    }
    Ok(rows)
}

/// One set: small pictures and what they were made from.
struct Set {
    name: String,
    pairs: Vec<(Picture, Picture)>,
}

/// Every folder of pictures below `sets`, one at a time, shrunk and then damaged as `damage` has it.
fn read_sets(sets: &Path, scale: usize, damage: Source) -> impl Iterator<Item = Set> {
    sorted(sets).into_iter().filter_map(move |folder| {
        let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Masks and other one-bit helpers lie beside the sets; they are too small in number of colours to be
        // photos.
        if name.starts_with("masks") {
            return None;
        }
        let truths = sorted(&folder).into_iter().filter(|path| is_picture(path)).filter_map(|path| {
            let truth = read_or_warn(&path)?;
            // The window of SSIM inside of the border, twice: at the least something is to be compared.
            let least = 2 * (11 + scale);
            let is_enough = truth.size.width.min(truth.size.height) >= least;
            if !is_enough {
                log::warn!("left out, a side is shorter than {least} pixels: {}", path.display());
            }
            is_enough.then_some(truth)
        });
        let pair = |(index, truth): (usize, Picture)| {
            let truth = trim(&truth, scale);
            let small = shrink(&Planes::from_picture(&truth), scale).to_picture();
            (degrade(&small, damage, &mut Random::new(&[SETS_SEED, index as u64])), truth)
        };
        let pairs: Vec<(Picture, Picture)> = truths.enumerate().map(pair).collect();
        if pairs.is_empty() { None } else { Some(Set { name, pairs }) }
    })
}

/// Whether a folder of pictures lies below `sets`, read or not.
pub fn has_sets(sets: &Path) -> bool {
    sorted(sets).iter().any(|folder| sorted(folder).iter().any(|path| is_picture(path)))
}

/// A picture that counts, or a word that it does not.
pub fn read_or_warn(path: &Path) -> Option<Picture> {
    let picture = read_rgb(path);
    picture.inspect_err(|why| log::warn!("left out, cannot be decoded: {why}: {}", path.display())).ok()
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
