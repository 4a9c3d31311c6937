//! `tools train-export`: the whole way from a folder of pictures to models the daemon takes, or onward from a
//! run that was interrupted. Reads as the list of its steps.

use crate::data::{Corpus, CorpusFacts, CorpusOptions, DataError, Pair, Random, degrade, spread};
use crate::export::read::{start_weights, super_resolution_weights};
use crate::export::{self, ExportError, ExportOptions, ModelFiles};
use crate::gallery::write_png;
use crate::measure::{
    Damaged, Drawn, Estimate, Judged, Report, SECOND_STEPS, SETS_SEED, STRENGTHS, Samples, Trial, estimate,
    evaluate, has_sets, sample_figures, squares, strip,
};
use crate::onnx::{self, Asked, OnnxError, OnnxModel, bicubic};
use crate::plot::plot_losses;
use crate::progress::Progress;
use crate::recipe::{Choices, Recipe, Stage};
use crate::run_folder::{self, CHECKPOINT, RunFolder, Told, WEIGHTS};
use crate::start::{Chosen, Start, StartError};
use crate::train::{self, Interrupted, Session, TrainError};
use contract::pixels::{Picture, Planes};
use contract::source::Source;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Crops of the held-out list that measure samples, and samples of each.
const JUDGED: (usize, usize) = (24, 8);
/// Crops on which halos are measured, at most.
const HALO_CROPS: usize = 8;
/// The share of their colours that samples keep unless something else is asked for. At 1, pictures that are
/// said to be photographs get coloured dots, which are as rare as in the truth, and seen; at 0.5 some still
/// are.
pub const CHROMA: f64 = 0.3;
/// White pixels between the pictures of the strip.
const STRIP_GAP: usize = 4;
/// Strengths shown in the strip, between bicubic and the truth.
const SHOWN: [f32; 3] = [0.0, 0.5, 1.0];

/// What is done after training.
#[derive(Debug, Clone)]
pub struct ExportChoices {
    /// Where the models go.
    pub out: PathBuf,
    /// A folder of evaluation sets, if there is one.
    pub eval: Option<PathBuf>,
    /// The card's strength.
    pub default_strength: f32,
    /// The share of their colours that samples keep, above 0 to 1.
    pub chroma: f64,
    /// The card's licence.
    pub licence: String,
    /// Threads for training and evaluation.
    pub threads: usize,
    /// Export the slower of the two averages.
    pub slow_average: bool,
}

impl ExportChoices {
    fn told(&self) -> Told {
        let ExportChoices { licence, default_strength, chroma, eval, .. } = self.clone();
        Told { licence, default_strength, chroma, eval }
    }
}

impl Chosen for Choices {
    type Recipe = Recipe;

    fn resolve(&self) -> Recipe {
        Recipe::resolve(self)
    }
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
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
    /// Evaluation stopped.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// There is nothing to evaluate on.
    #[error("--eval {}: no folder with pictures in it: its subfolders are to be sets", .0.display())]
    NoSets(PathBuf),
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// How the command ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// The models lie in `out`, the report in the run folder.
    Exported(ModelFiles, PathBuf),
    /// Stopped on request; resume from this run folder.
    Interrupted(PathBuf),
}

/// Trains (or goes on training) and exports.
///
/// # Errors
/// See [`Failure`]. What was trained stays in the run folder.
pub fn train_export(
    start: &Start<Choices>,
    choices: &ExportChoices,
    stop: &AtomicBool,
) -> Result<Ended, Failure> {
    tch::set_num_threads(choices.threads as i32);
    make_ready(choices.eval.as_deref())?;
    let (mut folder, recipe, device) = start.open()?;
    std::fs::create_dir_all(&choices.out)
        .map_err(|source| Failure::File { path: choices.out.clone(), source })?;
    folder.tell(&choices.told()).map_err(TrainError::Folder)?;
    log::info!("{}", recipe.run.summary());
    let held_out = read_held_out(recipe.held_out.as_deref())?;
    let corpus = Corpus::load(&corpus_options(&recipe, &held_out, false))?;
    log::info!("{} ({})", corpus.facts, folder.path().display());
    // Without a held-out list the first pictures stand in, and the report says so by its count of held-out
    // files.
    let judged = match held_out.is_empty() {
        true => corpus.pairs.iter().take(JUDGED.0).cloned().collect(),
        false => spread(Corpus::load(&corpus_options(&recipe, &held_out, true))?.pairs, JUDGED.0),
    };

    let mut session = Session::new(recipe, device);
    let (checkpoint, weights) = (folder.file(CHECKPOINT), folder.file(WEIGHTS));
    if start.is_resumed() && checkpoint.is_file() {
        train::resume(&mut session, &checkpoint)?;
    } else if start.is_finished() {
        session.take_finished(
            &weights,
            choices.slow_average,
            folder.logged_seconds().map_err(TrainError::Folder)?,
        )?;
    } else if let Some(weights) = session.recipe.run.init_from.clone() {
        let saved = start_weights(&weights, &super_resolution_weights)?;
        session.init_from(&saved, &weights)?;
    }
    let progress = Progress::new();
    let end = train::run(&mut session, &corpus, &mut folder, &progress, stop);
    progress.finish();
    if end? == Interrupted::Yes {
        return Ok(Ended::Interrupted(folder.path().to_owned()));
    }
    session.finish(&corpus);
    session.parts.save_weights(&weights).map_err(|source| Failure::File { path: weights.clone(), source })?;

    if choices.slow_average {
        session.parts.choose_slow_average();
    }

    let report = publish(&session, &corpus.facts, &judged, choices, &folder)?;
    Ok(Ended::Exported(ModelFiles::in_folder(&choices.out, session.recipe.preset.name()), report))
}

