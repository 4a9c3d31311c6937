//! The directories of a TIFF structure as a tree, read from one place and written at another. What makers
//! keep in notes of their own holds offsets that nobody else can move, so notes are left out. TIFF 6.0, Exif
//! 3.0. Bounded: three levels, each value within the bytes that there are, and all of them, with the entries
//! that were looked at, in [`MOST_BYTES`].

use std::collections::BTreeMap;

/// Where the directory that belongs to a tag begins.
pub(super) const EXIF_DIRECTORY: u16 = 0x8769;
/// Likewise, of the place.
pub(super) const GPS_DIRECTORY: u16 = 0x8825;
const INTEROPERABILITY: u16 = 0xA005;
const MAKER_NOTE: u16 = 0x927C;
const LONG: u16 = 4;
/// Bytes of a directory's entry: tag, type, count, and the value or where it lies.
pub(super) const ENTRY_BYTES: usize = 12;
/// Bytes of a value, and of each number in it, by its type, 0 to 12.
const TYPES: [(usize, usize); 13] =
    [(0, 1), (1, 1), (1, 1), (2, 2), (4, 4), (8, 4), (1, 1), (1, 1), (2, 2), (4, 4), (8, 4), (4, 4), (8, 8)];
/// All values and all entries together.
const MOST_BYTES: usize = 8 << 20;
const MOST_DEPTH: usize = 3;

/// Bytes with the order of theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a> {
    /// From the header on.
    pub(super) all: &'a [u8],
    /// As Motorola has it.
    pub(super) is_big: bool,
}

/// The entries of a directory by tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory(pub(super) BTreeMap<u16, Value>);

/// What stands behind a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Values of a type, as Intel has them.
    Plain {
        /// The type, 1 to 12.
        kind: u16,
        /// All of them.
        bytes: Vec<u8>,
    },
    /// A directory of its own.
    Directory(Directory),
}

impl<'a> Bytes<'a> {
    /// Of a classic TIFF structure; `None` where it is none.
    pub(super) fn new(all: &'a [u8]) -> Option<Bytes<'a>> {
        match all.get(..4)? {
            b"II*\0" => Some(Bytes { all, is_big: false }),
            b"MM\0*" => Some(Bytes { all, is_big: true }),
            _ => None,
        }
    }

    pub(super) fn short(&self, at: usize) -> Option<u16> {
        let two: [u8; 2] = self.all.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }

    pub(super) fn long(&self, at: usize) -> Option<u32> {
        let four: [u8; 4] = self.all.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    /// The first directory, with those of its tags that are `wanted` and what lies below them.
    pub(super) fn first(&self, wanted: &dyn Fn(u16) -> bool) -> Option<Directory> {
        let mut room = MOST_BYTES;
        self.directory(self.long(4)? as usize, MOST_DEPTH, wanted, &mut room)
    }

    fn directory(
        &self,
        at: usize,
        depth: usize,
        wanted: &dyn Fn(u16) -> bool,
        room: &mut usize,
    ) -> Option<Directory> {
        let mut directory = Directory::default();
        let mut followed = Vec::new();
        for index in 0..usize::from(self.short(at)?) {
            // Those that are not wanted cost, too.
            let Some(left) = room.checked_sub(ENTRY_BYTES) else { break };
            *room = left;
            let entry = at + 2 + index * ENTRY_BYTES;
            let tag = self.short(entry)?;
            if tag == MAKER_NOTE || !wanted(tag) {
                continue;
            }
            let value = if matches!(tag, EXIF_DIRECTORY | GPS_DIRECTORY | INTEROPERABILITY) {
                // Each once: all entries of a directory may lead back to it.
                if depth <= 1 || followed.contains(&tag) {
                    continue;
                }
                followed.push(tag);
                let below = self.long(entry + 8)? as usize;
                self.directory(below, depth - 1, &|_| true, room).map(Value::Directory)
            } else {
                self.plain(entry, *room)
            };
            if let Some(value) = value {
                *room -= value.length();
                directory.0.insert(tag, value);
            }
        }
        Some(directory)
    }

    /// The value of an entry; `None` where it does not lie within, is longer than there is room, or is of a
    /// type that nobody knows.
    fn plain(&self, entry: usize, room: usize) -> Option<Value> {
        let kind = self.short(entry + 2)?;
        let (value_bytes, _) = TYPES.get(usize::from(kind)).filter(|(bytes, _)| *bytes > 0)?;
        let length = value_bytes.checked_mul(self.long(entry + 4)? as usize)?;
        // Before it is copied: each of many entries may claim the whole file.
        if length > room {
            return None;
        }
        let at = if length <= 4 { entry + 8 } else { self.long(entry + 8)? as usize };
        let bytes = self.all.get(at..at.checked_add(length)?)?;
        Some(Value::Plain { kind, bytes: ordered(kind, bytes, self.is_big) })
    }
}

impl Value {
    /// The number at a place among its shorts and longs, of which a fraction is two.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        match self {
            Value::Plain { kind: 3, bytes } => {
                let two = bytes.get(2 * at..2 * at + 2)?.try_into().ok()?;
                Some(u16::from_le_bytes(two).into())
            }
            Value::Plain { kind: 4 | 5, bytes } => {
                let four = bytes.get(4 * at..4 * at + 4)?.try_into().ok()?;
                Some(u32::from_le_bytes(four))
            }
            _ => None,
        }
    }

