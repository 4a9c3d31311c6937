//! The end of every picture: its receipt or its reason, its row in the ledger, one line, one count. Several
//! at a time where several wait, since each durable write takes as long as many.

use crate::board::Board;
use crate::budget::Permit;
use crate::edge::clock::now_text;
use crate::edge::ledger::{Entry, Ledger, Said};
use crate::edge::originals::Originals;
use crate::edge::record::{Reason, Receipt};
use crate::edge::store::{self, Access, Taken};
use crate::error::{End, Fatal, JobError, SystemError};
use crate::job::{Ended, Errand, Found, Outcome, Settled, Times};
use crate::plan::{Line, Recording};
use crate::pulse::Pulse;
use crate::stage::originals::Landed;
use crate::work::known::State;
use crate::work::naming::{RECEIPTS, reason, text_of};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::BTreeMap;
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

/// An end that is not written down yet.
struct Waiting {
    end: Ended,
    /// Its reason file, or the absence of one, is as it should be, or never will be.
    filed: bool,
    /// It failed and has no reason file, since something stands in its place.
    untold: bool,
    /// Its receipt is written, if it has one.
    receipted: bool,
}

impl Waiting {
    fn new(end: Ended) -> Waiting {
        Waiting { end, filed: false, untold: false, receipted: false }
    }

    /// Nothing of it is to be written.
    fn is_no_news(&self) -> bool {
        matches!(
            self.end.settled.outcome,
            Outcome::AlreadyThere(Found::Known)
                | Outcome::KnownBad
                | Outcome::Postponed { .. }
                | Outcome::Abandoned
        )
    }

    fn line(&self) -> usize {
        self.end.settled.errand.line
    }

    /// Whether all is written that belongs beside the results.
    fn is_beside(&self) -> bool {
        self.filed && self.receipted
    }
}

/// Runs until the last job is dropped. `observe` sees each end after it was recorded.
pub fn run(
    (options, board): (&Recording, &Board),
    lines: &[Line],
    pulse: &Pulse,
    (inbox, outbox): (&Receiver<Ended>, Sender<Landed>),
    mut ledger: Ledger,
    summary: &mut Summary,
    observe: &mut (dyn FnMut(&Settled) + Send),
) -> End {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        let next = if waiting.is_empty() {
            inbox.recv().map_err(RecvTimeoutError::from)
        } else {
            inbox.recv_timeout(TRY_AGAIN)
        };
        let closed = matches!(next, Err(RecvTimeoutError::Disconnected));
        let new = next.into_iter().chain(inbox.try_iter().take(TOGETHER - 1));
        waiting.extend(new.map(Waiting::new));
        let mut settle = |written: Vec<Waiting>| {
            for Waiting { end: Ended { settled, permit }, .. } in written {
                // Now the picture may be seen again.
                drop(permit);
                let is_done = matches!(settled.outcome, Outcome::Done(_) | Outcome::AlreadyThere(_));
                if is_done && lines[settled.errand.line].originals != Originals::Keep {
                    // Nobody puts pictures away any more: then they stay.
                    let is_made = matches!(settled.outcome, Outcome::Done(_));
                    outbox.send(Landed { errand: settled.errand.clone(), is_made }).ok();
                }
                count(options, summary, &settled.outcome);
                tell(&settled);
                observe(&settled);
            }
        };
        // Where nothing can be written, whatever waits for that must not grow by what does not.
        let (no_news, news) = std::mem::take(&mut waiting).into_iter().partition(Waiting::is_no_news);
        waiting = news;
        settle(no_news);
        let refused = match pulse.work(|| write((options, lines), &mut waiting, &mut ledger)) {
            Ok(refused) => refused,
            Err(error) if error.transient && !closed => {
                // Nothing is told or free again before it is written down, so `admit` comes to a halt by
                // itself.
                log::error!("what became of {} pictures cannot be written yet: {error}", waiting.len());
                continue;
            }
            Err(error) => return Err(ledger.fatal(error)),
        };
        let (written, left) = std::mem::take(&mut waiting).into_iter().partition(Waiting::is_beside);
        waiting = left;
        for (number, line) in lines.iter().enumerate() {
            board.tell(number, |news| news.unwritten = refused.get(&number).map(|error| told(line, error)));
        }
        // They wait for their folders, and other pictures need not wait for their memory.
        waiting.iter_mut().filter_map(|waiting| waiting.end.permit.as_mut()).for_each(Permit::shrink);
        settle(written);
        match refused.into_iter().next() {
            None if closed => return Ok(()),
            Some((line, error)) if closed => {
                let folder = lines[line].output.clone();
                return Err(Fatal::Output { reason: error.text, folder });
            }
            _ => {}
        }
    }
}

