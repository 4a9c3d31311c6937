//! The only place that spawns: every thread is named, scoped and joined, and one that ends badly asks all to
//! stop. Knows nothing of what the threads do.

use crate::error::{End, Fatal};
use crate::pulse::{Pulse, Trap};
use crate::stop::StopHandle;
use std::sync::Arc;
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// The threads of one scope, in the order of the pipeline.
pub struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    stop: StopHandle,
    hands: Vec<(String, Option<ScopedJoinHandle<'scope, End>>, End)>,
    pulses: Vec<Arc<Pulse>>,
    trap: Option<Trap>,
}

/// Asks for the stop unless the thread that holds it ends cleanly: by error or by panic alike.
struct Guard(Option<StopHandle>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop.trigger();
        }
    }
}

impl<'scope, 'env> Crew<'scope, 'env> {
    /// An empty crew, whose threads may be trapped.
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        stop: StopHandle,
        trap: Option<Trap>,
    ) -> Crew<'scope, 'env> {
        Crew { scope, stop, hands: Vec::new(), pulses: Vec::new(), trap }
    }

    /// Starts a thread, and hands it its pulse. Names longer than 15 bytes are cut by Linux.
    pub fn spawn(&mut self, name: &str, body: impl FnOnce(&Pulse) -> End + Send + 'scope) {
        debug_assert!(name.len() <= 15, "{name} would be cut");
        let pulse = Pulse::new(name, self.trap.clone());
        self.pulses.push(Arc::clone(&pulse));
        let mut guard = Guard(Some(self.stop.clone()));
        let spawned = Builder::new().name(name.to_owned()).spawn_scoped(self.scope, move || {
            let end = body(&pulse);
            if end.is_ok() {
                guard.0.take();
            }
            end
        });
        let (hand, end) = match spawned {
            Ok(hand) => (Some(hand), Ok(())),
            // The body was dropped with its channels and its guard, so its neighbours end by themselves.
            Err(error) => (None, Err(Fatal::NoThread { name: name.to_owned(), reason: error.to_string() })),
        };
        self.hands.push((name.to_owned(), hand, end));
    }

    /// The signs of life of all that were started.
    pub fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.pulses.clone()
    }

    /// Waits for all. The first error in the order of spawning is the cause, since a closed neighbour is no
    /// error.
    pub fn join(self) -> End {
        let mut end = Ok(());
        for (name, hand, start) in self.hands {
            // Every thread is joined, also after an error: a panic that nobody has seen would be raised
            // again.
            let this = hand.map_or(start, |hand| hand.join().unwrap_or(Err(Fatal::Panicked(name))));
            end = end.and(this);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::{is_stopped, stop_pair};

    #[test]
    fn a_bad_end_stops_all_and_the_first_one_is_the_cause() {
        let (handle, stop) = stop_pair();
        let end = std::thread::scope(|scope| {
            let mut crew = Crew::new(scope, handle, None);
            crew.spawn("fine", |_| Ok(()));
            crew.spawn("broken", |_| Err(Fatal::Device("gone".into())));
            crew.spawn("panics", |_| panic!("injected"));
            crew.join()
        });
        assert_eq!(end, Err(Fatal::Device("gone".into())));
        assert!(is_stopped(&stop));
    }

    #[test]
    fn clean_ends_stop_nothing() {
        let (handle, stop) = stop_pair();
        let end = std::thread::scope(|scope| {
            let mut crew = Crew::new(scope, handle.clone(), None);
            crew.spawn("fine", |_| Ok(()));
            crew.join()
        });
        assert_eq!((end, is_stopped(&stop)), (Ok(()), false));
    }
}
