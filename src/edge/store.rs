//! Results on disk: seen whole or not at all, also after a power cut. The only file that writes, renames or
//! removes anything where users look. Knows nothing of what is in the files.

use crate::edge::disk::rename_new;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const TEMP_PREFIX: &str = ".onestep-";
const TEMP_SUFFIX: &str = ".tmp";

/// Who may do what with a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, or `None`: as the umask has it.
    pub mode: Option<u32>,
    /// Number of the group, or `None`: as the system has it.
    pub group: Option<u32>,
}

impl Access {
    fn grant(self, file: &File) -> io::Result<()> {
        if self.group.is_some() {
            fchown(file, None, self.group)?;
        }
        // Last, since a change of owner takes bits away.
        self.mode.map_or(Ok(()), |mode| file.set_permissions(fs::Permissions::from_mode(mode)))
    }
}

/// What becomes of a file that has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It gives way.
    Replaced,
    /// It stays: nobody had the name when it was looked at.
    Spared,
}

/// Writes `path` (below `root`, which exists): a temp file in the same folder, since only there a rename is
/// atomic; synced before it gets its name; then the folder is synced, or the name could be lost.
///
/// # Errors
/// What the system or `write` says, [`ErrorKind::AlreadyExists`] where the name is taken and that is spared;
/// then nothing is left behind.
pub fn commit(
    root: &Path,
    path: &Path,
    (access, taken): (Access, Taken),
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(root);
    make_folders(root, folder)?;
    let (temp, file) = create_temp(folder)?;
    let written = access.grant(&file).and_then(|()| fill(file, write)).and_then(|file| {
        match taken {
            #[expect(clippy::disallowed_methods, reason = "this is the store")]
            Taken::Replaced => fs::rename(&temp, path)?,
            Taken::Spared => rename_new(&temp, path)?,
        }
        drop(file);
        sync_folder(folder)
    });
    if written.is_err() {
        // The first error is the news; a temp that cannot be removed either is swept at the next start.
        fs::remove_file(&temp).ok();
    }
    written
}

/// Writes `path`, whose folder exists, and takes nobody's place: what a crash leaves half written has another
/// name.
///
/// # Errors
/// What the system or `write` says; [`ErrorKind::AlreadyExists`] where the name is taken.
pub fn commit_new(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let (temp, mut file) = create_temp(folder)?;
    let written = write(&mut file).and_then(|()| file.sync_all()).and_then(|()| rename_new(&temp, path));
    if written.is_err() {
        // The first error is the news.
        fs::remove_file(&temp).ok();
    }
    written.and_then(|()| sync_folder(folder))
}

/// Removes a file that may or may not be there.
///
/// # Errors
/// What the system says, except that it is not there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Adds a text of whole lines to a file, durably. A line that a crash left unfinished is ended first, so that
/// it spoils nothing but itself.
///
/// # Errors
/// What the system says.
pub fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    let torn = if last == [b'\n'] { "" } else { "\n" };
    file.write_all([torn, lines].concat().as_bytes())?;
    file.sync_data()?;
    if length == 0 { path.parent().map_or(Ok(()), sync_folder) } else { Ok(()) }
}

/// Whether anything can be written into `root` at all.
///
/// # Errors
/// What the system says if not.
pub fn probe(root: &Path) -> io::Result<()> {
    let (temp, mut file) = create_temp(root)?;
    // Synced, and more than fits beside a file's name: quotas and shares speak only then.
    let written = file.write_all(&[b'?'; 4096]).and_then(|()| file.sync_all());
    remove(&temp)?;
    written
}

/// Whether something can be added to a file.
///
/// # Errors
/// What the system says if not.
pub fn probe_append(path: &Path) -> io::Result<()> {
    File::options().append(true).open(path).map(drop)
}

/// Makes the output folder itself.
///
/// # Errors
/// What the system says.
pub fn make_root(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    File::open(root)?.sync_all()
}

/// Removes our temp files below `root` that no living process is writing. Gives their number.
///
/// # Errors
/// Where `root` cannot be read or a temp file not be removed.
pub fn sweep(root: &Path) -> io::Result<usize> {
    let mut swept = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // Where we may not read, we did not write; and what is gone has nothing of ours.
            Err(error)
                if folder != root
                    && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) =>
            {
                continue;
            }
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && is_temp(&entry.file_name().to_string_lossy())
                && is_orphan(&entry.path())
            {
                remove(&entry.path())?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

/// Whether this is a file that [`probe`] makes.
pub fn is_probe(path: &Path) -> bool {
    path.file_name().is_some_and(|name| is_temp(&name.to_string_lossy()))
}

fn is_temp(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX) && name.ends_with(TEMP_SUFFIX)
}

