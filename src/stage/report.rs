//! Telling how far the pictures are, to people who are not here: into the ledger for `status`, and into a
//! file in the input folder for those who see nothing else. Part of `supervise`'s round, not a loop.

use crate::board::Board;
use crate::edge::ledger::{Ledger, PipelineRow};
use crate::edge::store::{self, Access, Taken};
use crate::pipeline::Intake;
use crate::plan::Line;
use crate::work::naming::text_of;
use crate::work::notice::{NOTICE, notice};
use std::path::{Path, PathBuf};

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

    /// Tells what is news. It is a courtesy: where it cannot be written, the pictures are not held up. Files
    /// in folders are written by those who watch these, since a share may not answer for long; at the end,
    /// when nobody does any more, here.
    pub fn publish(&mut self, ledger: &mut Ledger, is_end: bool) {
        let rows: Vec<PipelineRow> = self.subjects.iter().map(|subject| row(subject, &self.board)).collect();
        let edition = ledger.edition().ok();
        if is_end || edition.is_none() || edition != self.edition || rows != self.rows {
            for (subject, row) in self.subjects.iter_mut().zip(&rows) {
                let Some(text) = subject.news(row.waiting, ledger) else { continue };
                if is_end {
                    write_notice(&subject.input, &text);
                } else if text != subject.notice {
                    self.board.tell(subject.line, |news| news.notice = Some(text.clone()));
                }
                subject.notice = text;
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
    /// What the file in its folder is to say, where one is wanted.
    fn news(&self, waiting: u64, ledger: &Ledger) -> Option<String> {
        let output = self.output.as_ref()?;
        let progress = ledger.progress(&text_of(&self.input), FAILURES).ok()?;
        Some(notice(&progress, waiting, &output.display().to_string()))
    }
}

/// Writes it into the folder that is watched.
pub(super) fn write_notice(input: &Path, text: &str) {
    if !input.is_dir() {
        return;
    }
    let path = input.join(NOTICE);
    let written = store::commit(input, &path, (Access::default(), Taken::Replaced), |writer| {
        writer.write_all(text.as_bytes())
    });
    if let Err(error) = written {
        log::debug!("cannot be written: {error}: {}", path.display());
    }
}
