//! The state folder: where it is, and that only one onestep works with it. Holds the lock as long as it
//! lives; what else lies in the folder is the business of others.

use crate::edge::digest::sha256;
use crate::error::StartError;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The pid of the process that holds it.
const LOCK: &str = "lock";
/// The last words of a run that crashed.
const LAST_WORDS: &str = "last-words";

/// While this is there, nothing new is begun; with a digest of its name behind it, nothing of one pipeline.
const PAUSED: &str = "paused";

/// How often, and how long apart, the lock is tried.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(30);

/// A state folder that is ours.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

/// What the environment says about places for state.
#[derive(Debug, Default)]
pub struct Environment {
    /// `STATE_DIRECTORY`, which systemd sets.
    pub systemd: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// As it is now.
    pub fn now() -> Environment {
        let path = |name| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        Environment { systemd: path("STATE_DIRECTORY"), xdg: path("XDG_STATE_HOME"), home: path("HOME") }
    }
}

/// Which folder it is: what was asked for, systemd's, or one for each output folder in the user's place for
/// state. `output` is without links.
///
/// # Errors
/// If there is no such place.
pub fn find(asked: Option<&Path>, output: &Path, environment: &Environment) -> Result<PathBuf, StartError> {
    if let Some(path) = asked.or(environment.systemd.as_deref()) {
        return Ok(path.to_owned());
    }
    let home = environment.home.as_ref().map(|home| home.join(".local/state"));
    let Some(base) = environment.xdg.clone().or(home) else {
        return Err(StartError::usage(
            "no place for state (no HOME): name a folder (--state, or `state` in [service])",
        ));
    };
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let digest = sha256(output.as_os_str().as_encoded_bytes());
    Ok(base.join("onestep").join(format!("{name}-{}", &digest[..12])))
}

/// Every state folder in the user's place for state, and systemd's: where to look when nothing is said.
pub fn all(environment: &Environment) -> Vec<PathBuf> {
    let home = environment.home.as_ref().map(|home| home.join(".local/state"));
    let base = environment.xdg.clone().or(home).map(|base| base.join("onestep"));
    let entries = base.and_then(|base| fs::read_dir(base).ok()).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    environment.systemd.iter().cloned().chain(folders).collect()
}

/// The pid of the onestep that is at work with this folder, as text; `None` where none is.
pub fn holder(path: &Path) -> Option<String> {
    let mut lock = File::open(path.join(LOCK)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            lock.read_to_string(&mut pid).ok()?;
            Some(pid.trim().to_owned())
        }
        _ => None,
    }
}

/// Whether somebody asked this folder's onestep to pause: all of it, or this pipeline alone.
pub fn is_paused(path: &Path, pipeline: Option<&str>) -> bool {
    pause_file(path, pipeline).exists()
}

fn pause_file(path: &Path, pipeline: Option<&str>) -> PathBuf {
    let digest = pipeline.map(|name| sha256(name.as_bytes()));
    path.join(digest.map_or_else(|| PAUSED.to_owned(), |digest| format!("{PAUSED}-{}", &digest[..12])))
}

/// Asks it to pause, or to go on; heeded at work and at every start. Says whether that changes anything.
///
/// # Errors
/// What the system says.
pub fn pause(path: &Path, pipeline: Option<&str>, on: bool) -> io::Result<bool> {
    let (was, file) = (is_paused(path, pipeline), pause_file(path, pipeline));
    match (was, on) {
        (false, true) => File::create(file)?.sync_all()?,
        (true, false) => fs::remove_file(file)?,
        _ => {}
    }
    Ok(was != on)
}

/// Takes the lock. Somebody who only asks ([`holder`]) has it for an instant; a onestep at work keeps it.
#[expect(clippy::disallowed_methods, reason = "no stage runs yet, and a third of a second is the most")]
fn patiently(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            end => return end,
        }
    }
    lock.try_lock()
}

impl StateFolder {
    /// Makes the folder if need be, and takes it.
    ///
    /// # Errors
    /// [`StartError::Held`] where another process has it, else [`StartError::State`].
    pub fn take(path: &Path) -> Result<StateFolder, StartError> {
        let refused = |error: io::Error| StartError::State { reason: error.into(), folder: path.into() };
        fs::create_dir_all(path).map_err(refused)?;
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let mut lock = options.open(path.join(LOCK)).map_err(refused)?;
        match patiently(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).map_err(refused)?;
                let holder = format!("pid {}", pid.trim());
                return Err(StartError::Held { holder, folder: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        let pid = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(pid.as_bytes()))
            .map_err(refused)?;
        Ok(StateFolder { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file for last words.
    pub fn last_words(&self) -> PathBuf {
        self.path.join(LAST_WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_is_taken_and_outputs_have_their_own() {
        let path = |text: &str| Some(PathBuf::from(text));
        let all =
            Environment { systemd: path("/var/lib/onestep"), xdg: path("/xdg"), home: path("/home/me") };
        let user = Environment { systemd: None, ..all };
        let found = |asked: Option<&Path>, output: &str, environment: &Environment| {
            find(asked, Path::new(output), environment).expect("a place")
        };
        assert_eq!(found(Some(Path::new("/s")), "/out", &user), Path::new("/s"));
        assert_eq!(found(None, "/out", &user), Path::new("/xdg/onestep/out-a5bcd92e5ab3"));
        assert_ne!(found(None, "/a/out", &user), found(None, "/b/out", &user));
        let home = Environment { xdg: None, ..user };
        assert!(found(None, "/out", &home).starts_with("/home/me/.local/state/onestep"));
        let systemd = Environment { systemd: path("/var/lib/onestep"), ..home };
        assert_eq!(found(None, "/out", &systemd), Path::new("/var/lib/onestep"));
        let error = find(None, Path::new("/out"), &Environment::default()).expect_err("nowhere");
        assert_eq!(
            error.to_string(),
            "no place for state (no HOME): name a folder (--state, or `state` in [service])"
        );
    }

    #[test]
    fn a_second_one_is_refused_with_the_pid_of_the_first() {
        let root = tempfile::tempdir().expect("a temp folder");
        let folder = root.path().join("state");
        let first = StateFolder::take(&folder).expect("free");
        let error = StateFolder::take(&folder).expect_err("held").to_string();
        assert!(
            error.contains(&format!("another onestep (pid {}) is at work", std::process::id())),
            "{error}"
        );
        drop(first);
        StateFolder::take(&folder).expect("free again");
    }
}