/// A writer locks its temp file; the lock dies with the process, however that dies.
fn is_orphan(path: &Path) -> bool {
    // Results may be for reading alone. Some shares lock what is open for writing alone.
    let open = |write| File::options().read(true).write(write).open(path);
    let Ok(file) = open(true).or_else(|_| open(false)) else { return false };
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn create_temp(folder: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temp = folder.join(format!("{TEMP_PREFIX}{}-{number}{TEMP_SUFFIX}", std::process::id()));
        match File::create_new(&temp) {
            Ok(file) => {
                // File systems without locks lose only the protection from another onestep's sweep.
                file.try_lock().ok();
                return Ok((temp, file));
            }
            // On a share, another machine may have a process of our number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn fill(file: File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    write(&mut writer)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}

/// Makes the folders between `root` and `folder`, syncing each parent that gets a new entry.
fn make_folders(root: &Path, folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|f| *f != root && !f.is_dir()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => folder.parent().map_or(Ok(()), sync_folder)?,
            // Another thread was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: (Access, Taken) = (Access { mode: None, group: None }, Taken::Replaced);

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root).expect("a folder").map(|e| e.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_commit_makes_folders_and_replaces_the_whole_file() {
        let root = tempfile::tempdir().expect("a temp folder");
        let path = root.path().join("a/b/c.png");
        for text in ["first, and longer", "second"] {
            commit(root.path(), &path, PLAIN, |writer| writer.write_all(text.as_bytes())).expect("writable");
            assert_eq!(fs::read_to_string(&path).expect("written"), text);
        }
        assert_eq!(names(&root.path().join("a/b")), ["c.png"]);
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let root = tempfile::tempdir().expect("a temp folder");
        let path = root.path().join("c.png");
        commit(root.path(), &path, PLAIN, |writer| writer.write_all(b"good")).expect("writable");
        let half = |writer: &mut dyn Write| writer.write_all(b"ba").and(Err(io::Error::other("disk full")));
        assert!(commit(root.path(), &path, PLAIN, half).is_err());
        assert_eq!(
            (names(root.path()), fs::read(&path).expect("there")),
            (vec!["c.png".into()], b"good".into())
        );
    }

    #[test]
    fn a_result_has_the_mode_that_was_asked_for_whatever_the_umask() {
        let root = tempfile::tempdir().expect("a temp folder");
        let path = root.path().join("c.png");
        let access = Access { mode: Some(0o664), group: None };
        commit(root.path(), &path, (access, Taken::Replaced), |writer| writer.write_all(b"good"))
            .expect("writable");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o7777, 0o664);
    }

    #[test]
    fn lines_are_added_and_a_torn_one_is_ended_first() {
        let root = tempfile::tempdir().expect("a temp folder");
        let path = root.path().join("receipts.jsonl");
        append(&path, "one\ntwo\n").expect("writable");
        File::options().append(true).open(&path).and_then(|mut f| f.write_all(b"tor")).expect("writable");
        append(&path, "three\n").expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there"), "one\ntwo\ntor\nthree\n");
    }

    #[test]
    fn a_probe_leaves_nothing_and_tells_what_cannot_be_written() {
        let root = tempfile::tempdir().expect("a temp folder");
        probe(root.path()).expect("writable");
        assert!(names(root.path()).is_empty());
        assert!(probe(&root.path().join("gone")).is_err());
    }

    #[test]
    fn only_orphaned_temps_are_swept() {
        let root = tempfile::tempdir().expect("a temp folder");
        let sub = root.path().join("sub");
        make_folders(root.path(), &sub).expect("writable");
        drop(create_temp(&sub).expect("writable"));
        let (alive, _lock) = create_temp(&sub).expect("writable");
        commit(root.path(), &root.path().join(".onestep-note"), PLAIN, |writer| writer.write_all(b"mine"))
            .expect("writable");
        assert_eq!(sweep(root.path()).expect("readable"), 1);
        assert!(alive.exists());
        assert_eq!(names(root.path()), [".onestep-note", "sub"]);
    }
}
