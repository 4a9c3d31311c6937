//! The jobs in flight, for whoever must count them or give them up. A job enters when it is admitted and
//! leaves when it is dropped. Keeps none of them alive.

use crate::job::{Job, Outcome};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Jobs in flight, in the order of admission.
#[derive(Debug, Clone, Default)]
pub struct Flight(Arc<Mutex<BTreeMap<u64, Weak<Job>>>>);

impl Flight {
    /// A job begins.
    pub fn enter(&self, job: &Arc<Job>) {
        self.jobs().insert(job.id, Arc::downgrade(job));
    }

    /// A job ends.
    pub fn leave(&self, id: u64) {
        self.jobs().remove(&id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.jobs().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The picture that was admitted first of all that are in flight.
    pub fn oldest(&self) -> Option<PathBuf> {
        self.all().first().map(|job| job.errand.source.clone())
    }

    /// Gives up all that have no verdict yet: stages pass over them, and the next run does them. Gives their
    /// number.
    pub fn abandon(&self) -> usize {
        let jobs = self.all();
        jobs.iter().filter(|job| job.settle(Outcome::Abandoned)).count()
    }

    /// Held only while the lock is not: the last holder of a job drops it, and dropping it takes the lock.
    fn all(&self) -> Vec<Arc<Job>> {
        self.jobs().values().filter_map(Weak::upgrade).collect()
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Job>>> {
        // Insert, remove and read leave the map whole also where they panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
