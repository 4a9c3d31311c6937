//! `onestep run`: folders, until asked to stop.

use super::{Order, Ordered, absolute, folders, resolved, serve};
use crate::cli;
use crate::config::{self, Config, Pipeline};
use crate::edge::originals::Originals;
use crate::error::{CommandError, Exit, StartError};
use crate::pipeline::Intake;
use crate::plan::{Choice, Wish};
use crate::stage::watch::Watching;
use crate::work::masking::{MaskFrom, Masking};
use std::path::Path;

pub(super) fn main(words: cli::Run) -> Result<Exit, CommandError> {
    let config = config::load(&words.config)?;
    let problems = folders::problems(&words.config, &config);
    if !problems.is_empty() {
        return Err(StartError::Config { file: words.config, problems }.into());
    }
    // Watchers tell absolute paths whatever they were asked for, and places in the tree are told from this
    // one.
    let watching = |(line, pipeline): (usize, &Pipeline)| Watching {
        line,
        input: absolute(&pipeline.input),
        quiet: pipeline.settle,
        notice: pipeline.notice,
        poll: pipeline.poll,
        masking: masking_of(pipeline),
        ignore: pipeline.ignore.clone(),
        order: pipeline.order,
        priority: pipeline.priority,
        status_file: pipeline.status_file,
    };
    let watchings = config.pipelines.iter().enumerate().map(watching).collect();
    let library = words.ort_lib.or_else(|| config.library.clone());
    // A picture that failed has its reason file; the daemon itself did what it was asked to.
    serve(&order(&config, library.as_deref()), Intake::Folders(watchings), |_| ())?;
    Ok(Exit::AllDone)
}

/// What tells which pixels are to be repaired, its places told from the root: a folder as it is compared with
/// the others, so that none lies in another by its spelling.
fn masking_of(pipeline: &Pipeline) -> Option<Masking> {
    let masking = pipeline.masking.clone()?;
    let from = match masking.from {
        MaskFrom::Folder(folder, suffixes) => MaskFrom::Folder(resolved(&folder), suffixes),
        other => other.placed(absolute),
    };
    Some(Masking { from, ..masking })
}

/// A configuration as what the threads are made from.
pub(super) fn order<'a>(config: &'a Config, library: Option<&'a Path>) -> Order<'a> {
    let ordered = |pipeline: &'a Pipeline| Ordered {
        model: &pipeline.model,
        repair_model: pipeline.repair_model.as_deref(),
        strength: pipeline.strength,
        wish: Wish {
            name: pipeline.name.clone(),
            output: absolute(&pipeline.output),
            masking: masking_of(pipeline),
            seed: pipeline.seed,
            source: pipeline.source,
            uncertainty: pipeline.uncertainty,
            keeping: pipeline.keeping,
            source_type: pipeline.source_type,
            format: pipeline.format,
            megapixels: pipeline.megapixels,
            file_name: pipeline.file_name.clone(),
            number: pipeline.number,
            access: pipeline.access,
            originals: match &pipeline.originals {
                Originals::Move(folder) => Originals::Move(absolute(folder)),
                other => other.clone(),
            },
        },
    };
    Order {
        library,
        lines: config.pipelines.iter().map(ordered).collect(),
        model_folder: config.model_folder.as_deref(),
        elsewhere: &config.elsewhere,
        state: config.state.as_deref(),
        choice: Choice {
            computing: config.computing.clone(),
            limits: config.limits,
            reserve_mb: config.reserve_mb,
            force: false,
            once: false,
            supervision: config.supervision,
        },
    }
}
