//! The words of the command line; what they mean is decided in `recipe` and in the file named like the verb.

mod method;
mod train;

pub use train::{TrainExport, Training};

use method::SolverName;

use crate::edit::{EditChoices, Task};
use crate::evaluate_generator::EvaluateGenerator;
use crate::quantize::{HalveChoices, QuantizeChoices};
use crate::sample::SampleChoices;
use crate::train_classifier::ClassifierChoices;
use crate::train_export::read_held_out;
use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::source::Source;
use std::path::PathBuf;

/// Crops that calibrate int8 unless others are asked for.
const CALIBRATION_CROPS: usize = 48;

/// Trains onestep's consistency models and exports them to ONNX.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model on a folder of pictures and write it as ONNX: for sr-x4 NAME.onnx and NAME-mean.onnx
    /// with the cards the daemon reads.
    TrainExport(Box<TrainExport>),
    /// Train the CIFAR-10 classifier whose features judge generated pictures.
    TrainClassifier(TrainClassifier),
    /// Measure a model file on sets of pictures: PSNR and SSIM on Y, and the output against the input.
    Evaluate(Evaluate),
    /// Draw pictures from a generator.
    Sample(Sample),
    /// Edit small pictures with a generator that was never trained for the task.
    Edit(Edit),
    /// Write a version of a model file and of its companion in fewer bits: NAME-int8.onnx or NAME-f16.onnx
    /// beside NAME.onnx, which then names it.
    Quantize(Quantize),
    /// Tell what a model file is: card, inputs, cost, receptive field, and whether it gives its golden tile.
    Inspect(Inspect),
}

/// Options of `train-classifier`.
#[derive(Debug, Args)]
pub struct TrainClassifier {
    /// Folder with CIFAR-10 as sheets of 32×32 pictures and labels.
    #[arg(long)]
    data: PathBuf,
    /// The safetensors file to write.
    #[arg(long)]
    out: PathBuf,
    /// A classifier to train further.
    #[arg(long)]
    init_from: Option<PathBuf>,
    /// Passes over the training pictures.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Peak learning rate, for batches of 500.
    #[arg(long, default_value_t = 0.6)]
    learning_rate: f64,
    /// Where to train.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads (default: all).
    #[arg(long)]
    threads: Option<usize>,
}

impl TrainClassifier {
    /// The choices in the library's words.
    pub fn into_choices(self) -> ClassifierChoices {
        ClassifierChoices {
            data: self.data,
            out: self.out,
            init_from: self.init_from,
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            device: self.device.word(),
            seed: self.seed,
            threads: threads(self.threads),
        }
    }
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The ONNX file (its companion for strength 0 lies beside it), or a generator's file or run folder.
    pub file: PathBuf,
    /// Folder whose subfolders are sets of pictures to enlarge.
    #[arg(long, required_unless_present = "classifier")]
    pub eval: Option<PathBuf>,
    /// Damage done to the small pictures before they are enlarged; the model is told in turn all it can be
    /// told.
    #[arg(long, value_enum, default_value = "clean", conflicts_with = "classifier")]
    pub damage: DamageName,
    /// Instead: how well the spread of so many samples foretells the mean's error.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=64),
          conflicts_with_all = ["classifier", "json"])]
    pub uncertainty: Option<u16>,
    /// For a model that repairs: folder of what other programs made of the same holes,
    /// METHOD/SET/PICTURE-MASK.png.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["classifier", "uncertainty"])]
    pub others: Option<PathBuf>,
    /// Also write the table as JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "classifier")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    generated: Generated,
}

/// Options of `quantize`.
#[derive(Debug, Args)]
pub struct Quantize {
    /// The ONNX file; its companion lies beside it.
    file: PathBuf,
    /// What the version computes with: bytes for processors, f16 for GPUs.
    #[arg(long, value_enum, default_value = "int8")]
    to: BitsName,
    /// Folder of pictures that calibrate (int8) and measure.
    #[arg(long)]
    data: PathBuf,
    /// File that lists pictures that measure the loss instead.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Calibration crops, for int8 [default: 48].
    #[arg(long)]
    crops: Option<usize>,
    /// Convolutions that stay f32, by their name in the file.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    keep: Vec<String>,
}

/// Fewer bits by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BitsName {
    /// 8-bit integers inside, for processors that multiply bytes.
    Int8,
    /// 16-bit floats inside, for GPUs.
    F16,
}

/// What `quantize` writes.
#[derive(Debug)]
pub enum Quantizing {
    /// An int8 version.
    Bytes(QuantizeChoices),
    /// An f16 version.
    Halves(HalveChoices),
}

impl Quantize {
    /// The choices in the library's words.
    ///
    /// # Errors
    /// If the held-out list cannot be read, or the options do not go together.
    pub fn into_choices(self) -> Result<Quantizing, String> {
        let held_out = read_held_out(self.held_out.as_deref()).map_err(|failure| failure.to_string())?;
        let Quantize { file, data, crops, .. } = self;
        let keep = self.keep.into_iter().collect();
        match (self.to, crops) {
            (BitsName::F16, Some(_)) => Err("--crops is for int8: f16 needs no calibration".into()),
            (BitsName::F16, None) => Ok(Quantizing::Halves(HalveChoices { file, data, held_out, keep })),
            (BitsName::Int8, crops) => {
                let crops = crops.unwrap_or(CALIBRATION_CROPS);
                Ok(Quantizing::Bytes(QuantizeChoices { file, data, held_out, crops, keep }))
            }
        }
    }
}

