//! Telling how far the pictures are, to people who are not here: into the ledger for `status`, and into a
//! file in the input folder for those who see nothing else. Part of `supervise`'s round, not a loop.

use crate::board::Board;
use crate::edge::ledger::{Ledger, PipelineRow};
use crate::edge::store::{self, Access};
use crate::pipeline::Intake;
use crate::plan::Line;
use crate::work::naming::text_of;
use crate::work::notice::{NOTICE, notice};
use std::path::PathBuf;

/// Failures that a notice names.
const FAILURES: u32 = 10;

/// Who is told what, and what was told before.
#[derive(Debug)]
pub struct Report {
    board: Board,
    subjects: Vec<Subject>,
    rows: Vec<PipelineRow>,
    /// Of the ledger, when the notices were last made: counting all pictures takes a while where they are
    /// many.
    edition: Option<i64>,
}

/// A pipeline that watches a folder.
#[derive(Debug)]
struct Subject {
    line: usize,
    name: String,
    input: PathBuf,
    served: String,
    /// Where results go, as the notice tells it; `None` where no notice is wanted.
    output: Option<PathBuf>,
    notice: String,
}

impl Report {
    /// Of all folders that are watched.
    pub fn new(intake: &Intake, lines: &[Line], board: Board) -> Report {
        let Intake::Folders(watchings) = intake else {
            return Report { board, subjects: Vec::new(), rows: Vec::new(), edition: None };
        };
        let subjects = watchings.iter().map(|watching| {
            let line = &lines[watching.line];
            Subject {
                line: watching.line,
                name: line.name.clone(),
                input: watching.input.clone(),
                served: line.served.clone(),
                output: watching.status_file.then(|| line.output.clone()),
                notice: String::new(),
            }
        });
        Report { board, subjects: subjects.collect(), rows: Vec::new(), edition: None }
    }

    /// Tells what is news. It is a courtesy: where it cannot be written, the pictures are not held up.
    pub fn publish(&mut self, ledger: &mut Ledger) {
        let rows: Vec<PipelineRow> = self.subjects.iter().map(|subject| row(subject, &self.board)).collect();
        let edition = ledger.edition().ok();
        if edition.is_none() || edition != self.edition || rows != self.rows {
            for (subject, row) in self.subjects.iter_mut().zip(&rows) {
                subject.publish(row.waiting, ledger);
            }
            self.edition = edition;
        }
        if rows == self.rows {
            return;
        }
        match ledger.tell(&rows) {
            Ok(()) => self.rows = rows,
            Err(error) => log::debug!("what `status` tells cannot be written: {error}"),
        }
    }
}

fn row(subject: &Subject, board: &Board) -> PipelineRow {
    let news = board.read(subject.line);
    PipelineRow {
        name: subject.name.clone(),
        input: text_of(&subject.input),
        served: Some(subject.served.clone()),
        watched: news.watched,
        settling: news.settling as u64,
        waiting: (news.ready + news.sent + news.kept + news.unmasked) as u64,
        held: news.held.or(news.unwritten),
    }
}

impl Subject {
    fn publish(&mut self, waiting: u64, ledger: &Ledger) {
        let Some(output) = &self.output else { return };
        let Ok(progress) = ledger.progress(&text_of(&self.input), FAILURES) else { return };
        let text = notice(&progress, waiting, &output.display().to_string());
        if text == self.notice || !self.input.is_dir() {
            return;
        }
        let path = self.input.join(NOTICE);
        let written =
            store::commit(&self.input, &path, Access::default(), |writer| writer.write_all(text.as_bytes()));
        if let Err(error) = written {
            log::debug!("cannot be written: {error}: {}", path.display());
        }
        self.notice = text;
    }
}
