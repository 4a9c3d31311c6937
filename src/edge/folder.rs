//! Events of a watched folder tree, as hints. The only file that names `notify`. Keeps no state of files.

use crossbeam_channel::{Sender, TrySendError};
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What it means that the kernel gives no more watches, and what to do.
pub const LIMIT: &str = "the limit on watched folders is reached (sysctl fs.inotify.max_user_watches)";

/// Something may have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A writer closed this file, or something was renamed to this path.
    Closed(PathBuf),
    /// This file was made or written.
    Touched(PathBuf),
    /// This folder is new: what came into it before it was watched gave no events.
    NewFolder(PathBuf),
    /// Events were lost: only a scan tells.
    Lost,
}

/// Watches as long as it lives.
#[derive(Debug)]
pub struct FolderWatch {
    watcher: RecommendedWatcher,
    lost: Arc<AtomicBool>,
}

/// Why a folder is not watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwatched {
    /// The kernel gives no more watches.
    Limit,
    /// The folder is gone again.
    Gone,
    /// A sentence.
    Refused(String),
}

impl FolderWatch {
    /// Watches nothing yet. Hints that find the channel full are dropped, and [`FolderWatch::take_lost`] says
    /// so.
    ///
    /// # Errors
    /// A sentence, where the system gives no watcher.
    pub fn new(hints: Sender<Hint>) -> Result<FolderWatch, String> {
        let lost = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&lost);
        let handler = move |event: notify::Result<Event>| {
            for hint in hints_of(event) {
                if let Err(TrySendError::Full(_)) = hints.try_send(hint) {
                    flag.store(true, Ordering::Relaxed);
                }
            }
        };
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(handler, config).map_err(|error| sentence(&error))?;
        Ok(FolderWatch { watcher, lost })
    }

    /// Watches this one folder, not what lies below it: which folders those are is for others to know.
    ///
    /// # Errors
    /// Why not.
    pub fn add(&mut self, folder: &Path) -> Result<(), Unwatched> {
        let added = self.watcher.watch(folder, RecursiveMode::NonRecursive);
        added.map_err(|error| match error.kind {
            notify::ErrorKind::MaxFilesWatch => Unwatched::Limit,
            notify::ErrorKind::PathNotFound => Unwatched::Gone,
            notify::ErrorKind::Io(ref io) if io.kind() == std::io::ErrorKind::NotFound => Unwatched::Gone,
            _ => Unwatched::Refused(sentence(&error)),
        })
    }

    /// Whether hints were dropped since the last time this was asked.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }
}

fn sentence(error: &notify::Error) -> String {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => LIMIT.into(),
        _ => error.to_string(),
    }
}

/// Asks for a rescan before it looks at paths: an overflow comes without any.
fn hints_of(event: notify::Result<Event>) -> Vec<Hint> {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            log::warn!("watching is incomplete: {}", sentence(&error));
            return vec![Hint::Lost];
        }
    };
    if event.need_rescan() {
        return vec![Hint::Lost];
    }
    let make: fn(PathBuf) -> Hint = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Hint::Closed,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Hint::Closed,
        EventKind::Create(CreateKind::Folder) => Hint::NewFolder,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Hint::Touched,
        _ => return Vec::new(),
    };
    event.paths.into_iter().map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, Flag, MetadataKind};

    #[track_caller]
    fn check(kind: EventKind, expected: &[Hint]) {
        assert_eq!(hints_of(Ok(Event::new(kind).add_path("a".into()))), expected);
    }

    #[test]
    fn only_writing_and_arriving_are_hints() {
        check(EventKind::Access(AccessKind::Close(AccessMode::Write)), &[Hint::Closed("a".into())]);
        check(EventKind::Modify(ModifyKind::Name(RenameMode::To)), &[Hint::Closed("a".into())]);
        check(EventKind::Modify(ModifyKind::Data(DataChange::Any)), &[Hint::Touched("a".into())]);
        check(EventKind::Create(CreateKind::File), &[Hint::Touched("a".into())]);
        check(EventKind::Create(CreateKind::Folder), &[Hint::NewFolder("a".into())]);
        check(EventKind::Access(AccessKind::Open(AccessMode::Any)), &[]);
        check(EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), &[]);
        check(EventKind::Modify(ModifyKind::Name(RenameMode::From)), &[]);
    }

    #[test]
    fn an_overflow_has_no_path_and_is_heard_all_the_same() {
        assert_eq!(hints_of(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))), [Hint::Lost]);
        assert_eq!(hints_of(Err(notify::Error::generic("broken"))), [Hint::Lost]);
    }
}
