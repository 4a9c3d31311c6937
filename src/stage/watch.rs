//! Seeing pictures: a list that is simply told, or a folder that is scanned, watched and waited for until
//! each file is whole. Sightings are hints; whoever admits looks for himself.

use crate::edge::folder::{FolderWatch, Hint};
use crate::edge::scan::{look, scan, sighting, stamp_of};
use crate::error::{End, Fatal};
use crate::job::Sighting;
use crate::stop::Stop;
use crate::work::naming::{is_left_alone, is_picture};
use crate::work::settle::Settler;
use crossbeam_channel::{Receiver, Sender, TrySendError, after, bounded, never, select};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Hints between the operating system and us: some thousand files in one burst. More are found by a scan.
const HINTS: usize = 8192;

/// A folder to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    /// The input folder.
    pub input: PathBuf,
    /// How long a file that nobody closes must stay the same.
    pub quiet: Duration,
}

/// Tells a list; waits where the pipeline is busy.
pub fn list(sightings: impl IntoIterator<Item = Sighting>, outbox: &Sender<Sighting>, stop: &Stop) -> End {
    for sighting in sightings {
        select! {
            send(outbox, sighting) -> sent => if sent.is_err() { break },
            recv(stop) -> _ => break,
        }
    }
    Ok(())
}

/// Watches a folder until the stop.
pub fn folder(options: &Watching, outbox: &Sender<Sighting>, stop: &Stop) -> End {
    let (hint_sender, hints) = bounded(HINTS);
    let watch = FolderWatch::new(&options.input, hint_sender)
        .map_err(|reason| Fatal::Watch { reason, folder: options.input.clone() })?;
    let mut settler = Settler::new(options.quiet);
    // Watching began first, so nothing can come in between.
    rescan(&options.input, &options.input, &mut settler);
    log::info!("watching: {}", options.input.display());
    loop {
        match next(&hints, &mut settler, &options.input, stop) {
            Woken::Work => {}
            Woken::Stop => break,
            Woken::Blind => {
                let reason = "its events ended".to_owned();
                return Err(Fatal::Watch { reason, folder: options.input.clone() });
            }
        }
        if watch.take_lost() {
            log::warn!("more events than could be taken in: scanning: {}", options.input.display());
            rescan(&options.input, &options.input, &mut settler);
        }
        if !pass_on(&options.input, &mut settler, outbox) {
            break;
        }
    }
    Ok(())
}

/// Why waiting ended.
enum Woken {
    Work,
    Stop,
    /// The watcher is gone: we would see nothing any more, and never notice.
    Blind,
}

/// Waits for hints, a file that is due, or the stop.
fn next(hints: &Receiver<Hint>, settler: &mut Settler, root: &Path, stop: &Stop) -> Woken {
    let due =
        settler.next_due().map_or_else(never, |due| after(due.saturating_duration_since(Instant::now())));
    select! {
        recv(stop) -> _ => return Woken::Stop,
        recv(due) -> _ => {},
        recv(hints) -> hint => {
            let Ok(hint) = hint else { return Woken::Blind };
            // All that have come meanwhile, since looking for what is due takes a walk through all that
            // waits.
            let all = std::iter::once(hint).chain(hints.try_iter().take(HINTS));
            all.for_each(|hint| heed(hint, settler, root));
        },
    }
    Woken::Work
}

fn heed(hint: Hint, settler: &mut Settler, root: &Path) {
    let now = Instant::now();
    match hint {
        Hint::Lost => rescan(root, root, settler),
        Hint::NewFolder(path) if is_below_left_alone(root, &path) => {}
        Hint::Closed(path) | Hint::Touched(path) if is_below_left_alone(root, &path) => {}
        // Files that came before the new folder was watched may come until it is; so look now and once more
        // later.
        Hint::NewFolder(path) => {
            rescan(root, &path, settler);
            settler.touched(path, now);
        }
        Hint::Closed(path) if look(&path, false).is_ok_and(|metadata| metadata.is_dir()) => {
            rescan(root, &path, settler);
            settler.touched(path, now);
        }
        Hint::Closed(path) if is_picture(&path) => settler.closed(path, now),
        Hint::Touched(path) if is_picture(&path) => settler.touched(path, now),
        Hint::Closed(_) | Hint::Touched(_) => {}
    }
}

fn is_below_left_alone(root: &Path, path: &Path) -> bool {
    path.ancestors().take_while(|part| *part != root).any(is_left_alone)
}

fn rescan(root: &Path, folder: &Path, settler: &mut Settler) {
    for found in scan(root, folder) {
        if found.named {
            log::warn!("a folder cannot be read, pictures in it are not seen: {}", found.source.display());
            continue;
        }
        let stamp = look(&found.source, false).ok().map(|metadata| stamp_of(&metadata));
        settler.seen(found.source, stamp, Instant::now());
    }
}

/// Passes on what is whole; `false` where nobody listens any more.
fn pass_on(root: &Path, settler: &mut Settler, outbox: &Sender<Sighting>) -> bool {
    for path in settler.due(Instant::now()) {
        let metadata = look(&path, false).ok();
        let now = Instant::now();
        if metadata.as_ref().is_some_and(|metadata| metadata.is_dir()) {
            settler.looked(&path, None, now);
            rescan(root, &path, settler);
            continue;
        }
        if settler.looked(&path, metadata.as_ref().map(stamp_of), now) {
            match outbox.try_send(sighting(root, &path, false)) {
                Ok(()) => {}
                // The pipeline is full: what waits here waits on disk.
                Err(TrySendError::Full(_)) => settler.again(path, now),
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
    }
    true
}
