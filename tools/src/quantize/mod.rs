//! `tools quantize FILE.onnx`: an int8 version of a model file and of its companion, for CPUs that multiply
//! bytes (VNNI). Ranges come from calibration crops; what it costs in dB is measured on held-out ones. Reads
//! as the list of its steps. The version in f16 is in `to_f16`.

mod half;
mod ranges;
mod rewrite;
mod to_f16;

pub use to_f16::{HalveChoices, Halved, Parity, halve};

use crate::data::{Corpus, CorpusOptions, DataError, Pair, Random, spread};
use crate::export::proto::{Model, Pair as Entry};
use crate::export::{golden_of, measure_halo};
use crate::inspect::{InspectError, card};
use crate::measure::psnr_y;
use crate::onnx::{Asked, OnnxError, OnnxModel};
use crate::run_folder::{Draft, replace};
use contract::card::{ModelCard, Precision, Role, Task};
use contract::golden::F16_GOLDEN_TOLERANCE;
use contract::pixels::Picture;
use contract::source::Source;
use prost::Message;
use ranges::Observed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Seed of everything that is drawn.
const SEED: u64 = 1;
/// Crops that measure, and those of them on which halos are.
const JUDGES: usize = 24;
const HALO_CROPS: usize = 8;

/// What to quantise, and by what.
#[derive(Debug, Clone)]
pub struct QuantizeChoices {
    /// The model file; its companion lies beside it.
    pub file: PathBuf,
    /// Folder of pictures.
    pub data: PathBuf,
    /// Pictures that measure the loss; the others calibrate.
    pub held_out: BTreeSet<String>,
    /// Calibration crops.
    pub crops: usize,
    /// Convolutions that stay f32, by name.
    pub keep: BTreeSet<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// A model file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: InspectError,
    },
    /// It was made of another file.
    #[error("{}: is {} already; give the f32 file that it was made of", .0.display(), .1.word())]
    Already(PathBuf, Precision),
    /// It repairs holes.
    #[error("{}: repairs holes; int8 is for models that enlarge (--to f16 is for both)", .0.display())]
    Repairs(PathBuf),
    /// What is to stay f32 is not there.
    #[error("{}: has no node called {}: --keep takes names of convolutions", .0.display(), .1)]
    Unknown(PathBuf, String),
    /// Nothing would be gained.
    #[error("{}: has no convolution that is large enough for f16 to be worth it", .0.display())]
    Small(PathBuf),
    /// It computes something else in f16.
    #[error(
        "{}: in f16 {what} differs from f32 by {by:.1e}, more than {F16_GOLDEN_TOLERANCE:.0e}; nothing was \
         written",
        path.display()
    )]
    Far {
        /// Which.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// By how much, in [0, 1].
        by: f32,
    },
    /// No data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// ONNX Runtime's own words.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A file cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// One file that was quantised.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// Where it lies.
    pub file: PathBuf,
    /// Convolutions that are int8 now.
    pub convolutions: usize,
    /// PSNR-Y of the f32 file and of this one on the crops that measure, at strength 0 (a mean file) or 1,
    /// dB.
    pub psnr_y: [f64; 2],
    /// Whether those crops were held out of training and calibration.
    pub held_out: bool,
    /// PSNR-Y of this one against the f32 file's own results, dB.
    pub agreement: f64,
}

impl fmt::Display for Quantised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.psnr_y;
        let crops = if self.held_out { "held-out crops" } else { "crops (nothing is held out)" };
        write!(
            f,
            "{} convolutions in int8, {crops} {before:.3} → {after:.3} dB, {:.1} dB from f32: {}",
            self.convolutions,
            self.agreement,
            self.file.display()
        )
    }
}

/// Quantises a file and its companion, and lets the f32 files name them.
///
/// # Errors
/// See [`QuantizeError`].
pub fn quantize(choices: &QuantizeChoices) -> Result<Vec<Quantised>, QuantizeError> {
    let told = read_card(&choices.file)?;
    if told.task == Task::Inpainting {
        return Err(QuantizeError::Repairs(choices.file.clone()));
    }
    let companion = told.companion.as_ref().map(|name| choices.file.with_file_name(name));
    let mut calibration = Corpus::load(&corpus(&choices.data, &choices.held_out, told.scale))?.pairs;
    let step = calibration.len().div_ceil(choices.crops.max(1));
    calibration = calibration.into_iter().step_by(step.max(1)).collect();
    let judges = judges(&choices.data, &choices.held_out, told.scale)?;
    // The companion first: the file's card names it.
    let files: Vec<&PathBuf> = companion.iter().chain([&choices.file]).collect();
    find_kept(&choices.keep, &files)?;
    files.into_iter().map(|file| one(file, choices, &calibration, &judges)).collect()
}