/// Why a pipeline's pictures are not settled, for people.
fn told(line: &Line, error: &SystemError) -> String {
    let told = format!("what became of its pictures cannot be written: {error}: {}", line.output.display());
    log::error!("{}: {told}", line.name);
    told
}

/// Files, receipts, rows: in this order, since from receipts the ledger can be made again, and not the other
/// way round. What is written is not written again. Gives the lines whose folders refuse: their pictures have
/// no rows yet, and hold up no other's. Errors are the ledger's own.
fn write(
    (options, lines): (&Recording, &[Line]),
    waiting: &mut [Waiting],
    ledger: &mut Ledger,
) -> Said<BTreeMap<usize, SystemError>> {
    let mut refused = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let mut of_line: Vec<&mut Waiting> = waiting.iter_mut().filter(|w| w.line() == number).collect();
        if let Err(error) = write_beside(options, line, ledger.run_name(), &mut of_line) {
            refused.insert(number, error);
        }
    }
    let written = || waiting.iter().filter(|waiting| waiting.is_beside());
    let rows: Vec<Entry> = written().filter_map(|waiting| row(&lines[waiting.line()], waiting)).collect();
    if !rows.is_empty() {
        ledger.settle(&rows)?;
    }
    for Waiting { end: Ended { settled: Settled { errand, outcome, .. }, .. }, .. } in written() {
        // Gone since it was begun.
        if matches!(outcome, Outcome::PassedOver) {
            ledger.forget_begun(&text_of(&errand.root), &text_of(&errand.relative))?;
        }
    }
    Ok(refused)
}

/// Reason files and receipts of one line, beside its results.
fn write_beside(
    options: &Recording,
    line: &Line,
    run: &str,
    waiting: &mut [&mut Waiting],
) -> Result<(), SystemError> {
    let not_yet =
        |what: &str, error: SystemError| SystemError { text: format!("{what}: {error}"), transient: true };
    for waiting in waiting.iter_mut().filter(|waiting| !waiting.filed) {
        if let Err(error) = file(options, line, &waiting.end.settled) {
            // Is it this one place, or the whole folder? One picture never stops the others.
            let error = SystemError::from(error);
            if error.transient || store::probe(&line.output).is_err() {
                return Err(not_yet("reason file", error));
            }
            let source = waiting.end.settled.errand.source.display();
            log::error!("cannot write why this picture failed: {error}: {source}");
            waiting.untold = true;
        }
        waiting.filed = true;
    }
    let new = || waiting.iter().filter(|waiting| !waiting.receipted);
    let text: String = new().filter_map(|waiting| receipt(line, run, &waiting.end.settled)).collect();
    if !text.is_empty() {
        store::append(&line.output.join(RECEIPTS), &text).map_err(|error| not_yet(RECEIPTS, error.into()))?;
    }
    waiting.iter_mut().for_each(|waiting| waiting.receipted = true);
    Ok(())
}

