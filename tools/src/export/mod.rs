//! From finished weights to the two ONNX files with their cards: graph, halo measured, golden tile, parity
//! with the networks. Knows ONNX through `graph`, ONNX Runtime through `crate::onnx`.

pub mod generator;
pub mod graph;
pub mod inpaint;
pub(crate) mod proto;
pub mod read;
pub(crate) mod rounding;
mod sampling;
mod super_resolution;

use crate::measure::{Drawn, estimate};
use crate::net::Params;
use crate::onnx::{Asked, OnnxError, OnnxModel};
use crate::recipe::LEVELS;
use crate::run_folder::{self, Draft};
use crate::train::Session;
use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::{Size, TileGrid};
use contract::golden::Golden;
use contract::pixels::Picture;
use contract::source::Source;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest difference between ONNX Runtime and the networks that an export may show, in [0, 1].
pub const PARITY: f32 = 1e-4;
/// Largest seam in [0, 1] that a halo may leave: a quarter of an 8-bit step. Below a whole step, tiled and
/// untiled differ by at most one after rounding; the rest is for pictures that were not tried.
const SEAM: f32 = 0.25 / 255.0;
/// Core of the tiles with which halos are tried: small, so that there are many seams.
const TRIAL_CORE: usize = 64;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// ONNX Runtime refused a file of ours.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// Files cannot be written.
    #[error("cannot write the model: {0}")]
    Folder(#[from] std::io::Error),
    /// The files do not compute what the networks compute.
    #[error(
        "{file} differs from the networks by {difference:.2e}, more than {PARITY:.0e}; nothing was published"
    )]
    Parity {
        /// Which.
        file: String,
        /// By how much, in [0, 1].
        difference: f32,
    },
}

/// The two files of one model.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    /// `image`, `noise`, `strength` → μ + strength · residual.
    pub sample: PathBuf,
    /// `image` → μ.
    pub mean: PathBuf,
}

impl ModelFiles {
    /// Where the files of `name` lie in `folder`.
    pub fn in_folder(folder: &Path, name: &str) -> ModelFiles {
        ModelFiles {
            sample: folder.join(format!("{name}.onnx")),
            mean: folder.join(format!("{name}-mean.onnx")),
        }
    }
}

/// What the exporter is told beside the weights.
#[derive(Debug)]
pub struct ExportOptions<'a> {
    /// Strength that the card recommends.
    pub default_strength: f32,
    /// The share of their colours that samples keep, above 0: of the residual's strength, luma apart.
    pub chroma: f64,
    /// Licence of the weights.
    pub licence: String,
    /// `data.*`, `training.*` and `score.*`.
    pub facts: BTreeMap<String, String>,
    /// Pictures on which halos are measured and the golden tile is cut: held out of training.
    pub pictures: &'a [Picture],
}

/// Writes both files (of a mean net alone: its own) into `folder`, checks parity, measures halos, and writes
/// them again with whole cards. Returns the files and the largest difference from the networks.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    session: &Session,
    folder: &Path,
    options: &ExportOptions<'_>,
) -> Result<(ModelFiles, f32), ExportError> {
    let files = ModelFiles::in_folder(folder, session.recipe.preset.name());
    let mut worst = 0.0f32;
    let roles: &[Role] = if session.has_samples() { &[Role::Mean, Role::Sample] } else { &[Role::Mean] };
    for &role in roles {
        let path = if role == Role::Mean { &files.mean } else { &files.sample };
        let draft = Draft::of(path);
        run_folder::replace(draft.path(), &graph_of(session, role, options).into_bytes(&[]))?;
        let mut model = OnnxModel::open(draft.path(), session.recipe.scale, 2)?;
        worst = worst.max(parity(session, role, &mut model, options, path)?);
        let radius = receptive_field(session, role);
        let halo = measure_halo(&mut model, options.pictures, radius)?;
        let golden = golden_tile(&mut model, &options.pictures[0], radius, session.recipe.scale)?;
        let card = card(session, role, halo, golden, options);
        run_folder::replace(path, &graph_of(session, role, options).into_bytes(&card.to_pairs()))?;
    }
    Ok((files, worst))
}

fn graph_of(session: &Session, role: Role, options: &ExportOptions<'_>) -> graph::GraphWriter {
    match role {
        Role::Mean => super_resolution::mean_graph(session),
        Role::Sample => super_resolution::sample_graph(session, options.chroma),
    }
}

fn receptive_field(session: &Session, role: Role) -> usize {
    match role {
        Role::Mean => session.recipe.mean.receptive_field(),
        Role::Sample => session.recipe.sample_radius(),
    }
}

fn card(
    session: &Session,
    role: Role,
    halo: usize,
    golden: Golden,
    options: &ExportOptions<'_>,
) -> ModelCard {
    let base = session.recipe.preset.name();
    let sample = role == Role::Sample;
    ModelCard {
        name: if sample { base.to_owned() } else { format!("{base}-mean") },
        task: Task::SuperResolution,
        role,
        scale: session.recipe.scale,
        receptive_field: receptive_field(session, role),
        halo,
        multiple: 1,
        window: None,
        hole_px: 0,
        sources: Source::ALL.to_vec(),
        precision: Precision::F32,
        int8: None,
        f16: None,
        companion: sample.then(|| format!("{base}-mean.onnx")),
        default_strength: if sample { options.default_strength } else { 0.0 },
        residual_rms: session.parts.calibration.as_ref().map_or(0.0, |c| c.opponent.residual_rms()) as f32,
        sigma_max: LEVELS.sigma_max as f32,
        licence: options.licence.clone(),
        facts: options.facts.clone(),
        golden,
    }
}

