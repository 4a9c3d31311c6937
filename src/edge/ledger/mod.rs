//! The ledger: one row a picture, with what was last intended, done or failed, in a SQLite database in the
//! state folder. The only folder that names `rusqlite`. Stores and gives back; what a row means is decided in
//! `work::known`.

mod file;
mod forget;
mod pipelines;
mod read;
mod run;

pub use forget::{Made, Which, forget_failures, forget_options};
pub use pipelines::PipelineRow;
pub use read::{Counts, PictureRow, Reader, RunRow};
pub use run::NAMED;

use crate::edge::clock::now_ms;
use crate::error::{Fatal, SystemError};
use crate::work::death::{Death, Present};
use crate::work::known::{Known, State};
use crate::work::mark::Stamp;
use crate::work::notice::Progress;
use file::{FILE, TABLES, VERSION, connect, connect_and_check, is_damage, put_aside};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};

/// One connection. `admit` reads and intends on its own, `record` settles on another, `supervise` has a
/// third.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    run: i64,
    run_name: String,
}

/// What was found when the ledger was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How the run before ended; `None` where there was none.
    pub death: Option<Death>,
    /// Pictures that were in flight then, in order, at most [`NAMED`].
    pub in_flight: Vec<String>,
    /// The new name of a damaged ledger that was put aside.
    pub aside: Option<PathBuf>,
    /// Rows that a new ledger was filled with; `None` where there was one already.
    pub filled: Option<usize>,
    /// Pictures that were in flight and are done all the same.
    pub confirmed: usize,
}

/// What is known beside the ledger of what was done.
pub trait Receipts {
    /// Everything that was ever done.
    ///
    /// # Errors
    /// What the reader says: half of it would be taken for all.
    fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>>;

    /// What a run (by name) did last.
    fn of_run(&self, name: &str) -> Vec<Entry>;
}

/// No receipts.
#[derive(Debug)]
pub struct NoReceipts;

impl Receipts for NoReceipts {
    fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>> {
        Ok(Box::new(std::iter::empty()))
    }

    fn of_run(&self, _: &str) -> Vec<Entry> {
        Vec::new()
    }
}

/// A picture's row, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The input folder.
    pub root: String,
    /// The picture's place in it.
    pub relative: String,
    /// Where its result is or goes.
    pub target: String,
    /// How far it came.
    pub state: State,
    /// What the file looks like.
    pub stamp: Stamp,
    /// SHA-256 of the content, or empty.
    pub sha256: String,
    /// Model and options.
    pub fingerprint: String,
    /// Why it failed, or empty.
    pub reason: String,
    /// When, milliseconds since 1970, where that is not now.
    pub at_ms: Option<i64>,
}

/// What the database or the system says.
pub type Said<T> = Result<T, SystemError>;

impl From<rusqlite::Error> for SystemError {
    fn from(error: rusqlite::Error) -> SystemError {
        let code = error.sqlite_error_code();
        let transient = matches!(
            code,
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
            )
        );
        SystemError { text: error.to_string(), transient }
    }
}

impl Ledger {
    /// Opens the ledger in `folder`, which is ours alone, and begins a run. One that is missing or damaged is
    /// made anew from receipts; `last_words` are those of the run before.
    ///
    /// # Errors
    /// What the database says, or the receipts where they are needed.
    pub fn open(
        folder: &Path,
        present: &Present,
        last_words: Option<String>,
        receipts: &dyn Receipts,
    ) -> Said<(Ledger, Found)> {
        let path = folder.join(FILE);
        let mut found = Found::default();
        let connection = match connect_and_check(&path) {
            Err(error) if is_damage(&error) => {
                found.aside = Some(put_aside(&path)?);
                connect_and_check(&path)?
            }
            other => other?,
        };
        let mut ledger = Ledger { connection, path, run: 0, run_name: String::new() };
        // Each step is all or nothing: a process that dies in between begins with the same step again.
        if ledger.version()? == 0 {
            found.filled = Some(ledger.transaction(|ledger| ledger.fill(receipts))?);
        }
        ledger.transaction(|ledger| {
            ledger.bury(present, last_words, receipts, &mut found)?;
            ledger.begin(present)
        })?;
        Ok((ledger, found))
    }

