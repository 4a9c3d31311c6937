//! How well holes are repaired: the public sets under masks of several kinds, the file that ships beside the
//! plain fill it starts from, and beside what other programs made of the same holes.

use super::figures::{luma_inside, ssim_map_y};
use super::sets::{SETS_SEED, read_or_warn};
use super::spectrum::spectrum_error;
use crate::data::{crop, is_picture, read_rgb};
use crate::export::ModelFiles;
use crate::onnx::{Asked, OnnxError, OnnxModel};
use contract::card::{ModelCard, Role};
use contract::geometry::Size;
use contract::mask::{self, Mask};
use contract::pixels::{Picture, Planes};
use contract::repair::{Repair, levels};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pictures of each set under each mask.
const PER_MASK: usize = 4;
/// Strengths of a sample that are measured beside its mean.
const HOLE_STRENGTHS: [f32; 2] = [0.5, 1.0];
/// The spectrum counts above 1/(2·this) cycles per pixel: below, what is known decides.
const SPECTRUM_SCALE: usize = 4;
/// Sides of what is repaired are multiples of this: those of the file at every level that a mask needs.
const STEP: usize = 64;

/// So often such a side can be halved before it is no multiple of 8, as our nets want them.
const MOST_LEVELS: usize = 3;

/// Head of the table of rows.
pub const HOLES_HEAD: &str = "| set (holes) | masks | method | PSNR | SSIM-Y | spectrum error | seam |\n\
                              |---|---|---|---|---|---|---|";

/// One line of the table: the holes of one kind in one set, repaired in one way.
#[derive(Debug, Clone, Serialize)]
pub struct HoleRow {
    /// Set.
    pub set: String,
    /// Kind of mask.
    pub masks: String,
    /// What repaired them.
    pub method: String,
    /// Pictures with holes.
    pub count: usize,
    /// dB, RGB, 8 bit, of the pixels in the holes; the mean over pictures.
    pub psnr: f64,
    /// On Y, of the windows whose middle lies in a hole.
    pub ssim_y: f64,
    /// Radial log-spectrum error of Y above 1/8 cycles per pixel, of the whole picture; 0 is right.
    pub spectrum_error: f64,
    /// Mean step of Y across the border of the holes, as a multiple of the truth's; 1 is right.
    pub seam: f64,
}

impl HoleRow {
    /// As a line of the table.
    pub fn to_markdown(&self) -> String {
        let HoleRow { set, masks, method, count, psnr, ssim_y, spectrum_error, seam } = self;
        let figures = format!("{psnr:.2} | {ssim_y:.4} | {spectrum_error:.3} | {seam:.2}");
        format!("| {set} ({count}) | {masks} | {method} | {figures} |")
    }
}

/// One picture with holes.
struct Case {
    /// How others call it: PICTURE-MASK.
    name: String,
    truth: Picture,
    mask: Mask,
}

/// What repairs a case; `None` where it has nothing for it.
type Method<'a> = Box<dyn FnMut(&Case) -> Result<Option<Picture>, OnnxError> + 'a>;

