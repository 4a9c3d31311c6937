//! The ledger: one row a picture, with what was last intended, done or failed, in a SQLite database in the
//! state folder. The only file that names `rusqlite`. Stores and gives back; what a row means is decided in
//! `work::known`.

use crate::edge::clock::now_ms;
use crate::error::{Fatal, SystemError};
use crate::work::death::{Death, Past, Present};
use crate::work::known::{Known, State};
use crate::work::mark::Stamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "ledger.sqlite";
/// Raised when the tables change; an older onestep refuses a newer ledger.
const VERSION: i64 = 1;
/// How long one of our two connections waits for the other; a transaction takes milliseconds.
const BUSY: Duration = Duration::from_secs(30);

const TABLES: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    boot TEXT NOT NULL,          -- boot id of the machine
    oom_kills INTEGER NOT NULL,  -- of the kernel, when the run began
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,            -- NULL: it died without a word
    ending TEXT
);
CREATE TABLE picture (
    root TEXT NOT NULL,          -- the input folder
    relative TEXT NOT NULL,      -- the picture's place in it
    target TEXT NOT NULL,        -- where its result is or goes
    state TEXT NOT NULL,         -- started, done, failed
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,        -- of the content; empty where it was not read to its end
    fingerprint TEXT NOT NULL,   -- model and options
    reason TEXT NOT NULL,        -- why it failed
    crashes INTEGER NOT NULL,    -- while it was in flight, since it last changed
    run INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (root, relative)
) WITHOUT ROWID;
CREATE INDEX picture_by_target ON picture (target);
";

/// One connection. `admit` reads and intends on its own, `record` settles on another.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
    run: i64,
}

/// What was found when the ledger was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How the run before ended; `None` where there was none.
    pub death: Option<Death>,
    /// Pictures that were in flight then, in order, at most [`NAMED`].
    pub in_flight: Vec<String>,
    /// Whether the file is new, or had to be put aside because it was damaged (then its new name).
    pub fresh: Option<Option<PathBuf>>,
}

/// So many pictures are named after a crash.
pub const NAMED: usize = 8;

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
}

