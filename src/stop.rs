//! Stopping is a channel that only closes: nobody can send on it, so "stopped" means "disconnected", and
//! every `select!` that listens wakes up at once. Knows nothing of signals, nor of what stops.

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::sync::{Arc, Mutex, PoisonError};

/// Nobody can build one, so the stop channel can only ever close.
#[derive(Debug)]
pub enum Never {}

/// Whoever holds one may ask everything to stop; asking twice is asking once.
#[derive(Debug, Clone)]
pub struct StopHandle(Arc<Mutex<Option<Sender<Never>>>>);

/// Listens for the stop: `recv` on it returns only when it was asked for.
pub type Stop = Receiver<Never>;

/// A handle and what listens to it.
pub fn stop_pair() -> (StopHandle, Stop) {
    let (sender, receiver) = bounded(0);
    (StopHandle(Arc::new(Mutex::new(Some(sender)))), receiver)
}

/// Whether the stop was asked for.
pub fn is_stopped(stop: &Stop) -> bool {
    stop.try_recv() == Err(TryRecvError::Disconnected)
}

impl PartialEq for Never {
    fn eq(&self, _: &Never) -> bool {
        match *self {}
    }
}

impl StopHandle {
    /// Asks for the stop.
    pub fn trigger(&self) {
        // A thread that panicked while holding the lock cannot have left the `Option` half taken.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_seen_by_all_and_may_be_asked_for_twice() {
        let (handle, stop) = stop_pair();
        let other = stop.clone();
        assert!(!is_stopped(&stop));
        handle.trigger();
        handle.clone().trigger();
        assert!(is_stopped(&stop) && is_stopped(&other));
    }
}
