//! Walking folders and looking at files: what is there now. Follows no links. Decides by names and kinds
//! only, never by content.

use crate::edge::disk::open_beneath;
use crate::job::{Errand, Sighting};
use crate::work::ignore::Ignore;
use crate::work::mark::Stamp;
use crate::work::naming::{is_left_alone, is_picture};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Everything below `folder` that has a picture's name, in the order of paths. Places are told from `root`,
/// which is `folder` itself or above it. A folder that cannot be read is sighted by name, so that it is
/// tried, fails, and is told like a picture: nothing is missed in silence.
pub fn scan(root: &Arc<Path>, folder: &Path) -> Vec<Sighting> {
    scan_beating(root, folder, &Ignore::default(), |_| ())
}

/// The same, without what is to be left alone; `enter` is called with each folder before it is read: somebody
/// may have to watch it first, or show that he is alive, since a slow share may take long for all.
pub fn scan_beating(
    root: &Arc<Path>,
    folder: &Path,
    ignore: &Ignore,
    mut enter: impl FnMut(&Path),
) -> Vec<Sighting> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        enter(&folder);
        let entries: io::Result<Vec<fs::DirEntry>> = fs::read_dir(&folder).and_then(Iterator::collect);
        let Ok(entries) = entries else {
            found.push(sighting(root, &folder, true));
            continue;
        };
        for entry in entries {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if path.strip_prefix(&**root).is_ok_and(|relative| ignore.leaves(relative)) {
                continue;
            }
            if is_folder && !is_left_alone(&path) {
                folders.push(path);
            } else if !is_folder && is_picture(&path) {
                found.push(sighting(root, &path, false));
            }
        }
    }
    found.sort_by(|a, b| a.source.cmp(&b.source));
    found
}

/// A sighting of one path below `root`, for the first line.
pub fn sighting(root: &Arc<Path>, path: &Path, named: bool) -> Sighting {
    // The root itself has no place below itself, and a stranger none at all: then the name alone serves. A
    // place that is absolute would lead out of the output folder.
    let name = path.file_name().unwrap_or_default();
    let relative = path.strip_prefix(&**root).unwrap_or(Path::new(""));
    let (root, source) = (Arc::clone(root), path.to_owned());
    Sighting {
        line: 0,
        root,
        source,
        relative: relative.with_file_name(name),
        named,
        attempt: 0,
        safe: false,
    }
}

/// Kind and times of a path. A link is looked through only where the user named it.
///
/// # Errors
/// What the system says.
pub fn look(path: &Path, follow: bool) -> io::Result<Metadata> {
    if follow { fs::metadata(path) } else { fs::symlink_metadata(path) }
}

/// Opens a picture for reading: by its name where the user named it, else only beneath its input folder, and
/// never through a link.
///
/// # Errors
/// What the system says.
pub fn open(errand: &Errand) -> io::Result<File> {
    if errand.named { File::open(&errand.source) } else { open_beneath(&errand.root, &errand.relative) }
}

/// Length and times.
pub fn stamp_of(metadata: &Metadata) -> Stamp {
    let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Stamp {
        bytes: metadata.len(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
    fn pictures_of_the_whole_tree_are_seen_in_order_and_links_to_folders_are_not_entered() {
        let root = tempfile::tempdir().expect("a temp folder");
        for file in ["b.PNG", "a/z.jpg", "a/y.txt", ".hidden/x.jpg", "a/c.jpg.part"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
            fs::write(path, "x").expect("writable");
        }
        symlink(root.path().join("a"), root.path().join("loop")).expect("writable");
        symlink(root.path().join("b.PNG"), root.path().join("link.png")).expect("writable");
        let tree: Arc<Path> = root.path().into();
        let found = scan(&tree, root.path());
        let places: Vec<&Path> = found.iter().map(|s| s.relative.as_path()).collect();
        // The link is sighted: whoever admits looks at its kind, and counts it as passed over.
        assert_eq!(places, ["a/z.jpg", "b.PNG", "link.png"].map(Path::new));
        assert_eq!(scan(&tree, &root.path().join("a"))[0].relative, Path::new("a/z.jpg"));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_told() {
        let found = scan(&Path::new("/no/such").into(), Path::new("/no/such/folder"));
        assert_eq!(found[0].relative, Path::new("folder"));
        assert!(found[0].named);
        assert_eq!(scan(&Path::new("/no/such").into(), Path::new("/no/such"))[0].relative, Path::new("such"));
    }

    #[test]
    fn a_place_never_leads_out_of_the_tree() {
        assert_eq!(
            sighting(&Path::new("in").into(), Path::new("/x/in/a.png"), false).relative,
            Path::new("a.png")
        );
        assert_eq!(sighting(&Path::new("").into(), Path::new("a.png"), true).relative, Path::new("a.png"));
    }
}
