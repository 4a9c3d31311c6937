//! Letting pictures in: is it a file, is it new, is its place free, is it within limits, is there room? What
//! is not let in is told to `record` at once; what is, is written down first. The only thread that counts
//! the budget, holds the claims and waits where what everything stands on gives way; a pipeline that alone
//! has lost its ground is held while the others go on.

mod claims;
mod ground;
mod held;
mod inboxes;
mod look;
mod measure;
mod unmasked;

pub use inboxes::Inbox;
pub use measure::{Measured, measure};

use crate::board::Board;
use crate::budget::{Budget, Release};
use crate::edge::codec::Header;
use crate::edge::ledger::Ledger;
use crate::edge::supervisor;
use crate::error::{End, Fatal, SystemError};
use crate::flight::Flight;
use crate::job::{Ended, Errand, Job, Outcome, Settled, Sighting, Times};
use crate::plan::{Admission, Line};
use crate::pulse::Pulse;
use crate::stop::{Stop, is_stopped};
use crate::work::backoff::Delayed;
use claims::Claims;
use crossbeam_channel::{Select, Sender, after, at, never, select};
use ground::Ground;
use held::{Held, LOOK_AGAIN};
use inboxes::Inboxes;
use look::{begin, intent};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unmasked::Unmasked;

/// Where `admit` reads and writes.
#[derive(Debug)]
pub struct Doors {
    /// Sightings of each line come in.
    pub inboxes: Vec<Inbox>,
    /// Jobs go out.
    pub outbox: Sender<Arc<Job>>,
    /// What is not let in is told here; and so will be every job's end.
    pub ends: Sender<Ended>,
    /// What was done before, and what is about to be.
    pub ledger: Ledger,
    /// All that is let in.
    pub flight: Flight,
    /// Which pipelines are held is told here.
    pub board: Board,
    /// Ends all waiting.
    pub stop: Stop,
}

/// Why nothing is begun after `onestep pause`.
const PAUSED: &str = "asked to by `onestep pause`, `onestep resume` goes on";

struct Admitting<'a> {
    options: &'a Admission,
    lines: &'a [Line],
    doors: Doors,
    budget: Budget,
    claims: Claims,
    delayed: Delayed<Sighting>,
    ground: Ground,
    held: Held,
    unmasked: Unmasked,
    /// Whether the last turn was one of those that wait for their masks.
    unmasked_last: bool,
    inboxes: Inboxes,
    admitted: u64,
}

