//! The trainer's one door to ONNX Runtime: opens a written file and evaluates it the way the daemon does, so
//! that what is measured is what ships. The only file of `tools` that names `ort`.

use crate::export::rounding;
use contract::geometry::{Rect, Size};
use contract::golden::Golden;
use contract::pixels::{Picture, Planes, cut_window};
use contract::source::Source;
use contract::{mask, noise, resample};
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue, SessionOutputs, builder::GraphOptimizationLevel};
use ort::value::TensorRef;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Why ONNX Runtime could not do something.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The library is not where it is looked for.
    #[error(
        "ONNX Runtime was not found (looked at ORT_DYLIB_PATH and for .runtime/libonnxruntime.so above \
         {0}); run scripts/fetch-runtime"
    )]
    NoLibrary(PathBuf),
    /// ONNX Runtime's own words.
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
}

impl<T> From<ort::Error<T>> for OnnxError {
    fn from(error: ort::Error<T>) -> Self {
        OnnxError::Runtime(error.to_string())
    }
}

/// ONNX Runtime allows one environment in a process.
fn environment() -> Result<&'static Environment, OnnxError> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let load = |error: ort::LoadDynamicError| OnnxError::Runtime(error.to_string());
    let built = ort::init_from(library()?).map_err(load)?.with_name("tools").with_telemetry(false).build()?;
    Ok(ENVIRONMENT.get_or_init(|| built))
}

/// Whether ONNX Runtime can be used at all: to be asked before hours of training.
///
/// # Errors
/// If the library is not there or does not load.
pub fn is_there() -> Result<(), OnnxError> {
    environment().map(drop)
}

fn library() -> Result<PathBuf, OnnxError> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH") {
        return Ok(named.into());
    }
    let program = std::env::current_exe().unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    let above = program.ancestors().chain(here.ancestors());
    let found = above.map(|folder| folder.join(".runtime/libonnxruntime.so")).find(|path| path.is_file());
    found.ok_or(OnnxError::NoLibrary(program))
}

fn open(path: &Path, threads: usize) -> Result<Session, OnnxError> {
    let builder = Session::builder(environment()?)?;
    let builder =
        builder.with_intra_threads(threads)?.with_inter_threads(1)?.with_intra_op_spinning(false)?;
    let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Level3)?;
    // Left to itself the processor would skip the roundings of a file in f16.
    match rounding::spelled_out_file(path) {
        Some(bytes) => Ok(builder.commit_from_memory(&bytes)?),
        None => Ok(builder.commit_from_file(path)?),
    }
}

/// What an evaluation is asked for beside the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Seed of the noise.
    pub seed: u64,
    /// λ.
    pub strength: f32,
    /// What the model is told of the picture.
    pub source: Source,
}

impl Asked {
    /// A clean picture.
    pub fn clean(seed: u64, strength: f32) -> Asked {
        Asked { seed, strength, source: Source::Clean }
    }
}

/// An open model file of ours.
#[derive(Debug)]
pub struct OnnxModel {
    session: Session,
    scale: usize,
    sample: bool,
    /// Whether it can be told the source.
    told: bool,
    /// Whether it repairs holes.
    masked: bool,
}

impl OnnxModel {
    /// Opens a file on the CPU with `threads` threads.
    ///
    /// # Errors
    /// If the library or the file cannot be used.
    pub fn open(path: &Path, scale: usize, threads: usize) -> Result<OnnxModel, OnnxError> {
        let session = open(path, threads)?;
        let has = |name: &str| session.inputs().iter().any(|input| input.name() == name);
        let (sample, told, masked) = (has("noise"), has("source"), has("mask"));
        Ok(OnnxModel { session, scale, sample, told, masked })
    }

