//! `tools train-export cifar10`: a generator of small pictures from its sheets to an ONNX file that the other
//! verbs read. Reads as the list of its steps.

use crate::data::{DataError, SmallPictures, Split};
use crate::export::generator::{facts, generator_graph};
use crate::export::read::{generator_weights, start_weights};
use crate::export::{ExportError, PARITY};
use crate::generator::{Generator, OpenError};
use crate::method::levels_tensor;
use crate::method::precondition::each;
use crate::plot::plot_losses;
use crate::progress::Progress;
use crate::recipe::{GeneratorChoices, GeneratorRecipe, RunRecipe};
use crate::run_folder::{self, CHECKPOINT, Draft, RunFolder, WEIGHTS};
use crate::sample::{SampleChoices, sample};
use crate::start::{Chosen, Start, StartError};
use crate::train::{self, GeneratorSession, Interrupted, TrainError};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tch::Device;

/// What is done after training.
#[derive(Debug, Clone)]
pub struct GeneratorExport {
    /// Folder for the finished model.
    pub out: PathBuf,
    /// Threads for training.
    pub threads: usize,
    /// Export the slower of the two averages.
    pub slow_average: bool,
}

/// How the command ended.
#[derive(Debug, Clone)]
pub enum Generated {
    /// The model's file.
    Exported(PathBuf),
    /// Stopped on request; resume from this run folder.
    Interrupted(PathBuf),
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// The run cannot begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Training stopped.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Export stopped.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// What was exported cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Chosen for GeneratorChoices {
    type Recipe = GeneratorRecipe;

    fn resolve(&self) -> GeneratorRecipe {
        GeneratorRecipe::resolve(self)
    }
}

/// Trains (or goes on training) and exports.
///
/// # Errors
/// See [`GeneratorError`]. What was trained stays in the run folder.
pub fn train_generator(
    start: &Start<GeneratorChoices>,
    export: &GeneratorExport,
    stop: &AtomicBool,
) -> Result<Generated, GeneratorError> {
    tch::set_num_threads(export.threads as i32);
    // Before training, what would stop the export after it.
    crate::onnx::is_there().map_err(ExportError::from)?;
    let (mut folder, recipe, device) = start.open()?;
    std::fs::create_dir_all(&export.out)
        .map_err(|source| GeneratorError::File { path: export.out.clone(), source })?;
    log::info!("{}", recipe.run.summary());
    let pictures = SmallPictures::load(&recipe.run.data, Split::Train)?;
    let mut session = GeneratorSession::new(recipe, device);
    log::info!(
        "{} pictures, {} parameters ({})",
        pictures.len(),
        session.parameters(),
        folder.path().display()
    );
    let (checkpoint, weights) = (folder.file(CHECKPOINT), folder.file(WEIGHTS));
    if start.is_resumed() && checkpoint.is_file() {
        train::resume(&mut session, &checkpoint)?;
    } else if start.is_finished() {
        session.take_finished(&weights, folder.logged_seconds().map_err(TrainError::Folder)?)?;
    } else if let Some(weights) = session.recipe.run.init_from.clone() {
        let saved = start_weights(&weights, &|file| generator_weights(file, &session))?;
        session.init_from(&saved, &weights)?;
    }
    let progress = Progress::new();
    let end = train::run(&mut session, &pictures, &mut folder, &progress, stop);
    progress.finish();
    if end? == Interrupted::Yes {
        return Ok(Generated::Interrupted(folder.path().to_owned()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| GeneratorError::File { path, source }
    };
    session.save_weights(&weights).map_err(failed(&weights))?;
    if export.slow_average {
        session.student.trainee.choose_slow_average();
    }
    let path = export.out.join(format!("{}.onnx", session.recipe.name()));
    let facts = facts(&session.recipe, session.total_seconds() / 60.0);
    let (draft, bytes) = (Draft::of(&path), generator_graph(&session).into_bytes(&facts));
    run_folder::replace(draft.path(), &bytes).map_err(failed(draft.path()))?;
    let difference = parity(&session, draft.path())?;
    run_folder::replace(&path, &bytes).map_err(failed(&path))?;
    log::info!("ONNX Runtime differs from the network by at most {difference:.1e}");
    show(&path, &folder);
    Ok(Generated::Exported(path))
}

/// Losses and one-step samples, for eyes. The model is out already: what cannot be drawn is a warning.
fn show(model: &Path, folder: &RunFolder) {
    let (log, plot) = (folder.file("log.jsonl"), folder.file("loss.svg"));
    if let Err(problem) = plot_losses(&log, &plot) {
        log::warn!("the losses are not drawn: {problem}: {}", plot.display());
    }
    let choices = SampleChoices {
        model: model.to_owned(),
        out: folder.file("samples.png"),
        count: 64,
        levels: Vec::new(),
        ode: None,
        seed: 1,
        threads: tch::get_num_threads().max(1) as usize,
    };
    if let Err(problem) = sample(&choices) {
        log::warn!("no samples are drawn: {problem}");
    }
}

/// Largest difference between the file and the network in f32, at levels from the lowest to the highest.
fn parity(session: &GeneratorSession, path: &Path) -> Result<f32, GeneratorError> {
    let file = Generator::open(path, tch::get_num_threads().max(1) as usize, Device::Cpu)?;
    let levels = &session.recipe.run.consistency;
    let drawn = levels.karras(5);
    let noise = file.noise(1, 0, drawn.len(), 0);
    let sigma = levels_tensor(&drawn, Device::Cpu);
    let x = noise * each(&(&sigma + levels.sigma_data));
    let of_network = session.denoise(&x.to_device(session.device), &sigma.to_device(session.device), false);
    let apart = (of_network.to_device(Device::Cpu) - file.denoise(&x, &sigma)).abs().max();
    let difference = apart.double_value(&[]) as f32;
    if difference.is_nan() || difference > PARITY {
        return Err(ExportError::Parity { file: path.display().to_string(), difference }.into());
    }
    Ok(difference)
}
