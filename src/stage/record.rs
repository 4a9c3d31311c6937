//! The end of every picture: its receipt or its reason, its row in the ledger, one line, one count. Several
//! at a time where several wait, since each durable write takes as long as many.

use crate::edge::clock::now_text;
use crate::edge::ledger::{Entry, Ledger};
use crate::edge::record::{Reason, Receipt};
use crate::edge::store;
use crate::error::{End, JobError};
use crate::job::{Ended, Errand, Found, Made, Outcome, Settled, Times};
use crate::plan::Recording;
use crate::pulse::Pulse;
use crate::work::known::State;
use crate::work::naming::{RECEIPTS, reason, text_of};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::fmt;
use std::time::Duration;

/// Most ends that are written together.
const TOGETHER: usize = 256;
/// How soon rows and receipts that could not be written are tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// How many pictures ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Results made.
    pub done: usize,
    /// Results that were there already.
    pub already_there: usize,
    /// Failures, each with a reason file.
    pub failed: usize,
    /// Failures of an earlier run, of pictures that have not changed since.
    pub known_bad: usize,
    /// Links, pipes and the like that were passed over.
    pub passed_over: usize,
    /// Ended before they were done.
    pub abandoned: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} already there, {} failed", self.done, self.already_there, self.failed)?;
        let rare = [
            (self.known_bad, "failed before"),
            (self.passed_over, "passed over"),
            (self.abandoned, "abandoned"),
        ];
        rare.iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, word)| write!(f, ", {count} {word}"))
    }
}

/// What could not be written yet.
#[derive(Default)]
struct Pending {
    entries: Vec<Entry>,
    receipts: String,
}

/// Runs until the last job is dropped. `observe` sees each end after it was recorded.
pub fn run(
    options: &Recording,
    pulse: &Pulse,
    inbox: &Receiver<Ended>,
    mut ledger: Ledger,
    summary: &mut Summary,
    observe: &mut (dyn FnMut(&Settled) + Send),
) -> End {
    let mut pending = Pending::default();
    loop {
        let next = if pending.entries.is_empty() {
            inbox.recv().map_err(RecvTimeoutError::from)
        } else {
            inbox.recv_timeout(TRY_AGAIN)
        };
        let closed = matches!(next, Err(RecvTimeoutError::Disconnected));
        let ends: Vec<Ended> = next.into_iter().chain(inbox.try_iter().take(TOGETHER - 1)).collect();
        let written = pulse.work(|| {
            ends.iter().for_each(|end| prepare(options, &end.settled, &mut pending));
            pending.write(options, &mut ledger)
        });
        if let Err(error) = written {
            if !error.transient || closed {
                return Err(ledger.fatal(error));
            }
            log::warn!("what became of {} pictures cannot be written yet: {error}", pending.entries.len());
        }
        for Ended { settled, permit } in ends {
            // Now that it is written down, the picture may be seen again.
            drop(permit);
            count(summary, &settled.outcome);
            tell(&settled);
            observe(&settled);
        }
        if closed {
            return Ok(());
        }
    }
}

impl Pending {
    /// Receipts first: from them the ledger can be made again, not the other way round.
    fn write(&mut self, options: &Recording, ledger: &mut Ledger) -> Result<(), crate::error::SystemError> {
        if !self.receipts.is_empty() {
            store::append(&options.output.join(RECEIPTS), &self.receipts)?;
            self.receipts.clear();
        }
        if !self.entries.is_empty() {
            ledger.settle(&self.entries)?;
            self.entries.clear();
        }
        Ok(())
    }
}

/// Files beside the results at once; lines and rows for later.
fn prepare(options: &Recording, end: &Settled, pending: &mut Pending) {
    let errand = &end.errand;
    match &end.outcome {
        Outcome::Done(made) => {
            forgive(options, errand);
            pending.receipts += &receipt(options, end, made).to_line();
            pending.entries.push(entry(options, errand, State::Done, &made.mark.sha256, String::new()));
        }
        Outcome::AlreadyThere(Found::Touched(sha256) | Found::Marked(sha256)) => {
            forgive(options, errand);
            pending.entries.push(entry(options, errand, State::Done, sha256, String::new()));
        }
        Outcome::Failed { stage, error } => {
            blame(options, errand, stage, error);
            let mut entry = entry(options, errand, State::Failed, "", format!("{}: {error}", error.class()));
            // What may succeed when something else has changed is not remembered against it.
            entry.fingerprint = if error.is_lasting() { options.failed.clone() } else { String::new() };
            pending.entries.push(entry);
        }
        Outcome::AlreadyThere(Found::Known)
        | Outcome::KnownBad
        | Outcome::PassedOver
        | Outcome::Postponed { .. }
        | Outcome::Abandoned => {}
    }
}

