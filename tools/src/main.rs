//! The trainer's program: reads the command line, runs the verb, turns the end into an exit code.

use clap::Parser;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tools::cli::{
    Cli, Command, Edit, Evaluate, Quantize, Quantizing, Sample, TrainClassifier, TrainExport, Training,
};
use tools::edit::edit_pictures;
use tools::evaluate::{evaluate_file, uncertainty_of};
use tools::evaluate_generator::evaluate_generator;
use tools::inspect::inspect;
use tools::quantize::{halve, quantize};
use tools::recipe::RunRecipe;
use tools::run_folder::replace;
use tools::sample::sample;
use tools::start::{Chosen, Start};
use tools::train_classifier::train_classifier;
use tools::train_export::{Ended, train_export};
use tools::train_generator::{Generated, train_generator};
use tools::train_inpaint::{Repairing, train_inpaint};

/// Exit code of a failure.
const FAILED: u8 = 1;
/// Exit code of arguments that make no sense.
const USAGE: u8 = 2;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    prepare_libraries();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,ort=warn")).init();
    match Cli::parse().command {
        Command::TrainExport(arguments) => train(*arguments),
        Command::TrainClassifier(arguments) => classifier(arguments),
        Command::Evaluate(arguments) => measure(&arguments),
        Command::Sample(arguments) => draw(arguments),
        Command::Edit(arguments) => change(arguments),
        Command::Quantize(arguments) => fewer_bits(arguments),
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
    if let Some(choices) = arguments.generator() {
        return match evaluate_generator(&choices) {
            Ok(report) => {
                write!(std::io::stdout(), "{}", report.to_markdown()).ok();
                ExitCode::SUCCESS
            }
            Err(failure) => failed(&failure),
        };
    }
    let sets = arguments.eval.as_ref().expect("clap requires --eval without --classifier");
    if let Some(samples) = arguments.uncertainty {
        return match uncertainty_of(&arguments.file, sets, arguments.damage.into(), samples) {
            Ok(uncertainty) => {
                write!(std::io::stdout(), "{uncertainty}").ok();
                ExitCode::SUCCESS
            }
            Err(failure) => failed(&failure),
        };
    }
    let evaluation =
        match evaluate_file(&arguments.file, sets, arguments.damage.into(), arguments.others.as_deref()) {
            Ok(evaluation) => evaluation,
            Err(failure) => return failed(&failure),
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

fn fewer_bits(arguments: Quantize) -> ExitCode {
    let written = match arguments.into_choices() {
        Ok(Quantizing::Bytes(choices)) => {
            quantize(&choices).map(|files| files.iter().for_each(|file| log::info!("{file}")))
        }
        Ok(Quantizing::Halves(choices)) => {
            halve(&choices).map(|files| files.iter().for_each(|file| log::info!("{file}")))
        }
        Err(failure) => return failed(&failure),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn draw(arguments: Sample) -> ExitCode {
    let choices = arguments.into_choices();
    match sample(&choices) {
        Ok(sampler) => {
            let evaluations = sampler.evaluations();
            log::info!("{sampler}, {evaluations} evaluations: {}", choices.out.display());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn change(arguments: Edit) -> ExitCode {
    let choices = arguments.into_choices();
    match edit_pictures(&choices) {
        Ok(()) => {
            log::info!("pictures, what was known of them, results: {}", choices.out.display());
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn classifier(arguments: TrainClassifier) -> ExitCode {
    let choices = arguments.into_choices();
    match train_classifier(&choices) {
        Ok(outcome) => {
            log::info!(
                "{:.2} % of the test pictures right after {:.1} minutes: {}",
                100.0 * outcome.accuracy,
                outcome.minutes,
                choices.out.display()
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            log::error!("{failure}");
            ExitCode::from(FAILED)
        }
    }
}

fn show<C: Chosen>(start: &Start<C>) -> ExitCode {
    match start.recipe() {
        Ok(recipe) => {
            write!(std::io::stdout(), "{}", recipe.to_text()).ok();
            ExitCode::SUCCESS
        }
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &dyn std::fmt::Display) -> ExitCode {
    log::error!("{failure}");
    ExitCode::from(FAILED)
}

fn train(arguments: TrainExport) -> ExitCode {
    let dry_run = arguments.dry_run;
    let training = match arguments.into_choices() {
        Ok(training) => training,
        Err(problems) => {
            problems.iter().for_each(|problem| log::error!("{problem}"));
            return ExitCode::from(USAGE);
        }
    };
    match training {
        Training::SuperResolution(start, _) if dry_run => show(&start),
        Training::Repair(start, _) if dry_run => show(&start),
        Training::Generation(start, _) if dry_run => show(&start),
        Training::SuperResolution(start, export) => match train_export(&start, &export, &stop_on_signals()) {
            Ok(Ended::Exported(files, report)) => {
                for file in [files.sample, files.mean].iter().filter(|file| file.is_file()) {
                    log::info!("model: {}", file.display());
                }
                log::info!("report: {}", report.display());
                ExitCode::SUCCESS
            }
            Ok(Ended::Interrupted(run)) => interrupted(&run),
            Err(failure) => failed(&failure),
        },
        Training::Repair(start, export) => match train_inpaint(&start, &export, &stop_on_signals()) {
            Ok(Repairing::Exported(files)) => {
                for file in [files.sample, files.mean].iter().filter(|file| file.is_file()) {
                    log::info!("model: {}", file.display());
                }
                ExitCode::SUCCESS
            }
            Ok(Repairing::Interrupted(run)) => interrupted(&run),
            Err(failure) => failed(&failure),
        },
        Training::Generation(start, export) => match train_generator(&start, &export, &stop_on_signals()) {
            Ok(Generated::Exported(file)) => {
                log::info!("model: {}", file.display());
                ExitCode::SUCCESS
            }
            Ok(Generated::Interrupted(run)) => interrupted(&run),
            Err(failure) => failed(&failure),
        },
    }
}

fn interrupted(run: &Path) -> ExitCode {
    log::info!("stopped; a checkpoint is kept, go on with --resume {}", run.display());
    ExitCode::from(INTERRUPTED)
}

/// A flag that Ctrl-C and SIGTERM set.
fn stop_on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the program at once; the first asks for a checkpoint.
        let registered = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        if let Err(problem) = registered {
            log::warn!("signals are not caught, Ctrl-C loses up to a minute of training: {problem}");
        }
    }
    stop
}

/// What libraries read when they are loaded.
#[expect(unsafe_code, reason = "set_var is unsafe where threads run; this is the first statement of main")]
fn prepare_libraries() {
    // SAFETY: no other thread exists yet.
    unsafe {
        // ONNX Runtime's official builds carry an uploader that starts with the library.
        std::env::set_var("ORT_DISABLE_TELEMETRY", "1");
        // cuDNN may round f32 to the ten bits of TF32, which an export's parity with ONNX Runtime does not
        // bear.
        if std::env::var_os("NVIDIA_TF32_OVERRIDE").is_none() {
            std::env::set_var("NVIDIA_TF32_OVERRIDE", "0");
        }
    }
}
