//! Letting pictures in: is it a file, is it new, is its place free, is it within limits, is there room? What
//! is not let in is told to `record` at once; what is, is written down first. The only thread that counts
//! the budget, holds the claims and waits where the ground itself gives way.

mod claims;
mod ground;
mod look;
mod measure;

pub use measure::measure;

use crate::budget::{Budget, Release};
use crate::edge::codec::Header;
use crate::edge::ledger::{Entry, Ledger};
use crate::edge::supervisor;
use crate::error::{End, Fatal, JobError, SystemError};
use crate::flight::Flight;
use crate::job::{Ended, Errand, Job, Outcome, Settled, Sighting, Times};
use crate::plan::{Admission, Line};
use crate::pulse::Pulse;
use crate::stop::{Stop, is_stopped};
use crate::work::backoff::Delayed;
use crate::work::known::State;
use crate::work::mark::Stamp;
use crate::work::naming::text_of;
use claims::Claims;
use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, after, at, never, select};
use ground::Ground;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon a paused pipeline looks again, at first and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Where `admit` reads and writes.
#[derive(Debug)]
pub struct Doors {
    /// Sightings come in; what waits in an earlier one is looked at first.
    pub inboxes: Vec<Receiver<Sighting>>,
    /// Jobs go out.
    pub outbox: Sender<Arc<Job>>,
    /// What is not let in is told here; and so will be every job's end.
    pub ends: Sender<Ended>,
    /// What was done before, and what is about to be.
    pub ledger: Ledger,
    /// All that is let in.
    pub flight: Flight,
    /// Ends all waiting.
    pub stop: Stop,
}

struct Admitting<'a> {
    options: &'a Admission,
    lines: &'a [Line],
    doors: Doors,
    budget: Budget,
    claims: Claims,
    delayed: Delayed<Sighting>,
    ground: Ground,
    admitted: u64,
}

/// Why a picture goes no further now.
enum Turned {
    /// This is its end.
    Away(Outcome),
    /// It will be looked at again when what is in flight has landed.
    Later,
    /// Nothing can be let in now, for a reason that is not this picture's.
    Blocked(String),
    /// Nobody listens any more, or the stop was asked for.
    Closed,
    Fatal(Fatal),
}

/// A picture that may be let in.
struct Candidate {
    header: Header,
    /// Megabytes.
    need: usize,
    /// It is suspected of a crash, and must be alone.
    alone: bool,
}

/// Runs until sightings end and all that was let in is home, the stop, or nobody takes jobs any more.
pub fn run(options: &Admission, lines: &[Line], pulse: &Pulse, doors: Doors) -> End {
    let ground = Ground::new(doors.ledger.folder(), options.reserve_mb);
    let mut admitting = Admitting {
        options,
        lines,
        doors,
        budget: Budget::new(options.memory_mb),
        claims: Claims::new(options.once),
        delayed: Delayed::default(),
        ground,
        admitted: 0,
    };
    while let Some(sighting) = admitting.next() {
        match admitting.admit(pulse, &sighting) {
            Err(Turned::Closed) => break,
            Err(Turned::Fatal(fatal)) => return Err(fatal),
            _ => {}
        }
    }
    Ok(())
}