fn entry(options: &Recording, errand: &Errand, state: State, sha256: &str, reason: String) -> Entry {
    Entry {
        root: text_of(&errand.root),
        relative: text_of(&errand.relative),
        target: text_of(&errand.target),
        state,
        stamp: errand.stamp,
        sha256: sha256.to_owned(),
        fingerprint: options.done.clone(),
        reason,
    }
}

fn receipt(options: &Recording, end: &Settled, made: &Made) -> Receipt {
    Receipt {
        at: now_text(),
        root: text_of(&end.errand.root),
        target: text_of(&end.errand.target),
        mark: made.mark.clone(),
        changed_ns: end.errand.stamp.changed_ns,
        fingerprint: options.done.clone(),
        attempts: end.errand.attempt + 1,
        output_bytes: made.output_bytes,
        output_sha256: made.output_sha256.clone(),
        seconds: end.times,
    }
}

fn count(summary: &mut Summary, outcome: &Outcome) {
    match outcome {
        Outcome::Done(_) => summary.done += 1,
        Outcome::AlreadyThere(_) => summary.already_there += 1,
        Outcome::KnownBad => summary.known_bad += 1,
        Outcome::PassedOver => summary.passed_over += 1,
        Outcome::Failed { .. } => summary.failed += 1,
        Outcome::Abandoned => summary.abandoned += 1,
        Outcome::Postponed { .. } => {}
    }
}

/// One line an end; what was skipped is not worth one.
fn tell(end: &Settled) {
    let (source, attempts) = (end.errand.source.display(), end.errand.attempt + 1);
    let Times { waiting, decoding, inferring, encoding, whole } = end.times;
    match &end.outcome {
        Outcome::Done(made) => log::info!(
            outcome = "done", seconds = whole, waiting, decoding, inferring, encoding, attempts,
            bytes = made.output_bytes, sha256 = made.mark.sha256.as_str(), source:%;
            "done in {whole:.2} s (decode {decoding:.2}, network {inferring:.2}, encode {encoding:.2}): {source}"
        ),
        Outcome::AlreadyThere(found) => log::debug!("already there ({found:?}): {source}"),
        Outcome::KnownBad => log::debug!("failed before, and has not changed: {source}"),
        Outcome::PassedOver => log::debug!("passed over, not a regular file or gone: {source}"),
        Outcome::Abandoned => log::warn!(
            outcome = "abandoned", source:%; "abandoned, to be done by the next run: {source}"
        ),
        Outcome::Postponed { stage, error, wait } => log::warn!(
            outcome = "postponed", stage = *stage, class = error.class(), attempts, source:%;
            "failed in {stage}, trying again in {:.1} s: {error}: {source}", wait.as_secs_f64()
        ),
        Outcome::Failed { stage, error } => log::warn!(
            outcome = "failed", stage = *stage, class = error.class(), attempts, source:%;
            "failed in {stage}: {error}: {source}"
        ),
    }
}

/// Takes the reason file away, if it is about this picture: two pictures of one name may share its place.
fn forgive(options: &Recording, errand: &Errand) {
    let path = reason(&options.output, &errand.relative);
    let about_it = std::fs::read_to_string(&path).is_ok_and(|text| Reason::is_for(&text, &errand.source));
    if about_it && let Err(error) = store::remove(&path) {
        log::warn!("cannot remove an outdated reason: {error}: {}", path.display());
    }
}

fn blame(options: &Recording, errand: &Errand, stage: &str, error: &JobError) {
    let path = reason(&options.output, &errand.relative);
    let text = Reason::new(errand, stage, error, options.limits).to_text();
    if let Err(error) = store::commit(&options.output, &path, |writer| writer.write_all(text.as_bytes())) {
        log::error!("cannot write why a picture failed: {error}: {}", path.display());
    }
}
