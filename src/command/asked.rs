//! Whose ledger is asked, or changed: what `why`, `status`, `retry` and the like share.

use super::books;
use crate::cli::Asked;
use crate::config;
use crate::edge::ledger::Reader;
use crate::edge::state_folder::{Environment, all, holder};
use crate::error::{CommandError, StartError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where `run` looks for its configuration too.
pub(super) const CONFIG: &str = "config.toml";

/// A state folder with a ledger.
pub(super) struct Desk {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The pid of the onestep at work with it.
    pub(super) holder: Option<String>,
    /// Its ledger.
    pub(super) reader: Reader,
}

/// The ledgers that were asked for: the one that was named, or all that are found.
pub(super) fn desks(asked: &Asked) -> Result<Vec<Desk>, CommandError> {
    let named = match asked {
        Asked { state: Some(folder), .. } => Some(folder.clone()),
        Asked { output: Some(output), .. } => Some(books::place(None, output)?),
        Asked { config: Some(file), .. } => Some(of_config(file)?),
        _ => None,
    };
    let folders = match &named {
        Some(folder) => vec![folder.clone()],
        None => {
            let here = Path::new(CONFIG).is_file().then(|| of_config(Path::new(CONFIG)).ok()).flatten();
            let mut seen = BTreeSet::new();
            let folders = here.into_iter().chain(all(&Environment::now()));
            folders.filter(|folder| seen.insert(folder.clone())).collect()
        }
    };
    let mut desks: Vec<Desk> = Vec::new();
    for folder in folders {
        let refused = |reason| StartError::State { reason, folder: folder.clone() };
        let at_work = holder(&folder);
        match Reader::open(&folder, at_work.is_some()).map_err(refused) {
            Ok(Some(reader)) => desks.push(Desk { holder: at_work, folder, reader }),
            Ok(None) => {}
            // Of several, one that cannot be read hides no other.
            Err(error) if named.is_none() => log::warn!("{error}"),
            Err(error) => return Err(error.into()),
        }
    }
    if let (true, Some(folder)) = (desks.is_empty(), named) {
        let sentence = format!("there is no ledger, so nothing was done with it yet: {}", folder.display());
        return Err(StartError::usage(sentence).into());
    }
    Ok(desks)
}

/// The ledger that is to be changed, if there is any: the one that was named, else that of the configuration
/// in the working folder, else the only one.
///
/// # Errors
/// Where several could be meant: nobody means all of them.
pub(super) fn to_change(asked: &Asked) -> Result<Option<Desk>, CommandError> {
    let mut desks = desks(asked)?;
    let here = Path::new(CONFIG).is_file().then(|| of_config(Path::new(CONFIG)).ok()).flatten();
    if let Some(at) = here.and_then(|here| desks.iter().position(|desk| desk.folder == here)) {
        return Ok(Some(desks.swap_remove(at)));
    }
    if desks.len() > 1 {
        let folders: Vec<String> = desks.iter().map(|desk| desk.folder.display().to_string()).collect();
        let sentence = format!(
            "there are {} ledgers, so say which is meant with --config, -o or --state: {}",
            folders.len(),
            folders.join(", ")
        );
        return Err(StartError::usage(sentence).into());
    }
    Ok(desks.pop())
}

fn of_config(file: &Path) -> Result<PathBuf, StartError> {
    let config = config::load(file)?;
    books::place(config.state.as_deref(), &config.pipelines[0].output)
}
