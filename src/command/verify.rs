//! `onestep verify`: are the results still what their receipts say? Reads every byte; changes nothing.

use super::absolute;
use crate::cli;
use crate::config;
use crate::edge::digest::sha256_of;
use crate::edge::record::Receipt;
use crate::error::{CommandError, Exit, StartError};
use crate::work::naming::{RECEIPTS, path_of};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What became of the results of one output folder.
#[derive(Default)]
struct Tally {
    whole: usize,
    gone: usize,
    changed: usize,
}

pub(super) fn main(words: &cli::Verify) -> Result<Exit, CommandError> {
    let outputs = match &words.output {
        Some(output) => vec![absolute(output)],
        None => {
            let config = config::load(&words.config)?;
            config.pipelines.iter().map(|pipeline| absolute(&pipeline.output)).collect()
        }
    };
    let mut exit = Exit::AllDone;
    let mut out = std::io::stdout().lock();
    for output in outputs {
        let mut tally = Tally::default();
        for (target, told) in latest(&output, words.output.is_some())? {
            match judge(&target, &told) {
                Ok(()) => tally.whole += 1,
                Err(Wrong::Gone) => {
                    tally.gone += 1;
                    writeln!(out, "gone: {}", target.display()).ok();
                }
                Err(Wrong::Changed(why)) => {
                    tally.changed += 1;
                    writeln!(out, "changed, {why}: {}", target.display()).ok();
                }
            }
        }
        let Tally { whole, gone, changed } = tally;
        writeln!(out, "{whole} as they were made, {gone} gone, {changed} changed: {}", output.display()).ok();
        if gone + changed > 0 {
            exit = Exit::SomeFailed;
        }
    }
    Ok(exit)
}

enum Wrong {
    Gone,
    Changed(String),
}

/// What a receipt says of its result.
struct Told {
    bytes: u64,
    sha256: String,
}

fn judge(target: &Path, told: &Told) -> Result<(), Wrong> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Wrong::Gone,
        _ => Wrong::Changed(format!("it cannot be read ({error})")),
    };
    let bytes = fs::metadata(target).map_err(unreadable)?.len();
    if bytes != told.bytes {
        return Err(Wrong::Changed(format!("it has {bytes} bytes, not {}", told.bytes)));
    }
    let sha256 = File::open(target).and_then(sha256_of).map_err(unreadable)?;
    if sha256 == told.sha256 { Ok(()) } else { Err(Wrong::Changed("its content differs".into())) }
}

/// The last receipt of each result. A pipeline that has made none yet has no file of them; a folder that was
/// named must have one.
fn latest(output: &Path, is_named: bool) -> Result<BTreeMap<PathBuf, Told>, StartError> {
    let path = output.join(RECEIPTS);
    let refused =
        |error: std::io::Error| StartError::usage(format!("cannot be read: {error}: {}", path.display()));
    let mut latest = BTreeMap::new();
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return Ok(latest),
        file => file.map_err(refused)?,
    };
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(refused)?;
        // Lines that a crash has torn are passed over.
        let Some(receipt) = str::from_utf8(&line).ok().and_then(Receipt::from_line) else { continue };
        let told = Told { bytes: receipt.output_bytes, sha256: receipt.output_sha256 };
        latest.insert(path_of(&receipt.target), told);
    }
    Ok(latest)
}
