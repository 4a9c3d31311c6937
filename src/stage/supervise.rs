//! Watching the threads: the supervisor hears that we are alive only while all of them move, and what is still
//! in flight some time after the stop is given up. Does no work of its own.

use crate::edge::supervisor;
use crate::error::End;
use crate::flight::Flight;
use crate::plan::Supervision;
use crate::pulse::Pulse;
use crate::stop::{Never, Stop};
use crate::work::stall::Stall;
use crossbeam_channel::{Receiver, after, never, select, tick};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often we look where no supervisor wants to hear from us.
const LOOK: Duration = Duration::from_secs(10);

/// Runs until `ended` closes, which the last of the other threads does by ending.
pub fn run(
    options: &Supervision,
    pulses: &[Arc<Pulse>],
    flight: &Flight,
    stop: &Stop,
    ended: &Receiver<Never>,
) -> End {
    let watchdog = supervisor::watchdog();
    // Three chances before the supervisor loses patience.
    let look = tick(watchdog.map_or(LOOK, |within| within / 3));
    let mut stall = Stall::new(options.stall, Instant::now());
    let (mut stop, mut given_up) = (stop.clone(), never());
    supervisor::ready();
    loop {
        select! {
            recv(ended) -> _ => return Ok(()),
            recv(stop) -> _ => {
                supervisor::stopping();
                (stop, given_up) = (never(), after(options.drain));
            },
            recv(given_up) -> _ => {
                let count = flight.abandon();
                let drain = options.drain.as_secs();
                log::warn!("{count} pictures are not done {drain} s after the stop: given up, the next run does them");
            },
            recv(look) -> _ => {
                let signs: Vec<_> = pulses.iter().map(|pulse| pulse.sign()).collect();
                match stall.check(&signs, flight.len(), Instant::now()) {
                    None if watchdog.is_some() => supervisor::alive(),
                    None => {}
                    Some(stuck) => {
                        let oldest = flight.oldest().unwrap_or_default();
                        log::error!("{stuck}; first in flight: {}", oldest.display());
                    }
                }
            },
        }
    }
}
