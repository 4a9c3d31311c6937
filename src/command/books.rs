//! The state folder and the ledger in it, from lock to last entry; and how a ledger that was lost is made
//! again from the receipts beside the results.

use super::resolved;
use crate::edge::ledger::{Entry, Ledger};
use crate::edge::record::Receipt;
use crate::edge::state_folder::{self, Environment, StateFolder};
use crate::edge::{crash, machine};
use crate::error::{End, Fatal, StartError, SystemError};
use crate::work::death::{Death, PANICKED};
use crate::work::known::State;
use crate::work::mark::Stamp;
use crate::work::naming::RECEIPTS;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Receipts that become rows in one transaction.
const TOGETHER: usize = 4096;
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
    /// Takes the state folder, tells how the run before ended, and has a ledger at the end, whatever became of
    /// the last one.
    pub(super) fn open(asked: Option<&Path>, output: &Path) -> Result<Books, StartError> {
        let folder = StateFolder::take(&place(asked, output)?)?;
        let path = folder.path().to_owned();
        let refused = |error: SystemError| StartError::State { reason: error.text, folder: path.clone() };
        let words = crash::last_words(&folder.last_words());
        crash::listen(&folder.last_words()).map_err(|error| refused(error.into()))?;
        let (mut ledger, found) = Ledger::open(folder.path(), &machine::present(), words).map_err(refused)?;
        let receipts = output.join(RECEIPTS);
        if let Some(death) = found.death.filter(|death| *death != Death::Clean) {
            tell(&death, &found.in_flight);
            let confirmed = confirm(&ledger, &receipts).map_err(refused)?;
            log::info!("{confirmed} of them have their receipt already");
        }
        if let Some(aside) = found.fresh {
            let count = rebuild(&mut ledger, &receipts).map_err(refused)?;
            if let Some(aside) = &aside {
                log::warn!("the ledger was damaged, and is put aside: {}", aside.display());
            }
            if count > 0 || aside.is_some() {
                log::warn!("the ledger is made anew from {count} receipts: {}", receipts.display());
            }
        }
        Ok(Books { ledger, _folder: folder })
    }

    /// A connection for each of the two threads that keep the books.
    pub(super) fn ledgers(&self) -> Result<(Ledger, Ledger), Fatal> {
        let second = || self.ledger.second().map_err(|error| self.ledger.fatal(error));
        Ok((second()?, second()?))
    }

    /// The last entry: how the run ended.
    pub(super) fn close(self, end: &End) {
        let ending = match end {
            Ok(()) => "ended",
            Err(Fatal::Panicked(_)) => PANICKED,
            Err(_) => "failed",
        };
        if let Err(error) = self.ledger.end(ending) {
            log::warn!("the end of this run cannot be written: {error}");
        }
    }
}

fn tell(death: &Death, in_flight: &[String]) {
    let pictures = if in_flight.is_empty() { "nothing".to_owned() } else { in_flight.join(", ") };
    match death {
        Death::Clean => {}
        Death::Cut(how) => {
            log::info!("the run before did not end by itself ({how}); in flight then: {pictures}")
        }
        Death::Crash(how) => {
            log::warn!("the run before crashed ({how}); in flight then, and done one by one now: {pictures}");
        }
    }
}

/// Fills a new ledger from receipts. Gives their number.
fn rebuild(ledger: &mut Ledger, receipts: &Path) -> Result<usize, SystemError> {
    let mut entries = read(receipts, u64::MAX)?.peekable();
    let mut count = 0;
    while entries.peek().is_some() {
        let together: Vec<Entry> = entries.by_ref().take(TOGETHER).collect();
        ledger.settle(&together)?;
        count += together.len();
    }
    Ok(count)
}

/// A process that died between a receipt and its row has done the picture all the same. Gives the number of
/// those.
fn confirm(ledger: &Ledger, receipts: &Path) -> Result<usize, SystemError> {
    ledger.confirm(&read(receipts, LAST_BYTES)?.collect::<Vec<_>>())
}

/// What the last `bytes` of the receipts say; lines that are torn are passed over.
fn read(receipts: &Path, bytes: u64) -> Result<impl Iterator<Item = Entry>, SystemError> {
    let file = match File::open(receipts) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        file => Some(file?),
    };
    let lines = match file {
        Some(mut file) => {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
            Some(BufReader::new(file).split(b'\n'))
        }
        None => None,
    };
    // An error in the middle ends it: what was read until then is true.
    Ok(lines.into_iter().flatten().map_while(Result::ok).filter_map(|line| entry(&line)))
}

fn entry(line: &[u8]) -> Option<Entry> {
    let receipt = Receipt::from_line(str::from_utf8(line).ok()?)?;
    let Receipt { root, target, mark, changed_ns, fingerprint, .. } = receipt;
    Some(Entry {
        root,
        relative: mark.source,
        target,
        state: State::Done,
        stamp: Stamp { bytes: mark.bytes, modified_ns: mark.modified_ns, changed_ns },
        sha256: mark.sha256,
        fingerprint,
        reason: String::new(),
    })
}
