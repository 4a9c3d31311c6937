//! Pipelines that are held: what their pictures stand on gave way. Those pictures wait here, or where they
//! were seen, while the pictures of other pipelines go on. Knows no clock and asks no file system.

use crate::job::Sighting;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How soon one that is held is looked at again, at first and at most.
pub(super) const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// All that are held, by the number of their line.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<usize, Hold>);

/// One that is held.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) since: Instant,
    due: Instant,
    pause: Duration,
    /// Its pictures that were in hand or came home; there is one at least.
    pub(super) sightings: Vec<Sighting>,
}

impl Held {
    /// Holds the pipeline of this picture, or keeps the picture with it. Says whether that is news.
    pub(super) fn hold(&mut self, sighting: Sighting, now: Instant) -> bool {
        let pause = LOOK_AGAIN.0;
        let is_news = !self.holds(sighting.line);
        let fresh = || Hold { since: now, due: now + pause, pause, sightings: Vec::new() };
        self.0.entry(sighting.line).or_insert_with(fresh).sightings.push(sighting);
        is_news
    }

    pub(super) fn holds(&self, line: usize) -> bool {
        self.0.contains_key(&line)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When one is to be looked at next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|hold| hold.due).min()
    }

    /// How many pictures of this one wait here.
    pub(super) fn kept(&self, line: usize) -> usize {
        self.0.get(&line).map_or(0, |hold| hold.sightings.len())
    }

    /// A picture of each that is to be looked at now.
    pub(super) fn due(&self, now: Instant) -> Vec<Sighting> {
        let due = self.0.values().filter(|hold| hold.due <= now);
        due.filter_map(|hold| hold.sightings.first().cloned()).collect()
    }

    /// It is still no better: it is looked at again, later each time.
    pub(super) fn again(&mut self, line: usize, now: Instant) {
        if let Some(hold) = self.0.get_mut(&line) {
            hold.pause = (2 * hold.pause).min(LOOK_AGAIN.1);
            hold.due = now + hold.pause;
        }
    }

    /// It goes on.
    pub(super) fn release(&mut self, line: usize) -> Option<Hold> {
        self.0.remove(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::scan::sighting;
    use std::path::Path;

    #[test]
    fn one_is_looked_at_later_each_time_and_gives_all_its_pictures_back() {
        let (mut held, start) = (Held::default(), Instant::now());
        let picture = |line, name: &str| Sighting {
            line,
            ..sighting(&Path::new("in").into(), &Path::new("in").join(name), false)
        };
        assert!(held.hold(picture(1, "a"), start) && !held.hold(picture(1, "b"), start));
        assert_eq!((held.kept(1), held.kept(0)), (2, 0));
        assert!(held.holds(1) && !held.holds(0) && held.due(start).is_empty());
        let mut waits = Vec::new();
        let mut now = start;
        for _ in 0..6 {
            let due = held.next_due().expect("one is held");
            waits.push((due - now).as_secs());
            now = due;
            assert_eq!(held.due(now), [picture(1, "a")]);
            held.again(1, now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(held.release(1).expect("held").sightings, [picture(1, "a"), picture(1, "b")]);
        assert!(held.is_empty() && held.next_due().is_none());
    }
}