/// A reason file for what failed; none for what did not.
fn file(options: &Recording, line: &Line, end: &Settled) -> std::io::Result<()> {
    match &end.outcome {
        Outcome::Done(_) | Outcome::AlreadyThere(Found::Touched(_) | Found::Marked(_)) => {
            forgive(line, &end.errand)
        }
        Outcome::Failed { stage, error } => blame(options, line, &end.errand, stage, error),
        _ => Ok(()),
    }
}

/// The picture's row in the ledger, where there is news.
fn row(line: &Line, waiting: &Waiting) -> Option<Entry> {
    let Settled { errand, outcome, .. } = &waiting.end.settled;
    match outcome {
        Outcome::Done(made) => Some(entry(line, errand, State::Done, &made.mark.sha256, String::new())),
        Outcome::AlreadyThere(Found::Touched(sha256) | Found::Marked(sha256)) => {
            Some(entry(line, errand, State::Done, sha256, String::new()))
        }
        Outcome::Failed { error, .. } => {
            let mut entry = entry(line, errand, State::Failed, "", format!("{}: {error}", error.class()));
            // What may succeed when something else has changed is not remembered against it, nor what was not
            // told.
            let is_known = error.is_lasting() && !waiting.untold;
            entry.fingerprint = errand.options(if is_known { &line.failed } else { "" });
            Some(entry)
        }
        Outcome::AlreadyThere(Found::Known)
        | Outcome::KnownBad
        | Outcome::PassedOver
        | Outcome::Postponed { .. }
        | Outcome::Abandoned => None,
    }
}

fn entry(line: &Line, errand: &Errand, state: State, sha256: &str, reason: String) -> Entry {
    Entry {
        root: text_of(&errand.root),
        relative: text_of(&errand.relative),
        target: text_of(&errand.target),
        state,
        stamp: errand.stamp,
        sha256: sha256.to_owned(),
        fingerprint: errand.options(&line.done),
        reason,
        at_ms: None,
    }
}

/// The receipt of a result that was made, as a line.
fn receipt(line: &Line, run: &str, end: &Settled) -> Option<String> {
    let Outcome::Done(made) = &end.outcome else { return None };
    let receipt = Receipt {
        at: now_text(),
        run: run.to_owned(),
        root: text_of(&end.errand.root),
        target: text_of(&end.errand.target),
        mark: made.mark.clone(),
        changed_ns: end.errand.stamp.changed_ns,
        fingerprint: end.errand.options(&line.done),
        attempts: end.errand.attempt + 1,
        output_bytes: made.output_bytes,
        output_sha256: made.output_sha256.clone(),
        compared: made.figures,
        seconds: end.times,
    };
    Some(receipt.to_line())
}

/// A daemon looks at what is known with every scan; that is not counted.
fn count(options: &Recording, summary: &mut Summary, outcome: &Outcome) {
    match outcome {
        Outcome::Done(_) => summary.done += 1,
        Outcome::AlreadyThere(Found::Known) => summary.already_there += usize::from(options.once),
        Outcome::AlreadyThere(_) => summary.already_there += 1,
        Outcome::KnownBad => summary.known_bad += usize::from(options.once),
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
            "done in {whole:.2} s (decode {decoding:.2}, network {inferring:.2}, encode {encoding:.2}): \
             {source}"
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
fn forgive(line: &Line, errand: &Errand) -> std::io::Result<()> {
    let path = reason(&line.output, &errand.relative);
    let about_it = std::fs::read_to_string(&path).is_ok_and(|text| Reason::is_for(&text, &errand.source));
    if about_it { store::remove(&path) } else { Ok(()) }
}

fn blame(
    options: &Recording,
    line: &Line,
    errand: &Errand,
    stage: &str,
    error: &JobError,
) -> std::io::Result<()> {
    let path = reason(&line.output, &errand.relative);
    let text = Reason::new(errand, stage, error, options.limits).to_text();
    store::commit(&line.output, &path, (Access::default(), Taken::Replaced), |writer| {
        writer.write_all(text.as_bytes())
    })
}
