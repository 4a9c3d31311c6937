//! Loading the runtime, choosing the file that serves a strength, and opening it on a device that then proves
//! itself on the card's golden tile. Falls back to the CPU only where `auto` was asked for.

use super::onnx::{OnnxModel, card_of};
use super::{Device, Model, golden_error};
use crate::edge::digest::sha256;
use crate::edge::library::Library;
use crate::edge::machine;
use crate::error::StartError;
use crate::work::precision::Wanted;
use contract::card::{ModelCard, Precision, Role};
use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder};
use std::path::{Path, PathBuf};

const REMEDY: &str = "--device cpu runs without it; CUDA needs an ONNX Runtime built for it \
                      (ORT_DYLIB_PATH), with its provider libraries beside it, and a working driver";

/// What to open, and where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The models, one for each line.
    pub models: Vec<Asked>,
    /// Where all of them run.
    pub device: Device,
    /// What the processor computes with.
    pub precision: Wanted,
    /// Sessions on the CPU: one a worker thread and file.
    pub threads: usize,
}

/// One model.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The model file.
    pub file: PathBuf,
    /// λ, or `None` for the card's default.
    pub strength: Option<f32>,
    /// Whether samples are wanted whatever the strength, for an uncertainty map.
    pub samples: bool,
}

/// Facts about what was opened, for plans and marks.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The card of the file that runs: the companion's, for strength 0.
    pub card: ModelCard,
    /// SHA-256 of the f32 file, also where its int8 version runs: which of them may follow from the
    /// processor.
    pub sha256: String,
    /// λ.
    pub strength: f32,
    /// Where it really runs; never [`Device::Auto`].
    pub device: Device,
    /// Its place among a worker's networks.
    pub model: usize,
}

/// Networks that have proven themselves.
pub struct Opened {
    /// The networks of each worker thread: one worker on a GPU, one a thread on the CPU. Lines that run the
    /// same file share its network.
    pub workers: Vec<Vec<Box<dyn Model>>>,
    /// What they are, in the order of what was asked for.
    pub facts: Vec<Facts>,
}

/// A model file in memory, so that what is hashed is what runs.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    card: ModelCard,
}

/// Opens models.
///
/// # Errors
/// Where the library, a file, its card or a promised device is not what it should be.
pub fn open(library: &Library, request: &Request) -> Result<Opened, StartError> {
    let environment = load(library)?;
    let (mut files, mut chosen): (Vec<File>, Vec<(usize, f32)>) = (Vec::new(), Vec::new());
    for asked in &request.models {
        let (file, strength) = choose(&environment, asked)?;
        let known = files.iter().position(|known| known.path == file.path);
        chosen.push((known.unwrap_or(files.len()), strength));
        if known.is_none() {
            files.push(file);
        }
    }
    let sha256: Vec<String> = files.iter().map(|file| sha256(&file.bytes)).collect();
    let Placed { workers, device, cards } = place(&environment, &files, request)?;
    let facts = chosen.into_iter().map(|(model, strength)| {
        let (card, sha256) = (cards[model].clone(), sha256[model].clone());
        Facts { card, sha256, strength, device, model }
    });
    Ok(Opened { workers, facts: facts.collect() })
}

