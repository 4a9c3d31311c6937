//! Runs of the program in the ledger: how the one before ended, what it left behind, and this one's beginning
//! and end.

use super::{Entry, Found, Ledger, Receipts, Said};
use crate::edge::clock::now_ms;
use crate::work::death::{Death, Past, Present};
use crate::work::masking::told_mask;
use rusqlite::{OptionalExtension, Row, params};

/// So many pictures are named after a crash.
pub const NAMED: usize = 8;

impl Ledger {
    /// Whether a picture was last begun, or done, with another mask file.
    pub(super) fn has_other_mask(&self, entry: &Entry) -> Said<bool> {
        let Some(mask) = told_mask(&entry.fingerprint) else { return Ok(false) };
        let mut query = self
            .connection
            .prepare_cached("SELECT fingerprint FROM picture WHERE root = ?1 AND relative = ?2")?;
        let before: Option<String> =
            query.query_row([&entry.root, &entry.relative], |row| row.get(0)).optional()?;
        Ok(before.as_deref().and_then(told_mask).is_some_and(|before| before != mask))
    }

    /// How the run before ended. What was in flight then and has its receipt is done; where it crashed, the
    /// rest is suspected.
    pub(super) fn bury(
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

    /// A process that died between a receipt and its row has done the picture all the same. Only what the
    /// dead run itself started and reported counts, of the same file. Gives the number.
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

    pub(super) fn begin(&mut self, present: &Present) -> Said<()> {
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
        self.hush()
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

    /// Writes the end of this run.
    ///
    /// # Errors
    /// What the database says.
    pub fn end(&self, ending: &str) -> Said<()> {
        let update = "UPDATE run SET ended_ms = ?1, ending = ?2 WHERE id = ?3";
        self.connection.execute(update, params![now_ms(), ending, self.run])?;
        Ok(())
    }
}
