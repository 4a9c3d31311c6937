//! The one thing that travels all the way, and is settled exactly once: by whichever stage speaks first, or
//! by `Drop` if none does. Dropping it sends its end to `record`, and with it the permit: memory and output
//! name are free again only when the end is written down, or the same picture could be begun twice. Where
//! trying again may help, the permit takes the errand home with it. Knows no stage by name but what they tell
//! it.

use crate::budget::{Again, Permit};
use crate::edge::codec::Header;
use crate::error::JobError;
use crate::flight::Flight;
use crate::work::backoff::Backoff;
use crate::work::gate::Figures;
use crate::work::mark::{Mark, Stamp};
use crate::work::masking::{Masking, with_mask};
use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A path where a picture may be: a hint, which may be lost, repeated or out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The number of the line that takes it.
    pub line: usize,
    /// The input folder, or the folder of a picture that was named by itself.
    pub root: Arc<Path>,
    /// The path as we open it.
    pub source: PathBuf,
    /// Its place in the tree below the root.
    pub relative: PathBuf,
    /// Whether the user named this very file: then it is tried whatever it is.
    pub named: bool,
    /// How often it was tried before.
    pub attempt: u32,
    /// Whether it is to be done without a sample, since with one it did harm.
    pub safe: bool,
}

/// Which picture, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// The number of the line that does it.
    pub line: usize,
    /// The input folder, or the folder of a picture that was named by itself.
    pub root: Arc<Path>,
    /// The picture, as we open it.
    pub source: PathBuf,
    /// Its place in the tree, which is also the name it is known by.
    pub relative: PathBuf,
    /// Where the result goes.
    pub target: PathBuf,
    /// Bytes and times of the picture when it was looked at.
    pub stamp: Stamp,
    /// Whether the user named this very file.
    pub named: bool,
    /// How often it was tried before.
    pub attempt: u32,
    /// Whether it is to be done without a sample.
    pub safe: bool,
    /// Nothing stood where the result goes when it was looked at.
    pub is_free: bool,
    /// The file that marks what is to be repaired, where a file does and it was there.
    pub mask: Option<MaskFile>,
}

/// A mask file, as it was when its picture was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskFile {
    /// Where it lies.
    pub path: PathBuf,
    /// A folder that it is opened beneath, and its place there; `None` where the user named the very file.
    pub beneath: Option<(Arc<Path>, PathBuf)>,
    /// Bytes and times.
    pub stamp: Stamp,
    /// What its first bytes say, once they were read.
    pub header: Option<Header>,
}

impl MaskFile {
    /// Something is wrong with it.
    pub fn blame(&self, masking: &Masking, why: JobError) -> JobError {
        let name = self.path.display().to_string();
        JobError::Mask { name, meaning: masking.meaning(), why: Box::new(why) }
    }
}

impl Errand {
    /// Options of its line together with what decides for this picture alone.
    pub fn options(&self, of_line: &str) -> String {
        with_mask(of_line, self.mask.as_ref().map(|mask| mask.stamp))
    }

    /// The same picture, to be looked at once more after this.
    pub fn again(&self, error: &JobError) -> Sighting {
        Sighting {
            line: self.line,
            root: Arc::clone(&self.root),
            source: self.source.clone(),
            relative: self.relative.clone(),
            named: self.named,
            attempt: self.attempt + 1,
            safe: self.safe || matches!(error, JobError::Harmful { .. }),
        }
    }

    /// Whether trying again may help, and when.
    pub fn retry(&self, error: &JobError, backoff: &Backoff) -> Option<Duration> {
        // Chance that differs between pictures and is the same in every run: their size and times.
        let chance = self.stamp.bytes ^ (self.stamp.modified_ns.unsigned_abs() >> 10);
        error.is_transient().then(|| backoff.delay(self.attempt + 1, chance)).flatten()
    }
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
    /// Time that the stages have spent on it.
    pub spent: Spent,
    verdict: OnceLock<Outcome>,
    admitted: Instant,
    ends: Sender<Ended>,
    flight: Flight,
    backoff: Backoff,
    permit: Option<Permit>,
}

/// Microseconds by step, added up by all threads that work on a picture.
#[derive(Debug, Default)]
pub struct Spent {
    /// From admission until a decoder has time.
    pub waiting: Span,
    /// Reading and decoding.
    pub decoding: Span,
    /// Evaluating the network, noise included.
    pub inferring: Span,
    /// Encoding and writing, syncs included.
    pub encoding: Span,
}

