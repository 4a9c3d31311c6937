//! A finished generator, opened to be sampled from: a run folder's networks, or an ONNX file. Knows how to
//! evaluate one and how its noise is drawn, not what the pictures are for.

use crate::method::Levels;
use crate::onnx::{OnnxError, OnnxGenerator};
use crate::recipe::{GeneratorRecipe, RunRecipe};
use crate::run_folder::RunFolder;
use crate::train::{GeneratorSession, Saved, TrainError};
use contract::geometry::{Rect, Size};
use contract::noise;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Pictures evaluated at once: as many as keep the planes in the caches.
const AT_ONCE: i64 = 100;

/// Why a generator cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// ONNX Runtime's own words.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The run folder's recipe.
    #[error("{path}: {source}; a generator is an ONNX file or a run folder of train-export cifar10")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The run folder's weights.
    #[error(transparent)]
    Weights(#[from] TrainError),
    /// A fact in the file.
    #[error("{path}: {key} is missing or no number")]
    Fact {
        /// Which file.
        path: PathBuf,
        /// Which fact.
        key: String,
    },
}

#[derive(Debug)]
enum Source {
    Networks(Box<GeneratorSession>),
    File(RefCell<OnnxGenerator>),
}

/// An open generator.
#[derive(Debug)]
pub struct Generator {
    source: Source,
    /// The noise levels it was trained on.
    pub levels: Levels,
    /// Side of its pictures.
    pub side: usize,
    /// What it is, in a line: method and minutes.
    pub title: String,
    /// Where it runs.
    pub device: Device,
}

impl Generator {
    /// Opens an ONNX file, or the averaged weights of a run folder.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, threads: usize, device: Device) -> Result<Generator, OpenError> {
        tch::set_num_threads(threads as i32);
        if path.is_dir() { open_folder(path, device) } else { open_file(path, threads) }
    }

    /// D(x; σ) or f(x, σ), without gradient: x N×3×S×S, σ of N values.
    ///
    /// # Panics
    /// If ONNX Runtime fails on a file that it opened.
    pub fn denoise(&self, x: &Tensor, sigma: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let part = |(x, sigma): (&Tensor, &Tensor)| match &self.source {
            // In f32 whatever the processor: figures and pictures are to be the same everywhere.
            Source::Networks(session) => session.denoise(x, sigma, false),
            Source::File(file) => {
                let (values, levels) = (floats(x), floats(sigma));
                let out = file.borrow_mut().run(&values, self.side, &levels);
                let out = out.expect("a generator that was opened can be evaluated");
                Tensor::from_slice(&out).view(x.size().as_slice())
            }
        };
        let (xs, sigmas) = (x.split(AT_ONCE, 0), sigma.split(AT_ONCE, 0));
        Tensor::cat(&xs.iter().zip(&sigmas).map(part).collect::<Vec<_>>(), 0)
    }

    /// Standard normals for pictures `first`… of seed `seed`, N×3×S×S: the same picture of the same seed gets
    /// the same noise whatever else is drawn. `step` numbers the draws of one picture.
    pub fn noise(&self, seed: u64, first: usize, count: usize, step: usize) -> Tensor {
        let size = Size::new(self.side, self.side);
        let mut values = vec![0.0; count * 3 * size.area()];
        for (index, part) in values.chunks_exact_mut(3 * size.area()).enumerate() {
            let picture = seed.wrapping_mul(1_000_003).wrapping_add((first + index) as u64);
            noise::fill(picture, step as u32, Rect { x: 0, y: 0, size }, part);
        }
        let side = self.side as i64;
        Tensor::from_slice(&values).view([count as i64, 3, side, side]).to_device(self.device)
    }
}

fn open_folder(path: &Path, device: Device) -> Result<Generator, OpenError> {
    let at = |source| OpenError::Folder { path: path.to_owned(), source };
    let recipe: GeneratorRecipe = RunFolder::recipe(path).map_err(at)?;
    let (levels, side) = (recipe.run.consistency, recipe.net.side as usize);
    let checkpoint = Saved::load(&path.join("checkpoint.safetensors")).ok().and_then(|saved| saved.place());
    let minutes =
        checkpoint.map_or(String::new(), |place| format!(", {:.1} minutes", place.total_seconds / 60.0));
    let title = format!("{}, {}{minutes} on {}", recipe.name(), described(&recipe), recipe.run.device);
    let mut session = GeneratorSession::new(recipe, device);
    let weights = path.join("weights.safetensors");
    session.init_from(&Saved::load(&weights).map_err(TrainError::Checkpoint)?, &weights)?;
    let source = Source::Networks(Box::new(session));
    Ok(Generator { source, levels, side, title, device })
}

fn open_file(path: &Path, threads: usize) -> Result<Generator, OpenError> {
    let file = OnnxGenerator::open(path, threads)?;
    let fact = |key: &str| file.facts.get(key).cloned().unwrap_or_default();
    let number = |key: &str| {
        let missing = || OpenError::Fact { path: path.to_owned(), key: key.to_owned() };
        fact(key).parse::<f64>().map_err(|_not_a_number| missing())
    };
    let levels = Levels {
        sigma_data: number("generator.sigma_data")?,
        sigma_min: number("generator.sigma_min")?,
        sigma_max: number("generator.sigma_max")?,
        log_mean: 0.0,
        log_std: 1.0,
        at_max_every: 0,
    };
    let side = number("generator.side")? as usize;
    let title = format!(
        "{}, {} {}, {} minutes on {}",
        fact("generator.name"),
        fact("generator.stages"),
        fact("generator.method"),
        fact("training.minutes"),
        fact("training.device")
    );
    Ok(Generator { source: Source::File(RefCell::new(file)), levels, side, title, device: Device::Cpu })
}

/// The stages of a recipe, the method only where there is a consistency stage.
fn described(recipe: &GeneratorRecipe) -> String {
    let stages = recipe.run.stages.iter().map(|plan| match plan.stage {
        crate::recipe::Stage::Consistency => format!("consistency {:?}", recipe.run.method),
        stage => format!("{stage:?}").to_lowercase(),
    });
    stages.collect::<Vec<_>>().join(", ")
}

fn floats(x: &Tensor) -> Vec<f32> {
    let flat = x.contiguous().reshape([-1]).to_kind(Kind::Float).to_device(Device::Cpu);
    Vec::<f32>::try_from(&flat).expect("an f32 tensor becomes a vector")
}
