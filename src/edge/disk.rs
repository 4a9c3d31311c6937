//! What only the system itself can do: which file system a folder is on, how much room it has, and a rename
//! that replaces nothing. The only file that names `rustix`.

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags, openat, openat2, renameat_with,
    statfs, statvfs, statx,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

/// The mount's number: the one of Linux 6.8 that is never used again, and before that the ordinary one, since
/// a kernel answers only what it knows.
const MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x1000 | 0x4000);

/// A folder and the file system that it is on. Two are equal where it is the same folder of the same mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of its device, of this mount.
    device: u64,
    /// Its own number, which most file systems keep from one mount to the next; 0 where it has none.
    id: u64,
    /// Its type, as the kernel numbers them.
    kind: i64,
    /// The folder's number on it; it may be used again at once when the folder is removed.
    inode: u64,
    /// When the folder was made, in nanoseconds; 0 where that is not kept.
    born_ns: i128,
    /// Number of the mount, never used again on Linux 6.8 and later.
    mount: u64,
}

/// File systems whose files others may change from elsewhere, by the kernel's numbers (linux/magic.h,
/// statfs(2)): NFS, SMB in three versions, FUSE (sshfs, virtiofs and more), 9p, AFS in two, Ceph, Coda,
/// Lustre, GPFS, GFS2, OCFS2, VirtualBox's and Parallels' folders.
const OF_A_NETWORK: [i64; 17] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x5346_414f,
    0x6b41_4653,
    0x00c3_6400,
    0x7375_7245,
    0x0bd0_0bd0,
    0x4750_4653,
    0x0116_1970,
    0x7461_636f,
    0x786f_4256,
    0x7c7c_6673,
    0x564c,
];

impl Place {
    /// Whether somebody else may write there without this kernel knowing.
    pub fn is_of_a_network(self) -> bool {
        OF_A_NETWORK.contains(&self.kind)
    }

    /// Whether this is on the file system that `earlier` was on, perhaps unmounted and mounted again.
    pub fn is_on_that_of(self, earlier: Place) -> bool {
        // Network file systems have no number of their own, and get another device with each mount.
        let same_share = self.id == 0 && (self.kind, self.inode) == (earlier.kind, earlier.inode);
        self.device == earlier.device || (self.id == earlier.id && (self.id != 0 || same_share))
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
    let more = statx(CWD, folder, AtFlags::empty(), StatxFlags::BTIME | MOUNT_ID)?;
    let born = more.stx_btime;
    Ok(Place {
        device: metadata.dev(),
        id: statvfs(folder)?.f_fsid,
        kind: statfs(folder)?.f_type,
        inode: metadata.ino(),
        born_ns: i128::from(born.tv_sec) * 1_000_000_000 + i128::from(born.tv_nsec),
        mount: more.stx_mnt_id,
    })
}

/// Bytes that may still be written below a folder; no end of them where the file system does not tell.
///
/// # Errors
/// What the system says.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let room = statvfs(folder)?;
    Ok(if room.f_blocks == 0 { u64::MAX } else { room.f_bavail.saturating_mul(room.f_frsize) })
}

/// Opens a regular file at a place below `root` for reading. No link on the way is followed, however late
/// somebody puts one there; a pipe does not make us wait.
///
/// # Errors
/// What the system says, or that it is no regular file.
pub fn open_beneath(root: &Path, place: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    // The folder of a bare file name.
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let folder = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(&folder, place, flags, Mode::empty(), beneath) {
        // An old kernel, or a filter that does not know the call: then step by step, a folder at a time.
        Err(Errno::NOSYS | Errno::PERM) => by_steps(folder, place, flags)?,
        opened => opened?,
    };
    let file = File::from(file);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::LOOP.into()) }
}

fn by_steps(mut folder: OwnedFd, place: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut parts = place.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return Err(Errno::XDEV.into()) };
        if parts.peek().is_none() {
            return Ok(openat(&folder, name, flags, Mode::empty())?);
        }
        let into = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        folder = openat(&folder, name, into, Mode::empty())?;
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Renames a file to a name that nobody has.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where somebody has it, [`io::ErrorKind::CrossesDevices`] where it is on
/// another file system, else what the system says.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise it: then looking first is the best there is.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if to.symlink_metadata().is_ok() => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        #[expect(clippy::disallowed_methods, reason = "what is moved is durable already")]
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(from, to),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
    fn no_link_leads_out_and_a_pipe_is_not_waited_for() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (inside, outside) = (root.path().join("in"), root.path().join("out"));
        for folder in [&inside, &outside] {
            std::fs::create_dir_all(folder.join("sub")).expect("writable");
            std::fs::write(folder.join("sub/a"), "x").expect("writable");
        }
        let link =
            |to: &Path, name: &str| std::os::unix::fs::symlink(to, inside.join(name)).expect("writable");
        link(&outside.join("sub"), "folder");
        link(&outside.join("sub/a"), "file");
        link(&inside.join("sub/a"), "within");
        let pipe = std::process::Command::new("mkfifo").arg(inside.join("pipe")).status().expect("mkfifo");
        assert!(pipe.success());
        let steps = |place: &str| {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
            let folder =
                openat(CWD, &inside, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("there");
            by_steps(folder, Path::new(place), flags).is_ok()
        };
        let open = |place: &str| open_beneath(&inside, Path::new(place)).is_ok();
        assert!(open("sub/a") && steps("sub/a"));
        for place in ["folder/a", "file", "within", "../out/sub/a", "gone"] {
            assert!(!open(place) && !steps(place), "{place}");
        }
        assert!(!open("pipe") && !open("sub"));
    }

    #[test]
    fn a_folder_is_on_its_file_system_and_others_are_told_apart() {
        let here = tempfile::tempdir().expect("a temp folder");
        let first = place(here.path()).expect("there");
        assert_eq!(place(here.path()).expect("there"), first);
        assert!(!first.is_on_that_of(place(Path::new("/proc")).expect("Linux")));
        let number = |device, id, inode| Place { device, id, inode, ..Place::default() };
        assert!(number(1, 7, 2).is_on_that_of(number(2, 7, 2)), "mounted again");
        assert!(!number(1, 7, 2).is_on_that_of(number(2, 8, 2)));
        assert!(number(1, 0, 2).is_on_that_of(number(2, 0, 2)), "a share, mounted again");
        assert!(Place { kind: 0x6969, ..Place::default() }.is_of_a_network() && !first.is_of_a_network());
        assert!(!number(1, 0, 2).is_on_that_of(number(2, 0, 3)));
        let folder = here.path().join("folder");
        std::fs::create_dir(&folder).expect("writable");
        let before = place(&folder).expect("there");
        std::fs::remove_dir(&folder).and_then(|()| std::fs::create_dir(&folder)).expect("ours");
        assert_ne!(place(&folder).expect("there"), before, "another folder, whatever its number");
        assert!(free_bytes(here.path()).expect("there") > 0);
        assert!(place(&here.path().join("gone")).is_err() && place(Path::new("/dev/null")).is_err());
    }
}
