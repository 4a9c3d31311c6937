//! The words of the command line; what they mean is decided in `recipe`, `train_export` and `inspect`.

use crate::recipe::{Choices, ModelSize, Preset, parse_budget};
use crate::train_export::{ExportChoices, Start};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

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
    /// Train a model on a folder of pictures and write NAME.onnx and NAME-mean.onnx with their cards.
    TrainExport(Box<TrainExport>),
    /// Measure a model file on sets of pictures: PSNR and SSIM on Y, and the output against the input.
    Evaluate(Evaluate),
    /// Tell what a model file is: card, inputs, cost, receptive field, and whether it gives its golden tile.
    Inspect(Inspect),
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// The ONNX file; its companion for strength 0 lies beside it.
    pub file: PathBuf,
    /// Folder whose subfolders are sets of pictures.
    #[arg(long)]
    pub eval: PathBuf,
    /// Also write the table as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
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

/// Options of `train-export`.
#[derive(Debug, Args)]
pub struct TrainExport {
    /// What to train.
    preset: Preset,
    /// Folder of pictures; with a manifest.csv only its files under allowed licences are used.
    #[arg(long, required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// Folder for the finished models.
    #[arg(long)]
    out: PathBuf,
    /// Training time, e.g. 90m or 1h30m; export and evaluation come on top.
    #[arg(long, default_value = "60m", value_parser = parse_budget)]
    budget: Duration,
    /// Steps of the four stages (mean, scale, diffusion, consistency) instead of a time: exactly repeatable.
    #[arg(long, value_delimiter = ',', num_args = 1, conflicts_with = "budget")]
    steps: Option<Vec<u64>>,
    /// Where to train.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
    /// Size of the networks.
    #[arg(long, value_enum, default_value = "s")]
    size: ModelSize,
    /// File that lists pictures never to train on; they measure the model.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Folder whose subfolders are evaluation sets.
    #[arg(long)]
    eval: Option<PathBuf>,
    /// Start from the weights of an earlier run (its weights.safetensors).
    #[arg(long, conflicts_with = "resume")]
    init_from: Option<PathBuf>,
    /// Go on with this run folder; a finished one is only exported again.
    #[arg(long)]
    resume: Option<PathBuf>,
    /// Folder in which new run folders are made.
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Strength that the model's card recommends, 0 to 1.2: choose it by looking at the strip.
    #[arg(long, default_value_t = 0.25, value_parser = strength)]
    default_strength: f32,
    /// Licence of the weights, as the card states it.
    #[arg(long, default_value = "not stated")]
    licence: String,
    /// Threads (default: all).
    #[arg(long)]
    threads: Option<usize>,
    /// Print the recipe, every number resolved, and train nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl TrainExport {
    /// The choices in the library's words.
    ///
    /// # Errors
    /// If `--steps` does not have four numbers of at least one.
    pub fn into_choices(self) -> Result<(Start, ExportChoices), String> {
        let threads =
            self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let export = ExportChoices {
            out: self.out,
            eval: self.eval,
            default_strength: self.default_strength,
            licence: self.licence,
            threads: threads.max(1),
        };
        if let Some(run) = self.resume {
            return Ok((Start::Resume(run), export));
        }
        let four = |steps: Vec<u64>| <[u64; 4]>::try_from(steps).ok().filter(|s| s.iter().all(|&n| n > 0));
        let steps = match self.steps {
            Some(steps) => {
                Some(four(steps).ok_or("--steps takes four numbers of at least 1, e.g. 4000,200,1500,5000")?)
            }
            None => None,
        };
        let choices = Choices {
            preset: self.preset,
            size: self.size,
            data: self.data.expect("clap requires --data without --resume"),
            held_out: self.held_out,
            init_from: self.init_from,
            device: if self.device == DeviceName::Cpu { "cpu" } else { "cuda" }.into(),
            budget: self.budget,
            steps,
            seed: self.seed,
        };
        Ok((Start::New(self.runs, Box::new(choices)), export))
    }
}

fn strength(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_not_a_number| format!("{text:?} is not a number"))?;
    if (0.0..=1.2).contains(&value) { Ok(value) } else { Err(format!("{value} is not between 0 and 1.2")) }
}
