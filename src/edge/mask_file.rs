//! Mask files: which one a picture has, which pictures one has, and its bytes. Decides by names and kinds
//! only, and follows links only where the user named the very file.

use super::disk::open_beneath;
use super::scan::{look, stamp_of};
use crate::job::MaskFile;
use crate::work::masking::{MaskFrom, Masking};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The mask of the picture `source` at `relative` below `root`, if it is there. An empty file is one that is
/// still to be written. `named` is whether the user named the picture itself.
pub fn find(
    masking: &Masking,
    root: &Arc<Path>,
    (source, relative): (&Path, &Path),
    named: bool,
) -> Option<MaskFile> {
    let places = || masking.places(relative).into_iter();
    match &masking.from {
        MaskFrom::Beside(_) => places().find_map(|place| {
            let path = source.with_file_name(place.file_name()?);
            there(path, (!named).then(|| (Arc::clone(root), place)))
        }),
        MaskFrom::Folder(folder, _) => {
            let root: Arc<Path> = folder.as_path().into();
            places().find_map(|place| there(folder.join(&place), Some((Arc::clone(&root), place))))
        }
        MaskFrom::One(path) => there(path.clone(), None),
        MaskFrom::Alpha | MaskFrom::Colour(_) => None,
    }
}

fn there(path: PathBuf, beneath: Option<(Arc<Path>, PathBuf)>) -> Option<MaskFile> {
    let metadata = look(&path, beneath.is_none()).ok()?;
    let stamp = stamp_of(&metadata);
    (metadata.is_file() && stamp.bytes > 0).then_some(MaskFile { path, beneath, stamp, header: None })
}

/// The pictures that are there of a mask that lies among them.
pub fn pictures(masking: &Masking, mask: &Path) -> Vec<PathBuf> {
    let mut places = masking.pictures(mask);
    places.retain(|place| look(place, false).is_ok_and(|metadata| metadata.is_file()));
    places
}

/// The pictures below `root` that are there of a mask in a folder of masks. No link to a folder is followed,
/// as in no scan.
pub fn pictures_apart(masking: &Masking, root: &Path, mask: &Path) -> Vec<PathBuf> {
    let MaskFrom::Folder(folder, _) = &masking.from else { return Vec::new() };
    let Ok(place) = mask.strip_prefix(folder) else { return Vec::new() };
    let is_folder = |path: &Path| look(path, false).is_ok_and(|metadata| metadata.is_dir());
    let folders = place.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    if !folders.into_iter().all(|folder| is_folder(&root.join(folder))) {
        return Vec::new();
    }
    let places = masking.pictures_apart(place).into_iter().map(|place| root.join(place));
    places.filter(|path| look(path, false).is_ok_and(|metadata| metadata.is_file())).collect()
}

/// Opens a mask for reading.
///
/// # Errors
/// What the system says, or that it is no file.
pub fn open(mask: &MaskFile) -> io::Result<File> {
    let Some((root, place)) = &mask.beneath else {
        let file = File::open(&mask.path)?;
        let is_file = file.metadata()?.is_file();
        return if is_file { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) };
    };
    open_beneath(root, place)
}
