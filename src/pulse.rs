//! The sign of life that every thread gives: how much it has done, and since when it is at the piece in hand.
//! Two atomic stores a piece; knows nothing of what the work is. Since every piece goes through here, this is
//! also where tests inject their faults.

use crate::work::stall::Sign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Called with the thread's name before each piece of work.
pub type Trap = Arc<dyn Fn(&str) + Send + Sync>;

/// One thread's sign of life.
pub struct Pulse {
    name: String,
    trap: Option<Trap>,
    epoch: Instant,
    beats: AtomicU64,
    /// Milliseconds since the epoch, plus one; 0 while it waits.
    busy_since: AtomicU64,
}

impl Pulse {
    /// A thread that waits.
    pub fn new(name: &str, trap: Option<Trap>) -> Arc<Pulse> {
        let (beats, busy_since) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Pulse { name: name.to_owned(), trap, epoch: Instant::now(), beats, busy_since })
    }

    /// Does a piece of work. Waiting for neighbours is none: it does not belong inside.
    pub fn work<T>(&self, piece: impl FnOnce() -> T) -> T {
        self.beat();
        if let Some(trap) = &self.trap {
            trap(&self.name);
        }
        let result = piece();
        self.busy_since.store(0, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// A long piece of work moves.
    pub fn beat(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy_since.store(now + 1, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// What the thread shows now.
    pub fn sign(&self) -> Sign {
        let since = self.busy_since.load(Ordering::Relaxed);
        let busy =
            since.checked_sub(1).map(|ms| self.epoch.elapsed().saturating_sub(Duration::from_millis(ms)));
        Sign { name: self.name.clone(), beats: self.beats.load(Ordering::Relaxed), busy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_busy_only_while_it_works() {
        let pulse = Pulse::new("infer-0", None);
        assert_eq!(pulse.sign(), Sign { name: "infer-0".into(), beats: 0, busy: None });
        assert!(pulse.work(|| pulse.sign().busy.is_some()));
        assert_eq!(pulse.sign(), Sign { name: "infer-0".into(), beats: 2, busy: None });
    }
}