    /// As its file has it; `None` of a directory.
    pub(super) fn raw(&self, is_big: bool) -> Option<Vec<u8>> {
        match self {
            Value::Plain { kind, bytes } => Some(ordered(*kind, bytes, is_big)),
            Value::Directory(_) => None,
        }
    }

    fn length(&self) -> usize {
        match self {
            Value::Plain { bytes, .. } => bytes.len(),
            Value::Directory(_) => 0,
        }
    }
}

impl Directory {
    /// The directory as bytes that will lie at `base`, and behind it its values and what is below it. `None`
    /// where offsets would pass 32 bits.
    pub(super) fn written(&self, base: usize, is_big: bool) -> Option<Vec<u8>> {
        let short = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut records = Vec::with_capacity(self.0.len());
        let head = 2 + self.0.len() * ENTRY_BYTES + 4;
        let mut behind: Vec<u8> = Vec::new();
        for (&tag, value) in &self.0 {
            let place = u32::try_from(base + head + behind.len()).ok()?;
            let (kind, count, field) = match value {
                Value::Directory(inside) => {
                    behind.extend(inside.written(place as usize, is_big)?);
                    (LONG, 1, long(place))
                }
                Value::Plain { kind, bytes } => {
                    let count = bytes.len() / TYPES[usize::from(*kind)].0;
                    let bytes = ordered(*kind, bytes, is_big);
                    let mut field = [0; 4];
                    if let Some(within) = field.get_mut(..bytes.len()) {
                        within.copy_from_slice(&bytes);
                    } else {
                        behind.extend(bytes);
                        field = long(place);
                    }
                    (*kind, u32::try_from(count).ok()?, field)
                }
            };
            // Values begin at even places.
            behind.resize(behind.len().next_multiple_of(2), 0);
            records.push([&short(tag)[..], &short(kind), &long(count), &field].concat());
        }
        let count = short(u16::try_from(records.len()).ok()?);
        let records = records.into_iter().flatten();
        Some(count.into_iter().chain(records).chain([0; 4]).chain(behind).collect())
    }
}

/// Numbers as Intel has them → in the wanted order, or the other way round.
fn ordered(kind: u16, bytes: &[u8], is_big: bool) -> Vec<u8> {
    let number = TYPES.get(usize::from(kind)).map_or(1, |(_, number)| *number);
    let mut bytes = bytes.to_vec();
    if is_big && number > 1 {
        bytes.chunks_exact_mut(number).for_each(<[u8]>::reverse);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_leads_back_to_itself_is_read_once_a_level() {
        let entry = [&EXIF_DIRECTORY.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0, 8, 0, 0, 0]].concat();
        let file = [&b"II*\0\x08\0\0\0\x2c\x01"[..], &entry.repeat(300)].concat();
        let bytes = Bytes::new(&file).expect("a head");
        let mut room = MOST_BYTES;
        assert!(bytes.directory(8, MOST_DEPTH, &|_| true, &mut room).is_some());
        assert_eq!(MOST_BYTES - room, MOST_DEPTH * 300 * ENTRY_BYTES, "each entry is paid for");
        let mut room = 10 * ENTRY_BYTES + 1;
        assert!(bytes.directory(8, MOST_DEPTH, &|_| true, &mut room).is_some());
        assert_eq!(room, 1, "and no more of them read than there is room for");
    }

    #[test]
    fn a_value_that_there_is_no_room_for_is_left_out() {
        // Two texts that lie over each other.
        let entry = |tag: u8| [tag, 1, 2, 0, 40, 0, 0, 0, 0, 0, 0, 0];
        let file = [&b"II*\0\x08\0\0\0\x02\0"[..], &entry(1), &entry(2), &[0; 20]].concat();
        let bytes = Bytes::new(&file).expect("a head");
        let mut room = 2 * ENTRY_BYTES + 60;
        let told = bytes.directory(8, 1, &|_| true, &mut room).expect("a directory");
        assert_eq!(told.0.keys().copied().collect::<Vec<_>>(), [0x0101]);
        assert_eq!(room, 20);
    }
}
