//! How much memory may be in flight: megabytes, counted by the one thread that admits, and given back over a
//! channel by whoever drops the job. A Condvar here would hang (ARCHITECTURE.md, "blocking"); a channel wakes
//! with the stop. Knows nothing of pictures.

use crate::job::Sighting;
use crate::stop::Stop;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The smallest share: what decoder and encoder take for the smallest picture, in megabytes.
pub const LEAST: usize = 4;

/// Owned by the one thread that admits.
#[derive(Debug)]
pub struct Budget {
    cap: usize,
    free: usize,
    out: usize,
    /// Permits that are out and hold the least, since their pictures are not in memory any more.
    parked: usize,
    release: Sender<Release>,
    released: Receiver<Release>,
}

/// A share of the budget and the claim on an output path; both are free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    units: usize,
    is_parked: bool,
    target: PathBuf,
    release: Sender<Release>,
    /// The errand that is to be tried again, if it is.
    pub again: Option<Again>,
}

/// A picture to look at once more.
#[derive(Debug, Clone)]
pub struct Again {
    /// Not before this.
    pub due: Instant,
    /// Which one.
    pub sighting: Sighting,
}

/// What comes home when a permit is dropped, or gives back what it needs no more.
#[derive(Debug)]
pub struct Release {
    units: usize,
    /// The output path that is free again; `None` where it is not yet.
    pub target: Option<PathBuf>,
    /// The errand that is to be tried again, if it is.
    pub again: Option<Again>,
    is_parked: bool,
}

impl Budget {
    /// Every permit holds at least [`LEAST`] units and comes home at most twice, so there are never more
    /// releases than the channel holds, and neither blocks.
    pub fn new(cap: usize) -> Budget {
        let cap = cap.max(LEAST);
        let (release, released) = bounded(2 * (cap / LEAST));
        Budget { cap, free: cap, out: 0, parked: 0, release, released }
    }

    /// All there is: who takes that is alone.
    pub fn whole(&self) -> usize {
        self.cap
    }

    /// Permits that have not come home.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Where permits come home; whoever receives one must hand it to [`Budget::credit`].
    pub fn released(&self) -> &Receiver<Release> {
        &self.released
    }

    /// Counts a permit that came home.
    pub fn credit(&mut self, release: &Release) {
        self.free += release.units;
        let is_home = release.target.is_some();
        self.out -= usize::from(is_home);
        match (release.is_parked, is_home) {
            (true, false) => self.parked += 1,
            (true, true) => self.parked -= 1,
            (false, _) => {}
        }
    }

    /// Waits for `want` units, at most the whole less what parked permits keep, or for the stop (`None`).
    /// Each permit that comes home meanwhile is shown to `came_home`.
    pub fn take(
        &mut self,
        want: usize,
        target: &Path,
        stop: &Stop,
        mut came_home: impl FnMut(Release),
    ) -> Option<Permit> {
        // What is parked may stay so for long, and is in nobody's way.
        let wanted = |budget: &Budget| {
            want.clamp(LEAST, budget.cap).min(budget.cap - LEAST * budget.parked).max(LEAST)
        };
        while self.free < wanted(self) {
            select! {
                recv(self.released) -> release => {
                    // The budget itself holds a sender, so this channel cannot close.
                    let release = release.ok()?;
                    self.credit(&release);
                    came_home(release);
                },
                recv(stop) -> _ => return None,
            }
        }
        let units = wanted(self);
        self.free -= units;
        self.out += 1;
        Some(Permit {
            units,
            is_parked: false,
            target: target.to_owned(),
            release: self.release.clone(),
            again: None,
        })
    }
}

impl Permit {
    /// The picture is no longer in memory; its claim, and the least there is, stay.
    pub fn shrink(&mut self) {
        if !self.is_parked {
            let units = self.units - LEAST;
            self.release.send(Release { units, target: None, again: None, is_parked: true }).ok();
            (self.units, self.is_parked) = (LEAST, true);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (target, again) = (Some(std::mem::take(&mut self.target)), self.again.take());
        // No receiver any more: nobody admits any more, so nobody counts.
        self.release.send(Release { units: self.units, target, again, is_parked: self.is_parked }).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::stop_pair;

    #[test]
    fn what_is_dropped_comes_home_and_who_takes_the_whole_waits_to_be_alone() {
        let (_handle, stop) = stop_pair();
        let mut budget = Budget::new(3 * LEAST);
        let small = budget.take(1, Path::new("a"), &stop, |_| ()).expect("free");
        assert_eq!(budget.out(), 1);
        drop(small);
        let mut home = Vec::new();
        let whole = budget.whole();
        let mut large =
            budget.take(whole, Path::new("b"), &stop, |release| home.push(release.target)).expect("alone");
        assert_eq!((home, large.units, budget.free), (vec![Some(PathBuf::from("a"))], 3 * LEAST, 0));
        assert_eq!(budget.out(), 1);
        // What is not in memory any more makes room, and stays out.
        large.shrink();
        large.shrink();
        let other = budget.take(2 * LEAST, Path::new("c"), &stop, |_| ()).expect("room");
        assert_eq!((budget.out(), budget.free), (2, 0));
        drop((large, other));
        let all = budget.take(whole, Path::new("d"), &stop, |_| ()).expect("all of it");
        assert_eq!((budget.out(), budget.free, all.units), (1, 0, 3 * LEAST));
    }

    /// One that waits for its folder holds up nobody who wants to be alone.
    #[test]
    fn what_is_parked_is_in_nobodys_way() {
        let (_handle, stop) = stop_pair();
        let mut budget = Budget::new(5 * LEAST);
        let whole = budget.whole();
        let [mut parked, small] =
            ["a", "b"].map(|name| budget.take(2 * LEAST, Path::new(name), &stop, |_| ()).expect("free"));
        parked.shrink();
        drop(small);
        let alone = budget.take(whole, Path::new("c"), &stop, |_| ()).expect("all but the least");
        assert_eq!((budget.out(), budget.free, alone.units), (2, 0, 4 * LEAST));
        drop((parked, alone));
        let all = budget.take(whole, Path::new("d"), &stop, |_| ()).expect("all of it");
        assert_eq!((budget.out(), all.units, budget.parked), (1, 5 * LEAST, 0));
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let (handle, stop) = stop_pair();
        let mut budget = Budget::new(LEAST);
        let _held = budget.take(1, Path::new("a"), &stop, |_| ());
        handle.trigger();
        assert!(budget.take(1, Path::new("b"), &stop, |_| ()).is_none());
    }
}