/// Why a picture goes no further now.
enum Turned {
    /// This is its end.
    Away(Outcome),
    /// It will be looked at again when what is in flight has landed.
    Later,
    /// Its mask is not there yet: it will be looked at again after this time.
    Unmasked(Duration),
    /// Nothing of its pipeline can be let in now: what its pictures stand on gave way.
    Held(String),
    /// Nothing at all can be let in now.
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
pub fn run(options: &Admission, lines: &[Line], pulse: &Pulse, mut doors: Doors) -> End {
    let inboxes = Inboxes::new(std::mem::take(&mut doors.inboxes));
    let ground = Ground::new(doors.ledger.folder(), options.reserve_mb);
    let mut admitting = Admitting {
        options,
        lines,
        doors,
        budget: Budget::new(options.memory_mb),
        claims: Claims::new(options.once),
        delayed: Delayed::default(),
        ground,
        held: Held::default(),
        unmasked: Unmasked::default(),
        unmasked_last: false,
        inboxes,
        admitted: 0,
    };
    while let Some(sighting) = admitting.next() {
        let admitted = admitting.admit(pulse, &sighting);
        admitting.await_mask(&sighting, &admitted);
        match admitted {
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
            self.look_at_held();
            let again = self.claims.seen_again().or_else(|| self.delayed.pop(Instant::now()));
            if let Some(sighting) = again.or_else(|| self.next_unmasked()) {
                if self.held.holds(sighting.line) {
                    self.keep(sighting);
                    continue;
                }
                return Some(sighting);
            }
            if let Some(sighting) = self.take() {
                return Some(sighting);
            }
            let waits = !self.delayed.is_empty() || !self.held.is_empty() || !self.unmasked.is_empty();
            if self.inboxes.is_empty() && self.budget.out() == 0 && !waits {
                return None;
            }
            self.rest();
        }
    }

    /// The first that waits in an inbox.
    fn take(&mut self) -> Option<Sighting> {
        let (sighting, more) = self.inboxes.take(|line| self.held.holds(line))?;
        self.doors.board.tell(sighting.line, |news| news.sent = more);
        Some(sighting)
    }

    /// The next that is to be looked at again for its mask; what comes in and such take turns, since these
    /// may be due all the time.
    fn next_unmasked(&mut self) -> Option<Sighting> {
        self.unmasked_last = !self.unmasked_last;
        if self.unmasked_last { self.unmasked.pop(Instant::now()) } else { None }
    }

    /// Waits until there may be something to do.
    fn rest(&self) {
        let due = [self.delayed.next_due(), self.held.next_due(), self.unmasked.next_due()];
        let due = due.into_iter().flatten().min();
        let due = due.map_or_else(never, at);
        let mut select = Select::new();
        select.recv(self.budget.released());
        select.recv(&due);
        select.recv(&self.doors.stop);
        for inbox in self.inboxes.iter().filter(|inbox| !self.held.holds(inbox.line)) {
            select.recv(&inbox.sightings);
        }
        select.ready();
    }

    fn came_home(&mut self, release: Release) {
        self.budget.credit(&release);
        welcome(&mut self.claims, &mut self.delayed, &mut self.ground, release);
    }

    /// Looks until the picture is let in or turned away, or the pipeline ends.
    fn admit(&mut self, pulse: &Pulse, sighting: &Sighting) -> Result<(), Turned> {
        let masking = &self.lines[sighting.line].wanted.masking;
        if masking.as_ref().is_some_and(|masking| masking.is_mask(&sighting.source)) {
            log::debug!("a mask, and no picture: {}", sighting.source.display());
            return Ok(());
        }
        // Also of what is known nothing can be told, and nothing new may come for long.
        if let Some(obstacle) = self.doors.board.read(sighting.line).unwritten {
            return self.hold(obstacle, sighting);
        }
        loop {
            let mut errand = begin(&self.lines[sighting.line], sighting);
            let looked = pulse.work(|| self.look(sighting, &mut errand));
            match looked.and_then(|candidate| self.let_in(pulse, &errand, candidate)) {
                Err(Turned::Away(outcome)) => match self.amiss(&outcome, sighting) {
                    Some(obstacle) => return self.hold(obstacle, sighting),
                    None => return self.turn_away(errand, outcome),
                },
                Err(Turned::Held(obstacle)) => return self.hold(obstacle, sighting),
                // Without their folder all masks are missing, and none is to be waited for.
                Err(Turned::Unmasked(pause)) => {
                    return match self.obstacle(sighting.line, &sighting.root) {
                        Some(obstacle) => self.hold(obstacle, sighting),
                        None => Err(Turned::Unmasked(pause)),
                    };
                }
                Err(Turned::Blocked(obstacle)) => self.wait(obstacle)?,
                other => return other,
            }
        }
    }

    /// A picture whose mask is not there yet waits for it; any other does not.
    fn await_mask(&mut self, sighting: &Sighting, admitted: &Result<(), Turned>) {
        let line = sighting.line;
        let is_news = match admitted {
            Err(Turned::Unmasked(pause)) => self.unmasked.wait(sighting, Instant::now() + *pause),
            _ => self.unmasked.forget(&sighting.source),
        };
        if is_news {
            if matches!(admitted, Err(Turned::Unmasked(_))) {
                log::info!("waiting for its mask: {}", sighting.source.display());
            }
            let unmasked = self.unmasked.of_line(line);
            self.doors.board.tell(line, |news| news.unmasked = unmasked);
        }
    }

    /// What keeps a pipeline from going on: what it stands on, or what cannot be written of it.
    fn obstacle(&mut self, line: usize, root: &Arc<Path>) -> Option<String> {
        let amiss = self.ground.obstacle(root, self.lines[line].stands_on());
        amiss.or_else(|| self.doors.board.read(line).unwritten)
    }

    /// Whether a bad end may be the ground's fault and not the picture's, or could not be written down.
    fn amiss(&mut self, outcome: &Outcome, sighting: &Sighting) -> Option<String> {
        let is_bad = matches!(outcome, Outcome::Failed { .. } | Outcome::PassedOver);
        is_bad.then(|| self.obstacle(sighting.line, &sighting.root)).flatten()
    }

    /// One alarm, then patience: what is in flight lands, nothing new of this pipeline begins, and when the
    /// obstacle is gone it goes on by itself.
    fn hold(&mut self, obstacle: String, sighting: &Sighting) -> Result<(), Turned> {
        if self.held.hold(sighting.clone(), Instant::now()) {
            let asked = self.ground.is_paused(Some(&self.lines[sighting.line].name));
            log::log!(if asked { log::Level::Warn } else { log::Level::Error }, "paused: {obstacle}");
            supervisor::status(&format!("paused: {obstacle}"));
        }
        let kept = self.held.kept(sighting.line);
        self.doors.board.tell(sighting.line, |news| (news.kept, news.held) = (kept, Some(obstacle)));
        Ok(())
    }

    /// One more of a pipeline that is held.
    fn keep(&mut self, sighting: Sighting) {
        let line = sighting.line;
        self.held.hold(sighting, Instant::now());
        let kept = self.held.kept(line);
        self.doors.board.tell(line, |news| news.kept = kept);
    }

    /// Looks whether what is held can go on.
    fn look_at_held(&mut self) {
        for sighting in self.held.due(Instant::now()) {
            let line = sighting.line;
            let obstacle = self.obstacle(line, &sighting.root);
            if obstacle.is_some() {
                self.held.again(line, Instant::now());
            } else if let Some(hold) = self.held.release(line) {
                let pause = hold.since.elapsed().as_secs_f64();
                log::warn!("going on after a pause of {pause:.0} s: {}", sighting.root.display());
                supervisor::status("going on");
                hold.sightings.into_iter().for_each(|sighting| self.delayed.push(Instant::now(), sighting));
            }
            let kept = self.held.kept(line);
            self.doors.board.tell(line, |news| (news.kept, news.held) = (kept, obstacle));
        }
    }

    fn turn_away(&mut self, errand: Errand, outcome: Outcome) -> Result<(), Turned> {
        let outcome = match outcome {
            Outcome::Failed { stage, error } => match errand.retry(&error, &self.options.backoff) {
                Some(wait) => {
                    self.delayed.push(Instant::now() + wait, errand.again(&error));
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
        if self.ground.is_paused(None) {
            return Err(Turned::Blocked(PAUSED.into()));
        }
        if let Some(obstacle) = self.obstacle(errand.line, &errand.root) {
            return Err(Turned::Held(obstacle));
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

    /// The same where nothing at all can be begun.
    fn wait(&mut self, obstacle: String) -> Result<(), Turned> {
        let begin = Instant::now();
        if self.ground.is_paused(None) {
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
            if !self.ground.is_paused(None) && self.doors.ledger.probe().is_ok() {
                log::warn!("going on after a pause of {:.0} s", begin.elapsed().as_secs_f64());
                supervisor::status("going on");
                return Ok(());
            }
            pause = (2 * pause).min(LOOK_AGAIN.1);
        }
    }

    fn ledger_error(&self, error: SystemError) -> Turned {
        if error.transient {
            return Turned::Blocked(format!("the ledger cannot be written: {error}"));
        }
        Turned::Fatal(self.doors.ledger.fatal(error))
    }
}

/// A permit came home: its claim ends, and its errand may have to be tried again.
fn welcome(claims: &mut Claims, delayed: &mut Delayed<Sighting>, ground: &mut Ground, release: Release) {
    if let Some(target) = &release.target {
        claims.land(target);
    }
    if let Some(again) = release.again {
        // Perhaps it is not the picture's fault.
        ground.doubt();
        delayed.push(again.due, again.sighting);
    }
}
