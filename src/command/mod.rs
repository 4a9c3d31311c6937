//! The commands: words and configuration → a plan, a pipeline, an exit code. What `once` and `run` share.

mod ahead;
mod asked;
mod bench;
mod books;
mod doctor;
mod folders;
mod metrics;
mod models;
mod once;
mod pause;
mod retry;
mod run;
mod status;
mod validate;
mod verify;
mod why;

use crate::cli::{Cli, Command, LogFormat};
use crate::crew::Crew;
use crate::edge::model::{self, Asked, Opened, Request};
use crate::edge::originals::Originals;
use crate::edge::progress::Progress;
use crate::edge::{library, logging, model_file, signals, store};
use crate::error::{CommandError, End, Exit, Fatal, StartError, SystemError};
use crate::job::Settled;
use crate::pipeline::{self, Edges, Intake};
use crate::plan::{Choice, Computing, Plan, Wish};
use crate::stage::record::Summary;
use crate::stop::{Stop, StopHandle, is_stopped, stop_pair};
use crate::work::device::joined;
use crate::work::naming::RECEIPTS;
use crate::work::terms::Terms;
use books::Books;
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

/// Runs a command to its end.
pub fn main(cli: Cli) -> Exit {
    let is_once = matches!(cli.command, Command::Once(_));
    let progress = Progress::new(is_once && cli.log_format == LogFormat::Text);
    // Where a bar or an answer tells what is done, lines are for what went wrong.
    let is_asked = matches!(cli.command, Command::Doctor(_) | Command::Bench(_));
    let level = if progress.is_shown() || is_asked { "warn" } else { "info" };
    logging::start(level, cli.log_format, &progress);
    let end = match cli.command {
        Command::Once(words) => once::main(words, &progress),
        Command::Run(words) => run::main(words),
        Command::Why(words) => why::main(&words),
        Command::Status(words) => status::main(&words),
        Command::Retry(words) => retry::main(&words),
        Command::Reprocess(words) => retry::reprocess(&words),
        Command::Plan(words) => ahead::main(words),
        Command::Verify(words) => verify::main(&words),
        Command::Pause(words) => pause::main(&words, true),
        Command::Resume(words) => pause::main(&words, false),
        Command::Models(words) => models::main(&words),
        Command::Validate(words) => validate::main(words),
        Command::Doctor(words) => doctor::main(words),
        Command::Bench(words) => bench::main(words),
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

/// What the threads are made from.
struct Order<'a> {
    library: Option<&'a Path>,
    lines: Vec<Ordered<'a>>,
    model_folder: Option<&'a Path>,
    elsewhere: &'a [Terms],
    state: Option<&'a Path>,
    choice: Choice,
}

/// What is done to the pictures of one input.
struct Ordered<'a> {
    model: &'a str,
    /// What repairs its pictures before they are enlarged.
    repair_model: Option<&'a str>,
    strength: Option<f32>,
    wish: Wish,
}

impl Order<'_> {
    fn outputs(&self) -> Vec<&Path> {
        self.lines.iter().map(|line| line.wish.output.as_path()).collect()
    }
}