/// A name that is misspelt would keep nothing, and say nothing.
fn find_kept(keep: &BTreeSet<String>, files: &[&PathBuf]) -> Result<(), QuantizeError> {
    let mut missing = keep.clone();
    for file in files {
        let graph = model_of(file)?.graph.expect("a model has a graph");
        for node in &graph.node {
            missing.remove(&node.name);
        }
    }
    match (missing.pop_first(), files.last()) {
        (Some(name), Some(file)) => Err(QuantizeError::Unknown(file.to_path_buf(), name)),
        _ => Ok(()),
    }
}

fn corpus(data: &Path, held_out: &BTreeSet<String>, scale: usize) -> CorpusOptions {
    let (folder, held_out) = (data.to_owned(), held_out.clone());
    CorpusOptions { folder, held_out, only_held_out: false, scale, min_side: 64, seed: SEED }
}

/// Crops that measure, of as many pictures as there are: held-out ones where there are any.
fn judges(data: &Path, held_out: &BTreeSet<String>, scale: usize) -> Result<Vec<Pair>, DataError> {
    let only_held_out = !held_out.is_empty();
    let options = CorpusOptions { only_held_out, ..corpus(data, held_out, scale) };
    Ok(spread(Corpus::load(&options)?.pairs, JUDGES))
}

/// The card of a file in f32.
fn read_card(path: &Path) -> Result<ModelCard, QuantizeError> {
    let told = card(path).map_err(|source| QuantizeError::File { path: path.to_owned(), source })?;
    match told.precision {
        Precision::F32 => Ok(told),
        other => Err(QuantizeError::Already(path.to_owned(), other)),
    }
}

/// A file's model; it has a graph.
fn model_of(file: &Path) -> Result<Model, QuantizeError> {
    let broken = |source| QuantizeError::File { path: file.to_owned(), source };
    let bytes = std::fs::read(file).map_err(|error| broken(error.into()))?;
    let model = Model::decode(&bytes[..]).map_err(|e| broken(InspectError::NoModel(e.to_string())))?;
    if model.graph.is_some() { Ok(model) } else { Err(broken(InspectError::NoModel("no graph".into()))) }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), QuantizeError> {
    replace(path, bytes).map_err(|source| QuantizeError::Write { path: path.to_owned(), source })
}

/// `dir/sr-x4.onnx` → `sr-x4-int8.onnx`.
fn named_for(file: &Path, precision: Precision) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{}-{}.onnx", name.trim_end_matches(".onnx"), precision.word())
}

fn one(
    file: &Path,
    choices: &QuantizeChoices,
    calibration: &[Pair],
    judges: &[Pair],
) -> Result<Quantised, QuantizeError> {
    let told = read_card(file)?;
    let model = model_of(file)?;
    let graph = model.graph.as_ref().expect("a model has a graph");

    let needed = rewrite::values(graph, &choices.keep);
    let draft = Draft::of(file);
    write(draft.path(), &watched(&model, &needed).encode_to_vec())?;
    let ranges = observe(draft.path(), &told, &needed, calibration)?;
    let mut coded = model.clone();
    let graph = coded.graph.as_mut().expect("it was there");
    let convolutions = rewrite::rewrite(graph, &choices.keep, &ranges).len();
    write(draft.path(), &coded.encode_to_vec())?;

    let mut session = OnnxModel::open(draft.path(), told.scale, 2)?;
    let golden = golden_of(&mut session, &told.golden.image, told.golden_side(), told.scale)?;
    // Rounding hides what fades out, and makes steps of what does not quite.
    let halo = measure_halo(&mut session, &halo_pictures(judges), told.receptive_field)?.max(told.halo);
    let name = named_for(file, Precision::Int8);
    let companion = told.companion.as_deref().map(|name| named_for(Path::new(name), Precision::Int8));
    let card = ModelCard {
        name: name.trim_end_matches(".onnx").to_owned(),
        precision: Precision::Int8,
        halo,
        int8: None,
        f16: None,
        companion,
        golden,
        ..told.clone()
    };
    coded.metadata_props = entries(&card);
    let path = file.with_file_name(&name);
    write(&path, &coded.encode_to_vec())?;
    let named = Model { metadata_props: entries(&ModelCard { int8: Some(name), ..told.clone() }), ..model };
    write(file, &named.encode_to_vec())?;
    let (psnr_y, agreement) = compare(file, &path, &told, judges)?;
    let held_out = !choices.held_out.is_empty();
    Ok(Quantised { file: path, convolutions, psnr_y, held_out, agreement })
}

