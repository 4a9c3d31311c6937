//! Exif for a picture that was turned upright and enlarged: orientation and pixel dimensions are put right,
//! the thumbnail of the small picture goes, and the place where it was taken where that is wished. All in
//! place, since makers keep offsets of their own in notes that nobody else can move. Exif 3.0 and TIFF 6.0.
//! Bounded: visits at most four directories, each once.

mod of_tiff;
mod tree;

pub use of_tiff::{
    ICC, Piece, XMP, density, gathered, is_premultiplied, joined, of_density, ownership, piece, records,
};

use std::ops::Range;
use tree::{ENTRY_BYTES, EXIF_DIRECTORY, GPS_DIRECTORY};

const ORIENTATION: u16 = 0x0112;
const WIDTHS: [u16; 2] = [0x0100, 0xA002];
const HEIGHTS: [u16; 2] = [0x0101, 0xA003];
const THUMBNAIL: [u16; 2] = [0x0201, 0x0202];
const SHORT: u16 = 3;
const LONG: u16 = 4;
/// Bytes of a value by its type, 1 to 12.
const TYPE_BYTES: [usize; 13] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

/// What a JPEG puts before it.
const PREFIX: &[u8] = b"Exif\0\0";

/// A TIFF structure in memory.
struct Exif {
    bytes: Vec<u8>,
    big_endian: bool,
}

/// One entry of a directory: where it stands, its tag.
#[derive(Clone, Copy)]
struct Entry {
    at: usize,
    tag: u16,
}

/// The Exif of a picture of `width`×`height` pixels that is upright, without the thumbnail and, where it is
/// not to be kept, without the place. `None` where it cannot be made sense of: then it must not be carried,
/// or a viewer would turn an upright picture.
pub fn corrected(exif: &[u8], (width, height): (u32, u32), keep_place: bool) -> Option<Vec<u8>> {
    let bytes = exif.strip_prefix(PREFIX).unwrap_or(exif).to_vec();
    let big_endian = match bytes.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let mut exif = Exif { bytes, big_endian };
    let first = exif.long(4)? as usize;
    let entries = exif.directory(first)?;
    let next_at = first + 2 + entries.len() * ENTRY_BYTES;
    exif.drop_thumbnail(next_at);
    exif.correct(&entries, width, height);
    let pointer = |tag| entries.iter().find(|entry| entry.tag == tag).copied();
    if let Some(more) = pointer(EXIF_DIRECTORY).and_then(|entry| exif.long(entry.at + 8)) {
        let entries = exif.directory(more as usize).unwrap_or_default();
        exif.correct(&entries, width, height);
    }
    if !keep_place {
        exif.drop_places(first)?;
    }
    // Pieces that lie within each other may have been cleared with one another.
    exif.is_upright(first).then_some(exif.bytes)
}

impl Exif {
    fn short(&self, at: usize) -> Option<u16> {
        let two = [*self.bytes.get(at)?, *self.bytes.get(at + 1)?];
        Some(if self.big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let four: [u8; 4] = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    fn put_short(&mut self, at: usize, value: u16) {
        let two = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        if let Some(place) = self.bytes.get_mut(at..at + 2) {
            place.copy_from_slice(&two);
        }
    }

    fn put_long(&mut self, at: usize, value: u32) {
        let four = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&four);
        }
    }

    /// The entries of the directory at this offset, all of them within bounds.
    fn directory(&self, at: usize) -> Option<Vec<Entry>> {
        let count = usize::from(self.short(at)?);
        let all = at + 2..at + 2 + count * ENTRY_BYTES;
        self.bytes.get(all.clone())?;
        let entry = |at| Some(Entry { at, tag: self.short(at)? });
        all.step_by(ENTRY_BYTES).map(entry).collect()
    }

