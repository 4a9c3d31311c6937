//! What is to be repaired of a picture: from its mask file or its own pixels, turned as the picture is, in
//! its size, and grown.

use super::{aged, read_file};
use crate::edge::codec::{Decoded, Effort, Header, decode};
use crate::edge::digest::sha256;
use crate::edge::mask_file;
use crate::error::JobError;
use crate::job::{Errand, Job, MaskFile};
use crate::work::masking::{MaskFrom, Masked, MaskedBy, Masking, White, resized};
use crate::work::naming::text_of;
use contract::mask::Mask;
use std::path::Path;

/// The bytes of its mask file, if it has one and it is still the one that was admitted.
pub(super) fn read(masking: Option<&Masking>, errand: &Errand) -> Result<Option<Vec<u8>>, JobError> {
    let Some((masking, file)) = masking.zip(errand.mask.as_ref()) else { return Ok(None) };
    let bytes = read_file(file.stamp, mask_file::open(file), (&file.path, file.beneath.is_none()));
    bytes.map(Some).map_err(|why| file.blame(masking, why))
}

/// What is to be repaired of a decoded picture, and what its result says of that.
pub(super) fn make(
    masking: &Masking,
    job: &Job,
    picture: &Decoded,
    (bytes, limit_s): (Option<Vec<u8>>, u64),
) -> Result<(Mask, Masked), JobError> {
    let file = job.errand.mask.as_ref();
    let (mask, by) = match file.zip(bytes) {
        Some((file, bytes)) => {
            let by = MaskedBy {
                path: text_of(place(file)),
                bytes: file.stamp.bytes,
                modified_ns: file.stamp.modified_ns,
                sha256: sha256(&bytes),
            };
            (
                fitted(masking, file, decoded(masking, file, (bytes, limit_s))?, (&job.header, picture))?,
                Some(by),
            )
        }
        None => (masking.mask(&picture.pixels), None),
    };
    let mask = if masking.grow_px == 0 { mask } else { mask.grown(masking.grow_px) };
    let count = mask.count();
    if count == mask.size.area() {
        return Err(JobError::MaskCoversAll {
            name: file.map(|file| file.path.display().to_string()),
            meaning: masking.meaning(),
            grow_px: masking.grow_px,
            remedy: remedy(masking),
        });
    }
    Ok((mask, Masked { rule: masking.to_text(), file: by, repaired: count as u64 }))
}

/// Where it lies, as results may tell it: they go to others, whom our folders are no business of.
fn place(file: &MaskFile) -> &Path {
    let named = || file.path.file_name().map_or(file.path.as_path(), Path::new);
    file.beneath.as_ref().map_or_else(named, |(_, place)| place)
}

/// As the file has it, upright by its own Exif; and whether that turned it.
fn decoded(
    masking: &Masking,
    file: &MaskFile,
    (bytes, limit_s): (Vec<u8>, u64),
) -> Result<(Mask, bool), JobError> {
    // Without a header it was not admitted; then it is not what was looked at.
    let header = file.header.ok_or(JobError::Changed);
    let decoded = header.and_then(|header| decode(&bytes, &header, Effort { deep: false, limit_s }));
    let decoded = decoded.map_err(|why| file.blame(masking, aged(why, file.stamp)))?;
    Ok((masking.mask(&decoded.pixels), !decoded.turn.is_none()))
}

/// In the size of the upright picture. One that fits the picture as it is stored, and has no orientation of
/// its own, was made without looking at the picture's, and is turned with it.
fn fitted(
    masking: &Masking,
    file: &MaskFile,
    (mask, is_turned): (Mask, bool),
    (header, picture): (&Header, &Decoded),
) -> Result<Mask, JobError> {
    let size = picture.pixels.size();
    if mask.size == size {
        return Ok(mask);
    }
    if mask.size == header.size && !is_turned {
        return Ok(picture.turn.applied(mask));
    }
    if masking.resized {
        return Ok(resized(&mask, size));
    }
    Err(JobError::MaskSize {
        name: file.path.display().to_string(),
        meaning: masking.meaning(),
        mask: mask.size,
        picture: size,
    })
}

/// What to look at where everything is marked.
fn remedy(masking: &Masking) -> String {
    let other = if masking.white == White::Repair { "keep" } else { "repair" };
    match &masking.from {
        MaskFrom::Alpha => "nothing of the picture is opaque".into(),
        MaskFrom::Colour(_) => "is it the right colour, and mask_tolerance small enough?".into(),
        _ => format!("is white meant the other way round? Then set mask_white = \"{other}\""),
    }
}
