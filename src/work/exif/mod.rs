//! Exif for a picture that was turned upright and enlarged: orientation and pixel dimensions are put right,
//! the thumbnail of the small picture goes, and so do, where that is wished, the place where it was taken and
//! where its subject is. All in place, since makers keep offsets of their own in notes that nobody else can
//! move. Exif 3.0 and TIFF 6.0. Bounded: visits at most five directories, and clears no more than there is.

mod of_tiff;
mod tree;

pub use of_tiff::{
    ICC, Piece, XMP, density, gathered, is_carried, joined, of_density, ownership, piece, records,
};

use std::ops::Range;
use tree::{ENTRY_BYTES, EXIF_DIRECTORY, GPS_DIRECTORY};

const ORIENTATION: u16 = 0x0112;
/// Of the picture, and of that which a camera's rules tell beside it.
const WIDTHS: [u16; 3] = [0x0100, 0xA002, 0x1001];
const HEIGHTS: [u16; 3] = [0x0101, 0xA003, 0x1002];
/// Dots for each unit, along and down.
const DENSITY: [u16; 2] = [0x011A, 0x011B];
/// Below Exif's own directory, which tells by which rules a camera wrote the file.
const INTEROPERABILITY: u16 = 0xA005;
const THUMBNAIL: [u16; 2] = [0x0201, 0x0202];
/// In pixels of the picture as it was stored: its area, its middle.
const SUBJECT: [u16; 2] = [0x9214, 0xA214];
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
    let mut exif = Exif::new(exif)?;
    let first = exif.long(4)? as usize;
    let mut entries = exif.directory(first)?;
    exif.drop_thumbnail(first + 2 + entries.len() * ENTRY_BYTES);
    exif.turn_density(&entries);
    exif.correct(&entries, width, height);
    for directory in [EXIF_DIRECTORY, INTEROPERABILITY] {
        let Some(more) = exif.below(&entries, directory) else { break };
        entries = exif.directory(more).unwrap_or_default();
        exif.correct(&entries, width, height);
    }
    if !keep_place {
        exif.drop_place(first)?;
    }
    // Pieces that lie within each other may have been cleared with one another.
    exif.is_upright(first).then_some(exif.bytes)
}

/// Exif without where its subject is, for a picture that was turned or enlarged. As it was where it cannot be
/// made sense of.
pub fn without_subject(exif: &[u8]) -> Vec<u8> {
    Exif::new(exif).and_then(Exif::without_subject).unwrap_or_else(|| exif.to_vec())
}

/// How a picture is to be turned, as its Exif numbers it: by the tag that [`corrected`] puts right. `None`
/// where it does not say.
pub fn orientation(exif: &[u8]) -> Option<u8> {
    let exif = Exif::new(exif)?;
    let entries = exif.directory(exif.long(4)? as usize)?;
    let told = entries.iter().find(|entry| entry.tag == ORIENTATION)?;
    let is_number = matches!(exif.short(told.at + 2), Some(SHORT | LONG));
    exif.number(told).filter(|_| is_number).and_then(|number| u8::try_from(number).ok())
}

impl Exif {
    /// `None` where it is no TIFF structure.
    fn new(exif: &[u8]) -> Option<Exif> {
        let bytes = exif.strip_prefix(PREFIX).unwrap_or(exif).to_vec();
        let big_endian = match bytes.get(..4)? {
            b"II*\0" => false,
            b"MM\0*" => true,
            _ => return None,
        };
        Some(Exif { bytes, big_endian })
    }

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

    /// Where the directory begins that an entry of these leads to: Exif's own below the first, cameras' rules
    /// below that.
    fn below(&self, entries: &[Entry], tag: u16) -> Option<usize> {
        let entry = entries.iter().find(|entry| entry.tag == tag)?;
        self.long(entry.at + 8).map(|offset| offset as usize)
    }

