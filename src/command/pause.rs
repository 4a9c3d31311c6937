//! `onestep pause` and `onestep resume`: what is in flight lands, nothing new is begun until it is said; of
//! all pipelines, or of one.

use super::asked::{Desk, to_change};
use crate::cli;
use crate::edge::ledger::{PipelineRow, Said};
use crate::edge::state_folder;
use crate::error::{CommandError, Exit, StartError};
use std::io::Write;

pub(super) fn main(words: &cli::Pause, on: bool) -> Result<Exit, CommandError> {
    let desk = to_change(&words.asked)?;
    let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
    let pipeline = words.pipeline.as_deref();
    // What is paused goes on, whatever the ledger knows by now.
    let is_lifted = |name| !on && state_folder::is_paused(&desk.folder, Some(name));
    if let Some(name) = pipeline.filter(|name| !is_lifted(name)) {
        known(name, &desk)?;
    }
    let changes = state_folder::pause(&desk.folder, pipeline, on).map_err(|error| refused(error.into()))?;
    let what = match (on, changes, desk.holder.is_some()) {
        (true, true, true) => "pausing: what is in flight lands",
        (true, true, false) => "will pause when it is started",
        (true, false, _) => "is paused already",
        (false, true, true) => "going on within ten seconds",
        (false, true, false) => "will not pause when it is started",
        (false, false, _) => "is not paused",
    };
    let mut lines = vec![format!("{what}: {}", desk.folder.display())];
    if !on && pipeline.is_none() {
        lines.extend(still(&desk).map_err(refused)?);
    }
    // Nobody listens on stdout: then the exit code has to do.
    writeln!(std::io::stdout(), "{}", lines.join("\n")).ok();
    Ok(Exit::AllDone)
}

/// Pipelines that were asked to pause by their names, and do.
fn still(desk: &Desk) -> Said<Vec<String>> {
    let rows = desk.reader.pipelines()?.into_iter();
    let paused = rows.filter(|row| state_folder::is_paused(&desk.folder, Some(&row.name)));
    let line = |row: PipelineRow| format!("still paused by name: `onestep resume --pipeline {:?}`", row.name);
    Ok(paused.map(line).collect())
}

/// A name that nobody has would hold nothing, and nobody would notice.
fn known(name: &str, desk: &Desk) -> Result<(), CommandError> {
    let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
    let rows = desk.reader.pipelines().map_err(refused)?;
    if rows.iter().any(|row| row.name == name) {
        return Ok(());
    }
    let names: Vec<String> = rows.into_iter().map(|row| format!("{:?}", row.name)).collect();
    let names = if names.is_empty() { "none is known yet".into() } else { names.join(", ") };
    Err(StartError::usage(format!("no pipeline is called {name:?}: {names}: {}", desk.folder.display()))
        .into())
}
