//! How much may be in flight: output megapixels, counted by the one thread that admits, and given back over a
//! channel by whoever drops the job. A Condvar here would hang (ARCHITECTURE.md, "blocking"); a channel wakes
//! with the stop. Knows nothing of pictures.

use crate::stop::Stop;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::path::{Path, PathBuf};

/// Owned by the one thread that admits.
#[derive(Debug)]
pub struct Budget {
    cap: usize,
    free: usize,
    release: Sender<Release>,
    released: Receiver<Release>,
}

/// A share of the budget and the claim on an output path; both are free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    units: usize,
    target: PathBuf,
    release: Sender<Release>,
}

/// What comes home when a permit is dropped.
#[derive(Debug)]
pub struct Release {
    units: usize,
    /// The output path that is free again.
    pub target: PathBuf,
}

impl Budget {
    /// Every permit holds at least one unit, so at most `cap` releases are ever queued and dropping a permit
    /// never blocks.
    pub fn new(cap: usize) -> Budget {
        let cap = cap.max(1);
        let (release, released) = bounded(cap);
        Budget { cap, free: cap, release, released }
    }

    /// Where permits come home; whoever receives one must hand it to [`Budget::credit`].
    pub fn released(&self) -> &Receiver<Release> {
        &self.released
    }

    /// Counts a permit that came home.
    pub fn credit(&mut self, release: &Release) {
        self.free += release.units;
    }

    /// Waits for `want` units, or for the stop (`None`). A job that wants more than there is waits until it
    /// is alone. Each permit that comes home meanwhile is shown to `came_home`.
    pub fn take(
        &mut self,
        want: usize,
        target: &Path,
        stop: &Stop,
        mut came_home: impl FnMut(Release),
    ) -> Option<Permit> {
        let units = want.clamp(1, self.cap);
        while self.free < units {
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
        self.free -= units;
        Some(Permit { units, target: target.to_owned(), release: self.release.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let release = Release { units: self.units, target: std::mem::take(&mut self.target) };
        // No receiver any more: nobody admits any more, so nobody counts.
        self.release.send(release).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::stop_pair;

    #[test]
    fn what_is_dropped_comes_home_and_an_oversize_job_waits_to_be_alone() {
        let (_handle, stop) = stop_pair();
        let mut budget = Budget::new(3);
        let small = budget.take(1, Path::new("a"), &stop, |_| ()).expect("free");
        drop(small);
        let mut home = Vec::new();
        let large =
            budget.take(99, Path::new("b"), &stop, |release| home.push(release.target)).expect("alone");
        assert_eq!((home, large.units, budget.free), (vec![PathBuf::from("a")], 3, 0));
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let (handle, stop) = stop_pair();
        let mut budget = Budget::new(1);
        let _held = budget.take(1, Path::new("a"), &stop, |_| ());
        handle.trigger();
        assert!(budget.take(1, Path::new("b"), &stop, |_| ()).is_none());
    }
}