type Said<T> = Result<T, SystemError>;

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
    /// Opens or makes the ledger in `folder`, which is ours alone, and begins a run. `signal` is what the run
    /// before wrote as its last words.
    ///
    /// # Errors
    /// What the database says, except that a damaged file is put aside and begun anew.
    pub fn open(folder: &Path, present: &Present, signal: Option<String>) -> Said<(Ledger, Found)> {
        let path = folder.join(FILE);
        let existed = path.exists();
        let (connection, fresh) = match connect(&path) {
            Ok(connection) => (connection, (!existed).then_some(None)),
            Err(error) if is_damage(&error) => {
                let aside = put_aside(&path)?;
                (connect(&path)?, Some(Some(aside)))
            }
            Err(error) => return Err(error.into()),
        };
        let mut ledger = Ledger { connection, path, run: 0 };
        let (death, in_flight) = ledger.bury(present, signal)?;
        ledger.begin(present)?;
        Ok((ledger, Found { death, in_flight, fresh }))
    }

    /// Another connection to the same ledger and run.
    ///
    /// # Errors
    /// What the database says.
    pub fn second(&self) -> Said<Ledger> {
        Ok(Ledger { connection: connect(&self.path)?, path: self.path.clone(), run: self.run })
    }

    /// What is known of a picture.
    ///
    /// # Errors
    /// What the database says.
    pub fn known(&self, root: &str, relative: &str) -> Said<Option<Known>> {
        let mut query = self.connection.prepare_cached(
            "SELECT state, bytes, modified_ns, changed_ns, sha256, fingerprint, crashes FROM picture
             WHERE root = ?1 AND relative = ?2",
        )?;
        Ok(query.query_row([root, relative], known_of).optional()?)
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
        self.write(entry)
    }

    /// Writes what became of pictures, durably, all or none.
    ///
    /// # Errors
    /// What the database says.
    pub fn settle(&mut self, entries: &[Entry]) -> Said<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let written = entries.iter().try_for_each(|entry| self.write(entry));
        let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.connection.execute_batch(end).map_err(SystemError::from);
        if ended.is_err() && written.is_ok() {
            // A commit that failed leaves the transaction open, and a later one would be inside it.
            self.connection.execute_batch("ROLLBACK").ok();
        }
        written.and(ended)
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
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        Fatal::Ledger { reason: error.text, folder }
    }

    /// Ticks off what was started, is the same still, and was done after all. Gives the number.
    ///
    /// # Errors
    /// What the database says.
    pub fn confirm(&self, entries: &[Entry]) -> Said<usize> {
        let mut update = self.connection.prepare(
            "UPDATE picture SET state = 'done', sha256 = ?7, crashes = 0
             WHERE root = ?1 AND relative = ?2 AND state = 'started' AND bytes = ?3 AND modified_ns = ?4
                 AND changed_ns = ?5 AND fingerprint = ?6",
        )?;
        let mut count = 0;
        for Entry { root, relative, stamp, fingerprint, sha256, .. } in entries {
            let (bytes, modified_ns, changed_ns) = (stamp.bytes as i64, stamp.modified_ns, stamp.changed_ns);
            count += update.execute(params![
                root,
                relative,
                bytes,
                modified_ns,
                changed_ns,
                fingerprint,
                sha256
            ])?;
        }
        Ok(count)
    }

    /// Writes the end of this run.
    ///
    /// # Errors
    /// What the database says.
    pub fn end(&self, ending: &str) -> Said<()> {
        let update = "UPDATE run SET ended_ms = ?1, ending = ?2 WHERE id = ?3";
        self.connection.execute(update, params![now_ms(), ending, self.run])?;
        Ok(())
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
            now_ms(),
        ])?;
        Ok(())
    }

    /// How the run before ended; where it crashed, what was in flight is suspected.
    fn bury(&self, present: &Present, signal: Option<String>) -> Said<(Option<Death>, Vec<String>)> {
        let last = "SELECT id, ended_ms IS NULL, ending, boot, oom_kills FROM run ORDER BY id DESC LIMIT 1";
        let row = |row: &Row<'_>| {
            let ending: Option<String> = row.get(2)?;
            let last_entry = if row.get(1)? { None } else { Some(ending.unwrap_or_default()) };
            let past =
                Past { last_entry, signal, boot: row.get(3)?, oom_kills: row.get::<_, i64>(4)? as u64 };
            Ok((row.get::<_, i64>(0)?, past))
        };
        let Some((run, past)) = self.connection.query_row(last, [], row).optional()? else {
            return Ok((None, Vec::new()));
        };
        let death = Death::of(&past, present);
        if matches!(death, Death::Crash(_)) {
            let suspect = "UPDATE picture SET crashes = crashes + 1 WHERE state = 'started' AND run = ?1";
            self.connection.execute(suspect, [run])?;
        }
        let mut query = self.connection.prepare(
            "SELECT relative FROM picture WHERE state = 'started' AND run = ?1 ORDER BY relative LIMIT ?2",
        )?;
        let in_flight =
            query.query_map(params![run, NAMED as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((Some(death), in_flight))
    }

    fn begin(&mut self, present: &Present) -> Said<()> {
        self.connection.execute(
            "INSERT INTO run (pid, version, boot, oom_kills, began_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                std::process::id(),
                env!("CARGO_PKG_VERSION"),
                present.boot,
                present.oom_kills as i64,
                now_ms()
            ],
        )?;
        self.run = self.connection.last_insert_rowid();
        Ok(())
    }
}

/// WAL, so that readers and the writer do not wait for each other; FULL, so that a commit survives a power
/// cut.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        let make = format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT");
        connection.execute_batch(&make)?;
    } else if version != VERSION {
        let text = format!("the ledger is of version {version}, this onestep reads version {VERSION}");
        return Err(rusqlite::Error::InvalidParameterName(text));
    } else {
        // Walks the tree of every table, so that damage is met now and not in the middle of work.
        let said: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if said != "ok" {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(said),
            ));
        }
    }
    Ok(connection)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Moves a damaged ledger out of the way; nothing is deleted.
#[expect(clippy::disallowed_methods, reason = "the state folder is not where users look")]
fn put_aside(path: &Path) -> Said<PathBuf> {
    let stamp = now_ms();
    let aside = |path: &Path| PathBuf::from(format!("{}.damaged-{stamp}", path.display()));
    for side in ["-wal", "-shm"] {
        let side = PathBuf::from(format!("{}{side}", path.display()));
        if side.exists() {
            std::fs::rename(&side, aside(&side))?;
        }
    }
    std::fs::rename(path, aside(path))?;
    Ok(aside(path))
}

