//! Exif out of a TIFF file, whose own directories it is part of, and into one. A TIFF says where its pixels
//! are in the same directory as who made it, so the two are told apart by tag.

use super::tree::{Bytes, Directory, EXIF_DIRECTORY, GPS_DIRECTORY, Value};
use crate::work::iptc;

/// Description, maker, model, density, software, time, artist, computer, rating, copyright.
const OF_THE_PICTURE: [u16; 13] =
    [0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298];
/// What Windows calls title, comment, author, keywords, subject.
const WINDOWS: std::ops::RangeInclusive<u16> = 0x9C9B..=0x9C9F;
/// Who made it, whose it is.
const OWNERSHIP: [u16; 2] = [0x013B, 0x8298];
/// XMP (XMP Specification, part 3).
pub const XMP: u16 = 700;
/// Records of news agencies.
const IPTC: u16 = 33_723;
/// A profile of its colours (ICC.1:2022, B.4).
pub const ICC: u16 = 34_675;
/// Photoshop's resources, where such records may be, too.
const PHOTOSHOP: u16 = 34_377;
/// Pixels along a unit, across and down, and which unit.
const DENSITY: [u16; 3] = [0x011A, 0x011B, 0x0128];
/// Where colours of fewer pixels are taken: 1 is the middle.
const POSITIONING: u16 = 0x0213;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const HEAD_BYTES: usize = 8;

fn is_of_the_picture(tag: u16) -> bool {
    OF_THE_PICTURE.contains(&tag) || WINDOWS.contains(&tag) || matches!(tag, EXIF_DIRECTORY | GPS_DIRECTORY)
}

/// Whether what stands behind this tag of a classic TIFF's first directory is carried, beside its profile and
/// its XMP.
pub fn is_carried(tag: u16) -> bool {
    is_of_the_picture(tag) || matches!(tag, IPTC | PHOTOSHOP)
}

/// The Exif of a TIFF file, as a file of its own; `None` where it has none, or is no classic TIFF. Makers'
/// notes are left out.
pub fn gathered(file: &[u8]) -> Option<Vec<u8>> {
    alone(Bytes::new(file)?.first(&is_of_the_picture)?, false)
}

/// Who made a picture and whose it is, and nothing else of its Exif; `None` where it does not say.
pub fn ownership(exif: &[u8]) -> Option<Vec<u8>> {
    let exif = exif.strip_prefix(super::PREFIX).unwrap_or(exif);
    alone(Bytes::new(exif)?.first(&|tag| OWNERSHIP.contains(&tag))?, true)
}

/// The records of news agencies in a TIFF file ([`crate::work::iptc`]); `None` where it has none, or is no
/// classic TIFF.
pub fn records(file: &[u8]) -> Option<Vec<u8>> {
    let records = piece(file, IPTC).and_then(|records| iptc::without_padding(&records).map(<[u8]>::to_vec));
    records.or_else(|| iptc::in_resources(&piece(file, PHOTOSHOP)?).map(<[u8]>::to_vec))
}

/// What stands behind a tag of a TIFF file's first directory, as it is; `None` where there is nothing, or it
/// is no classic TIFF.
pub fn piece(file: &[u8], tag: u16) -> Option<Vec<u8>> {
    let bytes = Bytes::new(file)?;
    bytes.first(&|other| other == tag)?.0.remove(&tag)?.raw(bytes.is_big)
}

/// Pixels an inch, across and down, where Exif, or a TIFF file, says so.
pub fn density(exif: &[u8]) -> Option<(f64, f64)> {
    let exif = exif.strip_prefix(super::PREFIX).unwrap_or(exif);
    let told = Bytes::new(exif)?.first(&|tag| DENSITY.contains(&tag))?;
    let number = |tag: u16, at: usize| told.0.get(&tag)?.number(at).map(f64::from);
    let inches = match number(DENSITY[2], 0) {
        None | Some(2.0) => 1.0,
        Some(3.0) => 2.54,
        _ => return None,
    };
    let along = |tag| Some(number(tag, 0)? / number(tag, 1)? * inches).filter(|dots| dots.is_normal());
    Some((along(DENSITY[0])?, along(DENSITY[1])?))
}

/// The tags that say so in a TIFF.
pub fn of_density((across, down): (f64, f64)) -> [Piece; 3] {
    let along = |tag, dots: f64| {
        let parts = [(dots * 1e4).round() as u32, 10_000];
        Piece { tag, kind: RATIONAL, bytes: parts.map(u32::to_le_bytes).concat() }
    };
    let inches = Piece { tag: DENSITY[2], kind: SHORT, bytes: 2u16.to_le_bytes().to_vec() };
    [along(DENSITY[0], across), along(DENSITY[1], down), inches]
}

