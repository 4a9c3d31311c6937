//! Forgetting failures, so that they are tried again, and the options of results, so that they are made
//! again. Opened beside a onestep at work or after its end; changes nothing but those rows.

use super::file::connect_and_check;
use super::read::{COLUMNS, picture_of};
use super::{PictureRow, Said, file::FILE};
use rusqlite::{ToSql, params};
use std::path::Path;

/// Which failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Those whose reason has this in it.
    pub reason: Option<String>,
    /// Those that failed since then, milliseconds since 1970.
    pub since_ms: i64,
}

/// Forgets the failures of the ledger in `folder`, in one transaction, and gives what was forgotten.
///
/// # Errors
/// What the database says; then nothing is forgotten.
pub fn forget_failures(folder: &Path, which: &Which) -> Said<Vec<PictureRow>> {
    let chosen = "WHERE state = 'failed' AND at_ms >= ?1 AND (?2 IS NULL OR instr(reason, ?2) > 0)";
    let values = params![which.since_ms, which.reason];
    change(folder, "DELETE FROM picture", chosen, values)
}

/// Which results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Those whose options have this in them.
    pub only: Option<String>,
    /// Those whose options do not have this in them.
    pub except: Option<String>,
    /// Those that were made since then, milliseconds since 1970.
    pub since_ms: i64,
}

/// Forgets with which options results of the ledger in `folder` were made, in one transaction: whatever is
/// wanted differs from that, so they are made again, each into its own place. Gives what was forgotten.
///
/// # Errors
/// What the database says; then nothing is forgotten.
pub fn forget_options(folder: &Path, which: &Made) -> Said<Vec<PictureRow>> {
    let chosen = "WHERE state = 'done' AND fingerprint <> '' AND at_ms >= ?1
         AND (?2 IS NULL OR instr(fingerprint, ?2) > 0) AND (?3 IS NULL OR instr(fingerprint, ?3) = 0)";
    let values = params![which.since_ms, which.only, which.except];
    change(folder, "UPDATE picture SET fingerprint = ''", chosen, values)
}

/// Does to the chosen rows what `verb` says, and gives them as they were; all or none.
fn change(folder: &Path, verb: &str, chosen: &str, values: &[&dyn ToSql]) -> Said<Vec<PictureRow>> {
    let mut connection = connect_and_check(&folder.join(FILE))?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let rows = {
        let select = format!("SELECT {COLUMNS} FROM picture {chosen} ORDER BY root, relative");
        let mut query = transaction.prepare(&select)?;
        let rows = query.query_map(values, picture_of)?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    transaction.execute(&format!("{verb} {chosen}"), values)?;
    transaction.commit()?;
    Ok(rows)
}
