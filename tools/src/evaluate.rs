//! `tools evaluate FILE.onnx`: the table of the public sets for a file as it ships, by ONNX Runtime. Decides
//! which files and strengths belong together; the figures are `measure`'s.

use crate::export::ModelFiles;
use crate::inspect::{InspectError, card};
use crate::measure::{
    Foretold, HOLES_HEAD, HoleRow, Row, STRENGTHS, TABLE_HEAD, Trial, evaluate, evaluate_holes,
    evaluate_uncertainty,
};
use crate::onnx::OnnxError;
use contract::card::{ModelCard, Precision, Role, Task};
use contract::source::Source;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The file, or its card.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: InspectError,
    },
    /// A mean alone has no samples.
    #[error("{}: gives the mean alone: it has no samples to tell uncertainty by", .0.display())]
    NoSamples(PathBuf),
    /// Uncertainty is told of enlarged pictures.
    #[error("{}: repairs holes; uncertainty is measured of models that enlarge", .0.display())]
    Repairs(PathBuf),
    /// Holes are measured in undamaged pictures.
    #[error("{}: repairs holes; --damage is for models that enlarge", .0.display())]
    Undamaged(PathBuf),
    /// Others' results are of holes.
    #[error("{}: enlarges; --others has results of models that repair holes", .0.display())]
    NoOthers(PathBuf),
    /// There is nothing to measure on.
    #[error("no folder with pictures (PNG, JPEG) in {}", .0.display())]
    NoSets(PathBuf),
    /// There are no holes to measure on.
    #[error("no folder with pictures and one of masks (masks…/KIND_NUMBER.png) in {}", .0.display())]
    NoHoles(PathBuf),
    /// ONNX Runtime's own words.
    #[error(transparent)]
    Runtime(#[from] OnnxError),
}

/// The table of one model.
#[derive(Debug)]
pub struct Evaluation {
    card: ModelCard,
    damage: Source,
    /// Its lines, also for JSON.
    pub rows: Rows,
}

/// The lines of a table.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Rows {
    /// Of a model that enlarges.
    Enlarged(Vec<Row>),
    /// Of one that repairs.
    Repaired(Vec<HoleRow>),
}

/// How well the samples of a model foretell the error of its mean.
#[derive(Debug)]
pub struct Uncertainty {
    name: String,
    samples: u16,
    damage: Source,
    rows: Vec<(String, Foretold)>,
}

/// Compares the spread of `samples` samples with the error of the mean, on every folder of pictures below
/// `sets`.
///
/// # Errors
/// See [`EvaluateError`].
pub fn uncertainty_of(
    file: &Path,
    sets: &Path,
    damage: Source,
    samples: u16,
) -> Result<Uncertainty, EvaluateError> {
    let ([told, _], files) = files_of(file)?;
    if told.task == Task::Inpainting {
        return Err(EvaluateError::Repairs(file.to_owned()));
    }
    if told.role == Role::Mean {
        return Err(EvaluateError::NoSamples(file.to_owned()));
    }
    let rows = evaluate_uncertainty(&files, samples, damage, told.scale, told.receptive_field, sets)?;
    if rows.is_empty() {
        return Err(EvaluateError::NoSets(sets.to_owned()));
    }
    Ok(Uncertainty { name: told.name, samples, damage, rows })
}

/// The cards of a file and of its companion, or itself, as its mean; and both files.
fn files_of(file: &Path) -> Result<([ModelCard; 2], ModelFiles), EvaluateError> {
    let read =
        |path: &Path| card(path).map_err(|source| EvaluateError::File { path: path.to_owned(), source });
    let told = read(file)?;
    let mean = told.companion.as_ref().map_or(file.to_owned(), |name| file.with_file_name(name));
    Ok(([told, read(&mean)?], ModelFiles { sample: file.to_owned(), mean }))
}

/// Evaluates a model file, with its companion for strength 0 where it names one, on every folder of pictures
/// below `sets`. Clean pictures: at several strengths; a mean file at 0 alone. Damaged ones: at strength 0,
/// told in turn all that the model can be told. A model that repairs: at several strengths on the holes of
/// every kind of mask, beside what `others` made of them.
///
/// # Errors
/// See [`EvaluateError`].
pub fn evaluate_file(
    file: &Path,
    sets: &Path,
    damage: Source,
    others: Option<&Path>,
) -> Result<Evaluation, EvaluateError> {
    let ([told, mean], files) = files_of(file)?;
    if told.task == Task::Inpainting {
        if damage != Source::Clean {
            return Err(EvaluateError::Undamaged(file.to_owned()));
        }
        let rows = evaluate_holes(&files, [&told, &mean], sets, others)?;
        if rows.is_empty() {
            return Err(EvaluateError::NoHoles(sets.to_owned()));
        }
        return Ok(Evaluation { card: told, damage, rows: Rows::Repaired(rows) });
    }
    if others.is_some() {
        return Err(EvaluateError::NoOthers(file.to_owned()));
    }
    let trials = match (damage, told.role) {
        (Source::Clean, Role::Sample) => Trial::strengths(&STRENGTHS),
        (Source::Clean, Role::Mean) => Trial::strengths(&STRENGTHS[..1]),
        _ if told.sources.is_empty() => Trial::sources(&[Source::Clean]),
        _ => Trial::sources(&told.sources),
    };
    let rows = evaluate(&files, &trials, damage, told.scale, told.receptive_field, sets)?;
    if rows.is_empty() {
        return Err(EvaluateError::NoSets(sets.to_owned()));
    }
    Ok(Evaluation { card: told, damage, rows: Rows::Enlarged(rows) })
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModelCard { name, scale, .. } = &self.card;
        let rounding = match self.card.precision {
            Precision::F16 => ", rounded to f16 where the file has it",
            Precision::F32 | Precision::Int8 => "",
        };
        let rows = match &self.rows {
            Rows::Enlarged(rows) => rows,
            Rows::Repaired(rows) => {
                writeln!(
                    f,
                    "{name}, holes of known pictures, ONNX Runtime on the CPU{rounding}\n\n{HOLES_HEAD}"
                )?;
                return rows.iter().try_for_each(|row| writeln!(f, "{}", row.to_markdown()));
            }
        };
        let damage = match self.damage {
            Source::Clean => String::new(),
            damage => format!(", then damage as of source {damage}"),
        };
        writeln!(
            f,
            "{name}, ×{scale}, bicubic degradation{damage}, ONNX Runtime on the CPU{rounding}, seed 1\n\n\
             {TABLE_HEAD}"
        )?;
        rows.iter().try_for_each(|row| writeln!(f, "{}", row.to_markdown()))
    }
}

impl fmt::Display for Uncertainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uncertainty { name, samples, damage, rows } = self;
        let damage = if *damage == Source::Clean { String::new() } else { format!(", damage {damage}") };
        writeln!(
            f,
            "{name}{damage}: Spearman's ρ of the standard deviation of {samples} samples (seeds 1 to \
             {samples}) and the mean's error, Y\n\n| set | pixels | blocks of 8×8 |\n|---|---|---|"
        )?;
        rows.iter()
            .try_for_each(|(set, found)| writeln!(f, "| {set} | {:.3} | {:.3} |", found.pixels, found.blocks))
    }
}
