//! The state folder and the ledger in it, from lock to last entry; and the receipts beside the results, from
//! which a ledger that was lost is made again.

use super::resolved;
use crate::edge::clock::ms_of_text;
use crate::edge::ledger::{Entry, Found, Ledger, Receipts, Said};
use crate::edge::record::Receipt;
use crate::edge::state_folder::{self, Environment, StateFolder};
use crate::edge::{crash, machine};
use crate::error::{CommandError, Fatal, StartError, SystemError};
use crate::work::death::{DEVICE_LOST, Death, PANICKED};
use crate::work::known::State;
use crate::work::mark::Stamp;
use crate::work::naming::{RECEIPTS, path_of};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Receipts of everything that can have been in flight lie within these last bytes: they have some hundred
/// each, and in flight are at most some hundred pictures.
const LAST_BYTES: u64 = 1 << 20;

/// A state folder that is ours as long as this lives, and its ledger.
#[derive(Debug)]
pub(super) struct Books {
    ledger: Ledger,
    _folder: StateFolder,
}

/// Where the state of an output folder is.
pub(super) fn place(asked: Option<&Path>, output: &Path) -> Result<PathBuf, StartError> {
    state_folder::find(asked, &resolved(output), &Environment::now())
}

impl Books {
    /// Takes the state folder, tells how the run before ended, and has a ledger at the end, whatever became
    /// of the last one.
    ///
    /// # Panics
    /// If there is no output folder.
    pub(super) fn open(asked: Option<&Path>, outputs: &[&Path]) -> Result<Books, StartError> {
        let folder = StateFolder::take(&place(asked, outputs[0])?)?;
        let path = folder.path().to_owned();
        let refused = |reason: SystemError| StartError::State { reason, folder: path.clone() };
        let words = crash::last_words(&folder.last_words());
        let receipts = Beside(outputs.iter().map(|output| output.join(RECEIPTS)).collect());
        let (ledger, found) =
            Ledger::open(folder.path(), &machine::present(), words, &receipts).map_err(refused)?;
        // Only now, when they are in the ledger.
        crash::listen(&folder.last_words()).map_err(|error| refused(error.into()))?;
        tell(&found, &receipts.0);
        forget_gone(&ledger).map_err(refused)?;
        Ok(Books { ledger, _folder: folder })
    }

    /// A connection for each thread that keeps the books.
    pub(super) fn ledgers(&self) -> Result<[Ledger; 3], Fatal> {
        let second = || self.ledger.second().map_err(|error| self.ledger.fatal(error));
        Ok([second()?, second()?, second()?])
    }

    /// The last entry: how the run ended.
    pub(super) fn close<T>(self, end: &Result<T, CommandError>) {
        let ending = match end {
            Ok(_) => "ended",
            Err(CommandError::Fatal(Fatal::Panicked(_))) => PANICKED,
            Err(CommandError::Fatal(Fatal::Device(_))) => DEVICE_LOST,
            Err(_) => "failed",
        };
        if let Err(error) = self.ledger.end(ending) {
            log::warn!("the end of this run cannot be written: {error}");
        }
    }
}

/// What an earlier run began and nobody will do any more, since the picture has been taken away.
fn forget_gone(ledger: &Ledger) -> Said<()> {
    for (root, relative) in ledger.begun()? {
        let (folder, picture) = (path_of(&root), path_of(&root).join(path_of(&relative)));
        // A folder that is gone may come back, with its pictures.
        let is_gone = std::fs::symlink_metadata(&picture).is_err_and(|e| e.kind() == ErrorKind::NotFound);
        if is_gone && folder.is_dir() {
            log::info!("begun by an earlier run, and gone: {}", picture.display());
            ledger.forget_begun(&root, &relative)?;
        }
    }
    Ok(())
}

fn tell(found: &Found, receipts: &[PathBuf]) {
    let pictures = if found.in_flight.is_empty() { "nothing".into() } else { found.in_flight.join(", ") };
    match &found.death {
        None | Some(Death::Clean) => {}
        Some(Death::Cut(how)) => {
            log::info!("the run before did not end by itself ({how}); in flight then: {pictures}");
        }
        Some(Death::Crash(how)) => {
            log::warn!("the run before crashed ({how}); in flight then, and done one by one now: {pictures}");
        }
    }
    if found.confirmed > 0 {
        log::info!("{} more were in flight, and have their receipts", found.confirmed);
    }
    if let Some(aside) = &found.aside {
        log::warn!("the ledger was damaged, and is put aside: {}", aside.display());
    }
    match found.filled {
        Some(count) if count > 0 || found.aside.is_some() => {
            let files: Vec<String> = receipts.iter().map(|file| file.display().to_string()).collect();
            log::warn!("the ledger is made anew from {count} receipts: {}", files.join(", "));
        }
        _ => {}
    }
}

/// The files of receipts beside the results.
struct Beside(Vec<PathBuf>);

impl Receipts for Beside {
    fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>> {
        let mut files = Vec::new();
        for path in &self.0 {
            match File::open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                file => files.push((path, file.map_err(|error| of_receipts(path, error))?)),
            }
        }
        let lines = files.into_iter().flat_map(|(path, file)| {
            BufReader::new(file).split(b'\n').map(|line| line.map_err(|error| of_receipts(path, error)))
        });
        // Lines that a crash has torn are passed over.
        Ok(Box::new(lines.filter_map(|line| match line {
            Ok(line) => receipt(&line).map(|receipt| Ok(entry(receipt))),
            Err(error) => Some(Err(error)),
        })))
    }

    fn of_run(&self, name: &str) -> Vec<Entry> {
        let receipts = self.0.iter().flat_map(|path| last(path)).filter(|receipt| receipt.run == name);
        receipts.map(entry).collect()
    }
}

/// Which receipts cannot be read, from which the ledger was to be made anew.
fn of_receipts(path: &Path, error: std::io::Error) -> SystemError {
    let SystemError { text, transient } = error.into();
    SystemError { text: format!("cannot read the receipts {}: {text}", path.display()), transient }
}

/// The last receipts of a file. What cannot be read confirms nothing: then it is done again.
fn last(path: &Path) -> Vec<Receipt> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    if file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES))).is_err() {
        return Vec::new();
    }
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| receipt(&line)).collect()
}

fn receipt(line: &[u8]) -> Option<Receipt> {
    Receipt::from_line(str::from_utf8(line).ok()?)
}

fn entry(receipt: Receipt) -> Entry {
    let Receipt { at, root, target, mark, changed_ns, fingerprint, .. } = receipt;
    Entry {
        root,
        relative: mark.source,
        target,
        state: State::Done,
        stamp: Stamp { bytes: mark.bytes, modified_ns: mark.modified_ns, changed_ns },
        sha256: mark.sha256,
        fingerprint,
        reason: String::new(),
        at_ms: ms_of_text(&at),
    }
}