/// The file that serves what is asked for, and λ.
fn choose(environment: &Environment, asked: &Asked) -> Result<(File, f32), StartError> {
    let file = read(environment, &asked.file)?;
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

/// The cards of files, or what is wrong with each, in order. Opens nothing on a device.
///
/// # Errors
/// If the library cannot be loaded.
pub fn cards(library: &Library, files: &[PathBuf]) -> Result<Vec<Result<ModelCard, StartError>>, StartError> {
    let environment = load(library)?;
    Ok(files.iter().map(|path| read(&environment, path).map(|file| file.card)).collect())
}

fn refusal(path: &Path, problem: &str) -> StartError {
    StartError::Model { name: path.display().to_string(), problem: problem.to_owned() }
}

fn load(library: &Library) -> Result<Environment, StartError> {
    let builder = ort::init_from(&library.path).map_err(|error| library.refused(&error.to_string()))?;
    let environment = builder.with_name("onestep").with_telemetry(false).build();
    environment.map_err(|error| library.refused(&error.to_string()))
}

fn read(environment: &Environment, path: &Path) -> Result<File, StartError> {
    let bytes = std::fs::read(path).map_err(|error| refusal(path, &format!("cannot be read: {error}")))?;
    // Unoptimised: this session only tells what the file says.
    let session = builder(environment, GraphOptimizationLevel::Disable)
        .and_then(|mut builder| builder.commit_from_memory(&bytes))
        .map_err(|error| refusal(path, &format!("is no model that ONNX Runtime can open: {error}")))?;
    let card = card_of(&session).map_err(|problem| refusal(path, &problem))?;
    Ok(File { path: path.to_owned(), bytes, card })
}

/// The file that serves this strength: at 0 the companion, which does without the sample's work.
fn serving(environment: &Environment, file: File, strength: f32) -> Result<File, StartError> {
    let (Some(name), true) = (&file.card.companion, strength == 0.0 && file.card.role == Role::Sample) else {
        return Ok(file);
    };
    let companion = read(environment, &file.path.with_file_name(name))?;
    if companion.card.role != Role::Mean || companion.card.scale != file.card.scale {
        let problem = format!("is named as companion by {}, but is not its mean", file.path.display());
        return Err(refusal(&companion.path, &problem));
    }
    Ok(companion)
}

/// The int8 version of a file, where it is wanted; `auto` wants it where it is fast.
fn int8_of(environment: &Environment, file: &File, wanted: Wanted) -> Result<Option<File>, StartError> {
    let name = match (wanted, &file.card.int8) {
        (Wanted::F32, _) | (Wanted::Auto, None) => return Ok(None),
        (Wanted::Auto, Some(_)) if !machine::multiplies_bytes() => return Ok(None),
        (Wanted::Int8, None) if file.card.precision == Precision::Int8 => return Ok(None),
        (Wanted::Int8, None) => return Err(refusal(&file.path, "names no int8 version of itself")),
        (_, Some(name)) => name,
    };
    let path = file.path.with_file_name(name);
    if wanted == Wanted::Auto && !path.is_file() {
        log::info!("precision auto: f32, since its int8 version is not there: {}", path.display());
        return Ok(None);
    }
    let int8 = read(environment, &path)?;
    let ModelCard { role, scale, sources, .. } = &int8.card;
    if (role, scale, sources) != (&file.card.role, &file.card.scale, &file.card.sources) {
        let problem =
            format!("is named as its int8 version by {}, but is another model", file.path.display());
        return Err(refusal(&int8.path, &problem));
    }
    Ok(Some(int8))
}

/// What runs where: the networks of each worker, and the card of each network.
struct Placed {
    workers: Vec<Vec<Box<dyn Model>>>,
    device: Device,
    cards: Vec<ModelCard>,
}

fn place(environment: &Environment, files: &[File], request: &Request) -> Result<Placed, StartError> {
    let number = match request.device {
        Device::Cpu => return all_on_cpu(environment, files, request),
        // `auto` is free to choose what can do it.
        Device::Auto if request.precision == Wanted::Int8 => return all_on_cpu(environment, files, request),
        _ if request.precision == Wanted::Int8 => {
            return Err(StartError::usage("precision int8 is for --device cpu: GPUs run the f32 file"));
        }
        Device::Cuda(number) => number,
        Device::Auto => 0,
    };
    let networks = files.iter().map(|file| on_cuda(environment, file, number));
    match networks.collect::<Result<Vec<_>, String>>() {
        Ok(networks) => {
            let cards = files.iter().map(|file| file.card.clone()).collect();
            Ok(Placed { workers: vec![networks], device: Device::Cuda(number), cards })
        }
        Err(reason) if request.device == Device::Auto => {
            log::info!("device auto: running on the CPU, since CUDA is not usable: {reason}");
            all_on_cpu(environment, files, request)
        }
        Err(reason) => {
            let (device, remedy) = (request.device.to_string(), REMEDY.to_owned());
            Err(StartError::Device { device, reason, remedy })
        }
    }
}

fn all_on_cpu(environment: &Environment, files: &[File], request: &Request) -> Result<Placed, StartError> {
    let mut workers: Vec<Vec<Box<dyn Model>>> = (0..request.threads.max(1)).map(|_| Vec::new()).collect();
    let mut cards = Vec::new();
    for file in files {
        let (networks, card) = in_precision(environment, file, request)?;
        workers.iter_mut().zip(networks).for_each(|(worker, network)| worker.push(network));
        cards.push(card);
    }
    Ok(Placed { workers, device: Device::Cpu, cards })
}

/// A file, or its int8 version, for each thread; and the card of what it is.
fn in_precision(
    environment: &Environment,
    file: &File,
    request: &Request,
) -> Result<(Vec<Box<dyn Model>>, ModelCard), StartError> {
    if let Some(int8) = int8_of(environment, file, request.precision)? {
        match on_cpu(environment, &int8, request.threads) {
            Ok(networks) => return Ok((networks, int8.card)),
            Err(error) if request.precision == Wanted::Auto => {
                log::warn!("precision auto: f32, since the int8 version does not prove itself: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok((on_cpu(environment, file, request.threads)?, file.card.clone()))
}

/// One session a thread, each on one core: that is the fastest arrangement, and nothing spins while it waits.
fn on_cpu(environment: &Environment, file: &File, threads: usize) -> Result<Vec<Box<dyn Model>>, StartError> {
    let shared = PrepackedWeights::new();
    let session = || -> ort::Result<Session> {
        let mut builder =
            builder(environment, GraphOptimizationLevel::Level3)?.with_prepacked_weights(&shared)?;
        builder.commit_from_memory(&file.bytes)
    };
    let mut models: Vec<Box<dyn Model>> = Vec::new();
    for _ in 0..threads.max(1) {
        let session = session().map_err(|error| refusal(&file.path, &error.to_string()))?;
        models.push(Box::new(OnnxModel::new(session, file.card.clone())));
    }
    prove(models[0].as_mut()).map_err(|problem| refusal(&file.path, &problem))?;
    Ok(models)
}

/// The reason comes without its full stop, since it becomes part of a sentence.
fn on_cuda(environment: &Environment, file: &File, number: u16) -> Result<Box<dyn Model>, String> {
    let provider: ExecutionProviderDispatch = ep::CUDA::default()
        .with_device_id(i32::from(number))
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure();
    let session = || -> ort::Result<Session> {
        let builder =
            builder(environment, GraphOptimizationLevel::Level3)?.with_execution_providers([provider])?;
        // A named device is a promise: no node of the graph may quietly run elsewhere.
        builder.with_disable_cpu_fallback()?.commit_from_memory(&file.bytes)
    };
    let session = session().map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
    let mut model: Box<dyn Model> = Box::new(OnnxModel::new(session, file.card.clone()));
    prove(model.as_mut())?;
    Ok(model)
}

fn builder(environment: &Environment, level: GraphOptimizationLevel) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_optimization_level(level)?)
}

/// A wrong device, precision or driver shows on the golden tile, before any picture.
fn prove(model: &mut dyn Model) -> Result<(), String> {
    let error =
        golden_error(model).map_err(|error| format!("its golden tile cannot be evaluated: {error}"))?;
    let most = model.card().golden_tolerance();
    if error > most {
        let problem = format!("its golden tile differs by {error:.1e}, at most {most:.0e} is arithmetic");
        return Err(problem);
    }
    log::debug!("golden tile differs by {error:.1e}");
    Ok(())
}