/// The largest of these; what is no number is larger than any.
pub(super) fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |largest, value| if value.is_nan() { f32::INFINITY } else { largest.max(value) })
}

/// Largest difference between the file and the f32 networks on a whole picture, in [0, 1].
fn parity(
    session: &Session,
    role: Role,
    model: &mut OnnxModel,
    options: &ExportOptions<'_>,
    path: &Path,
) -> Result<f32, ExportError> {
    let picture = &options.pictures[0];
    let frozen = session.frozen(false).expect("the mean net is finished");
    let sampler: &Params = &session.parts.sampler.trainee.average;
    // The source between the others: both terms of what it adds take part.
    let (seed, strength, source) = (5, 1.0, Source::Photo);
    let drawn = Drawn { seeds: &[seed], levels: &[], chroma: options.chroma };
    let expected = estimate(&frozen, sampler, picture, source, 8, drawn, session.device);
    let out = model.enlarge(picture, 8, Asked { seed, strength, source })?;
    let truth = expected.mean.values.iter().zip(&expected.residuals[0].values);
    let difference = out.values.iter().zip(truth).map(|(o, (m, r))| {
        let value = if role == Role::Mean { *m } else { m + strength * r };
        (o - value).abs()
    });
    let difference = largest(difference);
    if difference > PARITY {
        return Err(ExportError::Parity { file: path.display().to_string(), difference });
    }
    Ok(difference)
}

/// The smallest even halo with which tiles join within a quarter of an 8-bit step on all pictures: the
/// influence of far pixels fades long before the receptive field ends.
///
/// # Errors
/// ONNX Runtime's words.
pub fn measure_halo(model: &mut OnnxModel, pictures: &[Picture], radius: usize) -> Result<usize, OnnxError> {
    let (mut low, mut high) = (0, radius.div_ceil(2)); // in pairs of pixels; `high` is safe by construction
    while low < high {
        let middle = usize::midpoint(low, high);
        let mut seam = 0.0f32;
        for picture in pictures {
            seam = seam.max(largest_seam(model, picture, 2 * middle, radius)?);
        }
        if seam <= SEAM { high = middle } else { low = middle + 1 }
    }
    Ok(2 * high)
}

fn largest_seam(
    model: &mut OnnxModel,
    picture: &Picture,
    halo: usize,
    radius: usize,
) -> Result<f32, OnnxError> {
    let whole = model.enlarge(picture, radius, Asked::clean(7, 1.0))?;
    let scale = whole.size.width / picture.size.width;
    let side = TRIAL_CORE + 2 * halo;
    let grid = TileGrid::fixed(picture.size, Size::new(side, side), halo).expect("a trial tile has a core");
    let mut worst = 0.0f32;
    for tile in grid.tiles() {
        let output = model.window(picture, tile.window, Asked::clean(7, 1.0))?;
        let (keep, large) = (tile.keep.times(scale), tile.window.times(scale));
        for plane in 0..3 {
            for y in keep.y..keep.y + keep.size.height as i64 {
                let row = (plane * large.size.height as i64 + y - large.y) * large.size.width as i64;
                let begin = (row + keep.x - large.x) as usize;
                let at = plane as usize * whole.size.area() + y as usize * whole.size.width + keep.x as usize;
                let pairs = output[begin..begin + keep.size.width].iter().zip(&whole.values[at..]);
                worst = worst.max(largest(pairs.map(|(a, b)| (a - b).abs())));
            }
        }
    }
    Ok(worst)
}

/// Side of the golden crop and of its compared middle, in LR pixels.
const GOLDEN: (usize, usize) = (24, 8);

fn golden_tile(
    model: &mut OnnxModel,
    picture: &Picture,
    radius: usize,
    scale: usize,
) -> Result<Golden, ExportError> {
    let (side, _) = GOLDEN;
    let mut image = Picture::new(Size::new(side, side), 3);
    let (x, y) = ((picture.size.width - side) / 2, (picture.size.height - side) / 2);
    for (row, into) in image.samples.chunks_exact_mut(3 * side).enumerate() {
        let begin = ((y + row) * picture.size.width + x) * 3;
        into.copy_from_slice(&picture.samples[begin..begin + 3 * side]);
    }
    Ok(golden_of(model, &image, side + 2 * radius, scale)?)
}

/// What the model makes of the middle of a square crop, mirrored outwards to a window of `side`.
///
/// # Errors
/// ONNX Runtime's words.
pub fn golden_of(
    model: &mut OnnxModel,
    image: &Picture,
    side: usize,
    scale: usize,
) -> Result<Golden, OnnxError> {
    let mut golden = Golden { image: image.clone(), seed: 1, middle: GOLDEN.1, expected: vec![] };
    let window = golden.window(side);
    let output = model.golden(&golden, window)?;
    let known = golden.middle_of(&output, window, scale);
    golden.expected = known.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect();
    Ok(golden)
}
