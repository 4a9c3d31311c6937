//! Seeing pictures: a list that is simply told, or a folder that is scanned, watched and waited for until
//! each file is whole. Sightings are hints; whoever admits looks for himself.

use crate::edge::clock::since_ns;
use crate::edge::disk::{Place, place};
use crate::edge::folder::{FolderWatch, Hint};
use crate::edge::scan::{look, scan_beating, sighting, stamp_of};
use crate::error::{End, Fatal};
use crate::job::Sighting;
use crate::pulse::Pulse;
use crate::stop::Stop;
use crate::work::naming::{is_left_alone, is_picture};
use crate::work::settle::Settler;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, tick};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Hints between the operating system and us: some thousand files in one burst. More are found by a scan.
const HINTS: usize = 8192;
/// How often we look whether the folder is still the one that is watched: a mount that goes away tells
/// nobody.
const ROOT_LOOK: Duration = Duration::from_secs(5);
/// How often it is watched anew and scanned in any case: whatever made us blind, it is for no longer than
/// this.
const RESCAN: Duration = Duration::from_secs(600);

/// A folder to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    /// The line that takes what lands in it.
    pub line: usize,
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
pub fn folder(options: &Watching, pulse: &Pulse, outbox: &Sender<Sighting>, stop: &Stop) -> End {
    let mut eyes = Eyes::open(options, pulse)
        .map_err(|reason| Fatal::Watch { reason, folder: options.input.clone() })?;
    // Watching began first, so nothing can come in between.
    pulse.work(|| eyes.rescan(&options.input));
    log::info!("watching: {}", options.input.display());
    let (look, renew) = (tick(ROOT_LOOK), tick(RESCAN));
    // What is whole waits here for room in the pipeline; while nothing does, this is a door to nowhere.
    let (nowhere, _nobody) = bounded(0);
    loop {
        let due = eyes
            .settler
            .next_due()
            .map_or_else(never, |due| after(due.saturating_duration_since(Instant::now())));
        let door = if eyes.ready.is_empty() { &nowhere } else { outbox };
        select! {
            send(door, eyes.next_ready()) -> sent => if sent.is_err() { return Ok(()) },
            recv(stop) -> _ => return Ok(()),
            recv(due) -> _ => {},
            recv(look) -> _ => pulse.work(|| eyes.look_at_root(options)),
            recv(renew) -> _ => pulse.work(|| eyes.renew(options)),
            recv(eyes.hints) -> hint => match hint {
                Ok(hint) => pulse.work(|| eyes.heed(hint)),
                // The watcher is gone: we would see nothing any more, and never notice.
                Err(_) => {
                    let reason = "its events ended".to_owned();
                    return Err(Fatal::Watch { reason, folder: options.input.clone() });
                }
            },
        }
        pulse.work(|| eyes.settle());
    }
}

/// What sees: the watched folder, what may still be in writing, and what is whole.
struct Eyes<'a> {
    pulse: &'a Pulse,
    line: usize,
    root: Arc<Path>,
    watch: FolderWatch,
    hints: Receiver<Hint>,
    settler: Settler,
    ready: VecDeque<Sighting>,
    /// Where the watched folder is; `None` while it is gone.
    place: Option<Place>,
}

