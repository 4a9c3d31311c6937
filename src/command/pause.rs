//! `onestep pause` and `onestep resume`: what is in flight lands, nothing new is begun until it is said.

use super::asked::desks;
use crate::cli::Asked;
use crate::edge::state_folder;
use crate::error::{CommandError, Exit, StartError};
use std::io::Write;

pub(super) fn main(asked: &Asked, on: bool) -> Result<Exit, CommandError> {
    let mut lines = Vec::new();
    for desk in desks(asked)? {
        let refused =
            |error: std::io::Error| StartError::State { reason: error.into(), folder: desk.folder.clone() };
        let changes = state_folder::pause(&desk.folder, on).map_err(refused)?;
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
