//! `onestep run`: a folder, until asked to stop.

use super::{Order, must_lie_apart, serve};
use crate::cli;
use crate::config;
use crate::error::{CommandError, Exit, StartError};
use crate::pipeline::Intake;
use crate::plan::Choice;
use crate::stage::watch::Watching;

pub(super) fn main(words: cli::Run) -> Result<Exit, CommandError> {
    let config = config::load(&words.config)?;
    if !config.input.is_dir() {
        let problem = format!("watch.input is not a folder: {}", config.input.display());
        return Err(StartError::Config { file: words.config, problems: vec![problem] }.into());
    }
    must_lie_apart(&config.input, &config.output)?;
    let library = words.ort_lib.or(config.library);
    let order = Order {
        library: library.as_deref(),
        model: &config.model,
        model_folder: config.model_folder.as_deref(),
        strength: config.strength,
        device: config.device,
        choice: Choice {
            output: config.output,
            seed: config.seed,
            threads: config.threads,
            limits: config.limits,
            force: false,
            keep_names: false,
        },
    };
    // Watchers tell absolute paths whatever they were asked for, and places in the tree are told from this
    // one.
    let input = std::path::absolute(&config.input).unwrap_or(config.input);
    let watching = Watching { input, quiet: config.settle };
    // A picture that failed has its reason file; the daemon itself did what it was asked to.
    serve(&order, Intake::Folder(watching), |_| ())?;
    Ok(Exit::AllDone)
}
