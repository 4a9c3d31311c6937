//! Pictures → files, whole or not at all; then the verdict. The commit comes before the word that it is done.

use super::decode::words;
use super::{Finished, Opened};
use crate::edge::codec::{Metadata, encode};
use crate::edge::digest::Digesting;
use crate::edge::disk::{Place, place};
use crate::edge::record::mark_to_text;
use crate::edge::scan::look;
use crate::edge::store::{self, Taken};
use crate::error::{End, JobError, SystemError};
use crate::job::{Errand, Job, Made, Outcome};
use crate::plan::Line;
use crate::pulse::Pulse;
use crate::work::format::Format;
use crate::work::gate::Figures;
use crate::work::mark::Mark;
use crate::work::naming::{map_of, text_of};
use crate::work::pixels::Pixels;
use contract::card::Precision;
use crossbeam_channel::Receiver;
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Where the output folder of each line was when its first picture was written.
pub type Places = [OnceLock<Place>];

/// Runs until pictures end.
pub fn run((lines, places): (&[Line], &Places), pulse: &Pulse, inbox: Receiver<Finished>) -> End {
    for finished in inbox {
        let (opened, begin) = (Arc::clone(&finished.opened), Instant::now());
        let line = &lines[opened.job.errand.line];
        if opened.job.is_settled() {
            continue;
        }
        let figures = pulse.work(|| finished.canvas.figures());
        if let Some(what) = figures.and_then(|figures| figures.harm()) {
            let again = line.wanted.strength != 0.0 && !opened.job.errand.safe;
            opened.job.fail("compare", JobError::Harmful { what, again });
            continue;
        }
        if let Err(error) = is_where_it_was(&line.output, &places[opened.job.errand.line]) {
            opened.job.fail("encode", JobError::Write(blamed(line, error)));
            continue;
        }
        // A panic leaves a temp file at worst, which the next start sweeps.
        let mut trouble = None;
        let write = || write(line, pulse, finished, figures, &mut trouble);
        let result = pulse.work(|| catch_unwind(AssertUnwindSafe(write)));
        opened.job.spent.encoding.add_since(begin);
        match result {
            Ok(Ok(made)) => {
                opened.job.settle(Outcome::Done(Box::new(made)));
            }
            // Somebody was faster: it was free when it was let in.
            Ok(Err(error)) if error.kind() == ErrorKind::AlreadyExists && is_taken(&opened.job.errand) => {
                opened.job.fail("encode", JobError::ForeignTarget);
            }
            // Encoders wrap what the system said into words of their own.
            Ok(Err(error)) => {
                let error = trouble.unwrap_or_else(|| error.into());
                opened.job.fail("encode", JobError::Write(blamed(line, error)));
            }
            Err(panic) => opened.job.fail("encode", JobError::Panicked(words(panic.as_ref()))),
        }
    }
    Ok(())
}

/// Writes the result. What the system said first, if it did, is in `trouble`.
fn write(
    line: &Line,
    pulse: &Pulse,
    finished: Finished,
    figures: Option<Figures>,
    trouble: &mut Option<SystemError>,
) -> io::Result<Made> {
    let Finished { opened, mut canvas } = finished;
    let mark = mark(line, &opened);
    let text = mark_to_text(&mark);
    let (job, target) = (&opened.job, &opened.job.errand.target);
    let mut put = |(path, taken): (&Path, Taken), pixels: &Pixels, metadata: &Metadata, format: Format| {
        let mut written = (0, String::new());
        store::commit(&line.output, path, (line.access, taken), |writer| {
            let mut digesting = Digesting::new(Unsettled { job, pulse, writer, trouble });
            encode(pixels, &text, metadata, format, &mut digesting)?;
            written = digesting.finish();
            Ok(())
        })?;
        io::Result::Ok(written)
    };
    // The map first: where the result is, all is there.
    if let Some(map) = canvas.take_map() {
        put((&map_of(target), Taken::Replaced), &map, &Metadata::default(), Format::Png)?;
    }
    let taken = if job.errand.is_free { Taken::Spared } else { Taken::Replaced };
    let (output_bytes, output_sha256) =
        put((target, taken), &canvas.finish(opened.alpha.as_ref()), &opened.metadata, mark.format)?;
    Ok(Made { mark, figures, output_bytes, output_sha256 })
}

/// Whether something stands where nothing stood when it was let in.
fn is_taken(errand: &Errand) -> bool {
    errand.is_free && look(&errand.target, false).is_ok()
}

/// On the bare folder that it was mounted on, a result would be out of sight as soon as it is mounted again.
/// What it waits for is seen by whoever admits.
fn is_where_it_was(output: &Path, known: &OnceLock<Place>) -> Result<(), SystemError> {
    let now = place(output)?;
    if now.is_on_that_of(*known.get_or_init(|| now)) {
        return Ok(());
    }
    let text = "another file system is mounted where the output folder was".into();
    Err(SystemError { text, transient: true })
}

/// Where nothing at all can be written, it is not this picture's fault, and will pass.
fn blamed(line: &Line, mut error: SystemError) -> SystemError {
    error.transient |= store::probe(&line.output).is_err();
    error
}

/// Writes as long as the job has no verdict: a large picture that was given up is not finished first.
struct Unsettled<'a> {
    job: &'a Job,
    pulse: &'a Pulse,
    writer: &'a mut dyn Write,
    trouble: &'a mut Option<SystemError>,
}

impl Unsettled<'_> {
    /// Keeps what the system said, before an encoder puts it into words of its own.
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let said = SystemError::from(error);
            let again = io::Error::other(said.text.clone());
            *self.trouble = Some(said);
            again
        })
    }
}

impl Write for Unsettled<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.job.is_settled() {
            return Err(io::Error::other("given up"));
        }
        self.pulse.beat();
        let written = self.writer.write(bytes);
        self.keep(written)
    }

    /// Encoders flush too, and a disk may be full only then.
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.keep(flushed)
    }
}

fn mark(line: &Line, opened: &Opened) -> Mark {
    let errand = &opened.job.errand;
    Mark {
        source: text_of(&errand.relative),
        bytes: errand.stamp.bytes,
        modified_ns: errand.stamp.modified_ns,
        sha256: opened.sha256.clone(),
        model: line.model_name.clone(),
        model_sha256: line.wanted.model_sha256.clone(),
        terms: line.wanted.terms.clone(),
        repaired_by: line.wanted.repaired_by.clone(),
        strength: if errand.safe { 0.0 } else { line.wanted.strength },
        instead_of: errand.safe.then_some(line.wanted.strength),
        seed: opened.seed,
        told: opened.told,
        mask: opened.masked.clone(),
        uncertainty: line.wanted.uncertainty,
        keeping: line.wanted.keeping,
        source_type: line.wanted.source_type,
        format: line.wanted.format.of(opened.job.header.kind),
        int8: line.precision == Precision::Int8,
        f16: line.precision == Precision::F16,
        device: line.device.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_result_is_written_where_another_file_system_is_mounted() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let known = OnceLock::new();
        for _ in 0..2 {
            assert_eq!(is_where_it_was(folder.path(), &known), Ok(()));
        }
        let elsewhere = OnceLock::from(place(Path::new("/proc")).expect("Linux"));
        let refused = is_where_it_was(folder.path(), &elsewhere).expect_err("another one");
        assert!(refused.transient && refused.text.contains("another file system"), "{refused}");
    }
}
