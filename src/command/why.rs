//! `onestep why`: what became of a picture, from the ledger and a look at the file, or why it was never taken
//! in.

use super::asked::{CONFIG, Desk, desks};
use super::{absolute, resolved};
use crate::cli::{self, Asked};
use crate::config::{self, Pipeline};
use crate::edge::clock::text_of_ms;
use crate::edge::codec::read_mark;
use crate::edge::ledger::{PictureRow, Said};
use crate::edge::record::mark_from_text;
use crate::edge::scan::stamp_of;
use crate::error::{CommandError, Exit, StartError};
use crate::work::known::{MAX_CRASHES, State};
use crate::work::naming::{is_left_alone, is_picture, path_of, text_of};
use crate::work::plain::plain;
use std::fs;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

pub(super) fn main(words: &cli::Why) -> Result<Exit, CommandError> {
    let desks = desks(&words.asked)?;
    let mut exit = Exit::AllDone;
    for path in &words.paths {
        let mut lines = vec![path.display().to_string()];
        let known = answer(path, &desks, &mut lines)?;
        if !known {
            lines.push(format!("  {}", why_not(path, &words.asked, &desks)?));
            exit = Exit::SomeFailed;
        }
        // Nobody listens on stdout: then the exit code has to do.
        let lines: Vec<_> = lines.iter().map(|line| plain(line)).collect();
        writeln!(std::io::stdout(), "{}", lines.join("\n")).ok();
    }
    Ok(exit)
}

/// What the ledgers know of a picture or a result. Whether they know anything.
fn answer(path: &Path, desks: &[Desk], lines: &mut Vec<String>) -> Result<bool, StartError> {
    let mut known = false;
    for desk in desks {
        let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
        for row in rows(desk, path).map_err(refused)? {
            tell(&row, desk, lines).map_err(refused)?;
            known = true;
        }
    }
    Ok(known)
}

