//! Opening what is asked for, where it is asked for: the files, then their networks on the processor or on
//! GPUs. Falls back to the CPU only where `auto` was asked for.

use super::file::{File, builder, choose, int8_of, load, read_under, refusal};
use super::fit::{BETTER_RANGE, better_range};
use super::on_gpu::{self, Refused};
use super::onnx::{Recipe, Tiles};
use super::{Model, prove};
use crate::edge::gpu;
use crate::edge::library::Library;
use crate::error::StartError;
use crate::work::device::{Device, Devices, Gpu, Provider};
use crate::work::lacking;
use crate::work::precision::Wanted;
use crate::work::terms::Terms;
use crate::work::tiling::Tiling;
use contract::card::{ModelCard, Precision};
use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights};
use std::path::PathBuf;
use std::sync::Arc;

/// What to open, and where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The models, one for each line.
    pub models: Vec<Asked>,
    /// Where all of them run.
    pub devices: Devices,
    /// What they compute with.
    pub precision: Wanted,
    /// Cores: on the CPU, sessions of each file.
    pub threads: usize,
    /// Largest side of a window, or as is usual on the device.
    pub window_px: Option<usize>,
    /// Tiles that are evaluated together, or on a GPU as many as are measured to be best, on the CPU one.
    pub batch: Option<usize>,
    /// How much of a GPU's memory is for us.
    pub gpu_memory_percent: u8,
    /// Where TensorRT's engines are kept, if there is such a place.
    pub engines: Option<PathBuf>,
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
    /// What is declared of a file that carries no card.
    pub terms: Option<Terms>,
    /// Whether it is for the second step of a line, whose threads have networks of their own.
    pub second: bool,
}

impl Request {
    /// These models on the processor, in f32.
    pub fn on_cpu(models: Vec<Asked>, threads: usize) -> Request {
        Request {
            models,
            devices: Devices::Cpu,
            precision: Wanted::F32,
            threads,
            window_px: None,
            batch: None,
            gpu_memory_percent: 0,
            engines: None,
        }
    }
}

/// Facts about what was opened, for plans and marks.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The card of the file that runs: the companion's, for strength 0.
    pub card: ModelCard,
    /// SHA-256 of the f32 file, also where another version of it runs: which of them may follow from the
    /// device.
    pub sha256: String,
    /// The terms of a model from elsewhere, as text.
    pub terms: Option<String>,
    /// λ.
    pub strength: f32,
    /// How its pictures are cut.
    pub tiling: Tiling,
    /// Its place among a worker's networks.
    pub model: usize,
}

impl Facts {
    /// As text, for marks: equal where what it makes would be.
    pub fn to_text(&self) -> String {
        let terms = self.terms.as_ref().map_or_else(String::new, |terms| format!(" ({terms})"));
        format!("{} {}{terms} strength {}", self.card.name, self.sha256, self.strength)
    }
}

/// Where networks run, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// All of one kind.
    pub devices: Vec<Device>,
    /// Threads that own networks.
    pub workers: usize,
    /// Most tiles of an evaluation.
    pub tiles: usize,
    /// Why it is the processor though `auto` would rather have a GPU.
    pub fallen: Option<String>,
}

impl Serving {
    /// So many threads on the processor, a tile each.
    pub fn on_cpu(workers: usize) -> Serving {
        Serving { devices: vec![Device::Cpu], workers, tiles: 1, fallen: None }
    }

    /// Whether that is the processor.
    pub fn is_on_cpu(&self) -> bool {
        !self.devices.iter().any(|device| device.is_gpu())
    }
}

/// Networks that have proven themselves.
pub struct Opened {
    /// The networks of each worker thread. Lines that run the same file share its network.
    pub workers: Vec<Vec<Box<dyn Model>>>,
    /// The same for the second steps of lines; none where no line has one.
    pub second: Vec<Vec<Box<dyn Model>>>,
    /// What they are, in the order of what was asked for.
    pub facts: Vec<Facts>,
    /// Where they run.
    pub serving: Serving,
}

/// What runs where: the networks of each worker, and what each network is.
pub(super) struct Placed {
    pub(super) workers: Vec<Vec<Box<dyn Model>>>,
    pub(super) devices: Vec<Device>,
    pub(super) tiles: usize,
    pub(super) cards: Vec<ModelCard>,
    pub(super) tilings: Vec<Tiling>,
    pub(super) fallen: Option<String>,
}

/// Opens models.
///
/// # Errors
/// Where the library, a file, its card or a promised device is not what it should be.
pub fn open(library: &Library, request: &Request) -> Result<Opened, StartError> {
    let environment = load(library)?;
    let (mut files, mut seconds): (Vec<File>, Vec<bool>) = (Vec::new(), Vec::new());
    let mut chosen: Vec<(usize, f32)> = Vec::new();
    for asked in &request.models {
        let (file, strength) = choose(&environment, asked)?;
        let is_it = |(known, second): (&File, &bool)| {
            (&known.path, &known.plugs, *second) == (&file.path, &file.plugs, asked.second)
        };
        let known = files.iter().zip(&seconds).position(is_it);
        chosen.push((known.unwrap_or(files.len()), strength));
        if known.is_none() {
            files.push(file);
            seconds.push(asked.second);
        }
    }
    let sha256: Vec<String> = files.iter().map(File::sha256).collect();
    let Placed { workers, devices, tiles, cards, tilings, fallen } = place(&environment, &files, request)?;
    let facts = chosen.into_iter().zip(&request.models).map(|((file, strength), asked)| {
        let terms = files[file].plugs.as_ref().map(|plugs| plugs.terms.to_text());
        let (card, sha256) = (cards[file].clone(), sha256[file].clone());
        let model = seconds[..file].iter().filter(|second| **second == asked.second).count();
        Facts { card, sha256, terms, strength, tiling: tilings[file], model }
    });
    let facts = facts.collect();
    let serving = Serving { devices, workers: workers.len(), tiles, fallen };
    let (workers, mut second): (Vec<_>, Vec<_>) =
        workers.into_iter().map(|all| parted(all, &seconds)).unzip();
    second.retain(|networks| !networks.is_empty());
    Ok(Opened { workers, second, facts, serving })
}

