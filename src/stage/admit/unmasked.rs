//! Pictures whose mask is not there yet: each waits here until it is looked at again, and once however often
//! it is seen meanwhile. Knows no clock and asks no file system.

use crate::job::Sighting;
use crate::work::backoff::Delayed;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How soon one is looked at again, at first and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// All that wait for their masks.
#[derive(Debug, Default)]
pub(super) struct Unmasked {
    waiting: HashMap<PathBuf, Waiting>,
    due: Delayed<(u64, Sighting)>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiting {
    line: usize,
    /// Which of its entries is to be heeded; `None` while it is being looked at.
    ticket: Option<u64>,
}

/// How long to wait before one is looked at again that has waited for so long, and may until `longest`: as
/// long again as until now.
pub(super) fn pause(waited: Duration, longest: Duration) -> Duration {
    waited.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1).min(longest.saturating_sub(waited))
}

impl Unmasked {
    /// This picture waits until `due`. Says whether that is news.
    pub(super) fn wait(&mut self, sighting: &Sighting, due: Instant) -> bool {
        let is_news = !self.waiting.contains_key(&sighting.source);
        let fresh = Waiting { line: sighting.line, ticket: None };
        let waiting = self.waiting.entry(sighting.source.clone()).or_insert(fresh);
        if waiting.ticket.is_none() {
            self.tickets += 1;
            waiting.ticket = Some(self.tickets);
            self.due.push(due, (self.tickets, sighting.clone()));
        }
        is_news
    }

    /// It waits no longer, whatever became of it. Says whether it did.
    pub(super) fn forget(&mut self, source: &Path) -> bool {
        self.waiting.remove(source).is_some()
    }

    /// The next one that is to be looked at now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Sighting> {
        while let Some((ticket, sighting)) = self.due.pop(now) {
            let waiting = self.waiting.get_mut(&sighting.source);
            if let Some(waiting) = waiting.filter(|waiting| waiting.ticket == Some(ticket)) {
                waiting.ticket = None;
                return Some(sighting);
            }
        }
        None
    }

    /// When one is to be looked at next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.next_due()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many of this line wait.
    pub(super) fn of_line(&self, line: usize) -> usize {
        self.waiting.values().filter(|waiting| waiting.line == line).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::scan::sighting;

    fn picture(name: &str) -> Sighting {
        Sighting { line: 1, ..sighting(&Path::new("in").into(), &Path::new("in").join(name), false) }
    }

    #[test]
    fn a_picture_waits_once_and_is_forgotten_once() {
        let (mut unmasked, start, second) = (Unmasked::default(), Instant::now(), Duration::from_secs(1));
        assert!(unmasked.wait(&picture("a"), start + second));
        assert!(!unmasked.wait(&picture("a"), start), "seen again meanwhile");
        assert!(unmasked.wait(&picture("b"), start + 2 * second));
        assert_eq!((unmasked.of_line(1), unmasked.of_line(0), unmasked.pop(start)), (2, 0, None));
        assert_eq!(unmasked.pop(start + second), Some(picture("a")));
        assert!(!unmasked.wait(&picture("a"), start + 3 * second), "it waited before");
        assert!(unmasked.forget(&picture("b").source) && !unmasked.forget(&picture("b").source));
        assert!(unmasked.wait(&picture("b"), start + 9 * second));
        assert_eq!(unmasked.pop(start + 4 * second), Some(picture("a")));
        assert_eq!(unmasked.pop(start + 4 * second), None, "the entry of what was forgotten is not heeded");
        assert_eq!(unmasked.pop(start + 9 * second), Some(picture("b")));
        assert!(unmasked.forget(&picture("a").source) && unmasked.forget(&picture("b").source));
        assert!(unmasked.is_empty() && unmasked.next_due().is_none());
    }

    #[test]
    fn looks_come_later_each_time_and_the_last_one_at_the_end() {
        let seconds = |waited: u64| pause(Duration::from_secs(waited), Duration::from_secs(42)).as_secs();
        let (mut waited, mut pauses) = (0, Vec::new());
        while waited < 42 {
            pauses.push(seconds(waited));
            waited += seconds(waited);
        }
        assert_eq!(pauses, [1, 1, 2, 4, 8, 10, 10, 6]);
    }
}
