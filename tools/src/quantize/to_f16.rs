//! `tools quantize --to f16 FILE.onnx`: an f16 version of a model file and of its companion, for GPUs. It
//! carries the golden tile of the f32 file and is written only where it gives that tile, and held-out
//! pictures too, within the tolerance of f16. Reads as the list of its steps.

use super::{
    QuantizeError, SEED, entries, find_kept, halo_pictures, judges, model_of, named_for, read_card, write,
};
use crate::data::{Pair, Random, crop, draw_holes};
use crate::export::measure_halo;
use crate::export::proto::Model;
use crate::measure::psnr_y;
use crate::onnx::{Asked, OnnxError, OnnxModel};
use crate::run_folder::Draft;
use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::Size;
use contract::golden::F16_GOLDEN_TOLERANCE;
use contract::mask;
use contract::pixels::Planes;
use prost::Message;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What to write in f16.
#[derive(Debug, Clone)]
pub struct HalveChoices {
    /// The model file; its companion lies beside it.
    pub file: PathBuf,
    /// Folder of pictures.
    pub data: PathBuf,
    /// Pictures that are compared; all where none are named.
    pub held_out: BTreeSet<String>,
    /// Nodes that stay f32, by name.
    pub keep: BTreeSet<String>,
}

/// How far a file in f16 is from the f32 one at one strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parity {
    /// λ.
    pub strength: f32,
    /// Largest difference of any value, in 8-bit levels before rounding to them.
    pub largest: f64,
    /// Mean difference, the same.
    pub mean: f64,
    /// PSNR against the truth of the f32 file and of this one, dB: Y, or RGB of the holes.
    pub psnr: [f64; 2],
}

/// One file that was written in f16.
#[derive(Debug, Clone, PartialEq)]
pub struct Halved {
    /// Where it lies.
    pub file: PathBuf,
    /// Convolutions that are f16 now, and all there are.
    pub convolutions: [usize; 2],
    /// Largest difference from the golden tile, in [0, 1].
    pub golden: f32,
    /// Pictures that were compared.
    pub pictures: usize,
    /// At strength 0, and of a sample at 1.
    pub parity: Vec<Parity>,
}

impl fmt::Display for Halved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([halves, all], golden) = (self.convolutions, self.golden);
        write!(f, "{halves} of {all} convolutions in f16, golden tile {golden:.1e} off")?;
        for Parity { strength, largest, mean, psnr: [before, after] } in &self.parity {
            write!(
                f,
                "; strength {strength}, {} crops: at most {largest:.3}, on average {mean:.4} 8-bit levels \
                 from f32, {before:.4} → {after:.4} dB",
                self.pictures
            )?;
        }
        write!(f, ": {}", self.file.display())
    }
}

/// Writes a file and its companion in f16, and lets the f32 files name them.
///
/// # Errors
/// See [`QuantizeError`].
pub fn halve(choices: &HalveChoices) -> Result<Vec<Halved>, QuantizeError> {
    let told = read_card(&choices.file)?;
    let judges = judges(&choices.data, &choices.held_out, told.scale)?;
    let companion = told.companion.as_ref().map(|name| choices.file.with_file_name(name));
    // The companion first: the file's card names it.
    let files: Vec<&PathBuf> = companion.iter().chain([&choices.file]).collect();
    find_kept(&choices.keep, &files)?;
    files.into_iter().map(|file| one(file, &choices.keep, &judges)).collect()
}

fn one(file: &Path, keep: &BTreeSet<String>, judges: &[Pair]) -> Result<Halved, QuantizeError> {
    let told = read_card(file)?;
    let model = model_of(file)?;
    let mut coarse = model.clone();
    let graph = coarse.graph.as_mut().expect("a model has a graph");
    let all = graph.node.iter().filter(|node| node.op_type == "Conv").count();
    let halves = super::half::halve(graph, keep);
    if halves == 0 {
        return Err(QuantizeError::Small(file.to_owned()));
    }
    let draft = Draft::of(file);
    write(draft.path(), &coarse.encode_to_vec())?;
    let Measured { golden, parity, halo } = measure(file, draft.path(), &told, judges)?;
    let name = named_for(file, Precision::F16);
    let companion = told.companion.as_deref().map(|name| named_for(Path::new(name), Precision::F16));
    let card = ModelCard {
        name: name.trim_end_matches(".onnx").to_owned(),
        precision: Precision::F16,
        halo,
        int8: None,
        f16: None,
        companion,
        ..told.clone()
    };
    coarse.metadata_props = entries(&card);
    let path = file.with_file_name(&name);
    write(&path, &coarse.encode_to_vec())?;
    let named = Model { metadata_props: entries(&ModelCard { f16: Some(name), ..told }), ..model };
    write(file, &named.encode_to_vec())?;
    Ok(Halved { file: path, convolutions: [halves, all], golden, pictures: judges.len(), parity })
}

