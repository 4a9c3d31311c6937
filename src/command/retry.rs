//! `onestep retry`: forgets failures, so that they are tried again when they are seen next. `onestep
//! reprocess`: forgets with which options results were made, so that they are made again.

use super::asked::to_change;
use crate::cli::{self, Asked};
use crate::edge::clock::now_ms;
use crate::edge::ledger::{Made, PictureRow, Said, Which, forget_failures, forget_options};
use crate::error::{CommandError, Exit, StartError};
use crate::work::naming::path_of;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn main(words: &cli::Retry) -> Result<Exit, CommandError> {
    let which = Which { reason: words.reason.clone(), since_ms: ms_of(words.since) };
    forget(&words.asked, ("no failure is remembered that fits", "tried"), |folder| {
        let told = |row: PictureRow| (place(&row), row.reason);
        Ok(forget_failures(folder, &which)?.into_iter().map(told).collect())
    })
}

/// `onestep reprocess`.
pub(super) fn reprocess(words: &cli::Reprocess) -> Result<Exit, CommandError> {
    let (only, except) = (words.only.clone(), words.except.clone());
    let which = Made { only, except, since_ms: ms_of(words.since) };
    forget(&words.asked, ("no result is remembered that fits", "made"), |folder| {
        let told = |row: PictureRow| (place(&row), row.known.fingerprint);
        Ok(forget_options(folder, &which)?.into_iter().map(told).collect())
    })
}

fn ms_of(since: Option<Duration>) -> i64 {
    let ago = |since: Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    since.map_or(0, |since| now_ms().saturating_sub(ago(since)))
}

fn place(row: &PictureRow) -> PathBuf {
    path_of(&row.root).join(path_of(&row.relative))
}

/// Forgets in the ledger that is meant, and tells what.
fn forget(
    asked: &Asked,
    (nothing, word): (&str, &str),
    in_folder: impl Fn(&Path) -> Said<Vec<(PathBuf, String)>>,
) -> Result<Exit, CommandError> {
    let mut lines = Vec::new();
    let mut at_work = false;
    let desk = to_change(asked)?;
    let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
    for (source, why) in in_folder(&desk.folder).map_err(refused)? {
        lines.push(format!("{}: {why}", source.display()));
        at_work |= desk.holder.is_some();
    }
    let count = lines.len();
    lines.push(match (count, at_work) {
        (0, _) => nothing.to_owned(),
        (_, true) => format!("{count} to be {word} again: the onestep at work looks within ten minutes"),
        (_, false) => format!("{count} to be {word} again at the next start"),
    });
    // Nobody listens on stdout: then the exit code has to do.
    writeln!(std::io::stdout(), "{}", lines.join("\n")).ok();
    Ok(Exit::AllDone)
}
