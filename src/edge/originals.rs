//! What becomes of a picture whose result is done: kept, moved, put into the trash, or deleted. Beside the
//! store, the only file that touches what users own, and the only one that names `trash`. Decides nothing:
//! whoever calls has made sure of the result.

use crate::edge::disk;
use crate::edge::store;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// How often a free name is looked for.
const MOST_NUMBERS: usize = 10_000;

/// What becomes of pictures that are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Originals {
    /// They stay where they are.
    #[default]
    Keep,
    /// They are moved into this folder, in the same tree; a name that is taken there gets a number.
    Move(PathBuf),
    /// They go where the desktop's file manager finds them (freedesktop.org Trash specification).
    Trash,
    /// They are deleted, once the result was read to its end.
    Delete,
}

/// Puts a picture away. Gives the place it has now, if it has one. `is_same` says whether it is still the
/// file that was done: asked at the last moment before it is deleted, since reading and copying take their
/// time.
///
/// # Errors
/// What the system says, or that it has changed; then the picture is where it was.
pub fn put_away(
    rule: &Originals,
    source: &Path,
    relative: &Path,
    is_same: &dyn Fn() -> io::Result<bool>,
) -> io::Result<Option<PathBuf>> {
    match rule {
        Originals::Keep => Ok(Some(source.to_owned())),
        Originals::Move(folder) => move_into(folder, source, relative, is_same).map(Some),
        Originals::Trash => trash::delete(source).map(|()| None).map_err(io::Error::other),
        Originals::Delete => remove(source, is_same).map(|()| None),
    }
}

fn remove(source: &Path, is_same: &dyn Fn() -> io::Result<bool>) -> io::Result<()> {
    if is_same()? { fs::remove_file(source) } else { Err(io::Error::other("it has changed meanwhile")) }
}

/// A picture that is copied leaves its place. Where it does not, the copy would be a second one, or one of
/// something else; where it is gone, whatever was said, the copy is all there is.
fn removed(source: &Path, is_same: &dyn Fn() -> io::Result<bool>, copy: PathBuf) -> io::Result<PathBuf> {
    match remove(source, is_same) {
        Err(error) if fs::symlink_metadata(source).is_ok() => {
            // The first error is the news.
            fs::remove_file(&copy).ok();
            Err(error)
        }
        _ => Ok(copy),
    }
}

fn move_into(
    folder: &Path,
    source: &Path,
    relative: &Path,
    is_same: &dyn Fn() -> io::Result<bool>,
) -> io::Result<PathBuf> {
    let wanted = folder.join(relative);
    store::make_root(wanted.parent().unwrap_or(folder))?;
    for number in 1..=MOST_NUMBERS {
        let place = crate::work::file_name::numbered(&wanted, number);
        match disk::rename_new(source, &place) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                // Said of names that are taken, too, and a copy takes its time.
                if fs::symlink_metadata(&place).is_ok() {
                    continue;
                }
                match copy_new(source, &place) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                    copied => copied?,
                }
                return removed(source, is_same, place);
            }
            renamed => {
                renamed?;
                sync_folders(source, &place)?;
                return Ok(place);
            }
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "no name is free"))
}

/// Another file system: the copy is durable before the picture goes, times and permissions with it.
fn copy_new(source: &Path, place: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let metadata = from.metadata()?;
    store::commit_new(place, |to| {
        io::copy(&mut from, to)?;
        to.set_permissions(metadata.permissions())?;
        to.set_modified(metadata.modified()?)
    })
}

fn sync_folders(a: &Path, b: &Path) -> io::Result<()> {
    for path in [a, b] {
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_keeps_its_tree_and_takes_nobodys_place() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (source, done) = (root.path().join("a.jpg"), root.path().join("done"));
        let rule = Originals::Move(done.clone());
        for (content, place) in [("one", "sub/a.jpg"), ("two", "sub/a-2.jpg")] {
            fs::write(&source, content).expect("writable");
            let moved = put_away(&rule, &source, Path::new("sub/a.jpg"), &|| Ok(true)).expect("moved");
            assert_eq!(moved, Some(done.join(place)));
            assert_eq!(fs::read_to_string(done.join(place)).expect("there"), content);
            assert!(!source.exists());
        }
    }

    #[test]
    fn a_copy_is_whole_and_takes_nobodys_place() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (from, to) = (root.path().join("a"), root.path().join("b"));
        fs::write(&from, "content").expect("writable");
        copy_new(&from, &to).expect("copied");
        let times = [&from, &to].map(|path| path.metadata().and_then(|m| m.modified()).expect("a time"));
        assert_eq!((fs::read_to_string(&to).expect("there"), times[0]), ("content".into(), times[1]));
        assert_eq!(copy_new(&from, &to).expect_err("taken").kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).expect("there"), "content", "not even touched");
    }

    #[test]
    fn a_copy_goes_only_while_its_picture_is_there() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (source, copy) = (root.path().join("a"), root.path().join("b"));
        for (is_there, is_same, is_moved) in [(true, true, true), (true, false, false), (false, false, true)]
        {
            fs::write(&copy, "content").expect("writable");
            if is_there {
                fs::write(&source, "content").expect("writable");
            } else {
                fs::remove_file(&source).expect("ours");
            }
            assert_eq!(removed(&source, &|| Ok(is_same), copy.clone()).is_ok(), is_moved);
            assert_eq!((source.exists(), copy.exists()), (!is_moved, is_moved));
        }
    }

    #[test]
    fn what_is_deleted_is_gone_and_what_is_not_there_is_told() {
        let root = tempfile::tempdir().expect("a temp folder");
        let source = root.path().join("a.jpg");
        fs::write(&source, "content").expect("writable");
        let delete = |is_same| put_away(&Originals::Delete, &source, Path::new("a.jpg"), &|| Ok(is_same));
        let kept = delete(false).expect_err("another file");
        assert!(kept.to_string().contains("changed meanwhile") && source.exists(), "{kept}");
        assert_eq!(delete(true).expect("deleted"), None);
        assert_eq!(delete(true).expect_err("gone").kind(), ErrorKind::NotFound);
    }
}