struct Measured {
    golden: f32,
    parity: Vec<Parity>,
    halo: usize,
}

/// Compares `draft` with the f32 file it was made of, and refuses what is too far from it.
fn measure(file: &Path, draft: &Path, told: &ModelCard, judges: &[Pair]) -> Result<Measured, QuantizeError> {
    let far = |what, by| QuantizeError::Far { path: file.to_owned(), what, by };
    let near = |by: f32| by <= F16_GOLDEN_TOLERANCE;
    let mut models = [OnnxModel::open(file, told.scale, 2)?, OnnxModel::open(draft, told.scale, 2)?];
    let window = told.golden.window(told.golden_side());
    let golden = told.golden.error(&models[1].golden(&told.golden, window)?, window, told.scale);
    if !near(golden) {
        return Err(far("its golden tile", golden));
    }
    let strengths: &[f32] = if told.role == Role::Sample { &[0.0, 1.0] } else { &[0.0] };
    let mut parity = Vec::new();
    for &strength in strengths {
        let one = parity_of(&mut models, told, judges, strength)?;
        let worst = (one.largest / 255.0) as f32;
        if !near(worst) {
            return Err(far("a picture", worst));
        }
        parity.push(one);
    }
    // Rounding hides what fades out, and makes steps of what does not quite. Holes get the context they
    // always had.
    let halo = if told.task == Task::SuperResolution {
        measure_halo(&mut models[1], &halo_pictures(judges), told.receptive_field)?.max(told.halo)
    } else {
        told.halo
    };
    Ok(Measured { golden, parity, halo })
}

fn parity_of(
    models: &mut [OnnxModel; 2],
    told: &ModelCard,
    judges: &[Pair],
    strength: f32,
) -> Result<Parity, OnnxError> {
    let mut parity = Parity { strength, largest: 0.0, mean: 0.0, psnr: [0.0; 2] };
    for (index, pair) in judges.iter().enumerate() {
        let mut made = Vec::new();
        for (model, sum) in models.iter_mut().zip(&mut parity.psnr) {
            let (values, psnr) = match told.task {
                Task::SuperResolution => enlarged(model, told, pair, strength)?,
                Task::Inpainting => repaired(model, told, pair, index, strength)?,
            };
            *sum += psnr / judges.len() as f64;
            made.push(values);
        }
        let count = made[0].len() as f64;
        for (a, b) in made[0].iter().zip(&made[1]) {
            let gap = 255.0 * f64::from((a.clamp(0.0, 1.0) - b.clamp(0.0, 1.0)).abs());
            // What is no number is as far as can be.
            let gap = if gap.is_nan() { 255.0 } else { gap };
            parity.largest = parity.largest.max(gap);
            parity.mean += gap / count / judges.len() as f64;
        }
    }
    Ok(parity)
}

/// All values of an enlarged crop, and their PSNR-Y.
fn enlarged(
    model: &mut OnnxModel,
    told: &ModelCard,
    pair: &Pair,
    strength: f32,
) -> Result<(Vec<f32>, f64), OnnxError> {
    let result = model.enlarge(&pair.small, told.receptive_field, Asked::clean(SEED, strength))?;
    let psnr = psnr_y(&result.to_picture(), &pair.large, told.scale);
    Ok((result.values, psnr))
}

/// What a crop with holes gets in them, and its PSNR. The same holes for every model.
fn repaired(
    model: &mut OnnxModel,
    told: &ModelCard,
    pair: &Pair,
    index: usize,
    strength: f32,
) -> Result<(Vec<f32>, f64), OnnxError> {
    let side = pair.large.size.width.min(pair.large.size.height) / told.multiple * told.multiple;
    let truth = Planes::from_picture(&crop(&pair.large, 0, 0, Size::new(side, side)));
    let holes = draw_holes(side, &mut Random::new(&[SEED, index as u64]));
    let mut image = truth.clone();
    mask::fill(&mut image, &holes);
    let marks: Vec<f32> = holes.holes.iter().map(|hole| if *hole { mask::UNKNOWN } else { 0.0 }).collect();
    let output = model.repair(&image, &marks, Asked::clean(SEED, strength))?;
    let inside = |values: &[f32]| -> Vec<f32> {
        let marked = values.iter().zip(holes.holes.iter().cycle());
        marked.filter(|(_, hole)| **hole).map(|(value, _)| *value).collect()
    };
    let (made, known) = (inside(&output), inside(&truth.values));
    let squares = made.iter().zip(&known).map(|(a, b)| f64::from(a.clamp(0.0, 1.0) - b).powi(2));
    let psnr = -10.0 * (squares.sum::<f64>() / made.len() as f64).log10();
    Ok((made, psnr))
}