    /// Another connection to the same ledger and run.
    ///
    /// # Errors
    /// What the database says.
    pub fn second(&self) -> Said<Ledger> {
        let (path, run_name) = (self.path.clone(), self.run_name.clone());
        Ok(Ledger { connection: connect(&path)?, path, run: self.run, run_name })
    }

    /// The state folder it lies in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The name of this run, for receipts.
    pub fn run_name(&self) -> &str {
        &self.run_name
    }

    /// What is known of a picture.
    ///
    /// # Errors
    /// What the database says.
    pub fn known(&self, root: &str, relative: &str) -> Said<Option<Known>> {
        let mut query = self.connection.prepare_cached(
            "SELECT state, bytes, modified_ns, changed_ns, sha256, fingerprint, crashes, target, run, at_ms
             FROM picture WHERE root = ?1 AND relative = ?2",
        )?;
        let (this, now) = (self.run, now_ms());
        let known = |row: &Row<'_>| {
            let (run, at_ms): (i64, i64) = (row.get(8)?, row.get(9)?);
            Ok(Known { minutes: (run == this).then(|| (now - at_ms) / 60_000), at_ms, ..known_of(row)? })
        };
        Ok(query.query_row([root, relative], known).optional()?)
    }

    /// Another picture whose result is, or goes, to `target`: its root and its place.
    ///
    /// # Errors
    /// What the database says.
    pub fn owner(&self, target: &str, root: &str, relative: &str) -> Said<Option<(String, String)>> {
        let mut query = self.connection.prepare_cached(
            "SELECT root, relative FROM picture
             WHERE target = ?1 AND state <> 'failed' AND NOT (root = ?2 AND relative = ?3) LIMIT 1",
        )?;
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(query.query_row([target, root, relative], row).optional()?)
    }

    /// Writes what is about to be done, durably, before the first byte of it. Crashes of the same file are
    /// kept, those of an earlier one forgotten.
    ///
    /// # Errors
    /// What the database says.
    pub fn intend(&self, entry: &Entry) -> Said<()> {
        if self.has_other_mask(entry)? {
            // It was suspected with a mask that is not its mask any more.
            let mut acquit = self
                .connection
                .prepare_cached("UPDATE picture SET crashes = 0 WHERE root = ?1 AND relative = ?2")?;
            acquit.execute([&entry.root, &entry.relative])?;
        }
        self.write(entry)
    }

    /// Writes what became of pictures, durably, all or none.
    ///
    /// # Errors
    /// What the database says.
    pub fn settle(&mut self, entries: &[Entry]) -> Said<()> {
        self.transaction(|ledger| entries.iter().try_for_each(|entry| ledger.write(entry)))
    }

    /// Root and place of each picture that was begun and not ended, and is suspected of nothing.
    ///
    /// # Errors
    /// What the database says.
    pub fn begun(&self) -> Said<Vec<(String, String)>> {
        let mut query = self
            .connection
            .prepare("SELECT root, relative FROM picture WHERE state = 'started' AND crashes = 0")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets what was begun of a picture that is gone.
    ///
    /// # Errors
    /// What the database says.
    pub fn forget_begun(&self, root: &str, relative: &str) -> Said<()> {
        let delete = "DELETE FROM picture WHERE root = ?1 AND relative = ?2 AND state = 'started'";
        self.connection.execute(delete, [root, relative])?;
        Ok(())
    }

    /// A number that changes when another connection has written.
    ///
    /// # Errors
    /// What the database says.
    pub fn edition(&self) -> Said<i64> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// How many pictures have come so far and no further.
    ///
    /// # Errors
    /// What the database says.
    pub fn count(&self, state: State) -> Said<usize> {
        let query = "SELECT count(*) FROM picture WHERE state = ?1";
        Ok(self.connection.query_row(query, [word(state)], |row| row.get::<_, i64>(0))? as usize)
    }

    /// How far the pictures of one input folder are, with so many of the latest failures.
    ///
    /// # Errors
    /// What the database says.
    pub fn progress(&self, root: &str, failures: u32) -> Said<Progress> {
        let mut counts = self
            .connection
            .prepare_cached("SELECT state, count(*) FROM picture WHERE root = ?1 GROUP BY state")?;
        let mut progress = Progress::default();
        let mut rows = counts.query([root])?;
        while let Some(row) = rows.next()? {
            let count = row.get::<_, i64>(1)? as u64;
            match row.get::<_, String>(0)?.as_str() {
                "done" => progress.done = count,
                "failed" => progress.failed = count,
                _ => progress.started = count,
            }
        }
        let mut latest = self.connection.prepare_cached(
            "SELECT relative, reason FROM picture WHERE root = ?1 AND state = 'failed'
             ORDER BY at_ms DESC LIMIT ?2",
        )?;
        let rows = latest.query_map(params![root, failures], |row| Ok((row.get(0)?, row.get(1)?)))?;
        progress.failures = rows.collect::<Result<_, _>>()?;
        Ok(progress)
    }

    /// Whether anything can be written at all.
    ///
    /// # Errors
    /// What the database says if not.
    pub fn probe(&self) -> Said<()> {
        let update = "UPDATE run SET ended_ms = NULL WHERE id = ?1";
        self.connection.execute(update, [self.run])?;
        Ok(())
    }

    /// The end of everything that needs the ledger.
    pub fn fatal(&self, error: SystemError) -> Fatal {
        Fatal::Ledger { reason: error.text, folder: self.folder().to_owned() }
    }

    fn version(&self) -> Said<i64> {
        Ok(self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    /// All or nothing.
    fn transaction<T>(&mut self, body: impl FnOnce(&mut Ledger) -> Said<T>) -> Said<T> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = body(self).and_then(|result| {
            self.connection.execute_batch("COMMIT")?;
            Ok(result)
        });
        if result.is_err() {
            // Where the database has rolled back by itself there is nothing left to roll back.
            self.connection.execute_batch("ROLLBACK").ok();
        }
        result
    }

    /// Makes the tables and fills them from receipts; the version comes last and says that they are whole.
    fn fill(&self, receipts: &dyn Receipts) -> Said<usize> {
        self.connection.execute_batch(TABLES)?;
        let mut count = 0;
        for entry in receipts.all()? {
            self.write(&entry?)?;
            count += 1;
        }
        self.connection.pragma_update(None, "user_version", VERSION)?;
        Ok(count)
    }

    fn write(&self, entry: &Entry) -> Said<()> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO picture VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12)
             ON CONFLICT DO UPDATE SET target = ?3, state = ?4, bytes = ?5, modified_ns = ?6, changed_ns = ?7,
                 sha256 = ?8, fingerprint = ?9, reason = ?10, run = ?11, at_ms = ?12,
                 crashes = CASE WHEN ?4 <> 'done' AND bytes = ?5 AND modified_ns = ?6 AND changed_ns = ?7
                     THEN crashes ELSE 0 END",
        )?;
        upsert.execute(params![
            entry.root,
            entry.relative,
            entry.target,
            word(entry.state),
            entry.stamp.bytes as i64,
            entry.stamp.modified_ns,
            entry.stamp.changed_ns,
            entry.sha256,
            entry.fingerprint,
            entry.reason,
            self.run,
            entry.at_ms.unwrap_or_else(now_ms),
        ])?;
        Ok(())
    }
}

fn known_of(row: &Row<'_>) -> rusqlite::Result<Known> {
    let state: String = row.get(0)?;
    Ok(Known {
        state: match state.as_str() {
            "done" => State::Done,
            "failed" => State::Failed,
            _ => State::Started,
        },
        target: row.get(7)?,
        stamp: Stamp {
            bytes: row.get::<_, i64>(1)? as u64,
            modified_ns: row.get(2)?,
            changed_ns: row.get(3)?,
        },
        sha256: row.get(4)?,
        fingerprint: row.get(5)?,
        crashes: row.get(6)?,
        minutes: None,
        at_ms: 0,
    })
}

fn word(state: State) -> &'static str {
    match state {
        State::Started => "started",
        State::Done => "done",
        State::Failed => "failed",
    }
}

#[cfg(test)]
mod tests;
