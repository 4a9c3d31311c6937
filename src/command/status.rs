//! `onestep status`: how far everything is, from the ledgers; the same as JSON or metrics for programs.

use super::ahead::span;
use super::asked::{Desk, desks};
use super::metrics::exposition;
use crate::cli;
use crate::edge::clock::{now_ms, text_of_ms};
use crate::edge::ledger::{Counts, PipelineRow, Said};
use crate::edge::record::{Failure, Status, statuses_to_text};
use crate::edge::state_folder::is_paused;
use crate::error::{CommandError, Exit, StartError};
use crate::work::naming::path_of;
use crate::work::plain::plain;
use std::io::Write;

/// Failures that are told.
const FAILURES: u32 = 5;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// The time left is told from what was done in so many minutes: it follows the pictures of now.
const RATE_MINUTES: i64 = 10;

pub(super) fn main(words: &cli::Status) -> Result<Exit, CommandError> {
    let desks = desks(&words.asked)?;
    let mut statuses = Vec::new();
    for desk in &desks {
        let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
        statuses.push(status(desk).map_err(refused)?);
    }
    let text = match statuses.is_empty() {
        _ if words.json => statuses_to_text(&statuses),
        _ if words.prometheus => exposition(&statuses),
        true => "no onestep of this user has a ledger yet\n".into(),
        false => statuses.iter().map(told).collect::<Vec<_>>().join("\n"),
    };
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    let mut at_work = statuses.iter().filter(|status| status.at_work.is_some()).peekable();
    let is_well = at_work.peek().is_some() && at_work.all(is_well);
    Ok(if words.check && !is_well { Exit::SomeFailed } else { Exit::AllDone })
}

/// Whether one that is at work begins what is new.
fn is_well(status: &Status) -> bool {
    !status.paused && status.pipelines.iter().all(|pipeline| pipeline.held.is_none())
}

fn status(desk: &Desk) -> Said<Status> {
    let (reader, run) = (&desk.reader, desk.reader.latest_run()?);
    let Counts { started, done, failed } = reader.counts()?;
    let failures = reader.failures(FAILURES)?.into_iter().map(|row| Failure {
        source: path_of(&row.root).join(path_of(&row.relative)).display().to_string(),
        reason: row.reason,
        at: text_of_ms(row.at_ms),
    });
    let pipelines: Vec<PipelineRow> = reader.pipelines()?.into_iter().map(pipeline).collect();
    let waiting = started + pipelines.iter().map(|pipeline| pipeline.waiting).sum::<u64>();
    let now = now_ms();
    let began_ms = run.as_ref().map_or(now, |run| run.began_ms);
    let since = began_ms.max(now - RATE_MINUTES * MINUTE_MS);
    let rate = match &desk.holder {
        Some(_) => a_minute(reader.done_since(since)?, now - since),
        None => None,
    };
    Ok(Status {
        state: desk.folder.display().to_string(),
        at_work: desk.holder.clone(),
        paused: is_paused(&desk.folder, None),
        began: run.as_ref().map(|run| text_of_ms(run.began_ms)),
        ended: run.as_ref().and_then(|run| run.ended_ms).map(text_of_ms),
        ending: run.map(|run| run.ending).unwrap_or_default(),
        started,
        done,
        failed,
        done_in_last_hour: reader.done_since(now - HOUR_MS)?,
        done_a_minute: rate,
        minutes_left: rate.filter(|_| waiting > 0).map(|rate| waiting as f64 / rate),
        pipelines,
        failures: failures.collect(),
    })
}

/// Pictures a minute, where any were done.
fn a_minute(done: u64, span_ms: i64) -> Option<f64> {
    (done > 0 && span_ms > 0).then(|| done as f64 * MINUTE_MS as f64 / span_ms as f64)
}

/// With its folder as people read it.
fn pipeline(row: PipelineRow) -> PipelineRow {
    PipelineRow { input: path_of(&row.input).display().to_string(), ..row }
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
    if let (Some(rate), Some(left)) = (status.done_a_minute, status.minutes_left) {
        lines.push(format!("time left about {}, at {rate:.1} pictures a minute", span(60.0 * left)));
    }
    for PipelineRow { name, input, watched, settling, waiting, held, served } in &status.pipelines {
        let watched =
            if status.at_work.is_some() { format!("watched {watched}") } else { "as it was left".into() };
        lines.push(format!("{name}: {waiting} waiting, {settling} settling, {watched}: {input}"));
        lines.extend(served.iter().map(|served| format!("{name}: {served}")));
        lines.extend(held.iter().map(|why| format!("{name}: paused: {why}")));
    }
    lines.extend(
        status
            .failures
            .iter()
            .map(|f| plain(&format!("failed    {}: {}: {}", f.at, f.source, f.reason)).into_owned()),
    );
    lines.push(format!("ledger    {}\n", status.state));
    lines.join("\n")
}
