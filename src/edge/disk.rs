//! Which file system a folder is on, and how much room it has. The only file that names `rustix`. Asks;
//! changes nothing.

use rustix::fs::{StatVfs, statvfs};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A folder and the file system that it is on. Two are equal where it is the same folder of the same mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of its device, of this mount.
    device: u64,
    /// Its own number, which most file systems keep from one mount to the next; 0 where it has none.
    id: u64,
    /// The folder's number on it.
    inode: u64,
}

impl Place {
    /// Whether this is on the file system that `earlier` was on, perhaps unmounted and mounted again.
    pub fn is_on_that_of(self, earlier: Place) -> bool {
        self.device == earlier.device || (self.id != 0 && self.id == earlier.id)
    }
}

/// Where a folder is.
///
/// # Errors
/// What the system says, or that it is no folder.
pub fn place(folder: &Path) -> io::Result<Place> {
    let metadata = std::fs::metadata(folder)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Place { device: metadata.dev(), id: ask(folder)?.f_fsid, inode: metadata.ino() })
}

/// Bytes that may still be written below a folder.
///
/// # Errors
/// What the system says.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let room = ask(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

fn ask(folder: &Path) -> io::Result<StatVfs> {
    Ok(statvfs(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_its_file_system_and_others_are_told_apart() {
        let here = tempfile::tempdir().expect("a temp folder");
        let first = place(here.path()).expect("there");
        assert_eq!(place(here.path()).expect("there"), first);
        assert!(!first.is_on_that_of(place(Path::new("/proc")).expect("Linux")));
        let number = |device, id| Place { device, id, inode: 2 };
        assert!(number(1, 7).is_on_that_of(number(2, 7)), "mounted again");
        assert!(!number(1, 0).is_on_that_of(number(2, 0)), "nothing tells");
        assert!(free_bytes(here.path()).expect("there") > 0);
        assert!(place(&here.path().join("gone")).is_err() && place(Path::new("/dev/null")).is_err());
    }
}