/// What a TIFF says besides, behind one tag: numbers as Intel has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    tag: u16,
    kind: u16,
    bytes: Vec<u8>,
}

impl Piece {
    /// Bytes.
    pub fn bytes(tag: u16, bytes: &[u8]) -> Piece {
        Piece { tag, kind: 1, bytes: bytes.to_vec() }
    }

    /// Records of news agencies: long numbers, as Adobe has it, though they are none.
    pub fn records(bytes: &[u8]) -> Piece {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Piece { tag: IPTC, kind: LONG, bytes }
    }

    /// Bytes that are something of their own.
    pub fn opaque(tag: u16, bytes: &[u8]) -> Piece {
        Piece { tag, kind: 7, bytes: bytes.to_vec() }
    }
}

/// As a file of its own, with what Exif must say (Exif 3.0, table 8): where colours are taken, and how dense
/// the pixels are, which stands for "nobody knows".
fn alone(mut directory: Directory, is_dense: bool) -> Option<Vec<u8>> {
    if directory.0.is_empty() {
        return None;
    }
    let density = if is_dense { of_density((72.0, 72.0)).to_vec() } else { Vec::new() };
    for Piece { tag, kind, bytes } in
        [vec![Piece { tag: POSITIONING, kind: SHORT, bytes: vec![1, 0] }], density].concat()
    {
        directory.0.entry(tag).or_insert(Value::Plain { kind, bytes });
    }
    let head = [&b"II*\0"[..], &(HEAD_BYTES as u32).to_le_bytes()].concat();
    Some([head, directory.written(HEAD_BYTES, false)?].concat())
}

/// A TIFF file that says of its picture what `exif` and the pieces say, too; Exif first. Its first directory
/// is written anew at its end, with what it said: no pixel moves. As it was
/// where that cannot be done.
pub fn joined(mut file: Vec<u8>, exif: Option<&[u8]>, pieces: Vec<Piece>) -> Vec<u8> {
    if let Some((place, directory)) = with(&file, exif, pieces) {
        file.resize(file.len().next_multiple_of(2), 0);
        file.extend(directory);
        file[4..HEAD_BYTES].copy_from_slice(&place);
    }
    file
}

