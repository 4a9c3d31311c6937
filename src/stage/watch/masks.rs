//! Masks that lie apart from their pictures, in a folder of their own or one for all: what comes or changes
//! there is heard like pictures are, and has its pictures seen again. Where nobody tells of changes, the next
//! scan of the input does: whoever admits compares masks too.

use super::eyes::Eyes;
use crate::edge::disk::place;
use crate::edge::folder::{FolderWatch, Hint, Unwatched};
use crate::edge::mask_file;
use crate::edge::scan::{look, scan_beating};
use crate::pulse::Pulse;
use crate::work::ignore::Ignore;
use crate::work::masking::MaskFrom;
use crate::work::naming::is_picture;
use std::path::{Path, PathBuf};
use std::time::Instant;

impl Eyes<'_> {
    fn masks(&self) -> Option<&MaskFrom> {
        self.options.masking.as_ref().map(|masking| &masking.from)
    }

    /// The folder to listen to for masks that lie apart.
    fn masks_folder(&self) -> Option<PathBuf> {
        match self.masks()? {
            MaskFrom::Folder(folder, _) => Some(folder.clone()),
            MaskFrom::One(file) => Some(file.parent().unwrap_or(Path::new("/")).to_owned()),
            _ => None,
        }
    }

    /// Asks for events of masks that lie apart.
    pub(super) fn listen_to_masks(&mut self) {
        let Some(folder) = self.masks_folder() else { return };
        self.masks_place = place(&folder).ok();
        let (pulse, is_one) = (self.pulse, matches!(self.masks(), Some(MaskFrom::One(_))));
        if let Some(watch) = &mut self.watch {
            if is_one {
                listen_to(watch, &folder);
            } else {
                enter(watch, pulse, &folder);
            }
        }
    }

    /// Their folder may be another one by now, whose events would not be heard.
    pub(super) fn look_at_masks(&mut self) {
        let now = self.masks_folder().and_then(|folder| place(&folder).ok());
        if self.place.is_some() && now.is_some() && now != self.masks_place {
            log::warn!(
                "watching anew and scanning, since masks lie in another folder: {}",
                self.root.display()
            );
            self.renew();
        }
    }

    /// Heeds a hint of what lies outside of the input folder. Says whether it was one.
    pub(super) fn heed_apart(&mut self, hint: &Hint, now: Instant) -> bool {
        let (Hint::Closed(path) | Hint::Touched(path) | Hint::NewFolder(path)) = hint else { return false };
        if path.starts_with(&*self.root) {
            return false;
        }
        let is_mask = match self.masks() {
            Some(MaskFrom::Folder(folder, _)) => path.starts_with(folder),
            Some(MaskFrom::One(file)) => path == file,
            // Its neighbours are no business of ours.
            _ => false,
        };
        let is_folder = || look(path, false).is_ok_and(|metadata| metadata.is_dir());
        match hint {
            _ if !is_mask => {}
            Hint::NewFolder(_) => self.enter_masks(path),
            Hint::Closed(_) if is_folder() => self.enter_masks(path),
            Hint::Closed(_) if is_picture(path) => self.settler.closed(path.clone(), now),
            Hint::Touched(_) if is_picture(path) => self.settler.touched(path.clone(), now),
            _ => {}
        }
        true
    }

    /// A folder of masks is new: its masks may have come before anybody listened.
    pub(super) fn enter_masks(&mut self, folder: &Path) {
        let pulse = self.pulse;
        let masks = self.watch.as_mut().map(|watch| enter(watch, pulse, folder)).unwrap_or_default();
        for mask in masks {
            self.see(mask);
        }
    }

    /// The pictures of a mask that lies apart, and is whole.
    pub(super) fn see_pictures_apart(&mut self, mask: &Path) {
        let Some(masking) = &self.options.masking else { return };
        if matches!(masking.from, MaskFrom::One(_)) {
            let root = self.root.clone();
            return self.rescan(&root);
        }
        for picture in mask_file::pictures_apart(masking, &self.root, mask) {
            if !self.is_left_alone(&picture) {
                self.see(picture);
            }
        }
    }
}

/// Listens to a folder of masks and all below it. Gives the masks that are there.
fn enter(watch: &mut FolderWatch, pulse: &Pulse, folder: &Path) -> Vec<PathBuf> {
    let mut listens = true;
    let found = scan_beating(&folder.into(), folder, &Ignore::default(), |folder| {
        pulse.beat();
        listens = listens && listen_to(watch, folder);
    });
    found.into_iter().filter(|found| !found.named).map(|found| found.source).collect()
}

fn listen_to(watch: &mut FolderWatch, folder: &Path) -> bool {
    match watch.add(folder) {
        Ok(()) | Err(Unwatched::Gone) => true,
        Err(_) => {
            log::warn!(
                "masks that change are seen at the next scan, since this cannot be watched: {}",
                folder.display()
            );
            false
        }
    }
}
