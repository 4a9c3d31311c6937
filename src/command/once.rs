//! `onestep once`: these pictures and folders, then the end.

use super::folders::{mask_problems, relation};
use super::{Order, Ordered, absolute, serve};
use crate::cli::{self, ResizeName};
use crate::config::{Tasks, default_memory_mb, load_models};
use crate::edge::mask_file;
use crate::edge::progress::Progress;
use crate::edge::scan::{scan, sighting};
use crate::error::{CommandError, Exit, StartError};
use crate::job::{Outcome, Settled, Sighting};
use crate::pipeline::Intake;
use crate::plan::{Choice, Computing, Limits, Supervision, Wish, default_threads};
use crate::work::format::Writing;
use crate::work::masking::{MaskFrom, Masking, SUFFIXES};
use crate::work::naming::text_of;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Room that is left on the output's disk: somebody is there who can make more.
const RESERVE_MB: u64 = 16;

pub(super) fn main(words: cli::Once, progress: &Progress) -> Result<Exit, CommandError> {
    let tasks: Vec<&str> = words.task.iter().map(|task| task.word()).collect();
    let tasks =
        Tasks::from_words(&tasks).map_err(|problem| StartError::usage(format!("--task {problem}")))?;
    let masking = masking(&words, tasks).map_err(StartError::Usage)?;
    check(&words.inputs, &words.output, masking.as_ref())?;
    let sightings = gather(&words.inputs, masking.as_ref());
    if sightings.is_empty() {
        nothing(&words.inputs, masking.as_ref())?;
    }
    let count = sightings.len();
    progress.expect(count);
    let format = Writing::new(words.format.word(), words.quality).map_err(StartError::usage)?;
    let declared = words.config.as_deref().map(load_models).transpose()?;
    let (elsewhere, model_folder) = declared.unwrap_or_default();
    let (repair_model, model) = models(&words, tasks)?;
    let order = Order {
        library: words.ort_lib.as_deref(),
        lines: vec![Ordered {
            model: &model,
            repair_model: repair_model.as_deref(),
            strength: words.strength,
            wish: Wish {
                masking: masking.clone(),
                seed: words.seed,
                source: words.source,
                uncertainty: words.uncertainty,
                keeping: words.metadata,
                source_type: words.digital_source_type,
                format,
                ..Wish::new(absolute(&words.output))
            },
        }],
        model_folder: model_folder.as_deref(),
        elsewhere: &elsewhere,
        state: words.state.as_deref(),
        choice: Choice {
            computing: Computing {
                devices: words.device,
                precision: words.precision,
                threads: words.threads.map_or_else(default_threads, usize::from),
                ..Computing::default()
            },
            limits: Limits {
                memory_mb: words.memory_mb.unwrap_or_else(default_memory_mb),
                refuse_cmyk: words.refuse_cmyk,
                ..Limits::default()
            },
            reserve_mb: RESERVE_MB,
            force: words.force,
            once: true,
            supervision: Supervision::default(),
        },
    };
    let mut seen = 0;
    let observe = |settled: &Settled| {
        if matches!(settled.outcome, Outcome::Postponed { .. }) {
            return;
        }
        seen += 1;
        progress.advance(&text_of(settled.errand.relative.file_name().unwrap_or_default().as_ref()));
    };
    let (summary, stopped) = serve(&order, Intake::List(Box::new(sightings.into_iter())), observe)?;
    progress.finish(&summary.to_string());
    if stopped && seen < count {
        log::warn!("stopped: {} of {count} pictures were not looked at", count - seen);
    }
    let all = seen == count && summary.failed == 0 && summary.abandoned == 0;
    Ok(if all { Exit::AllDone } else { Exit::SomeFailed })
}

/// There is nothing to be done: perhaps something else was meant.
fn nothing(inputs: &[PathBuf], masking: Option<&Masking>) -> Result<(), StartError> {
    if masking.is_some_and(|masking| inputs.iter().any(|path| masking.is_mask(path))) {
        let told = "masks alone were given, and the pictures that they belong to are not beside them";
        return Err(StartError::usage(told));
    }
    log::warn!("nothing in what was given has a picture's name (.jpg, .png, .webp, .tif and the like)");
    Ok(())
}

