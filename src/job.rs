//! The one thing that travels all the way, and is settled exactly once: by whichever stage speaks first, or
//! by `Drop` if none does. Dropping it tells `record`, then gives back its permit and its claim. Knows no
//! stage by name but what they tell it.

use crate::budget::Permit;
use crate::edge::codec::Header;
use crate::error::JobError;
use crate::work::mark::Stamp;
use crossbeam_channel::Sender;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

/// Which picture, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// The picture, as we open it.
    pub source: PathBuf,
    /// Its place in the tree, which is also the name it is known by.
    pub relative: PathBuf,
    /// Where the result goes.
    pub target: PathBuf,
    /// Bytes and time of the picture when it was looked at.
    pub stamp: Stamp,
}

/// One picture on its way.
#[derive(Debug)]
pub struct Job {
    /// Counts from 0 in the order of admission.
    pub id: u64,
    /// Which picture, and where it goes.
    pub errand: Errand,
    /// What its first bytes say.
    pub header: Header,
    verdict: OnceLock<Outcome>,
    admitted: Instant,
    settled: Sender<Settled>,
    /// Declared last, so that the outcome is told before the claim is free again.
    _permit: Permit,
}

/// What became of a picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The result is durable.
    Done,
    /// A result for this very picture and these very options was already there.
    AlreadyThere,
    /// Not a regular file, or gone before we looked: none of our business.
    PassedOver,
    /// It failed, and has or will have a reason file.
    Failed {
        /// The stage that found out.
        stage: &'static str,
        /// Why.
        error: JobError,
    },
    /// We ended before it did; the next run will do it.
    Abandoned,
}

/// What `record` hears about each picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Which picture.
    pub errand: Errand,
    /// What became of it.
    pub outcome: Outcome,
    /// Seconds from admission to the end; 0 where it was never admitted.
    pub seconds: f64,
}

impl Job {
    /// A job that will tell `settled` of its end.
    pub fn new(id: u64, errand: Errand, header: Header, permit: Permit, settled: Sender<Settled>) -> Job {
        let (verdict, admitted) = (OnceLock::new(), Instant::now());
        Job { id, errand, header, verdict, admitted, settled, _permit: permit }
    }

    /// Settles the job; the first verdict wins.
    pub fn settle(&self, outcome: Outcome) {
        self.verdict.set(outcome).ok();
    }

    /// Settles the job as failed in `stage`.
    pub fn fail(&self, stage: &'static str, error: JobError) {
        self.settle(Outcome::Failed { stage, error });
    }

    /// Whether a verdict was given: then nothing more need be done for it.
    pub fn is_settled(&self) -> bool {
        self.verdict.get().is_some()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let settled = Settled {
            errand: self.errand.clone(),
            outcome: self.verdict.take().unwrap_or(Outcome::Abandoned),
            seconds: self.admitted.elapsed().as_secs_f64(),
        };
        // No recorder any more means that it died; then its panic is the news, not this picture.
        self.settled.send(settled).ok();
    }
}

/// A path where a picture may be: a hint, which may be lost, repeated or out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The path as we open it.
    pub source: PathBuf,
    /// Its place in the tree.
    pub relative: PathBuf,
    /// Whether the user named this very file: then it is tried whatever it is.
    pub named: bool,
}