/// Pictures on which halos are measured: of several photographs, since in some far pixels reach further.
fn halo_pictures(judges: &[Pair]) -> Vec<Picture> {
    let apart = judges.len().div_ceil(HALO_CROPS).max(1);
    judges.iter().step_by(apart).map(|pair| pair.large.clone()).collect()
}

fn entries(card: &ModelCard) -> Vec<Entry> {
    card.to_pairs().into_iter().map(|(key, value)| Entry { key, value }).collect()
}

/// The model with some inner values as outputs too.
fn watched(model: &Model, values: &BTreeSet<String>) -> Model {
    let mut watched = model.clone();
    let graph = watched.graph.as_mut().expect("it was there");
    let like = graph.output[0].r#type.clone().map(|mut kind| {
        if let Some(tensor) = &mut kind.tensor_type {
            tensor.shape = None;
        }
        kind
    });
    let outputs = values.iter().filter(|name| graph.output.iter().all(|output| output.name != **name));
    let outputs: Vec<_> = outputs
        .map(|name| crate::export::proto::ValueInfo { name: name.clone(), r#type: like.clone() })
        .collect();
    graph.output.extend(outputs);
    watched
}

/// Ranges over the calibration crops, each told the next source the model knows.
fn observe(
    file: &Path,
    told: &ModelCard,
    values: &BTreeSet<String>,
    calibration: &[Pair],
) -> Result<BTreeMap<String, rewrite::Range>, OnnxError> {
    let mut model = OnnxModel::open(file, told.scale, 2)?;
    let mut observed: BTreeMap<&str, Observed> =
        values.iter().map(|name| (name.as_str(), Observed::default())).collect();
    let mut random = Random::new(&[SEED]);
    for (index, pair) in calibration.iter().enumerate() {
        let source = told.sources.get(index % told.sources.len().max(1)).copied().unwrap_or(Source::Clean);
        let small = crate::data::degrade(&pair.small, source, &mut random);
        let asked = Asked { seed: index as u64, strength: 1.0, source };
        model.observe(&small, asked, &mut |name, seen| {
            if let Some(one) = observed.get_mut(name) {
                one.see(seen, &mut random);
            }
        })?;
    }
    Ok(observed.into_iter().map(|(name, one)| (name.to_owned(), one.best())).collect())
}

/// ([PSNR-Y before, after], PSNR-Y of after against before), means over the crops.
fn compare(
    before: &Path,
    after: &Path,
    told: &ModelCard,
    judges: &[Pair],
) -> Result<([f64; 2], f64), OnnxError> {
    let mut models = [OnnxModel::open(before, told.scale, 2)?, OnnxModel::open(after, told.scale, 2)?];
    let strength = if told.role == Role::Sample { 1.0 } else { 0.0 };
    let (mut psnr, mut agreement) = ([0.0; 2], 0.0);
    for pair in judges {
        let mut results = Vec::new();
        for (model, sum) in models.iter_mut().zip(&mut psnr) {
            let asked = Asked::clean(SEED, strength);
            let result = model.enlarge(&pair.small, told.receptive_field, asked)?.to_picture();
            *sum += psnr_y(&result, &pair.large, told.scale) / judges.len() as f64;
            results.push(result);
        }
        agreement += psnr_y(&results[1], &results[0], told.scale) / judges.len() as f64;
    }
    Ok((psnr, agreement))
}