impl Admitting<'_> {
    /// The next picture to look at. After the last sighting it waits for what is in flight, since that may
    /// come back to be tried again.
    fn next(&mut self) -> Option<Sighting> {
        loop {
            if is_stopped(&self.doors.stop) {
                return None;
            }
            while let Ok(release) = self.budget.released().try_recv() {
                self.came_home(release);
            }
            let again = self.claims.seen_again();
            if let Some(sighting) = again.or_else(|| self.delayed.pop(Instant::now())) {
                return Some(sighting);
            }
            let mut next = None;
            self.doors.inboxes.retain(|inbox| {
                let tried = if next.is_none() { inbox.try_recv() } else { Err(TryRecvError::Empty) };
                let ended = tried == Err(TryRecvError::Disconnected);
                next = next.take().or(tried.ok());
                !ended
            });
            if next.is_some() {
                return next;
            }
            if self.doors.inboxes.is_empty() && self.budget.out() == 0 && self.delayed.is_empty() {
                return None;
            }
            self.rest();
        }
    }

    /// Waits until there may be something to do.
    fn rest(&self) {
        let due = self.delayed.next_due().map_or_else(never, at);
        let mut select = Select::new();
        select.recv(self.budget.released());
        select.recv(&due);
        select.recv(&self.doors.stop);
        for inbox in &self.doors.inboxes {
            select.recv(inbox);
        }
        select.ready();
    }

    fn came_home(&mut self, release: Release) {
        self.budget.credit(&release);
        welcome(&mut self.claims, &mut self.delayed, &mut self.ground, release);
    }

    /// Looks until the picture is let in or turned away, or the pipeline ends.
    fn admit(&mut self, pulse: &Pulse, sighting: &Sighting) -> Result<(), Turned> {
        loop {
            let mut errand = errand(&self.lines[sighting.line], sighting);
            let looked = pulse.work(|| self.look(sighting, &mut errand));
            match looked.and_then(|candidate| self.let_in(pulse, &errand, candidate)) {
                Err(Turned::Away(outcome)) => match self.amiss(&outcome, sighting) {
                    Some(obstacle) => self.wait(obstacle, sighting)?,
                    None => return self.turn_away(errand, outcome),
                },
                Err(Turned::Blocked(obstacle)) => self.wait(obstacle, sighting)?,
                other => return other,
            }
        }
    }

    /// Whether a bad end may be the ground's fault and not the picture's, or could not be written down.
    fn amiss(&mut self, outcome: &Outcome, sighting: &Sighting) -> Option<String> {
        let is_bad = matches!(outcome, Outcome::Failed { .. } | Outcome::PassedOver);
        let output = &self.lines[sighting.line].output;
        is_bad.then(|| self.ground.obstacle(&sighting.root, output)).flatten()
    }

    fn turn_away(&mut self, errand: Errand, outcome: Outcome) -> Result<(), Turned> {
        let outcome = match outcome {
            Outcome::Failed { stage, error } => match errand.retry(&error, &self.options.backoff) {
                Some(wait) => {
                    self.delayed.push(Instant::now() + wait, errand.again());
                    Outcome::Postponed { stage, error, wait }
                }
                None => Outcome::Failed { stage, error },
            },
            other => other,
        };
        let settled = Settled { errand, outcome, times: Times::default() };
        self.doors.ends.send(Ended { settled, permit: None }).map_err(|_closed| Turned::Closed)
    }

    /// Waits for room, writes down what is about to be done, and sends the job on its way.
    fn let_in(&mut self, pulse: &Pulse, errand: &Errand, candidate: Candidate) -> Result<(), Turned> {
        let Candidate { header, need, alone } = candidate;
        let line = &self.lines[errand.line];
        if let Some(obstacle) = self.ground.obstacle(&errand.root, &line.output) {
            return Err(Turned::Blocked(obstacle));
        }
        if alone {
            log::warn!("suspected of a crash, done alone: {}", errand.source.display());
        }
        let (claims, delayed, ground) = (&mut self.claims, &mut self.delayed, &mut self.ground);
        let home = |release| welcome(claims, delayed, ground, release);
        let want = if alone { self.budget.whole() } else { need };
        let permit = self.budget.take(want, &errand.target, &self.doors.stop, home).ok_or(Turned::Closed)?;
        pulse.work(|| self.doors.ledger.intend(&intent(line, errand))).map_err(|e| self.ledger_error(e))?;
        self.claims.fly(errand, line.wanted.uncertainty.is_some());
        let (ends, flight) = (self.doors.ends.clone(), self.doors.flight.clone());
        let backoff = self.options.backoff;
        let job = Job::new(self.admitted, errand.clone(), header, permit, ends, flight, backoff);
        self.admitted += 1;
        self.doors.outbox.send(job).map_err(|_closed| Turned::Closed)
    }

    /// One alarm, then patience: what is in flight lands, nothing new begins, and when the obstacle is gone
    /// it goes on by itself.
    fn wait(&mut self, obstacle: String, sighting: &Sighting) -> Result<(), Turned> {
        let output = &self.lines[sighting.line].output;
        let begin = Instant::now();
        if self.ground.is_paused() {
            log::warn!("paused: {obstacle}");
        } else {
            log::error!("paused: {obstacle}");
        }
        supervisor::status(&format!("paused: {obstacle}"));
        let mut pause = LOOK_AGAIN.0;
        loop {
            select! {
                recv(self.budget.released()) -> release => {
                    if let Ok(release) = release {
                        self.came_home(release);
                    }
                    continue;
                },
                recv(after(pause)) -> _ => {},
                recv(self.doors.stop) -> _ => return Err(Turned::Closed),
            }
            let ground = self.ground.obstacle(&sighting.root, output);
            let still = ground.or_else(|| self.doors.ledger.probe().err().map(state_obstacle));
            if still.is_none() {
                log::warn!("going on after a pause of {:.0} s", begin.elapsed().as_secs_f64());
                supervisor::status("going on");
                return Ok(());
            }
            pause = (2 * pause).min(LOOK_AGAIN.1);
        }
    }

    fn ledger_error(&self, error: SystemError) -> Turned {
        if error.transient {
            return Turned::Blocked(state_obstacle(error));
        }
        Turned::Fatal(self.doors.ledger.fatal(error))
    }
}

fn state_obstacle(error: SystemError) -> String {
    format!("the ledger cannot be written: {error}")
}

/// A permit came home: its claim ends, and its errand may have to be tried again.
fn welcome(claims: &mut Claims, delayed: &mut Delayed<Sighting>, ground: &mut Ground, release: Release) {
    claims.land(&release.target);
    if let Some(again) = release.again {
        // Perhaps it is not the picture's fault.
        ground.doubt();
        delayed.push(again.due, again.sighting);
    }
}

fn errand(line: &Line, sighting: &Sighting) -> Errand {
    Errand {
        line: sighting.line,
        root: Arc::clone(&sighting.root),
        source: sighting.source.clone(),
        relative: sighting.relative.clone(),
        target: line.target(&sighting.relative),
        stamp: Stamp::default(),
        named: sighting.named,
        attempt: sighting.attempt,
    }
}

fn intent(line: &Line, errand: &Errand) -> Entry {
    Entry {
        root: text_of(&errand.root),
        relative: text_of(&errand.relative),
        target: text_of(&errand.target),
        state: State::Started,
        stamp: errand.stamp,
        sha256: String::new(),
        fingerprint: line.done.clone(),
        reason: String::new(),
    }
}

fn failed(error: JobError) -> Turned {
    Turned::Away(Outcome::Failed { stage: "admit", error })
}

/// What was there a moment ago is looked for once more.
fn unreadable(error: std::io::Error) -> Turned {
    let is_gone = error.kind() == std::io::ErrorKind::NotFound;
    failed(if is_gone { JobError::Gone } else { JobError::Unreadable(error.into()) })
}
