//! Is a file whole yet? A writer that closes it, or a rename into place, says yes nearly at once; else its
//! size and time must stay the same for a while. Time and stamps are told, not asked for.

use crate::work::mark::Stamp;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long after a close or a rename we still wait: some writers close and open again to add metadata.
pub const AFTER_CLOSE: Duration = Duration::from_millis(50);

/// The paths that somebody may still be writing.
#[derive(Debug)]
pub struct Settler {
    quiet: Duration,
    waiting: HashMap<PathBuf, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    closed: bool,
    stamp: Option<Stamp>,
}

impl Settler {
    /// Files that nobody closed are whole after `quiet` without a change.
    pub fn new(quiet: Duration) -> Settler {
        Settler { quiet, waiting: HashMap::new() }
    }

    /// From now on, files that nobody closed are waited for at least this long.
    pub fn be_patient(&mut self, least: Duration) {
        self.quiet = self.quiet.max(least);
    }

    /// Something happened to `path`, which is not a sign of its end.
    pub fn touched(&mut self, path: PathBuf, now: Instant) {
        let due = now + self.quiet;
        let waiting = self.waiting.entry(path).or_insert(Waiting { due, closed: false, stamp: None });
        (waiting.due, waiting.closed) = (due, false);
    }

    /// A scan saw `path` with this stamp, last changed `age` ago; what is already waited for goes on waiting.
    /// A file that was quiet for long enough before anybody looked need not be waited for.
    pub fn seen(&mut self, path: PathBuf, stamp: Option<Stamp>, age: Duration, now: Instant) {
        let due = now + self.quiet.saturating_sub(age);
        self.waiting.entry(path).or_insert(Waiting { due, closed: false, stamp });
    }

    /// A writer closed `path`, or it was renamed into place.
    pub fn closed(&mut self, path: PathBuf, now: Instant) {
        self.waiting.insert(path, Waiting { due: now + AFTER_CLOSE, closed: true, stamp: None });
    }

    /// When to look next; `None` where nothing waits.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// How many are waited for.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is waited for.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The paths to look at now, in order; each must be told to [`Settler::looked`].
    pub fn due(&self, now: Instant) -> Vec<PathBuf> {
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.due <= now);
        let mut paths: Vec<PathBuf> = due.map(|(path, _)| path.clone()).collect();
        paths.sort();
        paths
    }

    /// Someone looked at `path` and found this stamp, or nothing. Says whether it is whole; then, and when it
    /// is gone, it is no longer waited for.
    pub fn looked(&mut self, path: &Path, stamp: Option<Stamp>, now: Instant) -> bool {
        let Some(waiting) = self.waiting.get_mut(path) else { return false };
        let whole = stamp.is_some() && (waiting.closed || waiting.stamp == stamp);
        if whole || stamp.is_none() {
            self.waiting.remove(path);
        } else {
            (waiting.stamp, waiting.due) = (stamp, now + self.quiet);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(2);

    fn stamp(bytes: u64) -> Option<Stamp> {
        Some(Stamp { bytes, modified_ns: 7, changed_ns: 7 })
    }

    #[test]
    fn a_closed_file_is_whole_soon_and_one_written_again_is_not() {
        let (mut settler, start, path) = (Settler::new(QUIET), Instant::now(), Path::new("a"));
        settler.touched(path.into(), start);
        settler.closed(path.into(), start);
        assert_eq!(settler.next_due(), Some(start + AFTER_CLOSE));
        assert_eq!(settler.due(start + AFTER_CLOSE), [path]);
        settler.touched(path.into(), start + AFTER_CLOSE);
        assert!(settler.due(start + AFTER_CLOSE).is_empty(), "somebody opened it again");
        settler.closed(path.into(), start + AFTER_CLOSE);
        assert!(settler.looked(path, stamp(3), start + 2 * AFTER_CLOSE));
        assert_eq!(settler.next_due(), None);
    }

    #[test]
    fn an_open_file_is_whole_when_it_stays_the_same() {
        let (mut settler, start, path) = (Settler::new(QUIET), Instant::now(), Path::new("a"));
        settler.seen(path.into(), stamp(1), Duration::ZERO, start);
        assert!(!settler.looked(path, stamp(2), start + QUIET), "it grew");
        assert_eq!(settler.next_due(), Some(start + 2 * QUIET));
        settler.seen(path.into(), stamp(9), Duration::ZERO, start + QUIET);
        assert_eq!(settler.next_due(), Some(start + 2 * QUIET), "a second scan changes nothing");
        assert!(settler.looked(path, stamp(2), start + 2 * QUIET));
    }

    #[test]
    fn a_file_that_is_old_when_it_is_first_seen_is_whole_at_once() {
        let (mut settler, start, path) = (Settler::new(QUIET), Instant::now(), Path::new("a"));
        settler.seen(path.into(), stamp(1), QUIET, start);
        assert_eq!(settler.due(start), [path]);
        assert!(settler.looked(path, stamp(1), start));
        settler.seen(path.into(), stamp(1), QUIET / 2, start);
        assert_eq!(settler.next_due(), Some(start + QUIET / 2));
    }

    #[test]
    fn a_vanished_file_is_forgotten() {
        let (mut settler, start, path) = (Settler::new(QUIET), Instant::now(), Path::new("a"));
        settler.closed(path.into(), start);
        assert!(!settler.looked(path, None, start) && settler.next_due().is_none());
        assert!(!settler.looked(path, stamp(1), start), "nobody asked");
    }
}
