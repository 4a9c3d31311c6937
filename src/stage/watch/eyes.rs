//! What sees: one watched folder, what in it may still be in writing, and what is whole.

use super::ready::Ready;
use super::{Notice, Watching};
use crate::board::News;
use crate::edge::clock::since_ns;
use crate::edge::disk::{Place, place};
use crate::edge::folder::{FolderWatch, Hint, LIMIT, Unwatched};
use crate::edge::mask_file;
use crate::edge::scan::{look, scan_beating, sighting, stamp_of};
use crate::edge::store;
use crate::job::Sighting;
use crate::pulse::Pulse;
use crate::work::naming::{is_left_alone, is_picture};
use crate::work::polled::Polled;
use crate::work::settle::Settler;
use crossbeam_channel::{Receiver, bounded, never};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Hints between the operating system and us: some thousand files in one burst. More are found by a scan.
const HINTS: usize = 8192;
/// How long an event of our own making may take to come: far more than it ever does where any come.
const PROOF: Duration = Duration::from_secs(2);
/// How long files must stay the same where nobody tells of changes: shares show sizes late.
const POLLED_QUIET: Duration = Duration::from_secs(5);

/// What sees: the watched folder, what may still be in writing, and what is whole.
pub(super) struct Eyes<'a> {
    pub(super) options: &'a Watching,
    pub(super) pulse: &'a Pulse,
    pub(super) root: Arc<Path>,
    pub(super) watch: Option<FolderWatch>,
    pub(super) hints: Receiver<Hint>,
    /// Folders below which nobody, or not everybody, tells of changes.
    blind: Vec<PathBuf>,
    polled: Polled,
    pub(super) settler: Settler,
    pub(super) ready: Ready,
    /// Where the watched folder is; `None` while it is gone.
    pub(super) place: Option<Place>,
    /// Where masks are that lie apart, as they were when they were listened to.
    pub(super) masks_place: Option<Place>,
    /// How it is watched, for people.
    watched: String,
}

