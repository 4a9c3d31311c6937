//! `onestep validate`: would `run` start? Opens the model on its device and looks at every folder; makes and
//! changes nothing, so that it may be asked while the daemon runs.

use super::{absolute, books, folders, plan, run};
use crate::cli;
use crate::config;
use crate::edge::store;
use crate::error::{CommandError, Exit, StartError, SystemError};
use crate::work::device::joined;
use crate::work::naming::RECEIPTS;
use std::io::{self, Write};
use std::path::Path;

pub(super) fn main(words: cli::Run) -> Result<Exit, CommandError> {
    let config = config::load(&words.config)?;
    let library = words.ort_lib.or_else(|| config.library.clone());
    let wrong = folders::problems(&words.config, &config);
    let mut problems = Vec::new();
    if !wrong.is_empty() {
        problems.push(StartError::Config { file: words.config.clone(), problems: wrong });
    }
    let outputs: Vec<&Path> = config.pipelines.iter().map(|pipeline| pipeline.output.as_path()).collect();
    let state = books::place(config.state.as_deref(), outputs[0]);
    let folders = outputs.iter().map(|output| output.to_path_buf());
    for folder in folders.chain(state.as_ref().ok().cloned()) {
        problems.extend(unusable(&folder, store::probe));
    }
    for output in &outputs {
        problems.extend(unusable(&output.join(RECEIPTS), store::probe_append));
    }
    let order = run::order(&config, library.as_deref());
    let planned = plan(&order);
    let (state, planned) = match (state, planned) {
        (Ok(state), Ok(planned)) if problems.is_empty() => (state, planned),
        (state, planned) => {
            problems.extend(state.err());
            problems.extend(planned.err());
            return Ok(tell(&problems));
        }
    };
    let mut facts = planned.1.facts.iter();
    let lines = config.pipelines.iter().zip(&planned.0.lines).map(|(pipeline, line)| {
        let steps = facts.by_ref().take(line.steps.len());
        let models: Vec<&str> = steps.map(|facts| facts.card.name.as_str()).collect();
        format!(
            "{}\n  input   {}\n  output  {}\n  model   {} on {}, strength {}\n",
            pipeline.name,
            absolute(&pipeline.input).display(),
            absolute(&pipeline.output).display(),
            models.join(", then "),
            joined(&planned.1.serving.devices),
            line.last().strength
        )
    });
    let text = format!(
        "{} is well\n{}state     {}\nmemory    {} MB, {} for pictures\n",
        words.config.display(),
        lines.collect::<String>(),
        state.display(),
        config.limits.memory_mb,
        planned.0.admission.memory_mb
    );
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(Exit::AllDone)
}

/// A device that is not there is told apart only where everything else is well.
fn tell(problems: &[StartError]) -> Exit {
    for problem in problems {
        writeln!(std::io::stderr(), "onestep: {problem}").ok();
    }
    let other = problems.iter().map(StartError::exit).find(|exit| *exit != Exit::DeviceAbsent);
    other.unwrap_or(Exit::DeviceAbsent)
}

/// What is there must be such that it can be written; what is not there is made by `run`.
fn unusable(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Option<StartError> {
    if !path.exists() {
        return None;
    }
    let error = SystemError::from(write(path).err()?);
    if error.transient {
        // The daemon would pause, and go on by itself.
        log::warn!("cannot be written just now: {error}: {}", path.display());
        return None;
    }
    Some(StartError::usage(format!("cannot be written: {error}: {}", path.display())))
}
