//! Which tiles share a network evaluation: those of one kind, until there are enough of them, or the first
//! has waited long enough, or no more will come. Kinds wait beside each other, all of them together no more
//! tiles than one batch may have. Knows neither channels nor what a kind is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Why a batch left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had as many tiles as an evaluation takes.
    Full,
    /// As many tiles waited as may, and its first had waited longest.
    Room,
    /// Its first tile had waited long enough.
    Linger,
    /// No more tiles will come.
    Drain,
}

/// Tiles of kinds `K`, waiting for company.
#[derive(Debug)]
pub struct Batcher<K, T> {
    capacity: usize,
    linger: Duration,
    /// The one whose first tile came first comes first.
    waiting: VecDeque<Waiting<K, T>>,
}

#[derive(Debug)]
struct Waiting<K, T> {
    kind: K,
    due: Instant,
    tiles: Vec<T>,
}

impl<K: PartialEq, T> Batcher<K, T> {
    /// At most `capacity` tiles wait at once, each for at most `linger`.
    pub fn new(capacity: usize, linger: Duration) -> Batcher<K, T> {
        Batcher { capacity: capacity.max(1), linger, waiting: VecDeque::new() }
    }

    /// When the first of what waits must leave.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.due)
    }

    /// Adds a tile of a kind that has batches of at most `most`. Gives the batch that leaves because of it.
    pub fn push(&mut self, kind: K, most: usize, tile: T, now: Instant) -> Option<(Vec<T>, Reason)> {
        let at = self.waiting.iter().position(|waiting| waiting.kind == kind).unwrap_or_else(|| {
            self.waiting.push_back(Waiting { kind, due: now + self.linger, tiles: Vec::new() });
            self.waiting.len() - 1
        });
        let tiles = &mut self.waiting[at].tiles;
        tiles.push(tile);
        if tiles.len() >= most.min(self.capacity) {
            return self.waiting.remove(at).map(|full| (full.tiles, Reason::Full));
        }
        let all: usize = self.waiting.iter().map(|waiting| waiting.tiles.len()).sum();
        if all >= self.capacity { self.take(Reason::Room) } else { None }
    }

    /// What has waited longest, for the given reason.
    pub fn take(&mut self, reason: Reason) -> Option<(Vec<T>, Reason)> {
        self.waiting.pop_front().map(|first| (first.tiles, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (usize, usize) = (4, 4);
    const B: (usize, usize) = (4, 5);
    const LINGER: Duration = Duration::from_millis(2);

    #[test]
    fn batches_leave_full_or_by_time() {
        let start = Instant::now();
        let mut batcher = Batcher::new(2, LINGER);
        assert_eq!(batcher.push(A, 2, 1, start), None);
        assert_eq!(batcher.due(), Some(start + LINGER));
        assert_eq!(batcher.push(A, 2, 2, start + LINGER), Some((vec![1, 2], Reason::Full)));
        assert_eq!((batcher.due(), batcher.take(Reason::Linger)), (None, None));
    }

    /// Tiles of two kinds that come in turn make two whole batches, and not four of one tile.
    #[test]
    fn kinds_wait_beside_each_other() {
        let start = Instant::now();
        let mut batcher = Batcher::new(4, LINGER);
        assert_eq!(batcher.push(A, 2, 1, start), None);
        assert_eq!(batcher.push(B, 4, 2, start + LINGER / 2), None);
        assert_eq!(batcher.push(A, 2, 3, start + LINGER), Some((vec![1, 3], Reason::Full)));
        assert_eq!(batcher.due(), Some(start + LINGER * 3 / 2));
        assert_eq!(batcher.take(Reason::Drain), Some((vec![2], Reason::Drain)));
    }

    #[test]
    fn no_more_wait_than_have_room() {
        let start = Instant::now();
        let mut batcher = Batcher::new(3, LINGER);
        assert_eq!(batcher.push(A, 3, 1, start), None);
        assert_eq!(batcher.push(A, 3, 2, start), None);
        assert_eq!(batcher.push(B, 3, 3, start), Some((vec![1, 2], Reason::Room)));
        assert_eq!(batcher.push(A, 3, 4, start), None);
        assert_eq!(batcher.push(A, 3, 5, start), Some((vec![3], Reason::Room)));
    }

    #[test]
    fn a_batch_of_one_never_waits() {
        let mut batcher = Batcher::new(1, Duration::ZERO);
        assert_eq!(batcher.push(A, 8, 1, Instant::now()), Some((vec![1], Reason::Full)));
        assert_eq!(batcher.due(), None);
    }
}
