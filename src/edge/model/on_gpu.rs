//! Opening networks on GPUs: sessions that may use nothing else, each proven by the golden tile in the very
//! shape that it will serve. First it is decided, by sessions that are closed again, what computes (f32 where
//! f16 does not prove itself on every GPU and nobody asked for it by name) and in how many tiles; then all
//! threads' sessions are opened alike.

use super::engines::Engines;
use super::file::{File, builder, f16_of};
use super::foreign::answered;
use super::onnx::{Recipe, Tiles};
use super::placement;
use super::plugs::Plugs;
use super::provider::{self, Options};
use super::trial::best_tiles;
use super::{Model, Placed, Request, prove};
use crate::edge::gpu::{self, Gpus};
use crate::edge::shared_library;
use crate::error::StartError;
use crate::work::batch_size::USUAL;
use crate::work::device::{Device, Gpu, Provider, joined};
use crate::work::engine::{EngineKey, cuda_options, profile, tensorrt_options};
use crate::work::lacking;
use crate::work::placement::allowed;
use crate::work::precision::Wanted;
use crate::work::tiling::Tiling;
use contract::card::{ModelCard, Precision, Task};
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TensorRT 10's library, whose file carries its version.
const TENSORRT: &str = "libnvinfer.so.10";
/// Most threads that serve one GPU: while one waits for it, others make noise and round results. Drawing the
/// noise of a batch takes one core longer than a large GPU takes to evaluate it. Each takes memory of the
/// GPU, and more than four were not tried.
const MOST_WORKERS: usize = 4;

/// Why nothing was opened.
pub(super) enum Refused {
    /// The device does not do it.
    Device(String),
    /// A model or its file is wrong, whatever the device.
    Model(StartError),
    /// This kind of device does not serve this kind of model.
    Unfit(StartError),
}

impl From<String> for Refused {
    fn from(reason: String) -> Refused {
        Refused::Device(reason)
    }
}

/// What ONNX Runtime says, in our sentences.
fn plain(error: &ort::Error) -> String {
    lacking::plain(&error.to_string())
}

/// What is the same for all networks.
struct Context<'a> {
    environment: &'a Environment,
    request: &'a Request,
    provider: Provider,
    gpus: Result<Gpus, String>,
    /// Sessions that share a GPU's memory.
    sessions: usize,
}

/// Opens all files on all of these GPUs.
pub(super) fn open(
    environment: &Environment,
    files: &[File],
    request: &Request,
    (provider, named): (Provider, &[Gpu]),
) -> Result<Placed, Refused> {
    let each = (request.threads / 2).clamp(1, MOST_WORKERS);
    let sessions = each * files.len();
    let context = Context { environment, request, provider, gpus: gpu::look(), sessions };
    let devices = resolved(provider, named, &context.gpus)?;
    // What a model from elsewhere answers is known in the windows that are served here.
    let answered =
        files.iter().map(|file| answered(environment, file, context.golden_side(file, devices[0])));
    let files = answered.collect::<Result<Vec<_>, _>>().map_err(Refused::Model)?;
    let files = files.into_iter().map(|file| context.chosen(context.placed(file, devices[0])?, &devices));
    let files = &files.collect::<Result<Vec<_>, _>>()?;
    let mut tiles = match (request.batch, provider) {
        (Some(tiles), _) => tiles,
        (None, Provider::TensorRt) => USUAL,
        (None, Provider::Cuda) => context.search(files, devices[0])?,
    };
    let places: Vec<Device> = devices.iter().flat_map(|device| std::iter::repeat_n(*device, each)).collect();
    let workers = loop {
        match context.workers(files, &places, tiles) {
            Ok(workers) => break workers,
            // What one session had room for, all of them together may not have.
            Err(reason) if provider == Provider::Cuda && tiles > 1 && lacking::is_out_of_memory(&reason) => {
                tiles /= 2;
                log::warn!("{tiles} tiles an evaluation: {reason}");
            }
            Err(reason) => return Err(reason.into()),
        }
    };
    let cards: Vec<ModelCard> = files.iter().map(|file| file.card.clone()).collect();
    let tilings = cards.iter().map(|card| Tiling::new(card, devices[0], request.window_px)).collect();
    log::info!("{}: {tiles} tiles an evaluation, {} threads", joined(&devices), workers.len());
    Ok(Placed { workers, devices, tiles, cards, tilings, fallen: None })
}