/// The rows for a path as it was typed or without links: as a picture of some input folder, or as a result.
fn rows(desk: &Desk, path: &Path) -> Said<Vec<PictureRow>> {
    let mut found: Vec<PictureRow> = Vec::new();
    for path in both(path) {
        for root in path.ancestors().skip(1) {
            let Ok(relative) = path.strip_prefix(root) else { continue };
            found.extend(desk.reader.picture(&text_of(root), &text_of(relative))?);
        }
        found.extend(desk.reader.sources(&text_of(&path))?);
    }
    if found.is_empty() {
        // Its folder may have been named by a link.
        let real = both(path).pop().unwrap_or_default();
        for root in desk.reader.roots()? {
            if let Ok(relative) = real.strip_prefix(resolved(&path_of(&root))) {
                found.extend(desk.reader.picture(&root, &text_of(relative))?);
            }
        }
    }
    let mut rows: Vec<PictureRow> = Vec::new();
    for row in found {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// As it was typed, and in its real folder. A link as the last part is not followed: it is asked about.
fn both(path: &Path) -> Vec<PathBuf> {
    let typed = absolute(path);
    let real = match (typed.parent(), typed.file_name()) {
        (Some(folder), Some(name)) => resolved(folder).join(name),
        _ => typed.clone(),
    };
    let mut paths = vec![typed, real];
    paths.dedup();
    paths
}

fn tell(row: &PictureRow, desk: &Desk, lines: &mut Vec<String>) -> Said<()> {
    let (at, source) = (text_of_ms(row.at_ms), path_of(&row.root).join(path_of(&row.relative)));
    let run = desk.reader.run(row.run)?;
    let working = desk.holder.is_some() && desk.reader.latest_run()?.is_some_and(|run| run.id == row.run);
    lines.push(match row.known.state {
        State::Done => format!("  done     {at}: {} → {}", source.display(), row.target),
        State::Failed => format!("  failed   {at}: {}: {}", source.display(), row.reason),
        State::Started if working => format!("  in work  since {at}: {} → {}", source.display(), row.target),
        State::Started => format!(
            "  begun    {at}: {} → {}; its run ended before it: the next does it again",
            source.display(),
            row.target
        ),
    });
    if row.known.crashes >= MAX_CRASHES {
        lines.push(format!("  caution  it was in work in {} crashes, and is left alone", row.known.crashes));
    }
    lines.push(format!("  options  {}", row.known.fingerprint));
    if !row.known.sha256.is_empty() {
        lines.push(format!("  content  SHA-256 {}", row.known.sha256));
    }
    lines.extend(mask_of(row).map(|mask| format!("  mask     {mask}")));
    if let Some(run) = run {
        let end = match (run.ended_ms, working) {
            (_, true) => "at work".to_owned(),
            (Some(ended), _) => format!("{} {}", run.ending, text_of_ms(ended)),
            (None, false) => "died without a word".to_owned(),
        };
        let began = text_of_ms(run.began_ms);
        lines.push(format!(
            "  run      {}: onestep {}, pid {}, began {began}, {end}",
            run.id, run.version, run.pid
        ));
    }
    lines.push(format!("  now      {}", as_it_is(row, &source)));
    lines.push(format!("  ledger   {}", desk.folder.display()));
    Ok(())
}

/// What was repaired of a picture, as its result tells it.
fn mask_of(row: &PictureRow) -> Option<String> {
    let file = fs::File::open(path_of(&row.target)).ok().filter(|_| row.known.state == State::Done)?;
    let text = read_mark(&mut BufReader::new(file)).ok().flatten()?;
    let masked = mark_from_text(&text).filter(|mark| mark.source == row.relative)?.mask?;
    let by =
        masked.file.map(|file| format!(": {} ({} bytes, SHA-256 {})", file.path, file.bytes, file.sha256));
    let done = match masked.repaired {
        0 => "nothing was to be repaired, the picture was copied".to_owned(),
        pixels => format!("{pixels} pixels were repaired"),
    };
    Some(format!("{done}, by {}{}", masked.rule, by.unwrap_or_default()))
}

/// The picture and its result, as they lie there now.
fn as_it_is(row: &PictureRow, source: &Path) -> String {
    let picture = match fs::symlink_metadata(source) {
        Err(_) => "the picture is gone",
        Ok(metadata) if stamp_of(&metadata) == row.known.stamp => "the picture is as it was then",
        Ok(_) => "the picture has changed since, and is looked at again when it is seen",
    };
    let result = match (row.known.state, path_of(&row.target).exists()) {
        (State::Done, false) => "; its result was taken away (`once` makes it again)",
        (State::Failed, _) => "; a reason file lies in failed/ beside the results",
        _ => "",
    };
    format!("{picture}{result}")
}

/// What the configuration says, where it is at hand: a pipeline whose globs leave this path alone, or for
/// which it is a mask.
fn left_alone_by(path: &Path, asked: &Asked) -> Option<String> {
    let file = asked.config.clone().unwrap_or_else(|| CONFIG.into());
    config::load(&file).ok()?.pipelines.into_iter().find_map(
        |Pipeline { name, input, ignore, masking, .. }| {
            let paths = both(path);
            let mut places = paths.iter().filter_map(|path| path.strip_prefix(absolute(&input)).ok());
            let place = places.next()?;
            if ignore.leaves_any(place) || places.any(|place| ignore.leaves_any(place)) {
                return Some(format!("`ignore` of {name} leaves it alone"));
            }
            let is_mask = masking.is_some_and(|masking| masking.is_mask(place));
            is_mask.then(|| format!("for {name} it is a mask: ask for the picture that it marks"))
        },
    )
}

/// Why no ledger knows it.
fn why_not(path: &Path, asked: &Asked, desks: &[Desk]) -> Result<String, StartError> {
    let file = match fs::symlink_metadata(path) {
        Err(error) => return Ok(format!("never taken in, and cannot be looked at: {error}")),
        Ok(metadata) => metadata.file_type(),
    };
    if file.is_symlink() {
        return Ok("never taken in: it is a link, and links are not followed".into());
    }
    if file.is_dir() {
        return Ok("a folder: ask for a picture in it, or for `onestep status`".into());
    }
    if !file.is_file() {
        return Ok("never taken in: it is no regular file".into());
    }
    if is_left_alone(path) {
        return Ok(
            "never taken in: its name says hidden or unfinished (.part, .tmp and the like); rename it".into(),
        );
    }
    if !is_picture(path) {
        return Ok(
            "never taken in: its name does not end as a picture's does (.jpg, .png, .webp, .tif and the like)"
                .into(),
        );
    }
    if let Some(why) = left_alone_by(path, asked) {
        return Ok(format!("never taken in: {why}"));
    }
    if desks.is_empty() {
        return Ok("no onestep of this user has a ledger: name one with --config, -o or --state".into());
    }
    for desk in desks {
        let refused = |reason| StartError::State { reason, folder: desk.folder.clone() };
        let roots = desk.reader.roots().map_err(refused)?;
        let inside = both(path).into_iter().find_map(|path| {
            let places = roots.iter().map(|root| path_of(root)).flat_map(|root| [resolved(&root), root]);
            places.into_iter().find_map(|root| path.strip_prefix(root).ok().map(Path::to_owned))
        });
        let Some(relative) = inside else { continue };
        if relative.ancestors().any(is_left_alone) {
            return Ok("never taken in: it lies in a folder that is hidden or unfinished by its name".into());
        }
        return Ok(match &desk.holder {
            Some(pid) => format!(
                "not taken in yet by the onestep at work (pid {pid}): still being written, or waiting for \
                 room or for its mask"
            ),
            None => "not seen yet: no onestep is at work on its folder".into(),
        });
    }
    Ok("never taken in: it lies in no folder that a onestep of these ledgers had pictures of".into())
}
