//! The trainer's program: reads the command line, runs the verb, turns the end into an exit code.

use clap::Parser;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tools::cli::{Cli, Command, Evaluate, TrainExport};
use tools::evaluate::evaluate_file;
use tools::inspect::inspect;
use tools::recipe::Recipe;
use tools::run_folder::replace;
use tools::train_export::{Ended, Failure, recipe, train_export};

/// Exit code of a failure.
const FAILED: u8 = 1;
/// Exit code of arguments that make no sense.
const USAGE: u8 = 2;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    forbid_telemetry();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,ort=warn")).init();
    match Cli::parse().command {
        Command::TrainExport(arguments) => train(*arguments),
        Command::Evaluate(arguments) => measure(&arguments),
        Command::Inspect(arguments) => look_at(&arguments.file),
    }
}

/// Tells what a file is; a failure where the daemon would not take it.
fn look_at(file: &Path) -> ExitCode {
    match inspect(file) {
        Ok(inspection) => {
            // Nobody listens on stdout: then the exit code has to do.
            write!(std::io::stdout(), "{inspection}").ok();
            if inspection.is_well() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        Err(failure) => {
            log::error!("{failure}: {}", file.display());
            ExitCode::from(FAILED)
        }
    }
}

fn measure(arguments: &Evaluate) -> ExitCode {
    let evaluation = match evaluate_file(&arguments.file, &arguments.eval) {
        Ok(evaluation) => evaluation,
        Err(failure) => {
            log::error!("{failure}");
            return ExitCode::from(FAILED);
        }
    };
    write!(std::io::stdout(), "{evaluation}").ok();
    let Some(path) = &arguments.json else { return ExitCode::SUCCESS };
    let json = serde_json::to_vec_pretty(&evaluation.rows).expect("rows have only numbers and strings");
    match replace(path, &json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::error!("cannot be written: {failure}: {}", path.display());
            ExitCode::from(FAILED)
        }
    }
}

fn show(recipe: Result<Recipe, Failure>) -> ExitCode {
    match recipe {
        Ok(recipe) => {
            write!(std::io::stdout(), "{}", recipe.to_text()).ok();
            ExitCode::SUCCESS
        }
        Err(failure) => {
            log::error!("{failure}");
            ExitCode::from(FAILED)
        }
    }
}

fn train(arguments: TrainExport) -> ExitCode {
    let dry_run = arguments.dry_run;
    let (start, export) = match arguments.into_choices() {
        Ok(choices) => choices,
        Err(problem) => {
            log::error!("{problem}");
            return ExitCode::from(USAGE);
        }
    };
    if dry_run {
        return show(recipe(&start));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the program at once; the first asks for a checkpoint.
        let registered = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        if let Err(problem) = registered {
            log::warn!("signals are not caught, Ctrl-C loses up to a minute of training: {problem}");
        }
    }
    match train_export(&start, &export, &stop) {
        Ok(Ended::Exported(files, report)) => {
            log::info!(
                "models: {} and {}; report: {}",
                files.sample.display(),
                files.mean.display(),
                report.display()
            );
            ExitCode::SUCCESS
        }
        Ok(Ended::Interrupted(run)) => {
            log::info!("stopped; a checkpoint is kept, go on with --resume {}", run.display());
            ExitCode::from(INTERRUPTED)
        }
        Err(failure) => {
            log::error!("{failure}");
            ExitCode::from(FAILED)
        }
    }
}

/// ONNX Runtime's official builds carry an uploader that starts with the library unless this is set before.
#[expect(unsafe_code, reason = "set_var is unsafe where threads run; this is the first statement of main")]
fn forbid_telemetry() {
    // SAFETY: no other thread exists yet.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}