/// Finds and opens the models, and plans with them.
fn plan(order: &Order<'_>) -> Result<(Plan, Opened), StartError> {
    let executable = std::env::current_exe().unwrap_or_default();
    let working = std::env::current_dir().unwrap_or_default();
    let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let find = |name: &str, (strength, samples, second): (Option<f32>, bool, bool)| {
        // What is declared was declared for this: it comes before a file of the same name.
        let terms = order.elsewhere.iter().find(|terms| terms.name == name).cloned();
        let file = match &terms {
            Some(terms) => terms.file.clone(),
            None => model_file::find(name, order.model_folder, &executable, &working)?,
        };
        Ok(Asked { file, strength, samples, terms, second })
    };
    let steps = |line: &Ordered<'_>| {
        let repairs = line.repair_model.map(|name| find(name, (None, false, false)));
        let samples = line.wish.uncertainty.is_some();
        let last = find(line.model, (line.strength, samples, repairs.is_some()));
        repairs.into_iter().chain([last]).collect::<Vec<_>>()
    };
    let models = order.lines.iter().flat_map(steps).collect::<Result<Vec<_>, StartError>>()?;
    let library = library::find(order.library, variable.as_deref(), &executable, &working)?;
    let request = Request { models, ..request(&order.choice.computing) };
    let opened = model::open(&library, &request)?;
    let mut facts = opened.facts.iter().cloned();
    let wishes = order.lines.iter().map(|line| {
        let steps = 1 + usize::from(line.repair_model.is_some());
        (line.wish.clone(), facts.by_ref().take(steps).collect())
    });
    let plan = Plan::new(&order.choice, &opened.serving, &wishes.collect::<Vec<_>>())?;
    for facts in &opened.facts {
        log::info!(
            "model {} on {}, strength {}, threads {}, memory {} MB",
            facts.card.name,
            joined(&opened.serving.devices),
            facts.strength,
            order.choice.computing.threads,
            order.choice.limits.memory_mb
        );
    }
    Ok((plan, opened))
}

/// What was chosen of devices, without a model yet.
fn request(computing: &Computing) -> Request {
    Request {
        models: Vec::new(),
        devices: computing.devices.clone(),
        precision: computing.precision,
        threads: computing.threads,
        window_px: computing.window_px,
        batch: computing.batch,
        gpu_memory_percent: computing.gpu_memory_percent,
        engines: computing.engines.clone().or_else(model::engine_folder),
    }
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

/// The same where originals are copied to.
fn clear_originals(rule: &Originals) {
    if let Originals::Move(folder) = rule
        && let Err(error) = store::sweep(folder)
        && error.kind() != ErrorKind::NotFound
    {
        log::warn!("unfinished files of an earlier run are not swept: {error}: {}", folder.display());
    }
}

/// Whether results and receipts can be written, as far as that does not change by itself.
fn writable(output: &Path) -> Result<(), Fatal> {
    let receipts = output.join(RECEIPTS);
    let added = if receipts.exists() { store::probe_append(&receipts) } else { Ok(()) };
    for (tried, place) in [(store::probe(output), output), (added, receipts.as_path())] {
        if let Err(SystemError { text, transient: false }) = tried.map_err(SystemError::from) {
            return Err(Fatal::Output { reason: text, folder: place.to_owned() });
        }
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
    let books = Books::open(order.state, &order.outputs())?;
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
    order.outputs().into_iter().try_for_each(clear)?;
    order.lines.iter().for_each(|line| clear_originals(&line.wish.originals));
    if matches!(intake, Intake::List(_)) {
        // A daemon waits for a folder that cannot be written; whoever asks for these pictures wants to know.
        order.outputs().into_iter().try_for_each(writable)?;
    }
    let (Opened { workers, second, .. }, ledgers) = (opened, books.ledgers()?);
    let edges = Edges { workers, second, intake, ledgers, observe: Box::new(observe), trap: None };
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

/// Places are told from the root, whatever folder they were named in: the ledger outlives that. A place has
/// one name: where `..` leads is looked up. Links stay as they were named.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !whole.components().any(|part| part == Component::ParentDir) {
        return whole;
    }
    match (whole.parent(), whole.file_name()) {
        (Some(folder), Some(name)) => real(folder).join(name),
        _ => real(&whole),
    }
}

/// The path without links, as far as it exists: an output folder need not exist yet.
fn resolved(path: &Path) -> PathBuf {
    real(&absolute(path))
}

fn real(path: &Path) -> PathBuf {
    let (mut rest, mut folder) = (Vec::new(), path);
    loop {
        if let Ok(real) = folder.canonicalize() {
            return rest.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (folder.file_name(), folder.parent()) {
            (Some(name), Some(parent)) => {
                rest.push(name);
                folder = parent;
            }
            _ => return path.to_owned(),
        }
    }
}
