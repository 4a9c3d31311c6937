//! Watching the threads: the supervisor hears that we are alive only while all of them move, and what is
//! still in flight some time after the stop is given up. Does no work of its own.

use crate::edge::ledger::Ledger;
use crate::edge::{crash, machine, supervisor};
use crate::error::End;
use crate::flight::Flight;
use crate::plan::Supervision;
use crate::pulse::Pulse;
use crate::stage::report::Report;
use crate::stop::{Never, Stop, is_stopped};
use crate::work::stall::Stall;
use crossbeam_channel::{Receiver, after, never, select, tick};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often we look where no supervisor wants to hear from us.
const LOOK: Duration = Duration::from_secs(5);

/// Runs until `ended` closes, which the last of the other threads does by ending.
pub fn run(
    options: &Supervision,
    report: &mut Report,
    pulses: &[Arc<Pulse>],
    flight: &Flight,
    ledger: &mut Ledger,
    stop: &Stop,
    ended: &Receiver<Never>,
) -> End {
    let watchdog = supervisor::watchdog();
    // Three chances before the supervisor loses patience.
    let look = tick(watchdog.map_or(LOOK, |within| LOOK.min(within / 3)));
    let mut stall = Stall::new(options.stall, Instant::now());
    let (mut stop, mut given_up) = (stop.clone(), never());
    let (mut oom_kills, mut stuck) = (machine::present().oom_kills, false);
    supervisor::ready();
    report.publish(ledger, false);
    loop {
        select! {
            recv(ended) -> _ => {
                report.publish(ledger, true);
                // Nothing was in flight: then the end may come before the stop is looked at.
                if is_stopped(&stop) {
                    supervisor::stopping();
                }
                return Ok(());
            },
            recv(stop) -> _ => {
                supervisor::stopping();
                (stop, given_up) = (never(), after(options.drain));
            },
            recv(given_up) -> _ => {
                let count = flight.abandon();
                let drain = options.drain.as_secs();
                log::warn!("given up {drain} s after the stop, the next run does them: {count} pictures");
            },
            recv(look) -> _ => {
                let signs: Vec<_> = pulses.iter().map(|pulse| pulse.sign()).collect();
                let told = stall.check(&signs, flight.len(), Instant::now());
                if told.is_none() && watchdog.is_some() {
                    supervisor::alive();
                }
                if let Some(told) = &told {
                    log::error!("{told}; first in flight: {}", flight.oldest().unwrap_or_default().display());
                }
                stuck = blame(told, stuck);
                oom_kills = remember(ledger, oom_kills);
                report.publish(ledger, false);
            },
        }
    }
}

/// A standstill in decoding or in the network may be a picture's doing: then it stands in the last words,
/// before the supervisor loses patience. Reading and writing hang with their disks. Says whether it stands
/// there.
fn blame(told: Option<String>, was: bool) -> bool {
    let words = told.filter(|told| told.contains("decode-") || told.contains("infer-"));
    match &words {
        Some(words) => crash::note(words),
        None if was => crash::unsay(),
        None => {}
    }
    words.is_some()
}

/// What the kernel kills for want of memory until now was not us.
fn remember(ledger: &Ledger, known: u64) -> u64 {
    let now = machine::present().oom_kills;
    if now == known || ledger.remember_oom_kills(now).is_err() {
        return known;
    }
    now
}
