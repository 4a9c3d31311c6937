//! `onestep run`: a folder, until asked to stop.

use super::{Order, absolute, must_lie_apart, serve};
use crate::cli;
use crate::config::{self, Config};
use crate::error::{CommandError, Exit, StartError};
use crate::pipeline::Intake;
use crate::plan::Choice;
use crate::stage::watch::Watching;
use std::path::Path;

pub(super) fn main(words: cli::Run) -> Result<Exit, CommandError> {
    let config = config::load(&words.config)?;
    if let Some(problem) = folders(&words.config, &config).into_iter().next() {
        return Err(problem.into());
    }
    // Watchers tell absolute paths whatever they were asked for, and places in the tree are told from this
    // one.
    let watching = Watching { input: absolute(&config.input), quiet: config.settle };
    let library = words.ort_lib.or_else(|| config.library.clone());
    // A picture that failed has its reason file; the daemon itself did what it was asked to.
    serve(&order(&config, library.as_deref()), Intake::Folder(watching), |_| ())?;
    Ok(Exit::AllDone)
}

/// What is wrong with the folders of a configuration.
pub(super) fn folders(file: &Path, config: &Config) -> Vec<StartError> {
    if !config.input.is_dir() {
        let problem = format!("watch.input is not a folder: {}", config.input.display());
        return vec![StartError::Config { file: file.to_owned(), problems: vec![problem] }];
    }
    must_lie_apart(&config.input, &config.output).err().into_iter().collect()
}

/// A configuration as what a pipeline is made from.
pub(super) fn order<'a>(config: &'a Config, library: Option<&'a Path>) -> Order<'a> {
    Order {
        library,
        model: &config.model,
        model_folder: config.model_folder.as_deref(),
        strength: config.strength,
        device: config.device,
        state: config.state.as_deref(),
        choice: Choice {
            output: absolute(&config.output),
            seed: config.seed,
            source: config.source,
            uncertainty: config.uncertainty,
            precision: config.precision,
            threads: config.threads,
            limits: config.limits,
            reserve_mb: config.reserve_mb,
            force: false,
            once: false,
            supervision: config.supervision,
        },
    }
}
