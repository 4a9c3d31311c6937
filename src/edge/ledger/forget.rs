//! Forgetting failures, so that they are tried again. Opened beside a onestep at work or after its end;
//! changes nothing but rows of pictures that failed for good.

use super::file::connect_and_check;
use super::read::{COLUMNS, picture_of};
use super::{PictureRow, Said, file::FILE};
use rusqlite::params;
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
    let mut connection = connect_and_check(&folder.join(FILE))?;
    let chosen = "WHERE state = 'failed' AND at_ms >= ?1 AND (?2 IS NULL OR instr(reason, ?2) > 0)";
    let values = params![which.since_ms, which.reason];
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let rows = {
        let select = format!("SELECT {COLUMNS} FROM picture {chosen} ORDER BY root, relative");
        let mut query = transaction.prepare(&select)?;
        let rows = query.query_map(values, picture_of)?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    transaction.execute(&format!("DELETE FROM picture {chosen}"), values)?;
    transaction.commit()?;
    Ok(rows)
}
