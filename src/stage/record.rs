//! The end of every picture: counted, told in one line, and where it failed, written into a reason file that
//! a later success takes away.

use crate::edge::record::Reason;
use crate::edge::store;
use crate::error::{End, JobError};
use crate::job::{Errand, Outcome, Settled};
use crate::plan::Limits;
use crate::work::naming::reason;
use crossbeam_channel::Receiver;
use std::fmt;
use std::path::PathBuf;

/// How many pictures ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Results made.
    pub done: usize,
    /// Results that were there already.
    pub already_there: usize,
    /// Failures, each with a reason file.
    pub failed: usize,
    /// Links, pipes and the like that were passed over.
    pub passed_over: usize,
    /// Ended before they were done.
    pub abandoned: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} done, {} already there, {} failed", self.done, self.already_there, self.failed)?;
        let rare = [(self.passed_over, "passed over"), (self.abandoned, "abandoned")];
        rare.iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, word)| write!(f, ", {count} {word}"))
    }
}

/// What `record` needs.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The output folder.
    pub output: PathBuf,
    /// For reason files.
    pub limits: Limits,
}

/// Runs until the last job is dropped. `observe` sees each end after it was recorded.
pub fn run(
    options: &Recording,
    inbox: Receiver<Settled>,
    summary: &mut Summary,
    observe: &mut (dyn FnMut(&Settled) + Send),
) -> End {
    for settled in inbox {
        let errand = &settled.errand;
        match &settled.outcome {
            Outcome::Done => {
                summary.done += 1;
                forgive(options, errand);
                log::info!("done in {:.2} s: {}", settled.seconds, errand.source.display());
            }
            Outcome::AlreadyThere => {
                summary.already_there += 1;
                forgive(options, errand);
                log::debug!("already there: {}", errand.source.display());
            }
            Outcome::PassedOver => {
                summary.passed_over += 1;
                log::debug!("passed over, not a regular file or gone: {}", errand.source.display());
            }
            Outcome::Abandoned => {
                summary.abandoned += 1;
                log::warn!("abandoned, to be done by the next run: {}", errand.source.display());
            }
            Outcome::Failed { stage, error } => {
                summary.failed += 1;
                log::warn!("failed in {stage}: {error}: {}", errand.source.display());
                blame(options, errand, stage, error);
            }
        }
        observe(&settled);
    }
    Ok(())
}

/// Takes the reason file away, if it is about this picture: two pictures of one name may share its place.
fn forgive(options: &Recording, errand: &Errand) {
    let path = reason(&options.output, &errand.relative);
    let about_it = std::fs::read_to_string(&path).is_ok_and(|text| Reason::is_for(&text, &errand.source));
    if about_it && let Err(error) = store::remove(&path) {
        log::warn!("cannot remove an outdated reason: {error}: {}", path.display());
    }
}

fn blame(options: &Recording, errand: &Errand, stage: &str, error: &JobError) {
    let path = reason(&options.output, &errand.relative);
    let text = Reason::new(errand, stage, error, options.limits).to_text();
    if let Err(error) = store::commit(&options.output, &path, |writer| writer.write_all(text.as_bytes())) {
        log::error!("cannot write why a picture failed: {error}: {}", path.display());
    }
}
