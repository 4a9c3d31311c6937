//! What there is to be said of a runtime, its providers and models without serving anything: for `doctor`.
//! Tries each thing and goes on, whatever comes of it.

use super::file::{builder, load, read_under};
use super::on_gpu;
use super::onnx::Recipe;
use super::{Request, prove, provider};
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
pub type Proof = Result<(ModelCard, f32, f32), String>;

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
    let tried = |(provider, is_built): (Provider, bool)| {
        let tried = if is_built { register(&environment, provider) } else { Tried::Absent };
        (provider, tried)
    };
    let providers: Vec<(Provider, Tried)> = built.into_iter().map(tried).collect();
    let works = |wanted| providers.contains(&(wanted, Tried::Works));
    let on_gpu = matches!(request.devices, Devices::Gpus { provider, .. } if works(provider));
    let devices = if on_gpu { request.devices.clone() } else { Devices::Cpu };
    let request = &Request { devices, ..request.clone() };
    let one = |(file, terms): &(PathBuf, Option<Terms>)| {
        (file.clone(), proven(&environment, (file, terms.as_ref()), request))
    };
    let models = files.iter().map(one).collect();
    let version = shared_library::runtime_version(&library.path).unwrap_or_else(|| ort::info().to_owned());
    Ok(Examined { version, providers, models, device: request.devices.clone() })
}

/// Registers a provider with nothing to run: that loads its libraries and makes sure of a GPU.
fn register(environment: &Environment, provider: Provider) -> Tried {
    let dispatch = match provider {
        Provider::Cuda => provider::cuda(&cuda_options(0, None)),
        Provider::TensorRt => provider::tensorrt(&vec![("device_id", "0".into())]),
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
        StartError::Model { problem, .. } => problem,
        other => other.to_string(),
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
                let gap = prove(placed.workers[0][0].as_mut(), side)?;
                Ok((placed.cards[0].clone(), gap, placed.workers[0][0].tolerance()))
            }
            Err(on_gpu::Refused::Device(reason)) => Err(reason),
            Err(on_gpu::Refused::Model(error)) => Err(error.to_string()),
        };
    }
    let (environment, opened) = (environment.clone(), file.clone());
    let recipe: Recipe =
        Arc::new(move || opened.commit(builder(&environment, GraphOptimizationLevel::Level3)?));
    let mut model = file.network(recipe, None).map_err(|error| error.to_string())?;
    let gap = prove(model.as_mut(), file.card.golden_side())?;
    let most = model.tolerance();
    Ok((file.card, gap, most))
}