impl Eyes<'_> {
    pub(super) fn new<'a>(options: &'a Watching, pulse: &'a Pulse) -> Eyes<'a> {
        Eyes {
            options,
            pulse,
            root: options.input.as_path().into(),
            watch: None,
            hints: never(),
            blind: Vec::new(),
            polled: Polled::default(),
            settler: Settler::new(options.quiet),
            ready: Ready::default(),
            place: place(&options.input).ok(),
            masks_place: None,
            watched: "not yet".into(),
        }
    }

    /// Tells how far it is; `sent` are on their way already.
    pub(super) fn tell(&self, news: &mut News, sent: usize) {
        (news.settling, news.ready, news.sent) = (self.settler.len(), self.ready.len(), sent);
        news.watched.clone_from(&self.watched);
    }

    /// Begins to watch, as the folder allows, and sees what is there.
    pub(super) fn open(&mut self) -> Result<(), String> {
        let was_polled = self.is_polled();
        (self.watch, self.hints) = (None, never());
        self.blind.clear();
        let why = self.listen()?;
        let folder = self.options.input.display();
        self.watched = "by events".into();
        if let Some(why) = why {
            self.blind.push(self.options.input.clone());
            self.settler.be_patient(POLLED_QUIET);
            self.watched = format!("polled every {} s, since {why}", self.options.poll.as_secs_f64());
            if !was_polled {
                log::warn!("{}: {folder}", self.watched);
            }
        } else if was_polled {
            log::info!("watched by events again: {folder}");
        }
        self.listen_to_masks();
        let root = Arc::clone(&self.root);
        self.rescan(&root);
        Ok(())
    }

    fn is_polled(&self) -> bool {
        self.blind.contains(&self.options.input)
    }

    /// Asks for events, if there are any to be had. Gives why the folder has to be polled as well, if it has.
    fn listen(&mut self) -> Result<Option<String>, String> {
        let Watching { input, notice, .. } = self.options;
        if *notice == Notice::Poll {
            return Ok(Some("the configuration says so".into()));
        }
        let (sender, hints) = bounded(HINTS);
        let watching = FolderWatch::new(sender).and_then(|mut watch| match watch.add(input) {
            Ok(()) => Ok(watch),
            Err(Unwatched::Limit) => Err(LIMIT.to_owned()),
            Err(Unwatched::Gone) => Err("it is gone".into()),
            Err(Unwatched::Refused(reason)) => Err(reason),
        });
        match watching {
            Ok(watch) => (self.watch, self.hints) = (Some(watch), hints),
            Err(reason) if *notice == Notice::Auto => return Ok(Some(reason)),
            Err(reason) => return Err(reason),
        }
        if *notice == Notice::Events {
            return Ok(None);
        }
        if self.place.is_some_and(Place::is_of_a_network) {
            return Ok(Some("it is on a network, and what others write there tells nobody".into()));
        }
        Ok((!self.is_proven()).then(|| "a file made in it gave no event".into()))
    }

    /// Whether a file that is made gives an event. Where none can be made, that is not known, and trusted.
    fn is_proven(&self) -> bool {
        if store::probe(&self.options.input).is_err() {
            return true;
        }
        let until = Instant::now() + PROOF;
        // What else comes meanwhile is seen by the scan that follows.
        while let Ok(hint) = self.hints.recv_deadline(until) {
            if matches!(&hint, Hint::Closed(path) | Hint::Touched(path) if store::is_probe(path)) {
                return true;
            }
        }
        false
    }

    /// The folder may be gone, back again, or another one: events of the old one would tell nothing.
    pub(super) fn look_at_root(&mut self) {
        let folder = self.options.input.display();
        let now = place(&self.options.input);
        match (&now, self.place) {
            (Ok(now), Some(then)) if *now == then => {}
            (Ok(_), _) => {
                log::warn!("watching anew and scanning: the input folder was away, or is another: {folder}");
                self.renew();
            }
            (Err(error), Some(_)) => {
                log::error!(
                    "paused: the input folder is gone ({error}), looking for it from time to time: {folder}"
                );
                self.place = None;
                self.watched = format!("not at all, it is gone ({error})");
            }
            (Err(_), None) => {}
        }
        self.look_at_masks();
    }

    /// Watches anew, and sees what came meanwhile.
    pub(super) fn renew(&mut self) {
        // Gone: that is seen at the next look.
        let Ok(now) = place(&self.options.input) else { return };
        self.place = Some(now);
        if let Err(reason) = self.open() {
            log::warn!("cannot watch the input folder yet: {reason}: {}", self.options.input.display());
            self.watched = format!("not yet: {reason}");
            // Then it is tried again at the next look, not only at the next scan.
            self.place = None;
        }
    }

    /// Looks through what nobody tells of.
    pub(super) fn poll(&mut self) {
        if self.blind.is_empty() || self.place.is_none() {
            return;
        }
        self.polled.begin();
        for folder in self.blind.clone() {
            for found in self.scan(&folder) {
                self.pulse.beat();
                if let Ok(stamp) = look(&found.source, false).map(|metadata| stamp_of(&metadata))
                    && self.polled.is_news(&found.source, stamp)
                {
                    // How old it is by whose clock?
                    self.settler.seen(found.source, Some(stamp), Duration::ZERO, Instant::now());
                }
            }
        }
        self.polled.end(&self.blind);
    }

    /// Heeds a hint and all that have come meanwhile, since looking for what is due takes a walk through all
    /// that waits.
    pub(super) fn heed(&mut self, first: Hint) {
        let more: Vec<Hint> = self.hints.try_iter().take(HINTS).collect();
        for hint in std::iter::once(first).chain(more) {
            self.heed_one(hint, Instant::now());
        }
        if self.watch.as_ref().is_some_and(FolderWatch::take_lost) {
            log::warn!("more events than could be taken in: scanning: {}", self.root.display());
            self.rescan(&Arc::clone(&self.root));
        }
    }

    fn heed_one(&mut self, hint: Hint, now: Instant) {
        if self.heed_apart(&hint, now) {
            return;
        }
        match hint {
            Hint::Lost => self.rescan(&Arc::clone(&self.root)),
            Hint::NewFolder(path) | Hint::Closed(path) | Hint::Touched(path) if self.is_left_alone(&path) => {
            }
            Hint::NewFolder(path) => self.rescan(&path),
            Hint::Closed(path) if look(&path, false).is_ok_and(|metadata| metadata.is_dir()) => {
                self.rescan(&path);
            }
            Hint::Closed(path) if is_picture(&path) => self.settler.closed(path, now),
            Hint::Touched(path) if is_picture(&path) => self.settler.touched(path, now),
            Hint::Closed(_) | Hint::Touched(_) => {}
        }
    }

    pub(super) fn is_left_alone(&self, path: &Path) -> bool {
        let relative = path.strip_prefix(&*self.root).unwrap_or(path);
        relative.ancestors().any(is_left_alone) || self.options.ignore.leaves_any(relative)
    }

    pub(super) fn rescan(&mut self, folder: &Path) {
        for found in self.scan(folder) {
            if found.named {
                log::warn!(
                    "a folder cannot be read, pictures in it are not seen: {}",
                    found.source.display()
                );
                continue;
            }
            // Its pictures lie beside it, and are found too.
            if !self.is_mask(&found.source) {
                self.see(found.source);
            }
        }
    }

    fn is_mask(&self, path: &Path) -> bool {
        self.options.masking.as_ref().is_some_and(|masking| masking.is_mask(path))
    }

    /// A file is there, and may be whole for long.
    pub(super) fn see(&mut self, path: PathBuf) {
        // A share may take long for each.
        self.pulse.beat();
        let stamp = look(&path, false).ok().map(|metadata| stamp_of(&metadata));
        // Another machine's clock says nothing of how long a file was quiet.
        let age = stamp.filter(|_| !self.is_polled());
        let age = age.map_or(Duration::ZERO, |s| since_ns(s.modified_ns.max(s.changed_ns)));
        self.settler.seen(path, stamp, age, Instant::now());
    }

    /// The pictures of a mask that is whole, since with another mask they are to be done; it is none itself.
    /// Each is waited for like any other: it may still be in writing.
    fn see_pictures_of(&mut self, mask: &Path) {
        let masking = self.options.masking.as_ref();
        for picture in masking.map(|masking| mask_file::pictures(masking, mask)).unwrap_or_default() {
            if !self.is_left_alone(&picture) {
                self.see(picture);
            }
        }
    }

    /// Everything below a folder. Each folder is watched before it is read, so that nothing comes in between.
    fn scan(&mut self, folder: &Path) -> Vec<Sighting> {
        let Eyes { watch, blind, pulse, root, options, watched, .. } = self;
        let mut enter = |folder: &Path| {
            pulse.beat();
            let Some(watch) = watch.as_mut() else { return };
            if blind.iter().any(|above| folder.starts_with(above) && **above != **root) {
                return;
            }
            match watch.add(folder) {
                // Gone again, or not to be read: then reading says so.
                Ok(()) | Err(Unwatched::Gone) => {}
                Err(unwatched) => {
                    if blind.is_empty() {
                        let why =
                            if let Unwatched::Refused(why) = unwatched { why } else { LIMIT.to_owned() };
                        let (poll, folder) = (options.poll.as_secs_f64(), folder.display());
                        log::warn!("polling every {poll} s what cannot be watched, since {why}: {folder}");
                        *watched = format!("by events, in part polled every {poll} s, since {why}");
                    }
                    blind.push(folder.to_owned());
                }
            }
        };
        scan_beating(root, folder, &options.ignore, &mut enter)
    }

    /// Moves what is whole to what is ready.
    pub(super) fn settle(&mut self) {
        let waited = self.ready.len();
        for path in self.settler.due(Instant::now()) {
            self.pulse.beat();
            let metadata = look(&path, false);
            // A folder may be listed and what is in it not be looked at.
            if let Err(error) = &metadata
                && !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
            {
                log::warn!("not taken in, it cannot be looked at: {error}: {}", path.display());
            }
            let (metadata, now) = (metadata.ok(), Instant::now());
            let is_apart = !path.starts_with(&*self.root);
            if metadata.as_ref().is_some_and(|metadata| metadata.is_dir()) {
                self.settler.looked(&path, None, now);
                if is_apart { self.enter_masks(&path) } else { self.rescan(&path) }
            } else if let stamp = metadata.as_ref().map(stamp_of)
                && self.settler.looked(&path, stamp, now)
            {
                if is_apart {
                    self.see_pictures_apart(&path);
                    continue;
                }
                if self.is_mask(&path) {
                    self.see_pictures_of(&path);
                    continue;
                }
                let sighting = Sighting { line: self.options.line, ..sighting(&self.root, &path, false) };
                self.ready.push(stamp.unwrap_or_default(), sighting);
            }
        }
        if self.ready.len() > waited {
            self.ready.sort(self.options.order);
        }
    }
}
