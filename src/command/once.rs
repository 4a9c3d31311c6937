//! `onestep once`: these pictures and folders, then the end.

use super::folders::relation;
use super::{Order, Ordered, absolute, serve};
use crate::cli;
use crate::config::default_memory_mb;
use crate::edge::progress::Progress;
use crate::edge::scan::{scan, sighting};
use crate::error::{CommandError, Exit, StartError};
use crate::job::{Outcome, Settled, Sighting};
use crate::pipeline::Intake;
use crate::plan::{Choice, Limits, Supervision, Wish, default_threads};
use crate::work::format::Writing;
use crate::work::naming::text_of;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Room that is left on the output's disk: somebody is there who can make more.
const RESERVE_MB: u64 = 16;

pub(super) fn main(words: cli::Once, progress: &Progress) -> Result<Exit, CommandError> {
    check(&words.inputs, &words.output)?;
    let sightings = gather(&words.inputs);
    if sightings.is_empty() {
        log::warn!("nothing in what was given has a picture's name (.jpg, .png, .webp, .tif and the like)");
    }
    let count = sightings.len();
    progress.expect(count);
    let format = Writing::new(words.format.word(), words.quality).map_err(StartError::usage)?;
    let order = Order {
        library: words.ort_lib.as_deref(),
        lines: vec![Ordered {
            model: &words.model,
            strength: words.strength,
            wish: Wish {
                seed: words.seed,
                source: words.source,
                uncertainty: words.uncertainty,
                keeping: words.metadata,
                format,
                ..Wish::new(absolute(&words.output))
            },
        }],
        model_folder: None,
        device: words.device,
        state: words.state.as_deref(),
        choice: Choice {
            precision: words.precision,
            threads: words.threads.map_or_else(default_threads, usize::from),
            limits: Limits {
                memory_mb: words.memory_mb.unwrap_or_else(default_memory_mb),
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

/// Everything wrong with the arguments, at once.
fn check(inputs: &[PathBuf], output: &Path) -> Result<(), StartError> {
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
    if output.exists() && !output.is_dir() {
        problems.push(format!("the output is not a folder: {}", output.display()));
    }
    if problems.is_empty() { Ok(()) } else { Err(StartError::Usage(problems)) }
}

/// All pictures, each path once.
fn gather(inputs: &[PathBuf]) -> Vec<Sighting> {
    let found = inputs.iter().flat_map(|input| {
        // The ledger knows a folder by where it is, not by how it is called today.
        if input.is_dir() {
            scan(&absolute(input).into(), &absolute(input))
        } else {
            let path = absolute(input);
            vec![sighting(&path.parent().unwrap_or(Path::new("/")).into(), &path, true)]
        }
    });
    let mut seen = HashSet::new();
    found.filter(|sighting| seen.insert(sighting.source.clone())).collect()
}
