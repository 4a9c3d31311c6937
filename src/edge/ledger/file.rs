//! The database file: its tables, how it is opened, and what happens to one that is damaged.

use super::Said;
use crate::edge::clock::now_ms;
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const FILE: &str = "ledger.sqlite";
/// Raised when the tables change; an older onestep refuses a newer ledger.
pub(super) const VERSION: i64 = 1;
/// How long one of our connections waits for another; a transaction takes milliseconds.
const BUSY: Duration = Duration::from_secs(30);

pub(super) const TABLES: &str = "
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

/// WAL, so that readers and the writer do not wait for each other; FULL, so that a commit survives a power
/// cut.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Opens the file for the first time in a run: walks the tree of every table, so that damage is met now and
/// not in the middle of work, and refuses what a newer onestep wrote.
pub(super) fn connect_and_check(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
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

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Moves a damaged ledger out of the way; nothing is deleted.
#[expect(clippy::disallowed_methods, reason = "the state folder is not where users look")]
pub(super) fn put_aside(path: &Path) -> Said<PathBuf> {
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
