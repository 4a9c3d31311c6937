//! Which tiles share a network evaluation: those of one kind, until there are enough of them, or the first
//! has waited long enough, or no more will come. Kinds wait beside each other, so that tiles of several
//! pipelines still make whole batches. Knows neither channels nor what a kind is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Why a batch left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had as many tiles as an evaluation takes.
    Full,
    /// As many tiles waited as may, or as many have come since its first, which had waited longest.
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
    /// Tiles that have come so far.
    pushes: u64,
    /// The one whose first tile came first comes first.
    waiting: VecDeque<Waiting<K, T>>,
}

#[derive(Debug)]
struct Waiting<K, T> {
    kind: K,
    due: Instant,
    /// Which tile its first was, of all that came.
    since: u64,
    tiles: Vec<T>,
}

impl<K: PartialEq, T> Batcher<K, T> {
    /// At most `capacity` tiles wait at once. Where none come, each waits for at most `linger`; where many
    /// do, for no more than as many further ones as may wait.
    pub fn new(capacity: usize, linger: Duration) -> Batcher<K, T> {
        Batcher { capacity: capacity.max(1), linger, pushes: 0, waiting: VecDeque::new() }
    }

    /// When the first of what waits must leave.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.due)
    }

    /// Adds a tile of a kind that has batches of at most `most`. Gives the batches that leave because of it,
    /// at most two.
    pub fn push(
        &mut self,
        kind: K,
        most: usize,
        tile: T,
        now: Instant,
    ) -> impl Iterator<Item = (Vec<T>, Reason)> + use<K, T> {
        self.pushes += 1;
        let at = self.waiting.iter().position(|waiting| waiting.kind == kind).unwrap_or_else(|| {
            let due = now + self.linger;
            self.waiting.push_back(Waiting { kind, due, since: self.pushes, tiles: Vec::new() });
            self.waiting.len() - 1
        });
        let tiles = &mut self.waiting[at].tiles;
        tiles.push(tile);
        let is_full = tiles.len() >= most;
        let full =
            if is_full { self.waiting.remove(at).map(|full| (full.tiles, Reason::Full)) } else { None };
        let all: usize = self.waiting.iter().map(|waiting| waiting.tiles.len()).sum();
        // Time says nothing here: where tiles come faster than they leave, all of them are late.
        let is_old = |first: &Waiting<K, T>| first.since + self.capacity as u64 <= self.pushes;
        let must_leave = all >= self.capacity || self.waiting.front().is_some_and(is_old);
        let old = if must_leave { self.take(Reason::Room) } else { None };
        full.into_iter().chain(old)
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

    /// What leaves when these tiles come, each with its kind.
    fn leaving(
        batcher: &mut Batcher<(usize, usize), i32>,
        most: usize,
        tiles: &[((usize, usize), i32)],
    ) -> Vec<(Vec<i32>, Reason)> {
        let now = Instant::now();
        tiles.iter().flat_map(|(kind, tile)| batcher.push(*kind, most, *tile, now)).collect()
    }

    #[test]
    fn batches_leave_full_or_by_time() {
        let start = Instant::now();
        let mut batcher = Batcher::new(4, LINGER);
        assert_eq!(batcher.push(A, 2, 1, start).count(), 0);
        assert_eq!(batcher.due(), Some(start + LINGER));
        let full: Vec<_> = batcher.push(A, 2, 2, start + LINGER).collect();
        assert_eq!(full, [(vec![1, 2], Reason::Full)]);
        assert_eq!((batcher.due(), batcher.take(Reason::Linger)), (None, None));
    }

    /// Tiles of two kinds that come in turn make two whole batches, and not four of one tile.
    #[test]
    fn kinds_wait_beside_each_other() {
        let mut batcher = Batcher::new(6, LINGER);
        let tiles = [(A, 1), (B, 2), (A, 3), (B, 4), (A, 5), (B, 6)];
        let whole = [(vec![1, 3, 5], Reason::Full), (vec![2, 4, 6], Reason::Full)];
        assert_eq!(leaving(&mut batcher, 3, &tiles), whole);
    }

    #[test]
    fn no_more_wait_than_have_room() {
        let mut batcher = Batcher::new(3, LINGER);
        let left = leaving(&mut batcher, 9, &[(A, 1), (A, 2), (B, 3), (B, 4)]);
        assert_eq!(left, [(vec![1, 2], Reason::Room)]);
        assert_eq!(batcher.take(Reason::Drain), Some((vec![3, 4], Reason::Drain)));
    }

    /// However many others come, whole batches of them among these.
    #[test]
    fn a_rare_kind_does_not_wait_for_ever() {
        let mut batcher = Batcher::new(4, LINGER);
        let tiles = [(A, 0), (B, 1), (B, 2), (B, 3), (B, 4), (B, 5)];
        let left = leaving(&mut batcher, 1, &tiles[1..]);
        assert_eq!(left.len(), 5, "{left:?}");
        let mut left = leaving(&mut batcher, 2, &tiles[..1]);
        left.extend(leaving(&mut batcher, 1, &tiles[1..]));
        assert_eq!(left[4], (vec![0], Reason::Room), "{left:?}");
    }

    #[test]
    fn a_batch_of_one_never_waits() {
        let mut batcher = Batcher::new(1, Duration::ZERO);
        assert_eq!(leaving(&mut batcher, 1, &[(A, 1)]), [(vec![1], Reason::Full)]);
        assert_eq!(batcher.due(), None);
    }
}
