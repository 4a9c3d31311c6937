//! When to try again: later each time, never much later, and not all at the same moment. Knows no clock: now
//! and chance are arguments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// How often, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// So often a picture is tried before its trouble counts as lasting.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles with each.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { attempts: 5, first: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// How long to wait after attempt number `attempt` (1 is the first) failed, or `None` where that was the
    /// last. Up to a quarter is added by `chance`, so that what failed together is not tried together.
    pub fn delay(&self, attempt: u32, chance: u64) -> Option<Duration> {
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest);
        let spread = doubled.mul_f64((chance % 1024) as f64 / 4096.0);
        (attempt < self.attempts).then_some(doubled + spread)
    }
}

/// Things that wait for their time.
#[derive(Debug)]
pub struct Delayed<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    due: Instant,
    /// Of two that are due at once, the first comes first.
    number: u64,
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Delayed { heap: BinaryHeap::new(), count: 0 }
    }
}

impl<T> Delayed<T> {
    /// Keeps `item` until `due`.
    pub fn push(&mut self, due: Instant, item: T) {
        self.count += 1;
        self.heap.push(Reverse(Entry { due, number: self.count, item }));
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.0.due)
    }

    /// The next one that is due by now.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        self.next_due().filter(|due| *due <= now)?;
        self.heap.pop().map(|entry| entry.0.item)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_chance_adds_at_most_a_quarter() {
        let backoff = Backoff { attempts: 10, ..Backoff::default() };
        let plain: Vec<Option<u128>> =
            (1..11).map(|attempt| backoff.delay(attempt, 0).map(|wait| wait.as_millis())).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000];
        assert_eq!(plain, expected.map(Some).into_iter().chain([None]).collect::<Vec<_>>());
        let third = |chance| backoff.delay(3, chance).expect("not the last");
        for chance in [1, 512, 1023, u64::MAX] {
            let extra = third(chance) - third(0);
            assert!(extra > Duration::ZERO && extra < Duration::from_millis(500), "{extra:?}");
        }
    }

    #[test]
    fn what_is_due_first_comes_first_and_nothing_comes_early() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut delayed = Delayed::default();
        delayed.push(start + 2 * second, "late");
        delayed.push(start + second, "early");
        delayed.push(start + second, "early too");
        assert_eq!((delayed.pop(start), delayed.next_due()), (None, Some(start + second)));
        assert_eq!(delayed.pop(start + second), Some("early"));
        assert_eq!(delayed.pop(start + second), Some("early too"));
        assert_eq!(delayed.pop(start + second), None);
        assert_eq!((delayed.pop(start + 3 * second), delayed.is_empty()), (Some("late"), true));
    }
}
