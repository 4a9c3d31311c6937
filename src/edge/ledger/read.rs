//! The ledger as others may look at it: opened for reading, beside a onestep at work or after its end. Makes
//! and changes nothing.

use super::file::{FILE, VERSION};
use super::{Known, Said, known_of};
use crate::error::SystemError;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::path::Path;
use std::time::Duration;

/// How long a reader waits for a writer.
const BUSY: Duration = Duration::from_secs(5);
/// A picture's columns, the first eight as [`known_of`] has them.
pub(super) const COLUMNS: &str =
    "state, bytes, modified_ns, changed_ns, sha256, fingerprint, crashes, target, root, relative,
     reason, run, at_ms";
/// A run's columns.
const RUN: &str = "id, pid, version, began_ms, ended_ms, ending";

/// A ledger opened for reading.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
}

/// One picture as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureRow {
    /// What the next run will know of it.
    pub known: Known,
    /// The input folder.
    pub root: String,
    /// The picture's place in it.
    pub relative: String,
    /// Where its result is or goes.
    pub target: String,
    /// Why it failed, or empty.
    pub reason: String,
    /// The run that wrote this.
    pub run: i64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

/// One run of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// Its process.
    pub pid: i64,
    /// Version of onestep.
    pub version: String,
    /// When it began, milliseconds since 1970.
    pub began_ms: i64,
    /// When it ended; `None` while it works, or where it died without a word.
    pub ended_ms: Option<i64>,
    /// How.
    pub ending: String,
}

/// Counts of pictures by how far they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Intended, and may be in work.
    pub started: u64,
    /// Durable.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
}

impl Reader {
    /// Opens the ledger of a state folder; `None` where there is none. Where no onestep is `at_work` the file
    /// is at rest: then it is opened as one that nobody changes, without the side files of a shared one,
    /// which a reader may not be allowed to make.
    ///
    /// # Errors
    /// What the database says, or that a newer onestep wrote it.
    pub fn open(folder: &Path, at_work: bool) -> Said<Option<Reader>> {
        let path = folder.join(FILE);
        if !path.try_exists()? {
            return Ok(None);
        }
        // After a crash the last entries may still lie in the side file.
        let at_rest = !at_work && !folder.join(format!("{FILE}-wal")).try_exists()?;
        let connection = if at_rest {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{}?immutable=1", escaped(&path)), flags)?
        } else {
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?
        };
        connection.busy_timeout(BUSY)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > VERSION {
            let text = format!("the ledger is of version {version}, this onestep reads version {VERSION}");
            return Err(SystemError { text, transient: false });
        }
        // At version 0 it is being made: there is nothing in it yet.
        Ok((version > 0).then_some(Reader { connection }))
    }

    /// The picture at this place in this input folder.
    ///
    /// # Errors
    /// What the database says.
    pub fn picture(&self, root: &str, relative: &str) -> Said<Option<PictureRow>> {
        let query = format!("SELECT {COLUMNS} FROM picture WHERE root = ?1 AND relative = ?2");
        Ok(self.connection.query_row(&query, [root, relative], picture_of).optional()?)
    }

    /// The pictures whose result is, or goes, here.
    ///
    /// # Errors
    /// What the database says.
    pub fn sources(&self, target: &str) -> Said<Vec<PictureRow>> {
        self.pictures(&format!("SELECT {COLUMNS} FROM picture WHERE target = ?1"), params![target])
    }

    /// The latest failures, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn failures(&self, count: u32) -> Said<Vec<PictureRow>> {
        let order = "WHERE state = 'failed' ORDER BY at_ms DESC LIMIT ?1";
        self.pictures(&format!("SELECT {COLUMNS} FROM picture {order}"), params![count])
    }

    /// All input folders that pictures came from.
    ///
    /// # Errors
    /// What the database says.
    pub fn roots(&self) -> Said<Vec<String>> {
        let mut query = self.connection.prepare("SELECT DISTINCT root FROM picture ORDER BY root")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many pictures have come how far.
    ///
    /// # Errors
    /// What the database says.
    pub fn counts(&self) -> Said<Counts> {
        let mut counts = Counts::default();
        let mut query = self.connection.prepare("SELECT state, count(*) FROM picture GROUP BY state")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        for row in rows {
            let (state, count) = row?;
            let place = match state.as_str() {
                "done" => &mut counts.done,
                "failed" => &mut counts.failed,
                _ => &mut counts.started,
            };
            *place = count.unsigned_abs();
        }
        Ok(counts)
    }

    /// How many were done since then, milliseconds since 1970.
    ///
    /// # Errors
    /// What the database says.
    pub fn done_since(&self, then_ms: i64) -> Said<u64> {
        let query = "SELECT count(*) FROM picture WHERE state = 'done' AND at_ms >= ?1";
        Ok(self.connection.query_row(query, [then_ms], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// One run.
    ///
    /// # Errors
    /// What the database says.
    pub fn run(&self, id: i64) -> Said<Option<RunRow>> {
        let query = format!("SELECT {RUN} FROM run WHERE id = ?1");
        Ok(self.connection.query_row(&query, [id], run_of).optional()?)
    }

    /// The latest run.
    ///
    /// # Errors
    /// What the database says.
    pub fn latest_run(&self) -> Said<Option<RunRow>> {
        let query = format!("SELECT {RUN} FROM run ORDER BY id DESC LIMIT 1");
        Ok(self.connection.query_row(&query, [], run_of).optional()?)
    }

    fn pictures(&self, query: &str, values: &[&dyn rusqlite::ToSql]) -> Said<Vec<PictureRow>> {
        let mut query = self.connection.prepare(query)?;
        let rows = query.query_map(values, picture_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// A path as SQLite reads it in an address: every byte that is no letter, digit or slash by its number.
fn escaped(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let part = |&byte: &u8| match byte {
        b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    bytes.map(part).collect()
}

pub(super) fn picture_of(row: &Row<'_>) -> rusqlite::Result<PictureRow> {
    Ok(PictureRow {
        known: known_of(row)?,
        target: row.get(7)?,
        root: row.get(8)?,
        relative: row.get(9)?,
        reason: row.get(10)?,
        run: row.get(11)?,
        at_ms: row.get(12)?,
    })
}

fn run_of(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get(0)?,
        pid: row.get(1)?,
        version: row.get(2)?,
        began_ms: row.get(3)?,
        ended_ms: row.get(4)?,
        ending: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
    })
}
