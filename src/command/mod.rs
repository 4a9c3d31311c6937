//! The commands: words and configuration → a plan, a pipeline, an exit code. What `once` and `run` share.

mod asked;
mod books;
mod models;
mod once;
mod retry;
mod run;
mod status;
mod validate;
mod why;

use crate::cli::{Cli, Command};
use crate::crew::Crew;
use crate::edge::model::{self, Device, Opened, Request};
use crate::edge::progress::Progress;
use crate::edge::{library, logging, model_file, signals, store};
use crate::error::{CommandError, End, Exit, Fatal, StartError};
use crate::job::Settled;
use crate::pipeline::{self, Edges, Intake};
use crate::plan::{Choice, Plan};
use crate::stage::record::Summary;
use crate::stop::{Stop, StopHandle, is_stopped, stop_pair};
use books::Books;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs a command to its end.
pub fn main(cli: Cli) -> Exit {
    let is_once = matches!(cli.command, Command::Once(_));
    let progress = Progress::new(is_once);
    // Where a bar tells what is done, lines are for what went wrong.
    logging::start(if progress.is_shown() { "warn" } else { "info" }, cli.log_format, &progress);
    let end = match cli.command {
        Command::Once(words) => once::main(words, &progress),
        Command::Run(words) => run::main(words),
        Command::Why(words) => why::main(&words),
        Command::Status(words) => status::main(&words),
        Command::Retry(words) => retry::main(&words),
        Command::Models(words) => models::main(&words),
        Command::Validate(words) => validate::main(words),
    };
    end.unwrap_or_else(|error| {
        progress.clear();
        match &error {
            // An answer to whoever typed it, or wrote the configuration: no line of a log, and not to be
            // filtered.
            CommandError::Start(error) => {
                // Nobody listens on stderr: then the exit code has to do.
                writeln!(std::io::stderr(), "onestep: {error}").ok();
            }
            CommandError::Fatal(error) => log::error!("{error}"),
        }
        error.exit()
    })
}

/// What a pipeline is made from.
struct Order<'a> {
    library: Option<&'a Path>,
    model: &'a str,
    model_folder: Option<&'a Path>,
    strength: Option<f32>,
    device: Device,
    state: Option<&'a Path>,
    choice: Choice,
}

/// Finds and opens the model, and plans with it.
fn plan(order: &Order<'_>) -> Result<(Plan, Opened), StartError> {
    let executable = std::env::current_exe().unwrap_or_default();
    let working = std::env::current_dir().unwrap_or_default();
    let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let file = model_file::find(order.model, order.model_folder, &executable, &working)?;
    let library = library::find(order.library, variable.as_deref(), &executable, &working)?;
    let request = Request {
        file,
        strength: order.strength,
        samples: order.choice.uncertainty.is_some(),
        device: order.device,
        precision: order.choice.precision,
        threads: order.choice.threads,
    };
    let opened = model::open(&library, &request)?;
    let plan = Plan::new(&order.choice, &opened.facts)?;
    log::info!(
        "model {} on {}, strength {}, threads {}, memory {} MB",
        opened.facts.card.name,
        opened.facts.device,
        opened.facts.strength,
        order.choice.threads,
        order.choice.limits.memory_mb
    );
    Ok((plan, opened))
}

/// Makes the output folder and clears what an earlier run left half written.
fn clear(output: &Path) -> Result<(), Fatal> {
    let swept = store::make_root(output)
        .and_then(|()| store::sweep(output))
        .map_err(|error| Fatal::Output { reason: error.to_string(), folder: output.to_owned() })?;
    if swept > 0 {
        log::info!("swept {swept} unfinished files of an earlier run: {}", output.display());
    }
    Ok(())
}

/// Runs the pipeline under the signals' stop. Also says whether it was stopped.
fn serve(
    order: &Order<'_>,
    intake: Intake,
    observe: impl FnMut(&Settled) + Send,
) -> Result<(Summary, bool), CommandError> {
    let (handle, stop) = stop_pair();
    let mut served = None;
    let end = under_signals(&handle, || served = Some(work(order, intake, observe, &handle, &stop)));
    let summary = served.transpose()?;
    end?;
    let summary = summary.unwrap_or_default();
    log::info!("{summary}");
    Ok((summary, is_stopped(&stop)))
}

fn work(
    order: &Order<'_>,
    intake: Intake,
    observe: impl FnMut(&Settled) + Send,
    handle: &StopHandle,
    stop: &Stop,
) -> Result<Summary, CommandError> {
    // The books first: where another onestep is at work, nothing else is touched. And last, whatever
    // happened.
    let books = Books::open(order.state, &order.choice.output)?;
    let end = under_books(order, intake, observe, handle, stop, &books);
    books.close(&end);
    end
}

fn under_books(
    order: &Order<'_>,
    intake: Intake,
    observe: impl FnMut(&Settled) + Send,
    handle: &StopHandle,
    stop: &Stop,
    books: &Books,
) -> Result<Summary, CommandError> {
    let (plan, opened) = plan(order)?;
    clear(&order.choice.output)?;
    let (models, ledgers) = (opened.models, books.ledgers()?);
    let edges = Edges { models, intake, ledgers, observe: Box::new(observe), trap: None };
    let (summary, end) = pipeline::run(&plan, edges, handle, stop);
    end.inspect_err(|_| log::info!("until then: {summary}"))?;
    Ok(summary)
}

fn under_signals(handle: &StopHandle, body: impl FnOnce()) -> End {
    let no_signals =
        |error: std::io::Error| Fatal::NoThread { name: "signals".into(), reason: error.to_string() };
    let (listener, closer) = signals::listen().map_err(no_signals)?;
    std::thread::scope(|scope| {
        let mut crew = Crew::new(scope, handle.clone(), None);
        let stop = handle.clone();
        crew.spawn("signals", move |_| {
            listener.serve(&stop);
            Ok(())
        });
        body();
        drop(closer);
        crew.join()
    })
}

/// Places are told from the root, whatever folder they were named in: the ledger outlives that.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The path without links, as far as it exists: an output folder need not exist yet.
fn resolved(path: &Path) -> PathBuf {
    let path = absolute(path);
    let (mut rest, mut folder) = (Vec::new(), path.as_path());
    loop {
        if let Ok(real) = folder.canonicalize() {
            return rest.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (folder.file_name(), folder.parent()) {
            (Some(name), Some(parent)) => {
                rest.push(name);
                folder = parent;
            }
            _ => return path,
        }
    }
}

/// Results that land among the pictures would be taken for pictures.
fn must_lie_apart(input: &Path, output: &Path) -> Result<(), StartError> {
    let (a, b) = (resolved(input), resolved(output));
    let relation = if a == b {
        "is"
    } else if b.starts_with(&a) {
        "lies inside"
    } else if a.starts_with(&b) {
        "contains"
    } else {
        return Ok(());
    };
    let sentence =
        format!("the output folder {} {relation} the input folder {}", output.display(), input.display());
    Err(StartError::usage(format!("{sentence}: choose one outside of it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_compared_without_links_also_where_they_do_not_exist_yet() {
        let root = tempfile::tempdir().expect("a temp folder");
        let input = root.path().join("in");
        std::fs::create_dir(&input).expect("writable");
        symlink(&input, root.path().join("link")).expect("writable");
        let refused = |output: &str| must_lie_apart(&input, &root.path().join(output)).is_err();
        assert!(
            refused("in")
                && refused("in/new/deep")
                && refused("link/new")
                && refused("")
                && refused("in/../in")
        );
        assert!(!refused("out") && !refused("in2") && !refused("new/in"));
    }
}