fn with(file: &[u8], exif: Option<&[u8]>, pieces: Vec<Piece>) -> Option<([u8; 4], Vec<u8>)> {
    let exif = exif.map(|exif| exif.strip_prefix(super::PREFIX).unwrap_or(exif));
    let said = exif.and_then(|exif| Bytes::new(exif)?.first(&is_of_the_picture));
    let mut said = said.unwrap_or_default();
    said.0.retain(|_, value| *value != Value::Directory(Directory::default()));
    for Piece { tag, kind, bytes } in pieces {
        said.0.entry(tag).or_insert(Value::Plain { kind, bytes });
    }
    let bytes = Bytes::new(file)?;
    let mut all = bytes.first(&|_| true)?;
    all.0.extend(said.0);
    let base = file.len().next_multiple_of(2);
    let directory = all.written(base, bytes.is_big)?;
    let place = u32::try_from(base).ok()?;
    Some((if bytes.is_big { place.to_be_bytes() } else { place.to_le_bytes() }, directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A big-endian file of one white pixel, with a maker, a density, a note of the maker's, a place, and
    /// records that are written as long numbers, as Photoshop does.
    fn file() -> Vec<u8> {
        let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
            [&tag.to_be_bytes()[..], &kind.to_be_bytes(), &count.to_be_bytes(), &value].concat()
        };
        let directory = |entries: &[Vec<u8>]| {
            [&(entries.len() as u16).to_be_bytes()[..], &entries.concat(), &[0; 4]].concat()
        };
        // Offsets: first 8 (6 entries: 78 bytes) → Exif 86 (2: 30) → GPS 116 (1: 18) → maker 134 (6) →
        // density 140 (8) → records 148 (8).
        let first = directory(&[
            entry(0x0100, 3, 1, [0, 1, 0, 0]),
            entry(0x010F, 2, 6, 134u32.to_be_bytes()),
            entry(0x011A, 5, 1, 140u32.to_be_bytes()),
            entry(IPTC, 4, 2, 148u32.to_be_bytes()),
            entry(EXIF_DIRECTORY, 4, 1, 86u32.to_be_bytes()),
            entry(GPS_DIRECTORY, 4, 1, 116u32.to_be_bytes()),
        ]);
        let more = directory(&[entry(0x927C, 7, 4, *b"note"), entry(0xA002, 3, 1, [0, 40, 0, 0])]);
        let place = directory(&[entry(1, 2, 2, *b"N\0\0\0")]);
        let density = [72u32.to_be_bytes(), 1u32.to_be_bytes()].concat();
        [&b"MM\0*\0\0\0\x08"[..], &first, &more, &place, b"Maker\0", &density, b"\x1c\x02\x05\0\x03abc"]
            .concat()
    }

    #[test]
    fn exif_of_a_tiff_stands_alone_and_comes_into_another() {
        let exif = gathered(&file()).expect("there is some");
        let told = Bytes::new(&exif).and_then(|bytes| bytes.first(&|_| true)).expect("Exif");
        assert_eq!(
            told.0.keys().copied().collect::<Vec<_>>(),
            [0x010F, 0x011A, POSITIONING, EXIF_DIRECTORY, GPS_DIRECTORY]
        );
        let across = [72u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
        assert_eq!(told.0[&0x011A], Value::Plain { kind: 5, bytes: across });
        let Value::Directory(inside) = &told.0[&EXIF_DIRECTORY] else { panic!("a directory") };
        assert_eq!(inside.0.keys().copied().collect::<Vec<_>>(), [0xA002], "notes stay behind");
        // Into a file that has a width and an older density.
        let entry = |tag: u16| [&tag.to_le_bytes()[..], &[3, 0, 1, 0, 0, 0, 7, 0, 0, 0]].concat();
        let plain = [&b"II*\0\x09\0\0\0p\x02\0"[..], &entry(0x0100), &entry(0x011A), &[0; 4]].concat();
        let both = joined(plain.clone(), Some(&exif), vec![Piece::opaque(ICC, b"odd")]);
        assert_eq!(&both[8..plain.len()], &plain[8..], "nothing moved");
        let now = Bytes::new(&both).and_then(|bytes| bytes.first(&|_| true)).expect("a TIFF");
        assert_eq!(now.0[&0x0100], Value::Plain { kind: 3, bytes: vec![7, 0] });
        for (tag, value) in told.0.into_iter().filter(|(tag, _)| *tag != POSITIONING) {
            assert_eq!(now.0[&tag], value, "{tag:x}");
        }
        assert_eq!(piece(&both, ICC).as_deref(), Some(&b"odd"[..]));
        assert_eq!(density(&both), None, "down is not said");
        let told = joined(plain, None, of_density((300.0, 150.5)).to_vec());
        assert_eq!(density(&told), Some((300.0, 150.5)));
        assert_eq!(joined(b"nothing".to_vec(), None, Vec::new()), b"nothing");
    }

    #[test]
    fn ownership_is_kept_alone_and_records_are_as_they_were() {
        assert_eq!(records(&file()).as_deref(), Some(&b"\x1c\x02\x05\0\x03abc"[..]));
        let entry = |tag: u16| [&tag.to_le_bytes()[..], &[2, 0, 3, 0, 0, 0], b"me\0\0"].concat();
        let exif = |tags: &[u16]| {
            let entries: Vec<u8> = tags.iter().flat_map(|tag| entry(*tag)).collect();
            [&b"II*\0\x08\0\0\0"[..], &(tags.len() as u16).to_le_bytes(), &entries, &[0; 4]].concat()
        };
        let owner = ownership(&exif(&[0x010F, 0x8298])).expect("it says so");
        let told = Bytes::new(&owner).and_then(|bytes| bytes.first(&|_| true)).expect("Exif");
        assert_eq!(told.0.keys().copied().collect::<Vec<_>>(), [0x011A, 0x011B, 0x0128, POSITIONING, 0x8298]);
        assert_eq!(density(&owner), Some((72.0, 72.0)), "as Exif has it where nobody knows");
        assert_eq!(ownership(&exif(&[0x010F])), None);
    }

    #[test]
    fn nothing_panics_whatever_the_bytes() {
        let whole = file();
        for at in 0..whole.len() {
            for byte in [0, 1, 8, 0x7F, 0xFF] {
                let mut bad = whole.clone();
                bad[at] = byte;
                gathered(&bad);
                records(&bad);
                density(&bad);
                joined(bad, Some(&whole), Vec::new());
            }
            gathered(&whole[..at]);
        }
        // A directory that contains itself ends by its depth.
        let round = [&b"II*\0\x08\0\0\0\x01\0"[..], &[0x69, 0x87, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0]].concat();
        gathered(&round);
    }
}
