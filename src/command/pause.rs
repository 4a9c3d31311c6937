//! `onestep pause` and `onestep resume`: what is in flight lands, nothing new is begun until it is said; of
//! all pipelines, or of one.

use super::asked::{Desk, to_change};
use crate::cli;
use crate::edge::state_folder;
use crate::error::{CommandError, Exit, StartError};
use std::io::Write;

pub(super) fn main(words: &cli::Pause, on: bool) -> Result<Exit, CommandError> {
    let mut lines = Vec::new();
    if let Some(desk) = to_change(&words.asked)? {
        let refused =
            |error: std::io::Error| StartError::State { reason: error.into(), folder: desk.folder.clone() };
        let pipeline = words.pipeline.as_deref();
        if let Some(name) = pipeline {
            known(name, &desk)?;
        }
        let changes = state_folder::pause(&desk.folder, pipeline, on).map_err(refused)?;
        let what = match (on, changes, desk.holder.is_some()) {
            (true, true, true) => "pausing: what is in flight lands",
            (true, true, false) => "will pause when it is started",
            (true, false, _) => "is paused already",
            (false, true, true) => "going on within ten seconds",
            (false, true, false) => "will not pause when it is started",
            (false, false, _) => "is not paused",
        };
        lines.push(format!("{what}: {}", desk.folder.display()));
    }
    if lines.is_empty() {
        lines.push("no onestep of this user has a ledger: name one with --config, -o or --state".into());
    }
    // Nobody listens on stdout: then the exit code has to do.
    writeln!(std::io::stdout(), "{}", lines.join("\n")).ok();
    Ok(Exit::AllDone)
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
