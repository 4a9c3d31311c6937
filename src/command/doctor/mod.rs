//! `onestep doctor`: what is here and what is missing, from the runtime to the folders of a configuration,
//! each with what to do about it. Changes nothing, so that it may be asked while the daemon runs.

mod machine;
mod places;
mod runtime;

use super::asked::CONFIG;
use crate::cli;
use crate::config::{self, Config};
use crate::edge::record::pretty;
use crate::error::{CommandError, Exit, StartError};
use crate::plan::Computing;
use crate::work::device::Devices;
use crate::work::terms::Terms;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    area: &'static str,
    name: String,
    state: State,
    said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Worth knowing; nothing that was asked for fails by it.
    Note,
    /// What was asked for does not work.
    Bad,
}

/// The whole answer.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    device: String,
    checks: Vec<Check>,
}

/// What was found so far.
struct Findings {
    checks: Vec<Check>,
    /// A promised device is not there.
    absent: bool,
}

impl Findings {
    fn push(&mut self, area: &'static str, name: impl Into<String>, (state, said): (State, String)) {
        self.checks.push(Check { area, name: name.into(), state, said, remedy: None });
    }

    fn remedy(&mut self, remedy: impl Into<String>) {
        if let Some(check) = self.checks.last_mut() {
            check.remedy = Some(remedy.into());
        }
    }
}

/// What is asked about.
struct Subject {
    config: Option<(PathBuf, Config)>,
    computing: Computing,
    library: Option<PathBuf>,
    models: Option<PathBuf>,
    elsewhere: Vec<Terms>,
}

pub(super) fn main(words: cli::Doctor) -> Result<Exit, CommandError> {
    let mut findings = Findings { checks: Vec::new(), absent: false };
    let subject = subject(words.config.as_deref(), &words, &mut findings);
    let usable = runtime::look(&subject, &mut findings);
    machine::look(&subject.computing, usable, &mut findings);
    if let Some((file, config)) = &subject.config {
        places::look(file, config, &mut findings);
    }
    let exit = match findings.checks.iter().any(|check| check.state == State::Bad) {
        _ if findings.absent => Exit::DeviceAbsent,
        true => Exit::Usage,
        false => Exit::AllDone,
    };
    let (version, device) = (env!("CARGO_PKG_VERSION"), subject.computing.devices.to_string());
    let report = Report { version, device, checks: findings.checks };
    let text = if words.json { pretty(&report) } else { told(&report, exit) };
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(exit)
}

/// The configuration that is named, or the one in the working folder; what is wrong with it is a finding.
fn subject(named: Option<&Path>, words: &cli::Doctor, findings: &mut Findings) -> Subject {
    let file = named.or_else(|| Path::new(CONFIG).is_file().then_some(Path::new(CONFIG)));
    let config = file.and_then(|file| match config::load(file) {
        Ok(config) => {
            findings.push("configuration", file.display().to_string(), (State::Ok, "makes sense".into()));
            Some((file.to_owned(), config))
        }
        Err(StartError::Config { problems, .. }) => {
            findings.push("configuration", file.display().to_string(), (State::Bad, problems.join("; ")));
            None
        }
        Err(error) => {
            findings.push("configuration", file.display().to_string(), (State::Bad, error.to_string()));
            None
        }
    });
    let mut computing = config.as_ref().map(|(_, config)| config.computing.clone()).unwrap_or_default();
    if let Some(devices) = words.device.clone() {
        computing.devices = devices;
    }
    let library = words.ort_lib.clone().or_else(|| config.as_ref()?.1.library.clone());
    let models = words.folder.clone().or_else(|| config.as_ref()?.1.model_folder.clone());
    let elsewhere = config.as_ref().map(|(_, config)| config.elsewhere.clone()).unwrap_or_default();
    Subject { config, computing, library, models, elsewhere }
}

/// Whether GPUs were asked for by name: then what is missing for them is bad, else it is a note.
fn wants_gpu(devices: &Devices) -> bool {
    matches!(devices, Devices::Gpus { .. })
}

fn told(report: &Report, exit: Exit) -> String {
    let mut text = format!("onestep {}, device {}\n", report.version, report.device);
    let mut area = "";
    for check in &report.checks {
        if check.area != area {
            area = check.area;
            writeln!(text, "\n{area}").unwrap_or(());
        }
        let state = match check.state {
            State::Ok => "ok  ",
            State::Note => "note",
            State::Bad => "BAD ",
        };
        writeln!(text, "  {state}  {}: {}", check.name, check.said).unwrap_or(());
        if let Some(remedy) = &check.remedy {
            writeln!(text, "        → {remedy}").unwrap_or(());
        }
    }
    let count = report.checks.iter().filter(|check| check.state == State::Bad).count();
    let end = match (exit, count) {
        (Exit::AllDone, _) => "all is well".to_owned(),
        (Exit::DeviceAbsent, _) => format!("the device {} is not usable here", report.device),
        (_, count) => format!("{count} of {} are bad", report.checks.len()),
    };
    writeln!(text, "\n{end}").unwrap_or(());
    text
}
