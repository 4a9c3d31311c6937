//! `tools train-export inpaint`: from a folder of pictures to models that repair holes. Reads as the list
//! of its steps.

use crate::data::{Corpus, CorpusFacts, CorpusOptions, DataError, hex};
use crate::export::inpaint::export_repair;
use crate::export::read::{repair_weights, start_weights};
use crate::export::{ExportError, ExportOptions, ModelFiles};
use crate::plot::plot_losses;
use crate::progress::Progress;
use crate::recipe::{InpaintChoices, InpaintRecipe, RunRecipe};
use crate::run_folder::{CHECKPOINT, Told, WEIGHTS};
use crate::start::{Chosen, Start, StartError};
use crate::train::{self, InpaintSession, Interrupted, TrainError};
use crate::train_export::{Failure, make_ready, read_held_out};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What is done after training.
#[derive(Debug, Clone)]
pub struct InpaintExport {
    /// Where the model goes.
    pub out: PathBuf,
    /// The card's strength.
    pub default_strength: f32,
    /// Share of their colours that samples keep.
    pub chroma: f64,
    /// The card's licence.
    pub licence: String,
    /// Threads for training.
    pub threads: usize,
    /// Export the slower of the two averages.
    pub slow_average: bool,
}

/// How the command ended.
#[derive(Debug, Clone)]
pub enum Repairing {
    /// The models' files; of a mean alone only that one is there.
    Exported(ModelFiles),
    /// Stopped on request; resume from this run folder.
    Interrupted(PathBuf),
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum InpaintError {
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
    /// The held-out list.
    #[error(transparent)]
    HeldOut(#[from] Failure),
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Chosen for InpaintChoices {
    type Recipe = InpaintRecipe;

    fn resolve(&self) -> InpaintRecipe {
        InpaintRecipe::resolve(self)
    }
}

/// Trains (or goes on training) and exports.
///
/// # Errors
/// See [`InpaintError`]. What was trained stays in the run folder.
pub fn train_inpaint(
    start: &Start<InpaintChoices>,
    export: &InpaintExport,
    stop: &AtomicBool,
) -> Result<Repairing, InpaintError> {
    tch::set_num_threads(export.threads as i32);
    make_ready(None)?;
    let (mut folder, recipe, device) = start.open()?;
    std::fs::create_dir_all(&export.out)
        .map_err(|source| InpaintError::File { path: export.out.clone(), source })?;
    let InpaintExport { licence, default_strength, chroma, .. } = export.clone();
    let told = Told { licence, default_strength, chroma, eval: None };
    folder.tell(&told).map_err(TrainError::Folder)?;
    log::info!("{}", recipe.run.summary());
    let held_out = read_held_out(recipe.held_out.as_deref())?;
    let corpus = Corpus::load(&corpus_options(&recipe, &held_out))?;
    let mut session = InpaintSession::new(recipe, device);
    log::info!("{}; {:?} parameters ({})", corpus.facts, session.parts.parameters(), folder.path().display());
    let (checkpoint, weights) = (folder.file(CHECKPOINT), folder.file(WEIGHTS));
    if start.is_resumed() && checkpoint.is_file() {
        train::resume(&mut session, &checkpoint)?;
    } else if start.is_finished() {
        session.take_finished(
            &weights,
            export.slow_average,
            folder.logged_seconds().map_err(TrainError::Folder)?,
        )?;
    } else if let Some(weights) = session.recipe.run.init_from.clone() {
        let saved = start_weights(&weights, &repair_weights)?;
        session.init_from(&saved, &weights)?;
    }
    let progress = Progress::new();
    let end = train::run(&mut session, &corpus, &mut folder, &progress, stop);
    progress.finish();
    if end? == Interrupted::Yes {
        return Ok(Repairing::Interrupted(folder.path().to_owned()));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InpaintError::File { path, source }
    };
    session.parts.save_weights(&weights).map_err(failed(&weights))?;
    if export.slow_average {
        session.parts.choose_slow_average();
    }
    let options = ExportOptions {
        default_strength: export.default_strength,
        chroma: export.chroma,
        licence: export.licence.clone(),
        facts: card_facts(&session, &corpus.facts, export.chroma),
        pictures: std::slice::from_ref(&corpus.pairs[0].large),
    };
    let (files, difference) = export_repair(&session, &export.out, &options)?;
    log::info!("ONNX Runtime differs from the networks by at most {difference:.1e}");
    let losses = folder.file("loss.svg");
    // The models are out by now: a picture that cannot be drawn takes nothing from them.
    if let Err(error) = plot_losses(&folder.file("log.jsonl"), &losses) {
        log::warn!("losses not drawn: {error}: {}", losses.display());
    }
    Ok(Repairing::Exported(files))
}

fn corpus_options(recipe: &InpaintRecipe, held_out: &BTreeSet<String>) -> CorpusOptions {
    CorpusOptions {
        folder: recipe.run.data.clone(),
        held_out: held_out.clone(),
        only_held_out: false,
        scale: 1,
        min_side: recipe.patch,
        seed: recipe.run.seed,
    }
}

fn card_facts(session: &InpaintSession, facts: &CorpusFacts, chroma: f64) -> BTreeMap<String, String> {
    let licences: Vec<String> =
        facts.licences.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    let name = session.recipe.run.data.file_name().map(|n| n.to_string_lossy().into_owned());
    let list = [
        ("data.name", name.unwrap_or_default()),
        ("data.manifest_sha256", facts.manifest_sha256.clone()),
        ("data.licences", licences.join(", ")),
        ("data.crops", facts.crops.to_string()),
        ("data.held_out", facts.held_out.to_string()),
        ("training.recipe_sha256", hex(&Sha256::digest(session.recipe.to_text()))),
        ("training.chroma", chroma.to_string()),
        ("training.minutes", format!("{:.1}", session.total_seconds() / 60.0)),
        ("training.device", session.recipe.run.device.clone()),
        ("training.seed", session.recipe.run.seed.to_string()),
    ];
    list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
