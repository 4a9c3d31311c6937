//! ONNX Runtime, its providers and the models: loaded and tried, not guessed.

use super::{Findings, State, Subject};
use crate::command::request;
use crate::edge::model::{Examined, Proof, Request, Tried, Trouble, examine};
use crate::edge::{library, model_file};
use crate::work::device::{Devices, Provider};
use crate::work::lacking;
use contract::card::Precision;
use std::path::{Path, PathBuf};

/// Looks at all of it. Gives whether this runtime is built for GPUs; `None` where there is none.
pub(super) fn look(subject: &Subject, findings: &mut Findings) -> Option<bool> {
    let executable = std::env::current_exe().unwrap_or_default();
    let working = std::env::current_dir().unwrap_or_default();
    let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let library = library::find(subject.library.as_deref(), variable.as_deref(), &executable, &working);
    let files = model_file::list(subject.models.as_deref(), &executable, &working);
    if let Err(error) = &files {
        findings.push("models", "folder", (State::Bad, one_line(&error.to_string())));
        findings.remedy("[models] folder or --folder names it");
    }
    let named = subject.config.iter().flat_map(|(_, config)| &config.pipelines);
    let named = named.flat_map(|pipeline| std::iter::once(&pipeline.model).chain(&pipeline.repair_model));
    for name in named.filter(|name| subject.elsewhere.iter().all(|terms| terms.name != **name)) {
        if let Err(error) = model_file::find(name, subject.models.as_deref(), &executable, &working) {
            findings.push("models", name.clone(), (State::Bad, one_line(&error.to_string())));
        }
    }
    // One tile and one thread tell as much as many.
    let request = Request { threads: 1, batch: Some(1), ..request(&subject.computing) };
    let files = files.unwrap_or_default().into_iter().map(|file| (file, None));
    let elsewhere = subject.elsewhere.iter().map(|terms| (terms.file.clone(), Some(terms.clone())));
    let files: Vec<_> = files.chain(elsewhere).collect();
    let examined = library.and_then(|library| Ok((examine(&library, &files, &request)?, library)));
    let (examined, library) = match examined {
        Ok(examined) => examined,
        Err(error) => {
            findings.push("runtime", "ONNX Runtime", (State::Bad, one_line(&error.to_string())));
            findings.remedy("scripts/fetch-runtime fetches it; ORT_DYLIB_PATH or --ort-lib name another");
            return None;
        }
    };
    let Examined { version, providers, device, models } = examined;
    let place = std::fs::canonicalize(&library.path).unwrap_or(library.path);
    findings.push("runtime", "ONNX Runtime", (State::Ok, format!("{version}, {}", place.display())));
    let off = std::env::var_os("ORT_DISABLE_TELEMETRY").is_some_and(|value| value == "1");
    let telemetry = if off { (State::Ok, "off".into()) } else { (State::Bad, "on".into()) };
    findings.push("runtime", "telemetry", telemetry);
    let built = providers.iter().any(|(_, tried)| *tried != Tried::Absent);
    for (provider, tried) in &providers {
        tell_provider(&subject.computing.devices, (*provider, tried), findings);
    }
    let repairs = subject
        .config
        .as_ref()
        .is_some_and(|(_, config)| config.pipelines.iter().any(|pipeline| pipeline.masking.is_some()));
    for (file, proven) in &models {
        let is_declared = subject.elsewhere.iter().any(|terms| terms.file == *file);
        tell_model(&device, (file, repairs || is_declared), proven, findings);
    }
    Some(built)
}

fn tell_provider(devices: &Devices, (provider, tried): (Provider, &Tried), findings: &mut Findings) {
    let name = match provider {
        Provider::Cuda => "CUDA provider",
        Provider::TensorRt => "TensorRT provider",
    };
    let promised = matches!(devices, Devices::Gpus { provider: wanted, .. } if *wanted == provider);
    let state = if promised { State::Bad } else { State::Note };
    match tried {
        Tried::Works => findings.push("runtime", name, (State::Ok, "works".into())),
        Tried::Absent => {
            findings.push("runtime", name, (state, "not built into this ONNX Runtime".into()));
            if promised {
                findings.remedy(lacking::remedy("not enabled in this build"));
            }
        }
        Tried::Fails(reason) => {
            findings.push("runtime", name, (state, reason.clone()));
            findings.remedy(lacking::remedy(reason));
        }
    }
    findings.absent |= promised && *tried != Tried::Works;
}

/// What came of a model, and whether the configuration asks for such a one.
fn tell_model(devices: &Devices, (file, is_wanted): (&Path, bool), proven: &Proof, findings: &mut Findings) {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match proven {
        Ok((card, gap, most)) => {
            let word = card.precision.word();
            // Bytes are for the processor, whatever the others are proven on.
            let devices = if card.precision == Precision::Int8 { &Devices::Cpu } else { devices };
            let said = format!("{word} on {devices}, golden tile differs by {gap:.1e} (at most {most:.0e})");
            findings.push("models", name, (State::Ok, said));
        }
        // Others may serve there.
        Err(Trouble::Unfit(problem)) => {
            let state = if is_wanted { State::Bad } else { State::Note };
            findings.push("models", name, (state, one_line(problem)));
        }
        // It is the device that has to give way or to be mended: `run` would end with its code.
        Err(Trouble::Device(problem)) => {
            findings.push("models", name, (State::Bad, format!("not on {devices}: {}", one_line(problem))));
            findings.remedy(lacking::remedy(problem));
            findings.absent = true;
        }
        Err(Trouble::Model(problem)) => findings.push("models", name, (State::Bad, one_line(problem))),
    }
}

fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ")
}
