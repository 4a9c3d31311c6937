//! `onestep retry`: forgets failures, so that they are tried again when they are seen next.

use super::asked::desks;
use crate::cli;
use crate::edge::clock::now_ms;
use crate::edge::ledger::{Which, forget_failures};
use crate::error::{CommandError, Exit, StartError};
use crate::work::naming::path_of;
use std::io::Write;

pub(super) fn main(words: &cli::Retry) -> Result<Exit, CommandError> {
    let since_ms = words
        .since
        .map_or(0, |since| now_ms().saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    let which = Which { reason: words.reason.clone(), since_ms };
    let mut lines = Vec::new();
    let mut at_work = false;
    for desk in desks(&words.asked)? {
        let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
        for row in forget_failures(&desk.folder, &which).map_err(refused)? {
            let source = path_of(&row.root).join(path_of(&row.relative));
            lines.push(format!("{}: {}", source.display(), row.reason));
            at_work |= desk.holder.is_some();
        }
    }
    let when = match (lines.is_empty(), at_work) {
        (true, _) => "no failure is remembered that fits".to_owned(),
        (false, true) => {
            format!("{} to be tried again: the onestep at work looks within ten minutes", lines.len())
        }
        (false, false) => format!("{} to be tried again at the next start", lines.len()),
    };
    lines.push(when);
    // Nobody listens on stdout: then the exit code has to do.
    writeln!(std::io::stdout(), "{}", lines.join("\n")).ok();
    Ok(Exit::AllDone)
}
