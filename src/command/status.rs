//! `onestep status`: how far everything is, from the ledgers; the same as JSON for programs.

use super::asked::{Desk, desks};
use crate::cli;
use crate::edge::clock::{now_ms, text_of_ms};
use crate::edge::ledger::{Counts, Said};
use crate::edge::record::{Failure, Status, statuses_to_text};
use crate::edge::state_folder::is_paused;
use crate::error::{CommandError, Exit, StartError};
use crate::work::naming::path_of;
use std::io::Write;

/// Failures that are told.
const FAILURES: u32 = 5;
const HOUR_MS: i64 = 3_600_000;

pub(super) fn main(words: &cli::Status) -> Result<Exit, CommandError> {
    let desks = desks(&words.asked)?;
    let mut statuses = Vec::new();
    for desk in &desks {
        let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
        statuses.push(status(desk).map_err(refused)?);
    }
    let text = match (words.json, statuses.is_empty()) {
        (true, _) => statuses_to_text(&statuses),
        (false, true) => "no onestep of this user has a ledger yet\n".into(),
        (false, false) => statuses.iter().map(told).collect::<Vec<_>>().join("\n"),
    };
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(Exit::AllDone)
}

fn status(desk: &Desk) -> Said<Status> {
    let (reader, run) = (&desk.reader, desk.reader.latest_run()?);
    let Counts { started, done, failed } = reader.counts()?;
    let failures = reader.failures(FAILURES)?.into_iter().map(|row| Failure {
        source: path_of(&row.root).join(path_of(&row.relative)).display().to_string(),
        reason: row.reason,
        at: text_of_ms(row.at_ms),
    });
    Ok(Status {
        state: desk.folder.display().to_string(),
        at_work: desk.holder.clone(),
        paused: is_paused(&desk.folder),
        began: run.as_ref().map(|run| text_of_ms(run.began_ms)),
        ended: run.as_ref().and_then(|run| run.ended_ms).map(text_of_ms),
        ending: run.map(|run| run.ending).unwrap_or_default(),
        started,
        done,
        failed,
        done_in_last_hour: reader.done_since(now_ms() - HOUR_MS)?,
        failures: failures.collect(),
    })
}

fn told(status: &Status) -> String {
    let began = status.began.as_deref().unwrap_or("never");
    let run = match (&status.at_work, &status.ended) {
        (Some(pid), _) => format!("at work: pid {pid}, since {began}"),
        (None, Some(ended)) => format!("not at work: the last run {} {ended}", status.ending),
        (None, None) => format!("not at work: the last run began {began} and died without a word"),
    };
    let begun = match (&status.at_work, status.started) {
        (Some(_), count) => format!(", {count} in work"),
        (None, 0) => String::new(),
        (None, count) => format!(", {count} interrupted and done again at the next start"),
    };
    let paused = if status.paused { ", paused until `onestep resume`" } else { "" };
    let mut lines = vec![
        format!("onestep   {run}{paused}"),
        format!("pictures  {} done, {} failed{begun}", status.done, status.failed),
        format!("last hour {} done", status.done_in_last_hour),
    ];
    lines.extend(status.failures.iter().map(|f| format!("failed    {}: {}: {}", f.at, f.source, f.reason)));
    lines.push(format!("ledger    {}\n", status.state));
    lines.join("\n")
}
