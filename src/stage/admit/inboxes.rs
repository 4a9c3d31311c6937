//! Where sightings come in: an inbox for each line, the most urgent first. Those that are as urgent take
//! turns, so that a backlog in one holds up no other.

use crate::job::Sighting;
use crossbeam_channel::{Receiver, TryRecvError};

/// The sightings of one line.
#[derive(Debug)]
pub struct Inbox {
    /// The number of the line.
    pub line: usize,
    /// What waits in one of a higher priority is looked at first.
    pub priority: i64,
    /// They come in here.
    pub sightings: Receiver<Sighting>,
}

/// Those that have not ended.
#[derive(Debug)]
pub(super) struct Inboxes(Vec<Inbox>);

impl Inboxes {
    pub(super) fn new(mut inboxes: Vec<Inbox>) -> Inboxes {
        inboxes.sort_by_key(|inbox| std::cmp::Reverse(inbox.priority));
        Inboxes(inboxes)
    }

    /// The first that waits and whose line is not held, with how many more wait there; forgets the inboxes
    /// that ended.
    pub(super) fn take(&mut self, is_held: impl Fn(usize) -> bool) -> Option<(Sighting, usize)> {
        let mut at = 0;
        while let Some(inbox) = self.0.get(at) {
            let tried =
                if is_held(inbox.line) { Err(TryRecvError::Empty) } else { inbox.sightings.try_recv() };
            match tried {
                Ok(sighting) => {
                    let more = inbox.sightings.len();
                    let inbox = self.0.remove(at);
                    let behind = self.0.partition_point(|other| other.priority >= inbox.priority);
                    self.0.insert(behind, inbox);
                    return Some((sighting, more));
                }
                Err(TryRecvError::Disconnected) => drop(self.0.remove(at)),
                Err(TryRecvError::Empty) => at += 1,
            }
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Inbox> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::scan::sighting;
    use crossbeam_channel::bounded;
    use std::path::Path;

    #[test]
    fn the_urgent_come_first_and_equals_take_turns() {
        let inbox = |line, priority, count: usize| {
            let (outbox, sightings) = bounded(count);
            for number in 0..count {
                let source = Path::new("in").join(number.to_string());
                let picture = Sighting { line, ..sighting(&Path::new("in").into(), &source, false) };
                outbox.send(picture).expect("room");
            }
            (outbox, Inbox { line, priority, sightings })
        };
        let (outboxes, inboxes): (Vec<_>, Vec<_>) =
            [inbox(0, 0, 4), inbox(1, 5, 2), inbox(2, 0, 2), inbox(3, -1, 1), inbox(4, 0, 9)]
                .into_iter()
                .unzip();
        let mut inboxes = Inboxes::new(inboxes);
        let mut take = |count: usize| -> Vec<usize> {
            (0..count)
                .map_while(|_| inboxes.take(|line| line == 4))
                .map(|(sighting, _)| sighting.line)
                .collect()
        };
        assert_eq!(take(20), [1, 1, 0, 2, 0, 2, 0, 0, 3]);
        assert_eq!(inboxes.iter().count(), 5, "none has ended");
        drop(outboxes);
        let rest: Vec<usize> = (0..20).map_while(|_| inboxes.take(|_| false)).map(|(_, more)| more).collect();
        assert_eq!((rest, inboxes.is_empty()), ((0..9).rev().collect(), true));
    }
}