/// Damage by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DamageName {
    /// None: shrunk alone.
    Clean,
    /// A camera's or the web's: light blur, a little noise, JPEG at quality 60 to 95.
    Photo,
    /// Blur, noise, JPEG at quality 25 to 75, once or twice.
    Heavy,
}

impl From<DamageName> for Source {
    fn from(name: DamageName) -> Source {
        match name {
            DamageName::Clean => Source::Clean,
            DamageName::Photo => Source::Photo,
            DamageName::Heavy => Source::Heavy,
        }
    }
}

/// What a generator is measured with.
#[derive(Debug, Args)]
struct Generated {
    /// For a generator: the classifier that train-classifier wrote.
    #[arg(long, requires_all = ["data", "report"], conflicts_with = "eval", value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// For a generator: the folder of the pack.
    #[arg(long)]
    data: Option<PathBuf>,
    /// For a generator: the folder for report.md, report.json and sheets of samples.
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// For a generator: pictures of every row.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// For a generator: levels after the first step, e.g. 0.8; looked for if not given.
    #[arg(long, value_delimiter = ',')]
    levels: Vec<f64>,
    /// For a generator: also the ODE by Euler and Heun on 18 levels, as a teacher is used.
    #[arg(long)]
    ode: bool,
    /// For a generator: seed of the noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For a generator: threads (default: all).
    #[arg(long)]
    threads: Option<usize>,
}

impl Evaluate {
    /// What to measure if the file is a generator.
    pub fn generator(&self) -> Option<EvaluateGenerator> {
        let g = &self.generated;
        Some(EvaluateGenerator {
            model: self.file.clone(),
            data: g.data.clone()?,
            classifier: g.classifier.clone()?,
            count: g.count,
            levels: g.levels.clone(),
            ode: g.ode,
            out: g.report.clone()?,
            seed: g.seed,
            threads: threads(g.threads),
        })
    }
}

/// Options of `sample`.
#[derive(Debug, Args)]
pub struct Sample {
    /// A generator: an ONNX file or a run folder of `train-export cifar10`.
    model: PathBuf,
    /// The PNG to write.
    #[arg(long)]
    out: PathBuf,
    /// Pictures.
    #[arg(long, default_value_t = 64)]
    count: usize,
    /// Further steps after the first: noise levels, descending, e.g. 0.8 for two steps in all.
    #[arg(long, value_delimiter = ',')]
    levels: Vec<f64>,
    /// Follow the diffusion ODE with this solver instead, as a teacher is sampled.
    #[arg(long, value_enum, conflicts_with = "levels")]
    ode: Option<SolverName>,
    /// Levels of the ODE's grid.
    #[arg(long, default_value_t = 18)]
    points: usize,
    /// Seed of the noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads (default: all).
    #[arg(long)]
    threads: Option<usize>,
}

impl Sample {
    /// The choices in the library's words.
    pub fn into_choices(self) -> SampleChoices {
        SampleChoices {
            model: self.model,
            out: self.out,
            count: self.count,
            levels: self.levels,
            ode: self.ode.map(|solver| (solver.into(), self.points)),
            seed: self.seed,
            threads: threads(self.threads),
        }
    }
}

/// Options of `edit`.
#[derive(Debug, Args)]
pub struct Edit {
    /// A generator: an ONNX file or a run folder of `train-export cifar10`.
    model: PathBuf,
    /// What to do with the pictures.
    #[arg(long, value_enum)]
    task: Task,
    /// A sheet whose cells are pictures of the generator's size, or a folder of any pictures, which are
    /// shrunk.
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// The PNG to write.
    #[arg(long)]
    out: PathBuf,
    /// Pictures.
    #[arg(long, default_value_t = 8)]
    count: usize,
    /// Steps of the algorithm.
    #[arg(long, default_value_t = 12)]
    steps: usize,
    /// denoise: standard deviation of the noise, of pictures in [-1, 1].
    #[arg(long, default_value_t = 0.4)]
    sigma: f64,
    /// Seed of the noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads (default: all).
    #[arg(long)]
    threads: Option<usize>,
}

impl Edit {
    /// The choices in the library's words.
    pub fn into_choices(self) -> EditChoices {
        EditChoices {
            model: self.model,
            task: self.task,
            pictures: self.pictures,
            out: self.out,
            count: self.count,
            steps: self.steps,
            sigma: self.sigma,
            seed: self.seed,
            threads: threads(self.threads),
        }
    }
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The ONNX file.
    pub file: PathBuf,
}

/// Where training runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// The processor.
    Cpu,
    /// The first CUDA device; an error where there is none.
    Cuda,
}

impl DeviceName {
    fn word(self) -> String {
        if self == DeviceName::Cpu { "cpu" } else { "cuda" }.into()
    }
}

/// What was asked for, or every thread of the machine.
fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}
