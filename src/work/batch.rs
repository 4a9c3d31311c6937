//! Which tiles share a network evaluation: those of one window size, until there are enough of them, or the
//! first has waited long enough, or no more will come. Knows neither channels nor what is in a tile.

use contract::geometry::Size;
use std::time::{Duration, Instant};

/// Why a batch left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It had as many tiles as an evaluation takes.
    Full,
    /// The next tile had another window.
    Shape,
    /// Its first tile had waited long enough.
    Linger,
    /// No more tiles will come.
    Drain,
}

/// Tiles of one window size, waiting for company.
#[derive(Debug)]
pub struct Batcher<T> {
    capacity: usize,
    linger: Duration,
    window: Option<Size>,
    due: Option<Instant>,
    waiting: Vec<T>,
}

impl<T> Batcher<T> {
    /// Batches of at most `capacity` tiles, whose first waits at most `linger`.
    pub fn new(capacity: usize, linger: Duration) -> Batcher<T> {
        Batcher { capacity: capacity.max(1), linger, window: None, due: None, waiting: Vec::new() }
    }

    /// When what waits must leave.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Adds a tile. Gives the batches that leave because of it, at most two.
    pub fn push(
        &mut self,
        window: Size,
        tile: T,
        now: Instant,
    ) -> impl Iterator<Item = (Vec<T>, Reason)> + use<T> {
        let other = if self.window.is_some_and(|w| w != window) { self.take(Reason::Shape) } else { None };
        self.window = Some(window);
        self.due.get_or_insert(now + self.linger);
        self.waiting.push(tile);
        let full = if self.waiting.len() >= self.capacity { self.take(Reason::Full) } else { None };
        other.into_iter().chain(full)
    }

    /// Everything that waits, for the given reason.
    pub fn take(&mut self, reason: Reason) -> Option<(Vec<T>, Reason)> {
        (self.window, self.due) = (None, None);
        let tiles = std::mem::take(&mut self.waiting);
        (!tiles.is_empty()).then_some((tiles, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Size = Size::new(4, 4);
    const B: Size = Size::new(4, 5);

    #[test]
    fn batches_leave_full_by_shape_or_by_time() {
        let (start, linger) = (Instant::now(), Duration::from_millis(2));
        let mut batcher = Batcher::new(2, linger);
        assert_eq!(batcher.push(A, 1, start).count(), 0);
        assert_eq!(batcher.due(), Some(start + linger));
        assert_eq!(batcher.push(A, 2, start + linger).collect::<Vec<_>>(), [(vec![1, 2], Reason::Full)]);
        assert_eq!((batcher.due(), batcher.take(Reason::Linger)), (None, None));
        assert_eq!(batcher.push(A, 3, start).count(), 0);
        assert_eq!(batcher.push(B, 4, start).collect::<Vec<_>>(), [(vec![3], Reason::Shape)]);
        assert_eq!(batcher.take(Reason::Drain), Some((vec![4], Reason::Drain)));
    }

    #[test]
    fn a_batch_of_one_never_waits() {
        let mut batcher = Batcher::new(1, Duration::ZERO);
        assert_eq!(batcher.push(A, 1, Instant::now()).collect::<Vec<_>>(), [(vec![1], Reason::Full)]);
        assert_eq!(batcher.due(), None);
    }
}