/// Time that several threads add to.
#[derive(Debug, Default)]
pub struct Span(AtomicU64);

impl Span {
    /// Adds the time since `begin`.
    pub fn add_since(&self, begin: Instant) {
        self.add(begin.elapsed());
    }

    /// Adds a time.
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// In seconds.
    pub fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// How long a picture took, in seconds. Steps overlap, so they may add up to more than the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// From admission until a decoder had time.
    pub waiting: f64,
    /// Reading and decoding.
    pub decoding: f64,
    /// Evaluating the network, noise included, all threads together.
    pub inferring: f64,
    /// Encoding and writing.
    pub encoding: f64,
    /// From admission to the end; 0 where it was never admitted.
    pub whole: f64,
}

/// What became of a picture.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The result is durable.
    Done(Box<Made>),
    /// A result for this very picture and these very options was already there.
    AlreadyThere(Found),
    /// It failed before, and nothing has changed since.
    KnownBad,
    /// Not a regular file, or gone before we looked: none of our business.
    PassedOver,
    /// It failed for now, and is tried again after this time.
    Postponed {
        /// The stage that found out.
        stage: &'static str,
        /// Why.
        error: JobError,
        /// Until then.
        wait: Duration,
    },
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

/// A result that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// What was done to which picture.
    pub mark: Mark,
    /// How the result compares with the picture, where that is large enough.
    pub figures: Option<Figures>,
    /// Length of the result.
    pub output_bytes: u64,
    /// SHA-256 of the result, hexadecimal.
    pub output_sha256: String,
}

/// How a result that was already there was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The ledger knows the file as it is.
    Known,
    /// The ledger knows this content (SHA-256); the file was only touched.
    Touched(String),
    /// The result itself says so, of this content (SHA-256); the ledger did not know.
    Marked(String),
}

/// What `record` gets for each picture.
#[derive(Debug)]
pub struct Ended {
    /// What became of it.
    pub settled: Settled,
    /// To be dropped when that is written down; `None` where it was never let in.
    pub permit: Option<Permit>,
}

/// What became of which picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Which picture.
    pub errand: Errand,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub times: Times,
}

impl Job {
    /// A job that will send its end to `ends`, and is in flight until then.
    pub fn new(
        id: u64,
        errand: Errand,
        header: Header,
        permit: Permit,
        ends: Sender<Ended>,
        flight: Flight,
        backoff: Backoff,
    ) -> Arc<Job> {
        let (verdict, admitted, spent) = (OnceLock::new(), Instant::now(), Spent::default());
        let permit = Some(permit);
        let job = Job { id, errand, header, spent, verdict, admitted, ends, flight, backoff, permit };
        let job = Arc::new(job);
        job.flight.enter(&job);
        job
    }

    /// Settles the job; the first verdict wins. Says whether this was it.
    pub fn settle(&self, outcome: Outcome) -> bool {
        self.verdict.set(outcome).is_ok()
    }

    /// Settles the job as failed in `stage`.
    pub fn fail(&self, stage: &'static str, error: JobError) {
        self.settle(Outcome::Failed { stage, error });
    }

    /// Whether a verdict was given: then nothing more need be done for it.
    pub fn is_settled(&self) -> bool {
        self.verdict.get().is_some()
    }

    /// A decoder takes it.
    pub fn begin(&self) {
        self.spent.waiting.add_since(self.admitted);
    }

    fn times(&self) -> Times {
        let Spent { waiting, decoding, inferring, encoding } = &self.spent;
        Times {
            waiting: waiting.seconds(),
            decoding: decoding.seconds(),
            inferring: inferring.seconds(),
            encoding: encoding.seconds(),
            whole: self.admitted.elapsed().as_secs_f64(),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut permit = self.permit.take();
        let outcome = match self.verdict.take().unwrap_or(Outcome::Abandoned) {
            Outcome::Failed { stage, error } => match self.errand.retry(&error, &self.backoff) {
                Some(wait) => {
                    let again = Again { due: Instant::now() + wait, sighting: self.errand.again(&error) };
                    permit.iter_mut().for_each(|permit| permit.again = Some(again.clone()));
                    Outcome::Postponed { stage, error, wait }
                }
                None => Outcome::Failed { stage, error },
            },
            other => other,
        };
        let settled = Settled { errand: self.errand.clone(), outcome, times: self.times() };
        self.flight.leave(self.id);
        // No recorder any more means that it died; then its panic is the news, not this picture.
        self.ends.send(Ended { settled, permit }).ok();
    }
}
