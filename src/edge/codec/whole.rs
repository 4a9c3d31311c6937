//! Whether a result of ours can be read to its end: a PNG row by row, so that the largest takes no memory.

use super::{jpeg, tiff};
use crate::work::webp;
use std::io::{self, BufRead, Seek};

/// Reads a PNG or TIFF to its end, checksums included, a JPEG to its last marker, a WebP to its last chunk.
///
/// # Errors
/// What is wrong with it.
pub fn read_whole(mut file: impl BufRead + Seek) -> io::Result<()> {
    let mut start = [0; 2];
    file.read_exact(&mut start)?;
    if start == [0xFF, 0xD8] {
        return jpeg::read_whole(file);
    }
    file.rewind()?;
    if start == *b"RI" {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = webp::is_whole(&bytes);
        return if whole { Ok(()) } else { Err(io::Error::other("it ends before the picture does")) };
    }
    if start == *b"II" || start == *b"MM" {
        return tiff::read_whole(file);
    }
    let mut reader = png::Decoder::new(file).read_info().map_err(io::Error::other)?;
    let (mut rows, wanted) = (0, reader.info().height);
    while reader.next_row().map_err(io::Error::other)?.is_some() {
        rows += 1;
    }
    reader.finish().map_err(io::Error::other)?;
    if rows == wanted { Ok(()) } else { Err(io::Error::other(format!("has {rows} of {wanted} rows"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::codec::{Metadata, encode};
    use crate::work::format::Format;
    use crate::work::pixels::Pixels;
    use contract::geometry::Size;
    use contract::pixels::Picture;
    use std::io::Cursor;

    #[test]
    fn a_whole_file_is_told_from_one_with_any_part_missing_or_changed() {
        let size = Size::new(90, 70);
        let samples = (0..size.area() * 3).map(|n| (n * 31 % 251) as u8).collect();
        let mut bytes = Vec::new();
        encode(
            &Pixels::Eight(Picture { size, channels: 3, samples }),
            "mark",
            &Metadata::default(),
            Format::Png,
            &mut bytes,
        )
        .expect("a picture");
        read_whole(Cursor::new(&bytes)).expect("whole");
        for cut in [0, 20, bytes.len() / 2, bytes.len() - 1] {
            assert!(read_whole(Cursor::new(&bytes[..cut])).is_err(), "{cut} bytes");
        }
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(read_whole(Cursor::new(&bytes)).is_err(), "one bit");
    }
}