    /// Whether the first directory is where it was, can be read, and does not turn the picture.
    fn is_upright(&self, first: usize) -> bool {
        let whole =
            matches!(self.bytes.get(..4), Some(b"II*\0" | b"MM\0*")) && self.long(4) == Some(first as u32);
        let entries = self.directory(first).filter(|_| whole);
        let turns = |entry: &Entry| entry.tag == ORIENTATION && self.short(entry.at + 8) != Some(1);
        entries.is_some_and(|entries| !entries.iter().any(turns))
    }

    /// Orientation 1, and the dimensions that the picture has now.
    fn correct(&mut self, entries: &[Entry], width: u32, height: u32) {
        for entry in entries {
            let value = match entry.tag {
                ORIENTATION => 1,
                tag if WIDTHS.contains(&tag) => width,
                tag if HEIGHTS.contains(&tag) => height,
                _ => continue,
            };
            match (self.short(entry.at + 2), u16::try_from(value)) {
                (Some(SHORT), Ok(short)) => {
                    self.put_long(entry.at + 8, 0);
                    self.put_short(entry.at + 8, short);
                }
                // One value of either type has room within the entry.
                (Some(SHORT | LONG), _) => {
                    self.put_short(entry.at + 2, LONG);
                    self.put_long(entry.at + 8, value);
                }
                _ => {}
            }
        }
    }

    /// Unlinks the second directory, which is the thumbnail's, and takes its pixels away: from the end, where
    /// they usually are, or by zeros.
    fn drop_thumbnail(&mut self, next_at: usize) {
        let Some(second) = self.long(next_at).filter(|offset| *offset != 0) else { return };
        self.put_long(next_at, 0);
        let entries = self.directory(second as usize).unwrap_or_default();
        let value = |tag| {
            let entry = entries.iter().find(|entry| entry.tag == tag)?;
            self.long(entry.at + 8).map(|value| value as usize)
        };
        let (Some(offset), Some(length)) = (value(THUMBNAIL[0]), value(THUMBNAIL[1])) else { return };
        let end = offset.saturating_add(length);
        // Nothing of the first directory may lie behind it.
        if offset > next_at && end == self.bytes.len() {
            self.bytes.truncate(offset);
        } else if offset > next_at {
            self.clear(offset..end);
        }
    }

    /// All of them: one, where whoever wrote it was honest. Each round takes an entry out.
    fn drop_places(&mut self, first: usize) -> Option<()> {
        loop {
            let entries = self.directory(first)?;
            let Some(place) = entries.iter().find(|entry| entry.tag == GPS_DIRECTORY) else {
                return Some(());
            };
            self.drop_place(first, &entries, *place)?;
        }
    }

    /// Takes the entry of the place out of the first directory, and clears all it points at.
    fn drop_place(&mut self, first: usize, entries: &[Entry], place: Entry) -> Option<()> {
        let offset = self.long(place.at + 8)? as usize;
        let inside = self.directory(offset)?;
        for entry in &inside {
            let kind = usize::from(self.short(entry.at + 2)?);
            let length =
                (self.long(entry.at + 4)? as usize).saturating_mul(*TYPE_BYTES.get(kind).unwrap_or(&0));
            if length > 4 {
                let at = self.long(entry.at + 8)? as usize;
                self.clear(at..at.saturating_add(length));
            }
        }
        self.clear(offset..offset + 2 + inside.len() * ENTRY_BYTES);
        // The entries behind it move up, and the end of the list with them.
        let end = first + 2 + entries.len() * ENTRY_BYTES;
        self.bytes.copy_within(place.at + ENTRY_BYTES..end, place.at);
        self.put_long(end - ENTRY_BYTES, 0);
        self.put_short(first, u16::try_from(entries.len() - 1).ok()?);
        Some(())
    }

