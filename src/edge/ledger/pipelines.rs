//! What each pipeline of the latest run last said of itself: one row a pipeline, there while it works and
//! after its end.

use super::{Ledger, Reader, Said};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

/// Made by each run anew, so a ledger of an onestep that did not know it needs no change.
const TABLE: &str = "
DROP TABLE IF EXISTS pipeline;
CREATE TABLE pipeline (
    name TEXT NOT NULL,
    input TEXT NOT NULL,
    watched TEXT NOT NULL,       -- how
    settling INTEGER NOT NULL,   -- files that may still be in writing
    waiting INTEGER NOT NULL,    -- files that are whole and wait
    held TEXT,                   -- why nothing new is begun
    served TEXT                  -- model, precision and device
);
";

/// What one pipeline says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PipelineRow {
    /// Its name.
    pub name: String,
    /// Its input folder.
    pub input: String,
    /// How it is watched.
    pub watched: String,
    /// Files that may still be in writing.
    pub settling: u64,
    /// Files that are whole and wait.
    pub waiting: u64,
    /// Why it begins nothing new, if it does not.
    pub held: Option<String>,
    /// Model, precision and device; nothing of a run that did not tell yet.
    pub served: Option<String>,
}

impl Ledger {
    /// Forgets what the pipelines of former runs said.
    pub(super) fn hush(&self) -> Said<()> {
        Ok(self.connection.execute_batch(TABLE)?)
    }

    /// Writes what all pipelines say now.
    ///
    /// # Errors
    /// What the database says.
    pub fn tell(&mut self, rows: &[PipelineRow]) -> Said<()> {
        self.transaction(|ledger| {
            ledger.connection.execute("DELETE FROM pipeline", [])?;
            let mut insert =
                ledger.connection.prepare("INSERT INTO pipeline VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            for row in rows {
                let (settling, waiting) = (row.settling as i64, row.waiting as i64);
                insert.execute(params![
                    row.name,
                    row.input,
                    row.watched,
                    settling,
                    waiting,
                    row.held,
                    row.served
                ])?;
            }
            Ok(())
        })
    }
}

impl Reader {
    /// What the pipelines of the latest run last said, in the order of the configuration.
    ///
    /// # Errors
    /// What the database says.
    pub fn pipelines(&self) -> Said<Vec<PipelineRow>> {
        let known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pipeline'";
        if self.connection.query_row(known, [], |_| Ok(())).optional()?.is_none() {
            return Ok(Vec::new());
        }
        let row = |row: &Row<'_>| {
            Ok(PipelineRow {
                name: row.get(0)?,
                input: row.get(1)?,
                watched: row.get(2)?,
                settling: row.get::<_, i64>(3)?.unsigned_abs(),
                waiting: row.get::<_, i64>(4)?.unsigned_abs(),
                held: row.get(5)?,
                // The table of an earlier version has no such column.
                served: row.get("served").unwrap_or_default(),
            })
        };
        let mut query = self.connection.prepare("SELECT * FROM pipeline ORDER BY rowid")?;
        Ok(query.query_map([], row)?.collect::<Result<_, _>>()?)
    }
}