/// Measures a model with this card, at strength 0 by its mean with the other, on every folder of pictures
/// below `sets`, under the masks in its folder `masks…` (files KIND_NUMBER.png, white is hole), in the
/// middle of each picture. `others` holds results of other programs: METHOD/SET/PICTURE-MASK.png.
///
/// # Errors
/// ONNX Runtime's words.
pub fn evaluate_holes(
    files: &ModelFiles,
    [card, of_mean]: [&ModelCard; 2],
    sets: &Path,
    others: Option<&Path>,
) -> Result<Vec<HoleRow>, OnnxError> {
    let mut mean = OnnxModel::open(&files.mean, 1, 2)?;
    let sample = match card.role {
        Role::Mean => None,
        Role::Sample => Some(RefCell::new(OnnxModel::open(&files.sample, 1, 2)?)),
    };
    let folders = below(sets);
    let is_masks = |folder: &&PathBuf| name_of(folder).starts_with("masks");
    let masks: Vec<PathBuf> = folders.iter().filter(is_masks).flat_map(|folder| below(folder)).collect();
    let mut rows = Vec::new();
    for folder in folders.iter().filter(|folder| !is_masks(folder)) {
        let cases = cases(folder, &masks);
        let filled = |case: &Case| {
            let mut planes = Planes::from_picture(&case.truth);
            mask::fill(&mut planes, &case.mask);
            Ok(Some(planes.to_picture()))
        };
        let mut methods: Vec<(String, Method<'_>)> = vec![
            ("push-pull fill".into(), Box::new(filled)),
            ("strength 0".into(), Box::new(|case| repaired(&mut mean, of_mean.hole_px, 0.0, case).map(Some))),
        ];
        if let Some(sample) = &sample {
            for strength in HOLE_STRENGTHS {
                let repair = move |case: &Case| {
                    repaired(&mut sample.borrow_mut(), card.hole_px, strength, case).map(Some)
                };
                methods.push((format!("strength {strength}"), Box::new(repair)));
            }
        }
        for other in others.map(below).unwrap_or_default() {
            let results = other.join(name_of(folder));
            let read = move |case: &Case| Ok(read_rgb(&results.join(format!("{}.png", case.name))).ok());
            methods.push((name_of(&other), Box::new(read)));
        }
        for (kind, cases) in &cases {
            for (method, repair) in &mut methods {
                let row = row(cases, repair)?.map(|[psnr, ssim_y, spectrum_error, seam]| HoleRow {
                    set: name_of(folder),
                    masks: kind.clone(),
                    method: method.clone(),
                    count: cases.len(),
                    psnr,
                    ssim_y,
                    spectrum_error,
                    seam,
                });
                rows.extend(row);
            }
        }
    }
    Ok(rows)
}

/// The figures of a method, averaged; `None` where it lacks a case.
fn row(cases: &[Case], repair: &mut Method<'_>) -> Result<Option<[f64; 4]>, OnnxError> {
    let mut sums = [0.0; 4];
    for case in cases {
        let Some(out) = repair(case)? else { return Ok(None) };
        if out.size != case.truth.size {
            log::warn!("left out, of another size: {}", case.name);
            return Ok(None);
        }
        let figures = [
            psnr_in(&out, case),
            ssim_in(&out, case),
            spectrum_error(&out, &case.truth, SPECTRUM_SCALE),
            seam(&out, case),
        ];
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
    }
    Ok(Some(sums.map(|sum| sum / cases.len().max(1) as f64)))
}

/// The whole case as one crop, as the daemon repairs crops.
fn repaired(model: &mut OnnxModel, hole_px: usize, strength: f32, case: &Case) -> Result<Picture, OnnxError> {
    let levels = levels(case.mask.depth(), hole_px).min(MOST_LEVELS);
    let mut repair = Repair::new(Planes::from_picture(&case.truth), case.mask.clone(), levels);
    while let Some(size) = repair.size() {
        let (mut image, mut told) = (Vec::new(), Vec::new());
        repair.input(&mut image, &mut told);
        let image = Planes { size, channels: 3, values: image };
        let strength = if repair.is_last() { strength } else { 0.0 };
        repair.take(&model.repair(&image, &told, Asked::clean(SETS_SEED, strength))?);
    }
    Ok(repair.finish().to_picture())
}

/// Pictures under masks, by kind of mask.
fn cases(folder: &Path, masks: &[PathBuf]) -> BTreeMap<String, Vec<Case>> {
    let read = |path: &PathBuf| {
        let picture = if is_picture(path) { read_or_warn(path) } else { None };
        picture.map(|picture| (stem_of(path), picture))
    };
    let pictures: Vec<(String, Picture)> = below(folder).iter().filter_map(read).collect();
    let mut cases: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    if pictures.is_empty() {
        return cases;
    }
    for (number, (mask_name, drawn)) in masks.iter().filter_map(read).enumerate() {
        let kind = mask_name.rsplit_once('_').map_or("masks", |(kind, _)| kind);
        for index in 0..PER_MASK.min(pictures.len()) {
            let (name, picture) = &pictures[(number * PER_MASK + index) % pictures.len()];
            let side = |a: usize, b: usize| a.min(b) / STEP * STEP;
            let size = Size::new(
                side(picture.size.width, drawn.size.width),
                side(picture.size.height, drawn.size.height),
            );
            if size.area() == 0 {
                log::warn!("left out, a side is shorter than {STEP} pixels: {name}, {mask_name}");
                continue;
            }
            let middle = |whole: &Picture| {
                crop(whole, (whole.size.width - size.width) / 2, (whole.size.height - size.height) / 2, size)
            };
            let holes = middle(&drawn).samples.chunks_exact(3).map(|pixel| pixel[0] >= 128).collect();
            let mask = Mask { size, holes };
            let none = match mask.count() {
                0 => "no hole",
                count if count == size.area() => "nothing known",
                _ => "",
            };
            if !none.is_empty() {
                log::warn!("left out, {none} in what picture and mask share: {name}, {mask_name}");
                continue;
            }
            let case = Case { name: format!("{name}-{mask_name}"), truth: middle(picture), mask };
            cases.entry(kind.to_owned()).or_default().push(case);
        }
    }
    cases
}

