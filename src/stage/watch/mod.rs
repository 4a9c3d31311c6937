//! Seeing pictures: a list that is simply told, or a folder that is scanned, watched and waited for until
//! each file is whole. Sightings are hints; whoever admits looks for himself.

mod eyes;
mod masks;
mod ready;

use crate::board::Board;
use crate::error::{End, Fatal};
use crate::job::Sighting;
use crate::pulse::Pulse;
use crate::stage::report::write_notice;
use crate::stop::Stop;
use crate::work::ignore::Ignore;
use crate::work::masking::Masking;
use crate::work::order::Order;
use crossbeam_channel::{Sender, after, bounded, never, select, tick};
use eyes::Eyes;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often we look whether the folder is still the one that is watched: a mount that goes away tells
/// nobody.
const ROOT_LOOK: Duration = Duration::from_secs(5);
/// How often it is watched anew and scanned in any case: whatever made us blind, it is for no longer than
/// this.
const RESCAN: Duration = Duration::from_secs(600);

/// A folder to watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Watching {
    /// The line that takes what lands in it.
    pub line: usize,
    /// The input folder.
    pub input: PathBuf,
    /// How long a file that nobody closes must stay the same.
    pub quiet: Duration,
    /// How changes are noticed.
    pub notice: Notice,
    /// How often it is looked through where it is polled.
    pub poll: Duration,
    /// What tells masks from pictures, where masks may lie among them.
    pub masking: Option<Masking>,
    /// What is left alone.
    pub ignore: Ignore,
    /// Which of the pictures that wait comes first.
    pub order: Order,
    /// Pictures of a higher one are admitted first.
    pub priority: i64,
    /// Whether a file in the folder tells how far its pictures are.
    pub status_file: bool,
}

/// How changes are noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Notice {
    /// By events; polled as well where the file system is a network's, or an event of our own does not come.
    #[default]
    Auto,
    /// By events alone.
    Events,
    /// By polling alone.
    Poll,
}

/// Tells a list; waits where the pipeline is busy.
pub fn list(sightings: impl IntoIterator<Item = Sighting>, outbox: &Sender<Sighting>, stop: &Stop) -> End {
    for sighting in sightings {
        select! {
            send(outbox, sighting) -> sent => if sent.is_err() { break },
            recv(stop) -> _ => break,
        }
    }
    Ok(())
}

/// Watches a folder until the stop.
pub fn folder(
    options: &Watching,
    pulse: &Pulse,
    outbox: &Sender<Sighting>,
    board: &Board,
    stop: &Stop,
) -> End {
    let mut eyes = Eyes::new(options, pulse);
    pulse.work(|| eyes.open()).map_err(|reason| Fatal::Watch { reason, folder: options.input.clone() })?;
    log::info!("watching: {}", options.input.display());
    let (look, renew, poll) = (tick(ROOT_LOOK), tick(RESCAN), tick(options.poll));
    // What is whole waits here for room in the pipeline; while nothing does, this is a door to nowhere.
    let (nowhere, _nobody) = bounded(0);
    loop {
        board.tell(options.line, |news| eyes.tell(news, outbox.len()));
        let due = eyes
            .settler
            .next_due()
            .map_or_else(never, |due| after(due.saturating_duration_since(Instant::now())));
        let door = if eyes.ready.is_empty() { &nowhere } else { outbox };
        select! {
            send(door, eyes.ready.pop()) -> sent => if sent.is_err() { return Ok(()) },
            recv(stop) -> _ => return Ok(()),
            recv(due) -> _ => {},
            recv(look) -> _ => pulse.work(|| eyes.look_at_root()),
            recv(renew) -> _ => pulse.work(|| eyes.renew()),
            recv(poll) -> _ => pulse.work(|| eyes.poll()),
            recv(eyes.hints) -> hint => match hint {
                Ok(hint) => pulse.work(|| eyes.heed(hint)),
                // The watcher is gone: we would see nothing any more, and never notice.
                Err(_) => {
                    let reason = "its events ended".to_owned();
                    return Err(Fatal::Watch { reason, folder: options.input.clone() });
                }
            },
        }
        pulse.work(|| eyes.settle());
        if let Some(text) = board.take_notice(options.line) {
            pulse.work(|| write_notice(&options.input, &text));
        }
    }
}