    fn clear(&mut self, range: Range<usize>) {
        let end = range.end.min(self.bytes.len());
        if let Some(bytes) = self.bytes.get_mut(range.start.min(end)..end) {
            bytes.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little-endian file: orientation 6, an Exif directory with dimensions, a place, and a thumbnail at
    /// the end.
    fn sample() -> Vec<u8> {
        let entry = |tag: u16, kind: u16, count: u32, value: u32| {
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        let directory = |entries: &[Vec<u8>], next: u32| {
            [&(entries.len() as u16).to_le_bytes()[..], &entries.concat(), &next.to_le_bytes()].concat()
        };
        // Offsets: first 8 (4 entries: 54 bytes) → Exif 62 (2: 30) → GPS 92 (1: 18) → value 110 (24) →
        // second 134 (2: 30) → thumbnail 164.
        let first = directory(
            &[
                entry(ORIENTATION, SHORT, 1, 6),
                entry(0x8298, 2, 4, u32::from_le_bytes(*b"abc\0")),
                entry(EXIF_DIRECTORY, LONG, 1, 62),
                entry(GPS_DIRECTORY, LONG, 1, 92),
            ],
            134,
        );
        let more = directory(&[entry(0xA002, SHORT, 1, 40), entry(0xA003, LONG, 1, 30)], 0);
        let place = directory(&[entry(2, 5, 3, 110)], 0);
        let second = directory(&[entry(0x0201, LONG, 1, 164), entry(0x0202, LONG, 1, 5)], 0);
        let head = [&b"II*\0"[..], &8u32.to_le_bytes()].concat();
        [head, first, more, place, vec![0xEE; 24], second, b"thumb".to_vec()].concat()
    }

    fn value(exif: &[u8], tag: u16) -> Option<u32> {
        let exif = Exif { bytes: exif.to_vec(), big_endian: false };
        let found = [8, 62].into_iter().find_map(|at| {
            exif.directory(at).unwrap_or_default().into_iter().find(|entry| entry.tag == tag)
        })?;
        exif.long(found.at + 8)
    }

    #[test]
    fn orientation_and_dimensions_are_put_right_and_the_thumbnail_goes() {
        for prefix in [&b""[..], PREFIX] {
            let exif = corrected(&[prefix, &sample()].concat(), (120_000, 160), true).expect("Exif");
            assert_eq!((value(&exif, ORIENTATION), value(&exif, 0xA002)), (Some(1), Some(120_000)));
            assert_eq!((value(&exif, 0xA003), value(&exif, GPS_DIRECTORY)), (Some(160), Some(92)));
            assert_eq!((&exif[58..62], exif.len()), (&[0; 4][..], 164), "no second directory, no pixels");
            assert!(exif[110..134].iter().all(|&byte| byte == 0xEE), "the place is as it was");
        }
    }

    #[test]
    fn the_place_goes_where_it_is_not_to_be_kept() {
        let exif = corrected(&sample(), (80, 60), false).expect("Exif");
        assert_eq!((value(&exif, GPS_DIRECTORY), value(&exif, ORIENTATION)), (None, Some(1)));
        assert_eq!(value(&exif, 0x8298), Some(u32::from_le_bytes(*b"abc\0")), "the others stay");
        assert!(exif[92..134].iter().all(|&byte| byte == 0), "nothing of it is left");
        assert_eq!(&exif[46..50], &[0; 4], "the list ends");
    }

    #[test]
    fn what_makes_no_sense_is_not_carried_and_nothing_panics() {
        assert_eq!(corrected(b"", (1, 1), true), None);
        assert_eq!(corrected(b"Exif\0\0II*\0\xff\xff\xff\xff", (1, 1), true), None);
        // The place's numbers lie over the orientation, and go with it.
        let mut within = sample();
        within[102] = 16;
        assert!(corrected(&within, (1, 1), true).is_some());
        assert_eq!(corrected(&within, (1, 1), false), None);
        let whole = sample();
        for length in 0..whole.len() {
            corrected(&whole[..length], (1, 1), false);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7F, 0xFF] {
                let mut bad = whole.clone();
                bad[at] = byte;
                corrected(&bad, (1, 1), false);
            }
        }
    }
}