fn psnr_in(out: &Picture, case: &Case) -> f64 {
    let pixels = out.samples.chunks_exact(3).zip(case.truth.samples.chunks_exact(3)).zip(&case.mask.holes);
    let inside = pixels.filter(|(_, hole)| **hole).flat_map(|((a, b), _)| a.iter().zip(b));
    let squares = inside.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
    10.0 * (255.0f64.powi(2) * (3 * case.mask.count()) as f64 / squares.max(1e-9)).log10()
}

fn ssim_in(out: &Picture, case: &Case) -> f64 {
    let (values, width, margin) = ssim_map_y(out, &case.truth);
    let middle = |i: usize| (i / width + margin) * case.mask.size.width + i % width + margin;
    let inside = values.iter().enumerate().filter(|(i, _)| case.mask.holes[middle(*i)]);
    let (sum, count) = inside.fold((0.0, 0), |(sum, count), (_, value)| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

/// See [`HoleRow::seam`].
fn seam(out: &Picture, case: &Case) -> f64 {
    let Size { width, height } = out.size;
    let steps = |picture: &Picture| {
        let luma = luma_inside(picture, 0).0;
        let across = |a: usize, b: usize| {
            let crosses = case.mask.holes[a] != case.mask.holes[b];
            if crosses { (luma[a] - luma[b]).abs() } else { 0.0 }
        };
        let all = (0..width * height).map(|at| {
            let right = if at % width + 1 < width { across(at, at + 1) } else { 0.0 };
            right + if at / width + 1 < height { across(at, at + width) } else { 0.0 }
        });
        all.sum::<f64>()
    };
    steps(out) / steps(&case.truth).max(1e-9)
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn stem_of(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        let size = Size::new(64, 64);
        let samples = (0..size.area() * 3).map(|i| (i / 3 % 64 * 3) as u8).collect();
        let holes = (0..size.area()).map(|i| (20..40).contains(&(i % 64)) && (20..40).contains(&(i / 64)));
        let mask = Mask { size, holes: holes.collect() };
        Case { name: "a-b".into(), truth: Picture { size, channels: 3, samples }, mask }
    }

    #[test]
    fn figures_look_into_the_holes_alone() {
        let case = case();
        let mut out = case.truth.clone();
        // Ten levels off in the holes: 20·log₁₀(25.5) dB. What is known cannot be wrong; here it is, unseen.
        for (i, value) in out.samples.iter_mut().enumerate() {
            *value = if case.mask.holes[i / 3] { *value + 10 } else { 255 - *value };
        }
        assert!((psnr_in(&out, &case) - 20.0 * 25.5f64.log10()).abs() < 1e-9);
        assert!((ssim_in(&case.truth, &case) - 1.0).abs() < 1e-9 && ssim_in(&out, &case) < 0.99);
    }

    #[test]
    fn a_seam_is_told_as_a_multiple_of_the_steps_that_are_there() {
        let case = case();
        assert_eq!(seam(&case.truth, &case), 1.0);
        let mut out = case.truth.clone();
        out.samples
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| case.mask.holes[i / 3])
            .for_each(|(_, v)| *v += 30);
        assert!(seam(&out, &case) > 5.0);
    }
}