fn known_of(row: &Row<'_>) -> rusqlite::Result<Known> {
    let state: String = row.get(0)?;
    Ok(Known {
        state: match state.as_str() {
            "done" => State::Done,
            "failed" => State::Failed,
            _ => State::Started,
        },
        stamp: Stamp {
            bytes: row.get::<_, i64>(1)? as u64,
            modified_ns: row.get(2)?,
            changed_ns: row.get(3)?,
        },
        sha256: row.get(4)?,
        fingerprint: row.get(5)?,
        crashes: row.get(6)?,
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
mod tests {
    use super::*;
    use crate::work::death::PANICKED;

    fn present() -> Present {
        Present { boot: "boot".into(), oom_kills: 0 }
    }

    fn open(folder: &Path) -> (Ledger, Found) {
        Ledger::open(folder, &present(), None).expect("a ledger")
    }

    fn entry(relative: &str, state: State) -> Entry {
        Entry {
            root: "/in".into(),
            relative: relative.into(),
            target: format!("/out/{relative}"),
            state,
            stamp: Stamp { bytes: 5, modified_ns: -1, changed_ns: 2 },
            sha256: "abc".into(),
            fingerprint: "options".into(),
            reason: String::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_on_both_connections_and_in_the_next_run() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (ledger, found) = open(folder.path());
        assert_eq!(found, Found { death: None, in_flight: vec![], fresh: Some(None) });
        let mut second = ledger.second().expect("a connection");
        ledger.intend(&entry("a.jpg", State::Started)).expect("written");
        let known = second.known("/in", "a.jpg").expect("read").expect("there");
        assert_eq!((known.state, known.stamp.modified_ns, known.crashes), (State::Started, -1, 0));
        second.settle(&[entry("a.jpg", State::Done), entry("b.jpg", State::Failed)]).expect("written");
        ledger.end("ended").expect("written");
        drop((ledger, second));
        let (ledger, found) = open(folder.path());
        assert_eq!(found, Found { death: Some(Death::Clean), in_flight: vec![], fresh: None });
        let state = |name| ledger.known("/in", name).expect("read").map(|known| known.state);
        assert_eq!((state("a.jpg"), state("b.jpg")), (Some(State::Done), Some(State::Failed)));
        assert_eq!(ledger.known("/other", "a.jpg").expect("read"), None);
        let owner = |root| ledger.owner("/out/a.jpg", root, "a.jpg").expect("read");
        assert_eq!((owner("/in"), owner("/other")), (None, Some(("/in".into(), "a.jpg".into()))));
    }

    #[test]
    fn only_crashes_are_counted_and_only_while_the_file_stays_the_same() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let crashes = |ledger: &Ledger| ledger.known("/in", "a").expect("read").expect("there").crashes;
        let run = |signal: Option<&str>, expected: u32| {
            let (ledger, _) =
                Ledger::open(folder.path(), &present(), signal.map(str::to_owned)).expect("opens");
            assert_eq!(crashes(&ledger), expected, "after {signal:?}");
            ledger.intend(&entry("a", State::Started)).expect("written");
            assert_eq!(crashes(&ledger), expected);
            ledger
        };
        open(folder.path()).0.intend(&entry("a", State::Started)).expect("written");
        run(None, 0);
        let ledger = run(Some("SIGSEGV"), 1);
        ledger.end(PANICKED).expect("written");
        let ledger = run(None, 2);
        let changed = Entry { stamp: Stamp::default(), ..entry("a", State::Started) };
        ledger.intend(&changed).expect("written");
        assert_eq!(crashes(&ledger), 0);
    }

    #[test]
    fn only_what_was_started_and_is_the_same_is_confirmed() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (mut ledger, _) = open(folder.path());
        ledger.settle(&[entry("a", State::Started), entry("b", State::Failed)]).expect("written");
        let other = Entry { stamp: Stamp::default(), ..entry("a", State::Done) };
        assert_eq!(
            ledger.confirm(&[other, entry("b", State::Done), entry("c", State::Done)]).expect("read"),
            0
        );
        assert_eq!(ledger.confirm(&[entry("a", State::Done)]).expect("written"), 1);
        assert_eq!(ledger.known("/in", "a").expect("read").expect("there").state, State::Done);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
    fn a_damaged_ledger_is_put_aside_and_begun_anew() {
        let folder = tempfile::tempdir().expect("a temp folder");
        open(folder.path()).0.intend(&entry("a", State::Started)).expect("written");
        std::fs::write(folder.path().join(FILE), "no database, whatever else it is".repeat(200))
            .expect("ours");
        let (ledger, found) = open(folder.path());
        assert!(found.fresh.flatten().is_some_and(|aside| aside.exists()), "kept");
        assert_eq!(ledger.known("/in", "a").expect("read"), None);
    }

    #[test]
    fn a_newer_ledger_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a temp folder");
        open(folder.path()).0.connection.pragma_update(None, "user_version", 9).expect("written");
        let error = Ledger::open(folder.path(), &present(), None).expect_err("newer");
        assert!(error.text.contains("the ledger is of version 9, this onestep reads version 1"), "{error}");
    }
}
