//! The folders of a configuration: file systems, rights, room on disk, and the kernel's limit on watches.

use super::{Findings, State};
use crate::command::{absolute, ahead::existing, books, folders};
use crate::config::{Config, Pipeline};
use crate::edge::scan::scan_beating;
use crate::edge::state_folder::holder;
use crate::edge::{disk, folder, machine, store};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// Looks at all of it.
pub(super) fn look(file: &Path, config: &Config, findings: &mut Findings) {
    for problem in folders::problems(file, config) {
        findings.push("folders", "together", (State::Bad, problem));
    }
    let mut watched = 0;
    for pipeline in &config.pipelines {
        watched += look_at_input(pipeline, findings);
        look_at_output(pipeline, config.reserve_mb, findings);
    }
    watches(watched, config.pipelines.len() as u64, findings);
    let output = &config.pipelines[0].output;
    match books::place(config.state.as_deref(), output) {
        Err(error) => findings.push("folders", "state", (State::Bad, error.to_string())),
        Ok(state) => {
            let (mut state_of, mut said) = writable(&state);
            if disk::place(existing(&state)).is_ok_and(disk::Place::is_of_a_network) {
                (state_of, said) =
                    (State::Bad, "on a network file system, where a ledger is not safe".into());
            } else if let Some(pid) = holder(&state) {
                said = format!("{said}; onestep {pid} is at work with it");
            }
            findings.push("folders", "state", (state_of, format!("{said}: {}", state.display())));
        }
    }
}

/// Gives how many folders have to be watched.
fn look_at_input(pipeline: &Pipeline, findings: &mut Findings) -> u64 {
    let (name, input) = (format!("{}: input", pipeline.name), absolute(&pipeline.input));
    let shown = input.display();
    let mut count = 0;
    let place = match disk::place(&input) {
        Ok(place) => place,
        Err(error) => {
            findings.push("folders", name, (State::Bad, format!("{error}: {shown}")));
            return 0;
        }
    };
    let root: Arc<Path> = input.as_path().into();
    let unreadable = scan_beating(&root, &root, &pipeline.ignore, |_| count += 1)
        .into_iter()
        .filter(|sighting| sighting.named)
        .count();
    let watched = if place.is_of_a_network() {
        "a network file system: others' changes are polled for"
    } else {
        "local"
    };
    let said = format!("{watched}, {count} folders: {shown}");
    if unreadable > 0 {
        findings.push("folders", name, (State::Bad, format!("{unreadable} folders cannot be read: {shown}")));
    } else {
        findings.push("folders", name, (State::Ok, said));
    }
    count
}

fn look_at_output(pipeline: &Pipeline, reserve_mb: u64, findings: &mut Findings) {
    let (name, output) = (format!("{}: output", pipeline.name), absolute(&pipeline.output));
    let (state, said) = writable(&output);
    findings.push("folders", name.clone(), (state, format!("{said}: {}", output.display())));
    let Ok(free) = disk::free_bytes(existing(&output)) else { return };
    let free_mb = free / 1_000_000;
    let (state, said) = match free_mb {
        u64::MAX.. => return,
        0.. if free_mb < reserve_mb => {
            (State::Bad, format!("{free_mb} MB free, and reserve_mb keeps {reserve_mb}: it would pause"))
        }
        _ => (State::Ok, format!("{free_mb} MB free, of which {reserve_mb} stay free")),
    };
    findings.push("folders", format!("{}: disk", pipeline.name), (state, said));
}

/// Whether files can be made there, or below the nearest folder above that exists.
fn writable(folder: &Path) -> (State, String) {
    match store::probe(existing(folder)) {
        Ok(()) if folder.is_dir() => (State::Ok, "writable".into()),
        Ok(()) => (State::Ok, "will be made".into()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            (State::Bad, "not writable for this user".into())
        }
        Err(error) => (State::Bad, error.to_string()),
    }
}

/// Every watched folder takes one watch, every pipeline an instance, and other programs have some too.
fn watches(folders: u64, pipelines: u64, findings: &mut Findings) {
    let [most, instances] = machine::watch_limits();
    let Some(most) = most else { return };
    let said = format!("{folders} of the {most} that the kernel gives a user");
    if folders > most / 10 * 9 {
        findings.push("folders", "watches", (State::Note, format!("{said}; the rest is polled")));
        findings.remedy(format!(
            "{}: raise it, e.g. sysctl fs.inotify.max_user_watches={}",
            folder::LIMIT,
            4 * folders
        ));
    } else {
        findings.push("folders", "watches", (State::Ok, said));
    }
    if instances.is_some_and(|most| pipelines >= most) {
        let said =
            format!("{pipelines} pipelines, and the kernel gives a user {} watchers", instances.unwrap_or(0));
        findings.push("folders", "watchers", (State::Bad, said));
        findings.remedy("raise fs.inotify.max_user_instances");
    }
}
