//! What there is to be said of a runtime, its providers and models without serving anything: for `doctor`.
//! Tries each thing and goes on, whatever comes of it.

use super::file::{builder, load, read_under};
use super::on_gpu::{self, Refused};
use super::onnx::{Recipe, Tiles};
use super::{Request, prove, provider};
use crate::edge::gpu;
use crate::edge::library::Library;
use crate::edge::shared_library;
use crate::error::StartError;
use crate::work::device::{Devices, Provider};
use crate::work::engine::cuda_options;
use crate::work::lacking;
use crate::work::precision::Wanted;
use crate::work::terms::Terms;
use contract::card::{ModelCard, Precision};
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// As the runtime tells it.
    pub version: String,
    /// Where the models were tried: the processor, unless a GPU was asked for and its provider works.
    pub device: Devices,
    /// Providers in the order of their words, and what came of them.
    pub providers: Vec<(Provider, Tried)>,
    /// The models, in order: the largest difference of the golden tile, which is within what is allowed.
    pub models: Vec<(PathBuf, Proof)>,
}

/// A card, how far its golden tile is off and may be at most, or what is wrong.
pub type Proof = Result<(ModelCard, f32, f32), Trouble>;

/// Why a model was not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The file, its card or what is declared of it is wrong.
    Model(String),
    /// The device does not serve such models.
    Unfit(String),
    /// The device does not do it.
    Device(String),
}

/// What came of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// This runtime was built without it.
    Absent,
    /// It registers: its libraries and a GPU are there.
    Works,
    /// Its reason.
    Fails(String),
}

/// Loads the runtime, tries each provider, and opens each model on the device of `request` where that works.
///
/// # Errors
/// If the library cannot be loaded.
pub fn examine(
    library: &Library,
    files: &[(PathBuf, Option<Terms>)],
    request: &Request,
) -> Result<Examined, StartError> {
    let environment = load(library)?;
    let built = provider::compiled_in();
    // The GPU that is meant, where one is and the driver knows it.
    let number = match &request.devices {
        Devices::Gpus { gpus, .. } => gpus.first().and_then(|gpu| gpu::number(gpu, &gpu::look()).ok()),
        Devices::Auto | Devices::Cpu => None,
    };
    let tried = |(provider, is_built): (Provider, bool)| {
        let number = number.unwrap_or(0);
        let tried = if is_built { register(&environment, (provider, number)) } else { Tried::Absent };
        (provider, tried)
    };
    let providers: Vec<(Provider, Tried)> = built.into_iter().map(tried).collect();
    let works = |wanted| providers.contains(&(wanted, Tried::Works));
    let on_gpu = matches!(request.devices, Devices::Gpus { provider, .. } if works(provider));
    let devices = if on_gpu { request.devices.clone() } else { Devices::Cpu };
    // Engines are built here, and not where those lie that serve.
    let builds = matches!(devices, Devices::Gpus { provider: Provider::TensorRt, .. });
    let folder = || tempfile::Builder::new().prefix("onestep-doctor.").tempdir().ok();
    let engines = builds.then(folder).flatten();
    let place = engines.as_ref().map(|folder| folder.path().to_owned());
    let request = &Request { devices, engines: place, ..request.clone() };
    let one = |(file, terms): &(PathBuf, Option<Terms>)| {
        (file.clone(), proven(&environment, (file, terms.as_ref()), request))
    };
    let models = files.iter().map(one).collect();
    let version = shared_library::runtime_version(&library.path).unwrap_or_else(|| ort::info().to_owned());
    Ok(Examined { version, providers, models, device: request.devices.clone() })
}

/// Registers a provider with nothing to run: that loads its libraries and makes sure of a GPU.
fn register(environment: &Environment, (provider, number): (Provider, u16)) -> Tried {
    let dispatch = match provider {
        Provider::Cuda => provider::cuda(&cuda_options(number, None, Precision::F32)),
        Provider::TensorRt => provider::tensorrt(&vec![("device_id", number.to_string())]),
    };
    let registered = builder(environment, GraphOptimizationLevel::Disable)
        .and_then(|builder| Ok(builder.with_execution_providers([dispatch])?));
    match registered {
        Ok(_) => Tried::Works,
        Err(error) => Tried::Fails(lacking::plain(&error.to_string())),
    }
}

/// The card of a file and how far its golden tile is off on the device of `request`.
fn proven(environment: &Environment, (file, terms): (&Path, Option<&Terms>), request: &Request) -> Proof {
    let file = read_under(environment, file, terms).map_err(|error| match error {
        StartError::Model { problem, .. } => Trouble::Model(problem),
        other => Trouble::Model(other.to_string()),
    })?;
    // Each file by itself, not the version of it that would serve.
    let wanted = match file.card.precision {
        Precision::F32 => Wanted::F32,
        Precision::F16 => Wanted::F16,
        Precision::Int8 => Wanted::Int8,
    };
    if let (Devices::Gpus { provider, gpus }, false) = (&request.devices, wanted == Wanted::Int8) {
        let request = &Request { precision: wanted, ..request.clone() };
        // What opens there has proven itself.
        return match on_gpu::open(environment, std::slice::from_ref(&file), request, (*provider, gpus)) {
            Ok(mut placed) => {
                let side = placed.tilings[0].golden_side(&placed.cards[0]);
                let gap = prove(placed.workers[0][0].as_mut(), side).map_err(Trouble::Device)?;
                Ok((placed.cards[0].clone(), gap, placed.workers[0][0].tolerance()))
            }
            Err(Refused::Device(reason)) => Err(Trouble::Device(reason)),
            Err(Refused::Model(error)) => Err(Trouble::Model(error.to_string())),
            Err(Refused::Unfit(error)) => Err(Trouble::Unfit(error.to_string())),
        };
    }
    let (environment, opened) = (environment.clone(), file.clone());
    let recipe: Recipe =
        Arc::new(move || opened.commit(builder(&environment, GraphOptimizationLevel::Level3)?));
    let wrong = |error: ort::Error| Trouble::Model(error.to_string());
    let mut model = file.network(recipe, Tiles::Any).map_err(wrong)?;
    let gap = prove(model.as_mut(), file.card.golden_side()).map_err(Trouble::Model)?;
    let most = model.tolerance();
    Ok((file.card, gap, most))
}
