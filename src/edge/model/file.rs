//! Model files: reading them with their cards, and choosing the one that serves a strength and a precision.
//! Opens nothing on a device.

use super::foreign::{Foreign, adopt};
use super::onnx::{OnnxModel, Recipe, Tiles, card_of};
use super::plugs::Plugs;
use super::{Asked, Model};
use crate::edge::digest::sha256;
use crate::edge::library::Library;
use crate::edge::machine;
use crate::error::StartError;
use crate::work::precision::Wanted;
use crate::work::terms::Terms;
use contract::card::{ModelCard, Precision, Role};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model file in memory, so that what is hashed is what runs.
#[derive(Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) bytes: Arc<[u8]>,
    pub(super) card: ModelCard,
    /// Of a model from elsewhere.
    pub(super) plugs: Option<Plugs>,
    /// Name and content of a second file, in which its weights lie.
    pub(super) weights: Option<(PathBuf, Arc<[u8]>)>,
}

impl File {
    /// A session of it.
    pub(super) fn commit(&self, builder: SessionBuilder) -> ort::Result<Session> {
        let mut builder = match &self.weights {
            Some((name, weights)) => {
                builder.with_external_initializer_file_in_memory(name, Arc::clone(weights))?
            }
            None => builder,
        };
        builder.commit_from_memory(&self.bytes)
    }

    /// SHA-256 of it: where its weights lie apart, of both files one behind the other.
    pub(super) fn sha256(&self) -> String {
        match &self.weights {
            Some((_, weights)) => sha256(&[&self.bytes[..], weights].concat()),
            None => sha256(&self.bytes),
        }
    }

    /// Its network.
    pub(super) fn network(&self, recipe: Recipe, tiles: Tiles) -> ort::Result<Box<dyn Model>> {
        let card = self.card.clone();
        Ok(match &self.plugs {
            Some(plugs) => Box::new(Foreign::open(recipe, card, plugs.clone())?),
            None => Box::new(OnnxModel::open(recipe, card, tiles)?),
        })
    }
}

/// What is wrong with a file.
pub(super) fn refusal(path: &Path, problem: &str) -> StartError {
    StartError::Model { name: path.display().to_string(), problem: problem.to_owned() }
}

/// Loads the runtime; a process can do so once.
pub(super) fn load(library: &Library) -> Result<Environment, StartError> {
    let builder = ort::init_from(&library.path).map_err(|error| library.refused(&error.to_string()))?;
    let environment = builder.with_name("onestep").with_telemetry(false).build();
    environment.map_err(|error| library.refused(&error.to_string()))
}

/// A session on one thread that waits without spinning.
pub(super) fn builder(
    environment: &Environment,
    level: GraphOptimizationLevel,
) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_optimization_level(level)?)
}

/// A file and its card.
pub(super) fn read(environment: &Environment, path: &Path) -> Result<File, StartError> {
    let bytes = std::fs::read(path).map_err(|error| refusal(path, &format!("cannot be read: {error}")))?;
    // Unoptimised: this session only tells what the file says.
    let session = builder(environment, GraphOptimizationLevel::Disable)
        .and_then(|mut builder| builder.commit_from_memory(&bytes))
        .map_err(|error| refusal(path, &format!("is no model that ONNX Runtime can open: {error}")))?;
    let card = card_of(&session).map_err(|problem| refusal(path, &problem))?;
    Ok(File { path: path.to_owned(), bytes: bytes.into(), card, plugs: None, weights: None })
}

/// A file with its card, or under terms with one that is made up for it.
pub(super) fn read_under(
    environment: &Environment,
    path: &Path,
    terms: Option<&Terms>,
) -> Result<File, StartError> {
    terms.map_or_else(|| read(environment, path), |terms| adopt(environment, path, terms))
}

/// The file that serves what is asked for, and λ.
pub(super) fn choose(environment: &Environment, asked: &Asked) -> Result<(File, f32), StartError> {
    let file = read_under(environment, &asked.file, asked.terms.as_ref())?;
    if file.card.role == Role::Mean && asked.samples {
        return Err(refusal(&file.path, "gives the mean alone: it has no samples to tell uncertainty by"));
    }
    let strength = match (file.card.role, asked.strength) {
        (Role::Mean, None) => 0.0,
        (Role::Mean, Some(strength)) if strength > 0.0 => {
            return Err(refusal(&file.path, "gives the mean alone: its strength can only be 0"));
        }
        (_, strength) => strength.unwrap_or(file.card.default_strength),
    };
    let file = if asked.samples { file } else { serving(environment, file, strength)? };
    Ok((file, strength))
}

/// The file that serves this strength: at 0 the companion, which does without the sample's work.
fn serving(environment: &Environment, file: File, strength: f32) -> Result<File, StartError> {
    let (Some(name), true) = (&file.card.companion, strength == 0.0 && file.card.role == Role::Sample) else {
        return Ok(file);
    };
    let companion = read(environment, &file.path.with_file_name(name))?;
    let does = |card: &ModelCard| (card.task, card.scale);
    if companion.card.role != Role::Mean || does(&companion.card) != does(&file.card) {
        let problem = format!("is named as companion by {}, but is not its mean", file.path.display());
        return Err(refusal(&companion.path, &problem));
    }
    Ok(companion)
}

/// The int8 version of a file for the processor, where it is wanted; `auto` wants it where it is fast.
pub(super) fn int8_of(
    environment: &Environment,
    file: &File,
    wanted: Wanted,
) -> Result<Option<File>, StartError> {
    match (wanted, &file.card.int8) {
        (Wanted::F32 | Wanted::F16, _) | (Wanted::Auto, None) => Ok(None),
        (Wanted::Auto, Some(_)) if !machine::multiplies_bytes() => Ok(None),
        (Wanted::Int8, None) if file.card.precision == Precision::Int8 => Ok(None),
        (Wanted::Int8, None) => Err(refusal(&file.path, "names no int8 version of itself")),
        (_, Some(name)) => version(environment, file, (Precision::Int8, name), wanted),
    }
}

/// The f16 version of a file for a GPU, where it is wanted; `auto` wants it where there is one.
pub(super) fn f16_of(
    environment: &Environment,
    file: &File,
    wanted: Wanted,
) -> Result<Option<File>, StartError> {
    match (wanted, &file.card.f16) {
        (Wanted::F32 | Wanted::Int8, _) | (Wanted::Auto, None) => Ok(None),
        (Wanted::F16, None) if file.card.precision == Precision::F16 => Ok(None),
        (Wanted::F16, None) => Err(refusal(&file.path, "names no f16 version of itself")),
        (_, Some(name)) => version(environment, file, (Precision::F16, name), wanted),
    }
}

/// The file of the same model in another precision.
fn version(
    environment: &Environment,
    file: &File,
    (precision, name): (Precision, &str),
    wanted: Wanted,
) -> Result<Option<File>, StartError> {
    let path = file.path.with_file_name(name);
    if wanted == Wanted::Auto && !path.is_file() {
        let word = precision.word();
        log::info!("precision auto: f32, since its {word} version is not there: {}", path.display());
        return Ok(None);
    }
    let version = read(environment, &path)?;
    let is = |card: &ModelCard| (card.task, card.role, card.scale, card.sources.clone());
    if is(&version.card) != is(&file.card) || version.card.precision != precision {
        let word = precision.word();
        let problem =
            format!("is named as its {word} version by {}, but is another model", file.path.display());
        return Err(refusal(&version.path, &problem));
    }
    Ok(Some(version))
}