/// The devices of this provider that are named, each of them once.
fn resolved(provider: Provider, named: &[Gpu], gpus: &Result<Gpus, String>) -> Result<Vec<Device>, String> {
    let mut devices = Vec::new();
    for gpu in named {
        let device = provider.on(gpu::number(gpu, gpus)?);
        if devices.contains(&device) {
            return Err(format!("{device} is named twice, the second time as {gpu}"));
        }
        devices.push(device);
    }
    Ok(devices)
}

impl Context<'_> {
    /// The networks of all threads.
    fn workers(
        &self,
        files: &[File],
        places: &[Device],
        tiles: usize,
    ) -> Result<Vec<Vec<Box<dyn Model>>>, String> {
        let networks = |device: &Device| files.iter().map(|file| self.proven(file, *device, tiles)).collect();
        places.iter().map(networks).collect()
    }

    /// The version of a file that serves on these devices: one for all, since results must not depend on the
    /// GPU that a tile meets.
    fn chosen(&self, file: File, devices: &[Device]) -> Result<File, Refused> {
        if self.provider == Provider::TensorRt && file.card.task == Task::Inpainting {
            let problem =
                "repairs crops of many shapes, and TensorRT builds an engine for each: take cuda or cpu";
            return Err(Refused::Unfit(super::file::refusal(&file.path, problem)));
        }
        if self.provider == Provider::TensorRt && file.plugs.is_some() {
            let problem = "is a model from elsewhere, and TensorRT runs ours: take cuda or cpu";
            return Err(Refused::Unfit(super::file::refusal(&file.path, problem)));
        }
        let whose = |reason: String| match &file.plugs {
            Some(plugs) => format!("model {} from elsewhere: {reason}", plugs.terms.name),
            None => reason,
        };
        // Engines are built for what serves; elsewhere one window proves as much, and has room.
        let tiles = match self.provider {
            Provider::TensorRt => self.request.batch.unwrap_or(USUAL),
            Provider::Cuda => 1,
        };
        let Some(half) = self.half(&file)? else {
            drop(self.proven(&file, devices[0], tiles).map_err(whose)?);
            return Ok(file);
        };
        for device in devices {
            let Err(reason) = self.proven(&half, *device, tiles) else { continue };
            if self.request.precision != Wanted::Auto {
                return Err(reason.into());
            }
            // Where f32 does not work either, it was not the precision.
            drop(self.proven(&file, *device, tiles)?);
            log::warn!("precision auto: f32, since f16 does not prove itself on {device}: {reason}");
            return Ok(file);
        }
        Ok(half)
    }

    /// The fewest tiles that any of these networks wants together; holes have shapes of their own. Nothing is
    /// left of the sessions that it is tried with, so their memory is not in pieces.
    fn search(&self, files: &[File], device: Device) -> Result<usize, Refused> {
        let mut least = None;
        for file in files {
            let Tiling::Fixed { window, .. } = self.tiling(file, device) else { continue };
            let recipe = self.recipe(file, self.on_cuda(device.number().unwrap_or(0), file), None);
            let mut network = file.network(recipe, Tiles::Any).map_err(|error| plain(&error))?;
            let tiles = best_tiles(network.as_mut(), window).map_err(|error| error.to_string())?;
            least = Some(least.map_or(tiles, |least: usize| least.min(tiles)));
        }
        Ok(least.unwrap_or(USUAL))
    }

    /// A graph from elsewhere may leave shapes to the processor, once it is seen that they are all it leaves.
    fn placed(&self, file: File, device: Device) -> Result<File, Refused> {
        let Device::Cuda(number) = device else { return Ok(file) };
        let Some(plugs) = file.plugs.clone() else { return Ok(file) };
        let Err(strict) = self.proven(&file, device, 1) else { return Ok(file) };
        let name = plugs.terms.name.clone();
        let file = File { plugs: Some(Plugs { shapes_elsewhere: true, ..plugs }), ..file };
        let profiled =
            |profile: &Path| self.recipe(&file, self.on_cuda(number, &file), Some(profile.to_owned()));
        let nodes = placement::nodes(&file, self.golden_side(&file, device), &profiled);
        let seen = nodes.as_ref().map(Vec::as_slice).map_err(String::as_str);
        let count = allowed(&strict, seen, provider::name(self.provider))
            .map_err(|reason| format!("model {name} from elsewhere does not run there alone: {reason}"))?;
        log::info!("{name}: {count} of its nodes compute shapes, on the processor");
        Ok(file)
    }

    /// What computes in 16 bits: CUDA needs a file for it, TensorRT makes it of the f32 one.
    fn half(&self, file: &File) -> Result<Option<File>, Refused> {
        let wanted = self.request.precision;
        match self.provider {
            Provider::Cuda => f16_of(self.environment, file, wanted).map_err(Refused::Model),
            Provider::TensorRt if matches!(wanted, Wanted::Auto | Wanted::F16) => {
                let card = ModelCard { precision: Precision::F16, ..file.card.clone() };
                Ok(Some(File { card, ..file.clone() }))
            }
            Provider::TensorRt => Ok(None),
        }
    }

    fn proven(&self, file: &File, device: Device, tiles: usize) -> Result<Box<dyn Model>, String> {
        match device {
            Device::TensorRt(number) => self.on_tensorrt(file, number, tiles),
            Device::Cuda(_) | Device::Cpu => {
                let number = device.number().unwrap_or(0);
                let is_fixed = matches!(self.tiling(file, device), Tiling::Fixed { .. });
                let tiles = if is_fixed { Tiles::Filled(tiles) } else { Tiles::Any };
                self.opened(file, (device, tiles), self.on_cuda(number, file))
            }
        }
    }

    /// With the engines of an earlier start where they are whole, else with new ones.
    fn on_tensorrt(&self, file: &File, number: u16, tiles: usize) -> Result<Box<dyn Model>, String> {
        let device = Device::TensorRt(number);
        let window = self.tiling(file, device).largest();
        let library = shared_library::find(TENSORRT)?;
        let library = std::fs::canonicalize(&library).unwrap_or(library);
        let gpu = self.gpus.as_ref().ok().and_then(|gpus| Some((gpus, gpus.of(number)?)));
        let key = EngineKey {
            model_sha256: file.sha256(),
            gpu: gpu.map(|(_, gpu)| format!("{} ({})", gpu.name, gpu.compute)).unwrap_or_default(),
            driver: gpu.map(|(gpus, _)| gpus.driver.clone()).unwrap_or_default(),
            tensorrt: library.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            profile: profile(&file.card, tiles, window),
            f16: file.card.precision == Precision::F16,
        };
        let root = self.request.engines.as_deref();
        let root = root.ok_or("there is no place for its engines (no HOME): name one as [device] engines")?;
        let unusable =
            |error: std::io::Error| format!("its engines cannot be kept: {error}: {}", root.display());
        let (engines, known) = Engines::open(root, &key).map_err(unusable)?;
        let folder = engines.folder().display().to_string();
        if !known {
            let name = &file.card.name;
            log::info!("building a TensorRT engine for {name}: minutes, and only once: {folder}");
        }
        // Half for what TensorRT tries tactics in, half for what it leaves to CUDA. Engines and their working
        // memory come on top.
        let memory = self.memory_bytes(number).map(|bytes| bytes / 2);
        let options = || {
            let engine = tensorrt_options(number, memory, &folder, &key);
            let rest = cuda_options(number, memory, file.card.precision);
            vec![(Provider::TensorRt, engine), (Provider::Cuda, rest)]
        };
        let opened = self.opened(file, (device, Tiles::Engine(tiles)), options());
        let network = match opened {
            // Whatever TensorRT has against a file that is as it was written: not a second time. Room is no
            // matter of the file.
            Err(reason) if known && !lacking::is_out_of_memory(&reason) => {
                log::warn!("engines that do not work are built anew: {reason}: {folder}");
                engines.clear().map_err(unusable)?;
                self.opened(file, (device, Tiles::Engine(tiles)), options())?
            }
            opened => opened?,
        };
        engines.seal().map_err(unusable)?;
        Ok(network)
    }

    fn opened(
        &self,
        file: &File,
        (device, tiles): (Device, Tiles),
        options: Vec<(Provider, Options)>,
    ) -> Result<Box<dyn Model>, String> {
        let recipe = self.recipe(file, options, None);
        let mut network = file.network(recipe, tiles).map_err(|error| plain(&error))?;
        let side = self.golden_side(file, device);
        prove(network.as_mut(), side)?;
        Ok(network)
    }

    /// How sessions of a file are made on a GPU, with a profile that begins with this path.
    fn recipe(&self, file: &File, options: Vec<(Provider, Options)>, profile: Option<PathBuf>) -> Recipe {
        let (environment, file) = (self.environment.clone(), file.clone());
        Arc::new(move || {
            let providers = options.iter().map(|(provider, options)| match provider {
                Provider::Cuda => provider::cuda(options),
                Provider::TensorRt => provider::tensorrt(options),
            });
            let providers: Vec<_> = providers.collect();
            let mut builder =
                builder(&environment, GraphOptimizationLevel::Level3)?.with_execution_providers(providers)?;
            if let Some(profile) = &profile {
                builder = builder.with_profiling(profile)?;
            }
            // A named device is a promise: no node of the graph may quietly run elsewhere.
            if !file.plugs.as_ref().is_some_and(|plugs| plugs.shapes_elsewhere) {
                builder = builder.with_disable_cpu_fallback()?;
            }
            file.commit(builder)
        })
    }

    /// CUDA alone.
    fn on_cuda(&self, number: u16, file: &File) -> Vec<(Provider, Options)> {
        vec![(Provider::Cuda, cuda_options(number, self.memory_bytes(number), file.card.precision))]
    }

    /// How pictures are cut for a file on a device.
    fn tiling(&self, file: &File, device: Device) -> Tiling {
        Tiling::new(&file.card, device, self.request.window_px)
    }

    /// Side of the window in which a file proves itself on a device.
    fn golden_side(&self, file: &File, device: Device) -> usize {
        self.tiling(file, device).golden_side(&file.card)
    }

    /// What each session may take of a GPU's memory, as far as it is known how large that is.
    fn memory_bytes(&self, number: u16) -> Option<u64> {
        let all = self.gpus.as_ref().ok()?.of(number)?.memory?.all_bytes;
        Some(all / 100 * u64::from(self.request.gpu_memory_percent) / self.sessions as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::gpu::GpuFacts;

    /// However it is named: else both would take their share of one memory.
    #[test]
    fn a_gpu_serves_once() {
        let gpu = GpuFacts {
            number: Some(1),
            name: "one".into(),
            uuid: "GPU-8f6d".into(),
            compute: "9.0".into(),
            memory: None,
        };
        let known = Ok(Gpus { driver: "580".into(), cuda: "13.0".into(), list: vec![gpu] });
        let uuid = Gpu::Uuid("GPU-8f".into());
        let of = |named: &[Gpu]| resolved(Provider::Cuda, named, &known);
        assert_eq!(of(&[Gpu::Number(0), uuid.clone()]), Ok(vec![Device::Cuda(0), Device::Cuda(1)]));
        let twice = of(&[Gpu::Number(1), uuid]);
        assert_eq!(twice, Err("cuda:1 is named twice, the second time as GPU-8f".into()));
    }
}
