//! `runs/00007-sr-x4/`: everything one run leaves behind. recipe.json, log.jsonl, checkpoint.safetensors,
//! weights.safetensors, strips. Knows file names, not what is trained.

use crate::recipe::RunRecipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The averaged weights of a run that has reached its end.
pub const WEIGHTS: &str = "weights.safetensors";
/// Where a run stands, with all that it needs to go on.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// What an export was told, so that one that goes on with the run need not be told again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Licence of the weights.
    pub licence: String,
    /// Strength that the card recommends.
    pub default_strength: f32,
    /// Share of their colours that samples keep.
    pub chroma: f64,
    /// Folder of evaluation sets.
    pub eval: Option<PathBuf>,
}

/// The file that keeps it.
const TOLD: &str = "export.json";

/// An open run folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    log: File,
}

impl RunFolder {
    /// Makes the next numbered folder below `runs` and writes the recipe into it.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn create(runs: &Path, recipe: &impl RunRecipe) -> io::Result<RunFolder> {
        fs::create_dir_all(runs)?;
        let mut number = 0;
        for entry in fs::read_dir(runs)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|n| n.split('-').next()).and_then(|n| n.parse::<u32>().ok());
            number = number.max(digits.map_or(0, |n| n + 1));
        }
        let path = runs.join(format!("{number:05}-{}", recipe.name()));
        fs::create_dir(&path)?;
        replace(&path.join("recipe.json"), recipe.to_text().as_bytes())?;
        RunFolder::open(&path)
    }

    /// Opens a folder to go on with its run.
    ///
    /// # Errors
    /// If it is not there or not writable.
    pub fn open(path: &Path) -> io::Result<RunFolder> {
        let mut log = OpenOptions::new().create(true).read(true).append(true).open(path.join("log.jsonl"))?;
        // A kill may have torn the last line; the next must not be glued to it.
        let mut last = [b'\n'];
        if log.seek(SeekFrom::End(-1)).is_ok() {
            log.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            log.write_all(b"\n")?;
        }
        Ok(RunFolder { path: path.to_owned(), log })
    }

    /// The recipe a run was started with.
    ///
    /// # Errors
    /// If recipe.json is missing or of another program version.
    pub fn recipe<R: RunRecipe>(path: &Path) -> io::Result<R> {
        let text = fs::read(path.join("recipe.json"))?;
        let wrong = |e| io::Error::other(format!("recipe.json is of another task or program version: {e}"));
        serde_json::from_slice(&text).map_err(wrong)
    }

    /// What the last export of a run was told; nothing of a run of an older version.
    pub fn told(path: &Path) -> Option<Told> {
        serde_json::from_slice(&fs::read(path.join(TOLD)).ok()?).ok()
    }

    /// Keeps what an export is told.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn tell(&self, told: &Told) -> io::Result<()> {
        replace(&self.path.join(TOLD), &serde_json::to_vec_pretty(told).map_err(io::Error::other)?)
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Seconds of training by log.jsonl, all stages together: less than they took by what came after the last
    /// line of each. A line that is torn does not count.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn logged_seconds(&self) -> io::Result<f64> {
        let mut stages = BTreeMap::new();
        for line in fs::read_to_string(self.file("log.jsonl"))?.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if let (Some(stage), Some(seconds)) = (line["stage"].as_str(), line["seconds"].as_f64()) {
                stages.insert(stage.to_owned(), seconds);
            }
        }
        Ok(stages.values().sum())
    }

    /// Appends one line to log.jsonl.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn log(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
        text.push(b'\n');
        self.log.write_all(&text)
    }
}

/// A file that is tried before it has its name, beside where it will be, and gone whatever comes of that.
#[derive(Debug)]
pub struct Draft(PathBuf);

impl Draft {
    /// The draft of this file.
    pub fn of(file: &Path) -> Draft {
        Draft(file.with_extension("draft"))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok(); // it may not have been written
    }
}

/// Writes a file whole or not at all: temp in the same folder, sync, rename.
///
/// # Errors
/// If any of it fails; the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |temp| {
        let mut file = File::create(temp)?;
        file.write_all(bytes)
    })
}

/// As [`replace`], for writers that want a path.
///
/// # Errors
/// If any of it fails.
#[expect(clippy::disallowed_methods, reason = "the trainer's one place that renames")]
pub fn replace_with(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temp = path.with_extension("partial");
    let whole =
        write(&temp).and_then(|()| File::open(&temp)?.sync_all()).and_then(|()| fs::rename(&temp, path));
    if whole.is_err() {
        fs::remove_file(&temp).ok(); // on a full disk the half file would take what is left
    }
    whole
}