impl Eyes<'_> {
    fn open<'a>(options: &Watching, pulse: &'a Pulse) -> Result<Eyes<'a>, String> {
        let (watch, hints) = watch(&options.input)?;
        Ok(Eyes {
            pulse,
            line: options.line,
            root: options.input.as_path().into(),
            watch,
            hints,
            settler: Settler::new(options.quiet),
            ready: VecDeque::new(),
            place: place(&options.input).ok(),
        })
    }

    fn next_ready(&mut self) -> Sighting {
        self.ready.pop_front().expect("the door was open because something is ready")
    }

    /// The folder may be gone, back again, or another one: events of the old one would tell nothing.
    fn look_at_root(&mut self, options: &Watching) {
        let folder = options.input.display();
        let now = place(&options.input);
        match (&now, self.place) {
            (Ok(now), Some(then)) if *now == then => {}
            (Ok(_), _) => {
                log::warn!("watching anew and scanning: the input folder was away, or is another: {folder}");
                self.renew(options);
            }
            (Err(error), Some(_)) => {
                log::error!(
                    "paused: the input folder is gone ({error}), looking for it from time to time: {folder}"
                );
                self.place = None;
            }
            (Err(_), None) => {}
        }
    }

    /// Watches anew, and sees what came meanwhile.
    fn renew(&mut self, options: &Watching) {
        let folder = options.input.display();
        // The new watch first, so that nothing comes in between.
        match (watch(&options.input), place(&options.input)) {
            (Ok((watch, hints)), Ok(now)) => {
                (self.watch, self.hints, self.place) = (watch, hints, Some(now));
                self.rescan(&options.input);
            }
            (Err(reason), _) => log::warn!("cannot watch the input folder yet: {reason}: {folder}"),
            // Gone: that is seen at the next look.
            (Ok(_), Err(_)) => {}
        }
    }

    /// Heeds a hint and all that have come meanwhile, since looking for what is due takes a walk through all
    /// that waits.
    fn heed(&mut self, first: Hint) {
        let more: Vec<Hint> = self.hints.try_iter().take(HINTS).collect();
        for hint in std::iter::once(first).chain(more) {
            self.heed_one(hint, Instant::now());
        }
        if self.watch.take_lost() {
            log::warn!("more events than could be taken in: scanning: {}", self.root.display());
            self.rescan(&Arc::clone(&self.root));
        }
    }

    fn heed_one(&mut self, hint: Hint, now: Instant) {
        match hint {
            Hint::Lost => self.rescan(&Arc::clone(&self.root)),
            Hint::NewFolder(path) if self.is_below_left_alone(&path) => {}
            Hint::Closed(path) | Hint::Touched(path) if self.is_below_left_alone(&path) => {}
            // Files that came before the new folder was watched may come until it is; so look now and once
            // more later.
            Hint::NewFolder(path) => {
                self.rescan(&path);
                self.settler.touched(path, now);
            }
            Hint::Closed(path) if look(&path, false).is_ok_and(|metadata| metadata.is_dir()) => {
                self.rescan(&path);
                self.settler.touched(path, now);
            }
            Hint::Closed(path) if is_picture(&path) => self.settler.closed(path, now),
            Hint::Touched(path) if is_picture(&path) => self.settler.touched(path, now),
            Hint::Closed(_) | Hint::Touched(_) => {}
        }
    }

    fn is_below_left_alone(&self, path: &Path) -> bool {
        path.ancestors().take_while(|part| **part != *self.root).any(is_left_alone)
    }

    fn rescan(&mut self, folder: &Path) {
        for found in scan_beating(&self.root, folder, || self.pulse.beat()) {
            if found.named {
                log::warn!(
                    "a folder cannot be read, pictures in it are not seen: {}",
                    found.source.display()
                );
                continue;
            }
            let stamp = look(&found.source, false).ok().map(|metadata| stamp_of(&metadata));
            let age = stamp.map_or(Duration::ZERO, |s| since_ns(s.modified_ns.max(s.changed_ns)));
            self.settler.seen(found.source, stamp, age, Instant::now());
        }
    }

    /// Moves what is whole to what is ready.
    fn settle(&mut self) {
        for path in self.settler.due(Instant::now()) {
            let metadata = look(&path, false).ok();
            let now = Instant::now();
            if metadata.as_ref().is_some_and(|metadata| metadata.is_dir()) {
                self.settler.looked(&path, None, now);
                self.rescan(&path);
            } else if self.settler.looked(&path, metadata.as_ref().map(stamp_of), now) {
                let line = self.line;
                self.ready.push_back(Sighting { line, ..sighting(&self.root, &path, false) });
            }
        }
    }
}

fn watch(input: &Path) -> Result<(FolderWatch, Receiver<Hint>), String> {
    let (sender, hints) = bounded(HINTS);
    Ok((FolderWatch::new(input, sender)?, hints))
}
