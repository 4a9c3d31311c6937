//! Which of many lines of one kind are said: the first ones, then their number from time to time. So a share
//! that goes away does not fill the disk with its log. Time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// So many lines of one kind are said in a row.
pub const BURST: u32 = 20;
/// Then one in this time, with the number of those that were not said.
pub const PAUSE: Duration = Duration::from_secs(30);

/// Counts lines by kind.
#[derive(Debug)]
pub struct Repeats<K> {
    kinds: HashMap<K, Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    said: u32,
    hushed: u64,
}

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Say it.
    Line,
    /// Say it, and that so many like it were not said.
    LineAfter(u64),
    /// Say nothing.
    Nothing,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Repeats { kinds: HashMap::new() }
    }
}

impl<K: Eq + Hash> Repeats<K> {
    /// Decides about one more line of this kind.
    pub fn say(&mut self, kind: K, now: Instant) -> Say {
        let kind = self.kinds.entry(kind).or_insert(Kind { since: now, said: 0, hushed: 0 });
        if now.saturating_duration_since(kind.since) >= PAUSE {
            let hushed = kind.hushed;
            *kind = Kind { since: now, said: if hushed > 0 { BURST } else { 1 }, hushed: 0 };
            return if hushed > 0 { Say::LineAfter(hushed) } else { Say::Line };
        }
        if kind.said < BURST {
            kind.said += 1;
            return Say::Line;
        }
        kind.hushed += 1;
        Say::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_said_then_one_line_a_pause_and_kinds_are_apart() {
        let (start, mut repeats) = (Instant::now(), Repeats::default());
        assert!((0..BURST).all(|_| repeats.say('a', start) == Say::Line));
        assert!((0..100).all(|_| repeats.say('a', start + PAUSE / 2) == Say::Nothing));
        assert_eq!(repeats.say('b', start), Say::Line);
        assert_eq!(repeats.say('a', start + PAUSE), Say::LineAfter(100));
        assert_eq!(repeats.say('a', start + PAUSE), Say::Nothing, "the flood goes on");
        assert_eq!(repeats.say('a', start + 2 * PAUSE), Say::LineAfter(1));
        assert_eq!(repeats.say('a', start + 3 * PAUSE), Say::Line, "it was over");
        assert!((1..BURST).all(|_| repeats.say('a', start + 3 * PAUSE) == Say::Line));
    }
}