/// Finds out before training what would stop the export after it.
///
/// # Errors
/// If ONNX Runtime cannot be loaded, or there is no picture to evaluate on.
pub fn make_ready(eval: Option<&Path>) -> Result<(), Failure> {
    onnx::is_there()?;
    match eval {
        Some(sets) if !has_sets(sets) => Err(Failure::NoSets(sets.to_owned())),
        _ => Ok(()),
    }
}

/// The names in a held-out list; none without a list.
///
/// # Errors
/// If it cannot be read.
pub fn read_held_out(path: Option<&Path>) -> Result<BTreeSet<String>, Failure> {
    let Some(path) = path else { return Ok(BTreeSet::new()) };
    let text =
        std::fs::read_to_string(path).map_err(|source| Failure::File { path: path.to_owned(), source })?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

fn corpus_options(recipe: &Recipe, held_out: &BTreeSet<String>, only_held_out: bool) -> CorpusOptions {
    CorpusOptions {
        folder: recipe.run.data.clone(),
        held_out: held_out.clone(),
        only_held_out,
        scale: recipe.scale,
        min_side: recipe.patch * recipe.scale,
        seed: recipe.run.seed,
    }
}

/// Measures, writes the models with their cards, the report and the strip. Returns the report's path.
fn publish(
    session: &Session,
    facts: &CorpusFacts,
    judged: &[Pair],
    choices: &ExportChoices,
    folder: &RunFolder,
) -> Result<PathBuf, Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::File { path, source }
    };
    let of = |source| Damaged { source, samples: judge(session, judged, facts, choices, source) };
    let samples = session.has_samples().then(|| of(Source::Clean).samples);
    let damages = if samples.is_some() { session.recipe.mix.damages() } else { Vec::new() };
    let damaged = damages.into_iter().map(of).collect();
    // Spread over all of them, since neighbours are crops of one photograph: far pixels reach further in
    // some.
    let apart = judged.len().div_ceil(HALO_CROPS).max(1);
    let pictures: Vec<Picture> = judged.iter().step_by(apart).map(|pair| pair.large.clone()).collect();
    let mut options = ExportOptions {
        default_strength: choices.default_strength,
        chroma: choices.chroma,
        licence: choices.licence.clone(),
        facts: card_facts(session, facts, choices.chroma),
        pictures: &pictures,
    };
    log::info!("exporting and checking against ONNX Runtime");
    let (draft, parity) = export::export(session, folder.path(), &options)?;
    let rows = match &choices.eval {
        Some(sets) => {
            let strengths = if samples.is_some() { &STRENGTHS[..] } else { &STRENGTHS[..1] };
            let trials = Trial::strengths(strengths);
            let context = session.recipe.sample_radius();
            evaluate(&draft, &trials, Source::Clean, session.recipe.scale, context, sets)?
        }
        None => Vec::new(),
    };
    let report = Report {
        model: session.recipe.preset.name().into(),
        minutes: session.total_seconds() / 60.0,
        device: device_name(&session.recipe.run.device, choices.threads),
        parameters: session.parts.parameters(),
        parity,
        rows,
        training_seed: session.recipe.run.seed,
        sets_seed: SETS_SEED,
        samples,
        damaged,
    };
    options.facts.extend(score_facts(&report));
    export::export(session, &choices.out, &options)?;
    let path = folder.file("report.md");
    run_folder::replace(&path, report.to_markdown().as_bytes()).map_err(failed(&path))?;
    let json = serde_json::to_vec_pretty(&report).expect("a report has only numbers and strings");
    run_folder::replace(&folder.file("report.json"), &json).map_err(failed(&path))?;
    if samples.is_some() {
        save_strip(&draft, judged, session, &folder.file("strip.png"))?;
    }
    let losses = folder.file("loss.svg");
    // The models are out by now: a picture that cannot be drawn takes nothing from them.
    match plot_losses(&folder.file("log.jsonl"), &losses) {
        Ok(()) => log::info!("losses drawn: {}", losses.display()),
        Err(error) => log::warn!("losses not drawn: {error}"),
    }
    Ok(path)
}

