//! Which tiles share a network evaluation: those of one kind, until there are enough of them, or the
//! first has waited long enough, or no more will come. Knows neither channels nor what a kind is.

use std::time::{Duration, Instant};

/// Why a batch left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had as many tiles as an evaluation takes.
    Full,
    /// The next tile was of another kind.
    Kind,
    /// Its first tile had waited long enough.
    Linger,
    /// No more tiles will come.
    Drain,
}

/// Tiles of one kind `K`, waiting for company.
#[derive(Debug)]
pub struct Batcher<K, T> {
    capacity: usize,
    linger: Duration,
    kind: Option<K>,
    due: Option<Instant>,
    waiting: Vec<T>,
}

impl<K: PartialEq, T> Batcher<K, T> {
    /// Batches of at most `capacity` tiles, whose first waits at most `linger`.
    pub fn new(capacity: usize, linger: Duration) -> Batcher<K, T> {
        Batcher { capacity: capacity.max(1), linger, kind: None, due: None, waiting: Vec::new() }
    }

    /// When what waits must leave.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Adds a tile. Gives the batches that leave because of it, at most two.
    pub fn push(
        &mut self,
        kind: K,
        tile: T,
        now: Instant,
    ) -> impl Iterator<Item = (Vec<T>, Reason)> + use<K, T> {
        let differs = self.kind.as_ref().is_some_and(|waiting| *waiting != kind);
        let other = if differs { self.take(Reason::Kind) } else { None };
        self.kind = Some(kind);
        self.due.get_or_insert(now + self.linger);
        self.waiting.push(tile);
        let full = if self.waiting.len() >= self.capacity { self.take(Reason::Full) } else { None };
        other.into_iter().chain(full)
    }

    /// Everything that waits, for the given reason.
    pub fn take(&mut self, reason: Reason) -> Option<(Vec<T>, Reason)> {
        (self.kind, self.due) = (None, None);
        let tiles = std::mem::take(&mut self.waiting);
        (!tiles.is_empty()).then_some((tiles, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (usize, usize) = (4, 4);
    const B: (usize, usize) = (4, 5);

    #[test]
    fn batches_leave_full_by_shape_or_by_time() {
        let (start, linger) = (Instant::now(), Duration::from_millis(2));
        let mut batcher = Batcher::new(2, linger);
        assert_eq!(batcher.push(A, 1, start).count(), 0);
        assert_eq!(batcher.due(), Some(start + linger));
        assert_eq!(batcher.push(A, 2, start + linger).collect::<Vec<_>>(), [(vec![1, 2], Reason::Full)]);
        assert_eq!((batcher.due(), batcher.take(Reason::Linger)), (None, None));
        assert_eq!(batcher.push(A, 3, start).count(), 0);
        assert_eq!(batcher.push(B, 4, start).collect::<Vec<_>>(), [(vec![3], Reason::Kind)]);
        assert_eq!(batcher.take(Reason::Drain), Some((vec![4], Reason::Drain)));
    }

    #[test]
    fn a_batch_of_one_never_waits() {
        let mut batcher = Batcher::new(1, Duration::ZERO);
        assert_eq!(batcher.push(A, 1, Instant::now()).collect::<Vec<_>>(), [(vec![1], Reason::Full)]);
        assert_eq!(batcher.due(), None);
    }
}
