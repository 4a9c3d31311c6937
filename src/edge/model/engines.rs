//! TensorRT's engines on disk: a folder for each key, and in it a list of its files with their digests. What
//! is not exactly as it was written is thrown away and built anew, never trusted: an engine is code.

use crate::edge::digest::sha256;
use crate::work::engine::EngineKey;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The list; what it does not name was left by a build that did not end.
const LIST: &str = "onestep.list";
/// Where engines are kept unless something else is asked for: systemd's place for caches, or the user's;
/// `None` where there is neither.
pub fn engine_folder() -> Option<PathBuf> {
    let path = |name| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let home = || path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
    let base = path("CACHE_DIRECTORY").or_else(|| Some(home()?.join("onestep")));
    base.map(|base| base.join("engines"))
}

/// Enough of a digest for a name.
const NAME_LENGTH: usize = 32;

/// The folder of one key.
#[derive(Debug)]
pub(super) struct Engines {
    folder: PathBuf,
    key: String,
}

impl Engines {
    /// The folder of a key below `root`, made if need be. Also says whether it holds engines that are as they
    /// were written; if not, it is empty.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(root: &Path, key: &EngineKey) -> io::Result<(Engines, bool)> {
        let key = key.to_text();
        let folder = root.join(&sha256(key.as_bytes())[..NAME_LENGTH]);
        let engines = Engines { folder, key };
        let known = fs::read_to_string(engines.folder.join(LIST)).is_ok_and(|list| {
            let whole = engines.list().is_ok_and(|now| now == list);
            if !whole {
                let folder = engines.folder.display();
                log::warn!("engines that are not as they were written are built anew: {folder}");
            }
            whole
        });
        if !known {
            engines.clear()?;
        }
        Ok((engines, known))
    }

    /// Where TensorRT reads and writes.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Nothing is there afterwards but the folder.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&self.folder)
    }

    /// Writes down what is there now, so that the next start trusts it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn seal(&self) -> io::Result<()> {
        // Half a list is no list: then everything is built once more.
        let mut file = fs::File::create(self.folder.join(LIST))?;
        file.write_all(self.list()?.as_bytes())?;
        file.sync_all()
    }

    /// The key, and a line for each file: digest and name.
    fn list(&self) -> io::Result<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != LIST {
                lines.push(format!("{} {name}\n", sha256(&fs::read(entry.path())?)));
            }
        }
        lines.sort();
        Ok(self.key.clone() + &lines.concat())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
mod tests {
    use super::*;

    fn key(driver: &str) -> EngineKey {
        EngineKey {
            model_sha256: "feed".into(),
            gpu: "one (9.0)".into(),
            driver: driver.into(),
            tensorrt: "libnvinfer.so.10.9".into(),
            profile: "image:8x3x192x192".into(),
            f16: false,
        }
    }

    #[test]
    fn only_what_was_sealed_and_is_unchanged_is_known() {
        let root = tempfile::tempdir().expect("a temp folder");
        let open = |driver| Engines::open(root.path(), &key(driver)).expect("writable");
        let (engines, known) = open("1");
        assert!(!known);
        let engine = engines.folder().join("onestep_1.engine");
        fs::write(&engine, "built").expect("writable");
        // A build that did not end leaves no list, and nothing of it is kept.
        assert!(!open("1").1 && !engine.exists());

        fs::write(&engine, "built").expect("writable");
        engines.seal().expect("writable");
        assert!(open("1").1 && engine.exists());
        assert!(!open("2").1, "another driver");
        assert!(open("1").1, "which changes nothing of the first");

        fs::write(&engine, "other").expect("writable");
        assert!(!open("1").1 && !engine.exists(), "somebody else's file");
    }

    #[test]
    fn a_file_too_many_or_too_few_is_not_trusted() {
        let root = tempfile::tempdir().expect("a temp folder");
        let open = || Engines::open(root.path(), &key("1")).expect("writable");
        for break_it in [
            (|folder: &Path| fs::write(folder.join("more.engine"), "x").expect("writable")) as fn(&Path),
            |folder| fs::remove_file(folder.join("a.engine")).expect("there"),
        ] {
            let (engines, _) = open();
            fs::write(engines.folder().join("a.engine"), "a").expect("writable");
            engines.seal().expect("writable");
            assert!(open().1);
            break_it(engines.folder());
            assert!(!open().1);
        }
    }
}