/// The model that repairs before another enlarges, if that is so, and the model of the last task.
fn models(words: &cli::Once, tasks: Tasks) -> Result<(Option<String>, String), StartError> {
    // Where there is one task, a comma may stand in a path.
    let named: Vec<&str> = match (tasks, words.model.as_deref()) {
        (_, None) => Vec::new(),
        (Tasks::RepairAndEnlarge, Some(names)) => names.split(',').collect(),
        (_, Some(name)) => vec![name],
    };
    tasks.models(&named).map_err(|problem| StartError::usage(format!("--model {problem}")))
}

/// What tells which pixels are to be repaired, if any are.
fn masking(words: &cli::Once, tasks: Tasks) -> Result<Option<Masking>, Vec<String>> {
    if !tasks.repairs() {
        let given = [
            ("--mask", words.mask.is_some()),
            ("--mask-white", words.mask_white.is_some()),
            ("--mask-tolerance", words.mask_tolerance.is_some()),
            ("--mask-grow-px", words.mask_grow_px.is_some()),
            ("--mask-resize", words.mask_resize.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        let problems: Vec<String> =
            given.map(|(word, _)| format!("{word} is for --task inpaint alone")).collect();
        return if problems.is_empty() { Ok(None) } else { Err(problems) };
    }
    let suffixes = SUFFIXES.map(str::to_owned).to_vec();
    let from = MaskFrom::new(words.mask.as_deref().unwrap_or("sidecar"), suffixes);
    let from = from.map_err(|problem| vec![format!("--mask: {problem}")])?;
    let white = words.mask_white.unwrap_or_default();
    if let Some(problem) = from.without_white("--mask-white", white) {
        return Err(vec![problem]);
    }
    let usual = Masking::new(from.placed(absolute));
    Ok(Some(Masking {
        white,
        tolerance: words.mask_tolerance.unwrap_or(usual.tolerance),
        grow_px: words.mask_grow_px.map_or(usual.grow_px, usize::from),
        resized: words.mask_resize == Some(ResizeName::Nearest),
        ..usual
    }))
}

/// Everything wrong with the arguments, at once.
fn check(inputs: &[PathBuf], output: &Path, masking: Option<&Masking>) -> Result<(), StartError> {
    let missing = inputs.iter().filter_map(|path| Some((path, path.metadata().err()?)));
    let mut problems: Vec<String> =
        missing.map(|(path, error)| format!("cannot be read: {error}: {}", path.display())).collect();
    for folder in inputs.iter().filter(|path| path.is_dir()) {
        // Results that land among the pictures would be taken for pictures.
        problems.extend(relation(output, folder).map(|relation| {
            let (output, input) = (output.display(), folder.display());
            format!(
                "the output folder {output} {relation} the input folder {input}: choose one outside of it"
            )
        }));
    }
    let folders =
        inputs.iter().filter(|path| path.is_dir()).map(|folder| ("the input folder", folder.as_path()));
    let folders: Vec<_> = folders.chain([("the output folder", output)]).collect();
    problems.extend(mask_problems(masking, &folders));
    if output.exists() && !output.is_dir() {
        problems.push(format!("the output is not a folder: {}", output.display()));
    }
    if problems.is_empty() { Ok(()) } else { Err(StartError::Usage(problems)) }
}

/// All pictures, each path once. A mask among them stands for its pictures.
pub(super) fn gather(inputs: &[PathBuf], masking: Option<&Masking>) -> Vec<Sighting> {
    let found = inputs.iter().flat_map(|input| {
        // The ledger knows a folder by where it is, not by how it is called today.
        if input.is_dir() {
            scan(&absolute(input).into(), &absolute(input))
        } else {
            let path = absolute(input);
            vec![sighting(&path.parent().unwrap_or(Path::new("/")).into(), &path, true)]
        }
    });
    let found = found.flat_map(|found| match masking {
        Some(masking) if masking.is_mask(&found.source) => {
            let pictures = mask_file::pictures(masking, &found.source).into_iter();
            pictures.map(|picture| sighting(&found.root, &picture, found.named)).collect()
        }
        _ => vec![found],
    });
    let mut seen = HashSet::new();
    found.filter(|sighting| seen.insert(sighting.source.clone())).collect()
}