/// Sample figures of the networks and of the grain baseline on the held-out crops, damaged as pictures of
/// `source` are, and said to be.
fn judge(
    session: &Session,
    judged: &[Pair],
    facts: &CorpusFacts,
    choices: &ExportChoices,
    source: Source,
) -> Samples {
    let frozen = session.frozen(false).expect("the mean net is finished");
    let seeds: Vec<u64> = (1..=JUDGED.1 as u64).collect();
    let context = session.recipe.sample_radius();
    let again = session.recipe.run.stages.last().is_some_and(|plan| plan.stage == Stage::Consistency);
    let levels = if again { &SECOND_STEPS[..] } else { &[] };
    let drawn = Drawn { seeds: &seeds, levels, chroma: choices.chroma };
    let average = &session.parts.sampler.trainee.average;
    let set: Vec<(Estimate, Planes)> = judged
        .iter()
        .zip(0..)
        .map(|(pair, index)| {
            let mut random = Random::new(&[SETS_SEED, index]);
            let small = degrade(&pair.small, source, &mut random);
            let estimate = estimate(&frozen, average, &small, source, context, drawn, session.device);
            (estimate, Planes::from_picture(&pair.large))
        })
        .collect();
    let scale = session.recipe.scale;
    Samples {
        judged: Judged { crops: judged.len(), held_out: facts.held_out > 0, samples: JUDGED.1 },
        sample: sample_figures(&set, scale, &|e| &e.residuals),
        two_steps: again.then(|| [0, 1, 2].map(|step| sample_figures(&set, scale, &|e| &e.two_steps[step]))),
        grain: sample_figures(&set, scale, &|e| &e.grain),
    }
}

fn card_facts(session: &Session, facts: &CorpusFacts, chroma: f64) -> BTreeMap<String, String> {
    let recipe = serde_json::to_string(&session.recipe).expect("a recipe has only numbers and strings");
    let licences: Vec<String> =
        facts.licences.iter().map(|(name, count)| format!("{name}: {count}")).collect();
    let name = session.recipe.run.data.file_name().map(|n| n.to_string_lossy().into_owned());
    let list = [
        ("data.name", name.unwrap_or_default()),
        ("data.manifest_sha256", facts.manifest_sha256.clone()),
        ("data.licences", licences.join(", ")),
        ("data.crops", facts.crops.to_string()),
        ("data.held_out", facts.held_out.to_string()),
        ("training.recipe_sha256", crate::data::hex(&Sha256::digest(recipe))),
        ("training.chroma", chroma.to_string()),
        ("training.minutes", format!("{:.1}", session.total_seconds() / 60.0)),
        ("training.device", session.recipe.run.device.clone()),
        ("training.seed", session.recipe.run.seed.to_string()),
    ];
    list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn score_facts(report: &Report) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for row in &report.rows {
        let method = row.method.trim_start_matches("strength ");
        facts.insert(format!("score.{}.psnr_y.{method}", row.set), format!("{:.3}", row.psnr_y));
        facts.insert(format!("score.{}.ssim_y.{method}", row.set), format!("{:.4}", row.ssim_y));
    }
    // What a strength costs beside the mean, as a user gets it: `onestep models` tells it.
    let curve = report.samples.map(|s| s.sample.strength.points);
    for point in curve.iter().flatten() {
        let loss = point.eight_bit - curve.expect("it has points")[0].eight_bit;
        facts.insert(format!("score.strength.{}", point.strength), format!("{loss:.2}"));
    }
    let samples = report.samples.iter().flat_map(|s| [("sample", s.sample), ("grain", s.grain)]);
    for (name, figures) in samples {
        facts.insert(format!("score.{name}.energy"), format!("{:.4}", figures.energy_score));
        facts.insert(format!("score.{name}.std_ratio"), format!("{:.3}", figures.std_ratio));
        facts.insert(format!("score.{name}.block_correlation"), format!("{:.3}", figures.block_correlation));
    }
    facts
}

fn device_name(device: &str, threads: usize) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    match device {
        "cpu" => format!("CPU ({}, {threads} threads)", processor.trim_start_matches(['\t', ' ', ':'])),
        other => other.to_owned(),
    }
}

fn save_strip(files: &ModelFiles, judged: &[Pair], session: &Session, path: &Path) -> Result<(), Failure> {
    let (scale, context) = (session.recipe.scale, session.recipe.sample_radius());
    let mut mean = OnnxModel::open(&files.mean, scale, 2)?;
    let mut sample = OnnxModel::open(&files.sample, scale, 2)?;
    let mut rows = Vec::new();
    for pair in judged.iter().filter(|pair| pair.large.size == judged[0].large.size).take(8) {
        let mut row = vec![squares(&pair.small, scale), bicubic(&pair.small, scale)];
        for strength in SHOWN {
            let model = if strength == 0.0 { &mut mean } else { &mut sample };
            row.push(model.enlarge(&pair.small, context, Asked::clean(1, strength))?.to_picture());
        }
        row.push(pair.large.clone());
        rows.push(row);
    }
    let written = write_png(path, &strip(&rows, STRIP_GAP));
    written.map_err(|source| Failure::File { path: path.to_owned(), source })
}
