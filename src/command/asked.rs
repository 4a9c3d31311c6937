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
    if let Some(folder) = named(asked)? {
        return Ok(vec![only(folder)?]);
    }
    let here = Path::new(CONFIG).is_file().then(|| of_config(Path::new(CONFIG)).ok()).flatten();
    let mut seen = BTreeSet::new();
    let folders =
        here.into_iter().chain(all(&Environment::now())).filter(|folder| seen.insert(folder.clone()));
    let desk = |folder: PathBuf| match desk(folder) {
        Ok(desk) => desk,
        // Of several, one that cannot be read hides no other.
        Err(error) => {
            log::warn!("{error}");
            None
        }
    };
    Ok(folders.filter_map(desk).collect())
}

/// The ledger that is to be changed: the one that was named, else that of the configuration
/// in the working folder, else the only one.
///
/// # Errors
/// Where there is none, or several could be meant: nobody means all of them.
pub(super) fn to_change(asked: &Asked) -> Result<Desk, CommandError> {
    if let Some(folder) = named(asked)? {
        return Ok(only(folder)?);
    }
    if Path::new(CONFIG).is_file() {
        return Ok(only(of_config(Path::new(CONFIG))?)?);
    }
    // One that cannot be read could be the one that is meant.
    let found: Vec<_> = all(&Environment::now())
        .into_iter()
        .filter_map(|folder| desk(folder.clone()).transpose().map(|desk| (folder, desk)))
        .collect();
    if found.len() > 1 {
        let folders: Vec<String> = found.iter().map(|(folder, _)| folder.display().to_string()).collect();
        let sentence = format!(
            "there are {} ledgers, so say which is meant with --config, -o or --state: {}",
            folders.len(),
            folders.join(", ")
        );
        return Err(StartError::usage(sentence).into());
    }
    let none = "no onestep of this user has a ledger: name one with --config, -o or --state";
    let (_, desk) = found.into_iter().next().ok_or_else(|| StartError::usage(none))?;
    Ok(desk?)
}

/// The state folder that is named, however it is.
fn named(asked: &Asked) -> Result<Option<PathBuf>, StartError> {
    Ok(match asked {
        Asked { state: Some(folder), .. } => Some(folder.clone()),
        Asked { output: Some(output), .. } => Some(books::place(None, output)?),
        Asked { config: Some(file), .. } => Some(of_config(file)?),
        _ => None,
    })
}

/// A state folder, if it has a ledger.
fn desk(folder: PathBuf) -> Result<Option<Desk>, StartError> {
    let holder = holder(&folder);
    match Reader::open(&folder, holder.is_some()) {
        Ok(reader) => Ok(reader.map(|reader| Desk { holder, folder, reader })),
        Err(reason) => Err(StartError::State { reason, folder }),
    }
}

/// The same where it must have one.
fn only(folder: PathBuf) -> Result<Desk, StartError> {
    let told = folder.display().to_string();
    desk(folder)?.ok_or_else(|| {
        StartError::usage(format!(
            "there is no ledger, so nothing was done yet (--config, -o or --state name another): {told}"
        ))
    })
}

fn of_config(file: &Path) -> Result<PathBuf, StartError> {
    let config = config::load(file)?;
    books::place(config.state.as_deref(), &config.pipelines[0].output)
}
