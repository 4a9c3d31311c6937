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
    name TEXT NOT NULL,          -- in receipts; no two runs have one, of whatever ledger
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    boot TEXT NOT NULL,          -- boot id of the machine
    oom_kills INTEGER NOT NULL,  -- of the kernel, when it was last asked
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
    /// Opens the ledger in `folder`, which is ours alone, and begins a run. One that is missing or damaged is made
    /// anew from receipts; `last_words` are those of the run before.
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
        let connection = match connect(&path) {
            Err(error) if is_damage(&error) => {
                found.aside = Some(put_aside(&path)?);
                connect(&path)?
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
        self.transaction(|ledger| entries.iter().try_for_each(|entry| ledger.write(entry)))
    }

    /// How many pictures have come so far and no further.
    ///
    /// # Errors
    /// What the database says.
    pub fn count(&self, state: State) -> Said<usize> {
        let query = "SELECT count(*) FROM picture WHERE state = ?1";
        Ok(self.connection.query_row(query, [word(state)], |row| row.get::<_, i64>(0))? as usize)
    }

    /// Remembers how many processes the kernel has killed for want of memory.
    ///
    /// # Errors
    /// What the database says.
    pub fn remember_oom_kills(&self, oom_kills: u64) -> Said<()> {
        let update = "UPDATE run SET oom_kills = ?1 WHERE id = ?2";
        self.connection.execute(update, params![oom_kills as i64, self.run])?;
        Ok(())
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

    /// Writes the end of this run.
    ///
    /// # Errors
    /// What the database says.
    pub fn end(&self, ending: &str) -> Said<()> {
        let update = "UPDATE run SET ended_ms = ?1, ending = ?2 WHERE id = ?3";
        self.connection.execute(update, params![now_ms(), ending, self.run])?;
        Ok(())
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
            now_ms(),
        ])?;
        Ok(())
    }

    /// How the run before ended. What was in flight then and has its receipt is done; where it crashed, the rest
    /// is suspected.
    fn bury(
        &self,
        present: &Present,
        last_words: Option<String>,
        receipts: &dyn Receipts,
        found: &mut Found,
    ) -> Said<()> {
        let last =
            "SELECT id, name, ended_ms IS NULL, ending, boot, oom_kills FROM run ORDER BY id DESC LIMIT 1";
        let row = |row: &Row<'_>| {
            let ending: Option<String> = row.get(3)?;
            let last_entry = if row.get(2)? { None } else { Some(ending.unwrap_or_default()) };
            let oom_kills = row.get::<_, i64>(5)? as u64;
            let past = Past { last_entry, last_words, boot: row.get(4)?, oom_kills };
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, past))
        };
        let Some((run, name, past)) = self.connection.query_row(last, [], row).optional()? else {
            return Ok(());
        };
        let death = Death::of(&past, present);
        if death != Death::Clean {
            found.confirmed = self.confirm(run, &receipts.of_run(&name))?;
        }
        if matches!(death, Death::Crash(_)) {
            let suspect = "UPDATE picture SET crashes = crashes + 1 WHERE state = 'started' AND run = ?1";
            self.connection.execute(suspect, [run])?;
        }
        let mut query = self.connection.prepare(
            "SELECT relative FROM picture WHERE state = 'started' AND run = ?1 ORDER BY relative LIMIT ?2",
        )?;
        let names = query.query_map(params![run, NAMED as i64], |row| row.get(0))?;
        found.in_flight = names.collect::<Result<_, _>>()?;
        found.death = Some(death);
        Ok(())
    }

    /// A process that died between a receipt and its row has done the picture all the same. Only what the dead
    /// run itself started and reported counts, of the same file. Gives the number.
    fn confirm(&self, run: i64, entries: &[Entry]) -> Said<usize> {
        let mut update = self.connection.prepare(
            "UPDATE picture SET state = 'done', sha256 = ?8, crashes = 0
             WHERE root = ?1 AND relative = ?2 AND state = 'started' AND run = ?3 AND bytes = ?4
                 AND modified_ns = ?5 AND changed_ns = ?6 AND fingerprint = ?7",
        )?;
        let mut count = 0;
        for Entry { root, relative, stamp, fingerprint, sha256, .. } in entries {
            let (bytes, modified, changed) = (stamp.bytes as i64, stamp.modified_ns, stamp.changed_ns);
            count += update.execute(params![
                root,
                relative,
                run,
                bytes,
                modified,
                changed,
                fingerprint,
                sha256
            ])?;
        }
        Ok(count)
    }

    fn begin(&mut self, present: &Present) -> Said<()> {
        let (pid, now) = (std::process::id(), now_ms());
        self.run_name = format!("{now}-{pid}");
        self.connection.execute(
            "INSERT INTO run (name, pid, version, boot, oom_kills, began_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.run_name,
                pid,
                env!("CARGO_PKG_VERSION"),
                present.boot,
                present.oom_kills as i64,
                now
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
    // Walks the tree of every table, so that damage is met now and not in the middle of work.
    let said: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if said != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(said)));
    }
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        let text = format!("the ledger is of version {version}, this onestep reads version {VERSION}");
        return Err(rusqlite::Error::InvalidParameterName(text));
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
        Ledger::open(folder, &present(), None, &NoReceipts).expect("a ledger")
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
        assert_eq!(found, Found { filled: Some(0), ..Found::default() });
        let mut second = ledger.second().expect("a connection");
        ledger.intend(&entry("a.jpg", State::Started)).expect("written");
        let known = second.known("/in", "a.jpg").expect("read").expect("there");
        assert_eq!((known.state, known.stamp.modified_ns, known.crashes), (State::Started, -1, 0));
        second.settle(&[entry("a.jpg", State::Done), entry("b.jpg", State::Failed)]).expect("written");
        ledger.end("ended").expect("written");
        drop((ledger, second));
        let (ledger, found) = open(folder.path());
        assert_eq!(found, Found { death: Some(Death::Clean), ..Found::default() });
        assert_eq!(ledger.count(State::Done).expect("read"), 1);
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
        let run = |words: Option<&str>, expected: u32| {
            let words = words.map(str::to_owned);
            let (ledger, _) =
                Ledger::open(folder.path(), &present(), words.clone(), &NoReceipts).expect("opens");
            assert_eq!(crashes(&ledger), expected, "after {words:?}");
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

    /// Receipts of one run.
    struct Some1(String, Vec<Entry>);

    impl Receipts for Some1 {
        fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>> {
            Ok(Box::new(self.1.iter().cloned().map(Ok)))
        }

        fn of_run(&self, name: &str) -> Vec<Entry> {
            if name == self.0 { self.1.clone() } else { Vec::new() }
        }
    }

    #[test]
    fn what_the_dead_run_started_and_reported_is_done_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let die = |receipts: &Some1| {
            let (ledger, found) = Ledger::open(folder.path(), &present(), None, receipts).expect("opens");
            ledger.intend(&entry("a", State::Started)).expect("written");
            ledger.intend(&entry("b", State::Started)).expect("written");
            (ledger.run_name().to_owned(), found)
        };
        let (first, _) = die(&Some1(String::new(), vec![]));
        let other_file = Entry { stamp: Stamp::default(), ..entry("b", State::Done) };
        let (second, found) = die(&Some1(first.clone(), vec![entry("a", State::Done), other_file]));
        assert_eq!((found.confirmed, found.in_flight), (1, vec!["b".to_owned()]));
        // The same receipts again: they are of an older run, and a was begun once more since.
        assert_ne!(first, second);
        let (_, found) = die(&Some1(first, vec![entry("a", State::Done)]));
        assert_eq!((found.confirmed, found.in_flight.len()), (0, 2));
    }

    #[test]
    fn a_new_ledger_is_filled_whole_or_not_at_all() {
        struct Broken;
        impl Receipts for Broken {
            fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>> {
                let error = SystemError { text: "I/O".into(), transient: true };
                Ok(Box::new([Ok(entry("a", State::Done)), Err(error)].into_iter()))
            }
            fn of_run(&self, _: &str) -> Vec<Entry> {
                Vec::new()
            }
        }
        let folder = tempfile::tempdir().expect("a temp folder");
        assert!(Ledger::open(folder.path(), &present(), None, &Broken).is_err());
        let whole = Some1(String::new(), vec![entry("a", State::Done), entry("b", State::Done)]);
        let (ledger, found) = Ledger::open(folder.path(), &present(), None, &whole).expect("opens");
        assert_eq!((found.filled, ledger.count(State::Done).expect("read")), (Some(2), 2));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
    fn a_damaged_ledger_is_put_aside_and_begun_anew() {
        let folder = tempfile::tempdir().expect("a temp folder");
        open(folder.path()).0.intend(&entry("a", State::Started)).expect("written");
        std::fs::write(folder.path().join(FILE), "no database, whatever else it is".repeat(200))
            .expect("ours");
        let (ledger, found) = open(folder.path());
        assert!(found.aside.is_some_and(|aside| aside.exists()), "kept");
        assert_eq!(ledger.known("/in", "a").expect("read"), None);
    }

    #[test]
    fn a_newer_ledger_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a temp folder");
        open(folder.path()).0.connection.pragma_update(None, "user_version", 9).expect("written");
        let error = Ledger::open(folder.path(), &present(), None, &NoReceipts).expect_err("newer");
        assert!(error.text.contains("the ledger is of version 9, this onestep reads version 1"), "{error}");
    }
}