    /// Evaluates the part `window` of a picture, mirrored where it leaves it, with noise of the absolute
    /// place. A mean file is given neither noise nor strength, an older one no source.
    fn evaluate(
        &mut self,
        small: &Picture,
        window: Rect,
        asked: Asked,
    ) -> Result<SessionOutputs<'_>, OnnxError> {
        let (size, large) = (window.size, window.times(self.scale));
        let mut image = vec![0.0; 3 * size.area()];
        cut_window(small, [0, 1, 2], window, &mut image);
        let (mut drawn, strength, source) = (Vec::new(), [asked.strength], [asked.source.value()]);
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![(
            "image",
            TensorRef::from_array_view(([1, 3, size.height, size.width], &image[..]))?.into(),
        )];
        if self.sample {
            drawn.resize(3 * large.size.area(), 0.0);
            noise::fill(asked.seed, 0, large, &mut drawn);
            let shape = [1, 3, large.size.height, large.size.width];
            inputs.push(("noise", TensorRef::from_array_view((shape, &drawn[..]))?.into()));
            inputs.push(("strength", TensorRef::from_array_view(([1, 1, 1, 1], &strength[..]))?.into()));
        }
        if self.told {
            inputs.push(("source", TensorRef::from_array_view(([1, 1, 1, 1], &source[..]))?.into()));
        }
        Ok(self.session.run(inputs)?)
    }

    /// Shows every output of the file, by name, for a whole picture.
    ///
    /// # Errors
    /// ONNX Runtime's words.
    pub fn observe(
        &mut self,
        small: &Picture,
        asked: Asked,
        see: &mut dyn FnMut(&str, &[f32]),
    ) -> Result<(), OnnxError> {
        let outputs = self.evaluate(small, Rect { x: 0, y: 0, size: small.size }, asked)?;
        for (name, value) in &outputs {
            see(name, value.try_extract_tensor::<f32>()?.1);
        }
        Ok(())
    }

    /// Repairs `image`, whose holes are filled, as `mask` tells (H×W values, see [`contract::mask`]): 3×H×W,
    /// not clipped. A sample's noise is that of a picture's upper left corner.
    ///
    /// # Errors
    /// ONNX Runtime's words.
    pub fn repair(&mut self, image: &Planes, mask: &[f32], asked: Asked) -> Result<Vec<f32>, OnnxError> {
        self.repair_window(image, mask, Rect { x: 0, y: 0, size: image.size }, asked)
    }

    /// The same with noise of a place.
    fn repair_window(
        &mut self,
        image: &Planes,
        mask: &[f32],
        place: Rect,
        asked: Asked,
    ) -> Result<Vec<f32>, OnnxError> {
        let Size { width, height } = image.size;
        let shape = |planes: usize| [1, planes, height, width];
        let (mut drawn, strength) = (Vec::new(), [asked.strength]);
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![
            ("image", TensorRef::from_array_view((shape(3), &image.values[..]))?.into()),
            ("mask", TensorRef::from_array_view((shape(1), mask))?.into()),
        ];
        if self.sample {
            drawn.resize(3 * place.size.area(), 0.0);
            noise::fill(asked.seed, 0, place, &mut drawn);
            inputs.push(("noise", TensorRef::from_array_view((shape(3), &drawn[..]))?.into()));
            inputs.push(("strength", TensorRef::from_array_view(([1, 1, 1, 1], &strength[..]))?.into()));
        }
        let outputs = self.session.run(inputs)?;
        Ok(outputs["output"].try_extract_tensor::<f32>()?.1.to_vec())
    }

    /// What the file makes of a window of a golden tile, strength 1, source clean.
    ///
    /// # Errors
    /// ONNX Runtime's words.
    pub fn golden(&mut self, golden: &Golden, window: Rect) -> Result<Vec<f32>, OnnxError> {
        let asked = Asked::clean(golden.seed, 1.0);
        if !self.masked {
            return self.window(&golden.image, window, asked);
        }
        let image = Planes { size: window.size, channels: 3, values: golden.input(window) };
        let holes = mask::golden_mask(golden, window).holes;
        let told: Vec<f32> = holes.iter().map(|hole| if *hole { mask::UNKNOWN } else { 0.0 }).collect();
        self.repair_window(&image, &told, window, asked)
    }

    /// Enlarges the part `window` of a picture: 3×sH×sW, not clipped.
    ///
    /// # Errors
    /// ONNX Runtime's words.
    pub fn window(&mut self, small: &Picture, window: Rect, asked: Asked) -> Result<Vec<f32>, OnnxError> {
        let outputs = self.evaluate(small, window, asked)?;
        Ok(outputs["output"].try_extract_tensor::<f32>()?.1.to_vec())
    }

    /// Enlarges a whole picture in one evaluation, with `context` mirrored pixels around it.
    ///
    /// # Errors
    /// ONNX Runtime's words.
    pub fn enlarge(&mut self, small: &Picture, context: usize, asked: Asked) -> Result<Planes, OnnxError> {
        let c = context as i64;
        let size = Size::new(small.size.width + 2 * context, small.size.height + 2 * context);
        let output = self.window(small, Rect { x: -c, y: -c, size }, asked)?;
        let mut planes = Planes::new(small.size.times(self.scale), 3);
        let (width, crop) = (size.width * self.scale, context * self.scale);
        let large = planes.size;
        for (row, into) in planes.values.chunks_exact_mut(large.width).enumerate() {
            let (plane, y) = (row / large.height, row % large.height);
            let begin = (plane * size.height * self.scale + crop + y) * width + crop;
            into.copy_from_slice(&output[begin..begin + large.width]);
        }
        Ok(planes)
    }
}

/// An open generator file of ours.
#[derive(Debug)]
pub struct OnnxGenerator {
    session: Session,
    /// Its `generator.*` and `training.*` facts.
    pub facts: BTreeMap<String, String>,
}

impl OnnxGenerator {
    /// Opens a file on the CPU with `threads` threads.
    ///
    /// # Errors
    /// If the library or the file cannot be used, or the file is no generator.
    pub fn open(path: &Path, threads: usize) -> Result<OnnxGenerator, OnnxError> {
        let session = open(path, threads)?;
        let facts: BTreeMap<String, String> = {
            let metadata = session.metadata()?;
            let of = |key: String| metadata.custom(&key).map(|value| (key, value));
            metadata.custom_keys()?.into_iter().filter_map(of).collect()
        };
        let inputs: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
        if inputs != ["x", "sigma"] || !facts.contains_key("generator.side") {
            return Err(OnnxError::Runtime(format!("{} is no generator of tools", path.display())));
        }
        Ok(OnnxGenerator { session, facts })
    }

    /// Evaluates N×3×S×S `x` at N levels `sigma`.
    ///
    /// # Errors
    /// ONNX Runtime's words.
    pub fn run(&mut self, x: &[f32], side: usize, sigma: &[f32]) -> Result<Vec<f32>, OnnxError> {
        let n = sigma.len();
        let inputs: Vec<(&str, SessionInputValue<'_>)> = vec![
            ("x", TensorRef::from_array_view(([n, 3, side, side], x))?.into()),
            ("sigma", TensorRef::from_array_view(([n, 1, 1, 1], sigma))?.into()),
        ];
        let outputs = self.session.run(inputs)?;
        Ok(outputs["output"].try_extract_tensor::<f32>()?.1.to_vec())
    }
}

/// Plain bicubic enlargement, the row every table starts with.
pub fn bicubic(small: &Picture, scale: usize) -> Picture {
    resample::enlarge(&Planes::from_picture(small), scale).to_picture()
}
