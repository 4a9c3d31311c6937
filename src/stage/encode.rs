//! Pictures → files, whole or not at all; then the verdict. The commit comes before the word that it is done.

use super::decode::words;
use super::{Finished, Opened};
use crate::edge::codec::encode;
use crate::edge::record::mark_to_text;
use crate::edge::store;
use crate::error::{End, JobError};
use crate::job::Outcome;
use crate::plan::Encoding;
use crate::work::mark::Mark;
use crate::work::naming::text_of;
use crossbeam_channel::Receiver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Runs until pictures end.
pub fn run(options: &Encoding, inbox: Receiver<Finished>) -> End {
    for finished in inbox {
        let opened = Arc::clone(&finished.opened);
        // A panic leaves a temp file at worst, which the next start sweeps.
        match catch_unwind(AssertUnwindSafe(|| write(options, finished))) {
            Ok(Ok(())) => opened.job.settle(Outcome::Done),
            Ok(Err(error)) => opened.job.fail("encode", JobError::Write(error.to_string())),
            Err(panic) => opened.job.fail("encode", JobError::Panicked(words(panic.as_ref()))),
        }
    }
    Ok(())
}

fn write(options: &Encoding, finished: Finished) -> std::io::Result<()> {
    let Finished { opened, canvas } = finished;
    let mark = mark_to_text(&mark(options, &opened));
    let picture = canvas.finish(opened.alpha.as_ref());
    store::commit(&options.output, &opened.job.errand.target, |writer| encode(&picture, &mark, writer))
}

fn mark(options: &Encoding, opened: &Opened) -> Mark {
    let errand = &opened.job.errand;
    Mark {
        source: text_of(&errand.relative),
        bytes: errand.stamp.bytes,
        modified_ns: errand.stamp.modified_ns,
        sha256: opened.sha256.clone(),
        model: options.model.clone(),
        model_sha256: options.model_sha256.clone(),
        strength: options.strength,
        seed: opened.seed,
        device: options.device.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