    /// Dots along and down change places where the picture is turned by a quarter. Both lie elsewhere, so
    /// that their entries exchange where.
    fn turn_density(&mut self, entries: &[Entry]) {
        let find = |tag| entries.iter().find(|entry| entry.tag == tag).copied();
        let turned = find(ORIENTATION).and_then(|entry| self.number(&entry));
        let [along, down] = DENSITY.map(find);
        if let (Some(5..=8), Some(along), Some(down)) = (turned, along, down)
            && self.short(along.at + 2) == self.short(down.at + 2)
            && let (Some(one), Some(other)) = (self.long(along.at + 8), self.long(down.at + 8))
        {
            self.put_long(along.at + 8, other);
            self.put_long(down.at + 8, one);
        }
    }

    /// What an entry of one number says, of which a short one stands in its first half.
    fn number(&self, entry: &Entry) -> Option<u32> {
        match self.short(entry.at + 2)? {
            LONG => self.long(entry.at + 8),
            _ => self.short(entry.at + 8).map(u32::from),
        }
    }

    /// Whether the first directory is where it was, can be read, and does not turn the picture.
    fn is_upright(&self, first: usize) -> bool {
        let whole =
            matches!(self.bytes.get(..4), Some(b"II*\0" | b"MM\0*")) && self.long(4) == Some(first as u32);
        let entries = self.directory(first).filter(|_| whole);
        let turns = |entry: &Entry| entry.tag == ORIENTATION && self.number(entry) != Some(1);
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

    /// Takes the place out of the first directory, and clears all it points at. `None` where there are two,
    /// or the place cannot be read: nobody who is honest writes so.
    fn drop_place(&mut self, first: usize) -> Option<()> {
        let entries = self.directory(first)?;
        let mut places = entries.iter().filter(|entry| entry.tag == GPS_DIRECTORY);
        let Some(place) = places.next() else { return Some(()) };
        if places.next().is_some() {
            return None;
        }
        let offset = self.long(place.at + 8)? as usize;
        let inside = self.directory(offset)?;
        // Values lie beside each other: together they are no longer than all there is.
        let mut left = self.bytes.len();
        for entry in &inside {
            let kind = usize::from(self.short(entry.at + 2)?);
            let length =
                (self.long(entry.at + 4)? as usize).saturating_mul(*TYPE_BYTES.get(kind).unwrap_or(&0));
            if length > 4 {
                let at = self.long(entry.at + 8)? as usize;
                let end = at.saturating_add(length).min(self.bytes.len());
                left = left.checked_sub(end.saturating_sub(at))?;
                self.clear(at..end);
            }
        }
        self.clear(offset..offset + 2 + inside.len() * ENTRY_BYTES);
        self.take_out(first, &entries, &[GPS_DIRECTORY]);
        Some(())
    }

    fn without_subject(mut self) -> Option<Vec<u8>> {
        let first = self.long(4)? as usize;
        let entries = self.directory(first)?;
        self.take_out(first, &entries, &SUBJECT);
        if let Some(more) = self.below(&self.directory(first)?, EXIF_DIRECTORY) {
            let entries = self.directory(more).unwrap_or_default();
            self.take_out(more, &entries, &SUBJECT);
        }
        Some(self.bytes)
    }

    /// Takes entries out of the directory at this offset: those behind them move up, and the end of the list
    /// with them.
    fn take_out(&mut self, at: usize, entries: &[Entry], gone: &[u16]) {
        let end = at + 2 + entries.len() * ENTRY_BYTES;
        let next = self.long(end).unwrap_or(0);
        let mut to = at + 2;
        for entry in entries.iter().filter(|entry| !gone.contains(&entry.tag)) {
            self.bytes.copy_within(entry.at..entry.at + ENTRY_BYTES, to);
            to += ENTRY_BYTES;
        }
        if to < end {
            self.put_long(to, next);
            // Fewer than there were.
            self.put_short(at, ((to - at) / ENTRY_BYTES) as u16);
        }
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

    /// And what a camera's rules say beside it of its size, below Exif's own directory.
    #[test]
    fn density_is_turned_with_the_picture() {
        let entry = |tag: u16, kind: u16, count: u32, value: u32| {
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        let directory = |entries: &[Vec<u8>]| {
            [&(entries.len() as u16).to_le_bytes()[..], &entries.concat(), &[0; 4]].concat()
        };
        for (orientation, is_turned) in [(1, false), (3, false), (6, true), (8, true)] {
            // First 8 (4 entries: 54 bytes) → Exif 62 (1: 18) → rules 80 (2: 30) → densities 110 and 118.
            let first = directory(&[
                entry(ORIENTATION, SHORT, 1, orientation),
                entry(0x011A, 5, 1, 110),
                entry(0x011B, 5, 1, 118),
                entry(EXIF_DIRECTORY, LONG, 1, 62),
            ]);
            let more = directory(&[entry(INTEROPERABILITY, LONG, 1, 80)]);
            let rules = directory(&[entry(0x1001, SHORT, 1, 40), entry(0x1002, LONG, 1, 30)]);
            let head = [&b"II*\0"[..], &8u32.to_le_bytes()].concat();
            let exif =
                corrected(&[head, first, more, rules, vec![1; 16]].concat(), (80, 60), true).expect("Exif");
            let [along, down] = DENSITY.map(|tag| value(&exif, tag));
            let expected = if is_turned { (Some(118), Some(110)) } else { (Some(110), Some(118)) };
            assert_eq!((along, down), expected, "{orientation}");
            let exif = Exif { bytes: exif, big_endian: false };
            assert_eq!([90, 102].map(|at| exif.long(at)), [Some(80), Some(60)]);
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
    fn two_places_or_places_without_end_make_no_sense() {
        let mut two = sample();
        // The second entry becomes another pointer to the same place.
        two[22..24].copy_from_slice(&GPS_DIRECTORY.to_le_bytes());
        two[30..34].copy_from_slice(&92u32.to_le_bytes());
        assert!(corrected(&two, (80, 60), true).is_some());
        assert_eq!(corrected(&two, (80, 60), false), None);
        let mut over = sample();
        // The place is the Exif directory, and each of its values all the rest of the file.
        (over[54], over[70], over[82]) = (62, 0xFF, 0xFF);
        // Where they begin, what is put right says: the width and the height.
        assert!(corrected(&over, (100, 60), true).is_some());
        assert_eq!(corrected(&over, (100, 60), false), None);
    }

    #[test]
    fn orientation_is_found_where_it_is_put_right() {
        let big = |kind: u8, value: [u8; 4]| {
            [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0"[..], &[kind, 0, 0, 0, 1], &value, &[0; 4]].concat()
        };
        let prefixed = [PREFIX, &sample()].concat();
        for exif in [sample(), prefixed, big(3, [0, 6, 0, 0]), big(4, [0, 0, 0, 6])] {
            assert_eq!(orientation(&exif), Some(6));
            let upright = corrected(&exif, (80, 60), true).expect("Exif");
            assert_eq!(orientation(&upright), Some(1));
        }
        assert_eq!((orientation(&big(2, *b"6\0\0\0")), orientation(b"Exif\0\0II*\0")), (None, None));
    }

    #[test]
    fn where_the_subject_is_can_be_left_out() {
        let mut exif = sample();
        exif[64..66].copy_from_slice(&0x9214u16.to_le_bytes());
        let without = without_subject(&exif);
        assert_eq!((value(&without, 0x9214), value(&without, 0xA003)), (None, Some(30)));
        assert_eq!((without.len(), &without[..62]), (exif.len(), &exif[..62]), "the rest is as it was");
        // Of the first directory, too, whose thumbnail is still found.
        exif[22..24].copy_from_slice(&0x9214u16.to_le_bytes());
        let upright = corrected(&without_subject(&exif), (80, 60), true).expect("Exif");
        assert_eq!((value(&upright, 0x9214), value(&upright, GPS_DIRECTORY)), (None, Some(92)));
        assert_eq!(upright.len(), 164, "no pixels");
        assert_eq!(without_subject(b"Exif\0\0II"), b"Exif\0\0II");
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
                without_subject(&bad);
                orientation(&bad);
            }
        }
    }
}