type Networks = Vec<Box<dyn Model>>;

/// A worker's networks, those for second steps apart.
fn parted(networks: Networks, seconds: &[bool]) -> (Networks, Networks) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (network, is_second) in networks.into_iter().zip(seconds) {
        if *is_second { second.push(network) } else { first.push(network) }
    }
    (first, second)
}

/// The cards of files, or what is wrong with each, in order; of models from elsewhere also which range fits
/// better. Opens nothing on a device.
///
/// # Errors
/// If the library cannot be loaded.
pub fn cards(
    library: &Library,
    files: &[(PathBuf, Option<Terms>)],
) -> Result<Vec<Result<ModelCard, StartError>>, StartError> {
    let environment = load(library)?;
    let card = |(path, terms): &(PathBuf, Option<Terms>)| {
        let file = read_under(&environment, path, terms.as_ref())?;
        let better = better_range(&environment, &file)?;
        let mut card = file.card;
        card.facts.extend(better.map(|told| (BETTER_RANGE.to_owned(), told)));
        Ok(card)
    };
    Ok(files.iter().map(card).collect())
}

fn place(environment: &Environment, files: &[File], request: &Request) -> Result<Placed, StartError> {
    let first = [Gpu::Number(0)];
    let (provider, gpus) = match &request.devices {
        Devices::Cpu if request.precision == Wanted::F16 => {
            return Err(StartError::usage("precision f16 is for GPUs: on a processor it is slower than f32"));
        }
        Devices::Cpu => return all_on_cpu(environment, files, request),
        // `auto` is free to choose what can do it.
        Devices::Auto
            if request.precision == Wanted::Int8
                || files.iter().any(|file| is_ours_in(file, Precision::Int8)) =>
        {
            return all_on_cpu(environment, files, request);
        }
        _ if request.precision == Wanted::Int8 => {
            return Err(StartError::usage("precision int8 is for --device cpu: GPUs run f16 and f32"));
        }
        Devices::Auto => (Provider::Cuda, &first[..]),
        Devices::Gpus { provider, gpus } => (*provider, &gpus[..]),
    };
    match on_gpu::open(environment, files, request, (provider, gpus)) {
        Ok(placed) => Ok(placed),
        Err(Refused::Model(error) | Refused::Unfit(error)) => Err(error),
        Err(Refused::Device(reason))
            if request.devices == Devices::Auto && request.precision != Wanted::F16 =>
        {
            // Where a GPU would have been, it is missed.
            let level = if gpu::look().is_ok() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "device auto: running on the CPU, since CUDA is not usable: {reason}");
            // A batch that was meant for a GPU would only take memory here.
            let request = &Request { batch: None, ..request.clone() };
            Ok(Placed { fallen: Some(reason), ..all_on_cpu(environment, files, request)? })
        }
        Err(Refused::Device(reason)) => {
            let (device, remedy) = (request.devices.to_string(), lacking::remedy(&reason));
            Err(StartError::Device { device, reason, remedy })
        }
    }
}

/// Whether this is a file of ours that computes in this precision: int8 is for processors, f16 for GPUs.
fn is_ours_in(file: &File, precision: Precision) -> bool {
    file.plugs.is_none() && file.card.precision == precision
}

fn all_on_cpu(environment: &Environment, files: &[File], request: &Request) -> Result<Placed, StartError> {
    if let Some(half) = files.iter().find(|file| is_ours_in(file, Precision::F16)) {
        let problem = "is rounded to f16, for GPUs, and slower than f32 on a processor: name the file in f32";
        return Err(refusal(&half.path, problem));
    }
    let mut workers: Vec<Vec<Box<dyn Model>>> = (0..request.threads.max(1)).map(|_| Vec::new()).collect();
    let mut cards = Vec::new();
    for file in files {
        let (networks, card) = in_precision(environment, file, request)?;
        workers.iter_mut().zip(networks).for_each(|(worker, network)| worker.push(network));
        cards.push(card);
    }
    let tilings = cards.iter().map(|card| Tiling::new(card, Device::Cpu, request.window_px)).collect();
    Ok(Placed {
        workers,
        devices: vec![Device::Cpu],
        tiles: request.batch.unwrap_or(1),
        cards,
        tilings,
        fallen: None,
    })
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
    let (environment, opened) = (environment.clone(), file.clone());
    let recipe: Recipe = Arc::new(move || {
        let builder = builder(&environment, GraphOptimizationLevel::Level3)?;
        opened.commit(builder.with_prepacked_weights(&shared)?)
    });
    let mut models: Vec<Box<dyn Model>> = Vec::new();
    for _ in 0..threads.max(1) {
        let model = file.network(Arc::clone(&recipe), Tiles::Any);
        models.push(model.map_err(|error| refusal(&file.path, &error.to_string()))?);
    }
    let side = file.card.golden_side();
    prove(models[0].as_mut(), side).map_err(|problem| refusal(&file.path, &problem))?;
    Ok(models)
}
