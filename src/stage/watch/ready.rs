//! Files that are whole and wait for room in the pipeline, each once however often it is seen: a backlog of
//! hours is scanned every ten minutes.

use crate::job::Sighting;
use crate::work::mark::Stamp;
use crate::work::order::{Order, sort};
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;

/// All that are whole, in the order in which they are told.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: VecDeque<(Stamp, Sighting)>,
    /// Their paths.
    waiting: HashSet<PathBuf>,
}

impl Ready {
    /// One that waits already keeps its place: whoever admits looks for himself.
    pub(super) fn push(&mut self, stamp: Stamp, sighting: Sighting) {
        if self.waiting.insert(sighting.source.clone()) {
            self.queue.push_back((stamp, sighting));
        }
    }

    /// The first; there must be one.
    pub(super) fn pop(&mut self) -> Sighting {
        let (_, sighting) = self.queue.pop_front().expect("the door was open because something is ready");
        self.waiting.remove(&sighting.source);
        sighting
    }

    pub(super) fn sort(&mut self, order: Order) {
        sort(order, &mut self.queue, |sighting| &sighting.relative);
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::scan::sighting;
    use std::path::Path;

    #[test]
    fn what_waits_waits_once_and_may_come_again_later() {
        let picture = |name: &str| sighting(&Path::new("in").into(), &Path::new("in").join(name), false);
        let mut ready = Ready::default();
        for name in ["b", "a", "b", "a"] {
            ready.push(Stamp::default(), picture(name));
        }
        assert_eq!((ready.len(), ready.pop()), (2, picture("b")));
        ready.push(Stamp::default(), picture("b"));
        ready.sort(Order::Name);
        assert_eq!([ready.pop(), ready.pop()], [picture("a"), picture("b")]);
        assert!(ready.is_empty());
    }
}
