//! The size of a picture from its first bytes, before anything is decoded or allocated for it. Does not know
//! how pixels are coded.

use crate::error::JobError;
use crate::work::jpeg;
use contract::geometry::Size;
use std::io::{Read, Seek};

/// The formats we take in, told by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Baseline or progressive.
    Jpeg,
    /// 1 to 16 bits.
    Png,
}

/// What the first bytes of a picture say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its format.
    pub kind: Kind,
    /// Its size as stored, before orientation.
    pub size: Size,
}

const PNG_SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Metadata segments before the frame header of a JPEG: a real file has tens, a hostile one must end
/// somewhere.
const MAX_SEGMENTS: usize = 4096;

/// Reads the header, from the beginning of the file.
///
/// # Errors
/// [`JobError::NotAPicture`], [`JobError::Damaged`] or [`JobError::Unreadable`].
pub fn probe(file: &mut (impl Read + Seek)) -> Result<Header, JobError> {
    let mut start = [0; 8];
    let length = fill(file, &mut start)?;
    if start[..length.min(3)] == [0xFF, 0xD8, 0xFF] {
        file.seek(std::io::SeekFrom::Start(2)).map_err(unreadable)?;
        return Ok(Header { kind: Kind::Jpeg, size: checked(jpeg_size(file)?)? });
    }
    if start[..length] == PNG_SIGNATURE {
        return Ok(Header { kind: Kind::Png, size: checked(png_size(file)?)? });
    }
    Err(JobError::NotAPicture)
}

fn png_size(file: &mut impl Read) -> Result<Size, JobError> {
    let header: [u8; 16] = exactly(file)?;
    if header[4..8] != *b"IHDR" {
        return Err(JobError::Damaged("PNG without its header chunk".into()));
    }
    let side =
        |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let size = Size::new(side(8), side(12));
    // The format's own bound, which also keeps products within 64 bits.
    if size.width > i32::MAX as usize || size.height > i32::MAX as usize {
        return Err(JobError::Damaged("PNG sides beyond the format's bound".into()));
    }
    Ok(size)
}

fn jpeg_size(file: &mut (impl Read + Seek)) -> Result<Size, JobError> {
    for _ in 0..MAX_SEGMENTS {
        let marker = jpeg_marker(file)?;
        if jpeg::stands_alone(marker) {
            continue;
        }
        let length = u16::from_be_bytes(exactly(file)?);
        if length < 2 || marker == 0xD9 || marker == 0xDA {
            break;
        }
        if jpeg::is_frame(marker) {
            let body: [u8; 5] = exactly(file)?;
            let frame =
                jpeg::frame(&body).ok_or_else(|| JobError::Damaged("JPEG frame header cut short".into()))?;
            return Ok(Size::new(frame.width.into(), frame.height.into()));
        }
        file.seek_relative(i64::from(length) - 2).map_err(unreadable)?;
    }
    Err(JobError::Damaged("JPEG without a frame header".into()))
}

/// The next marker's code; fill bytes and garbage before it are skipped as decoders do, within reason.
fn jpeg_marker(file: &mut impl Read) -> Result<u8, JobError> {
    let mut previous = 0;
    for _ in 0..MAX_SEGMENTS {
        let [byte] = exactly(file)?;
        if previous == 0xFF && byte != 0xFF && byte != 0 {
            return Ok(byte);
        }
        previous = byte;
    }
    Err(JobError::Damaged("JPEG without a frame header".into()))
}

fn checked(size: Size) -> Result<Size, JobError> {
    if size.width == 0 || size.height == 0 {
        return Err(JobError::Damaged(format!("header says {size} pixels")));
    }
    Ok(size)
}

fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, JobError> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(length)
}

fn exactly<const N: usize>(file: &mut impl Read) -> Result<[u8; N], JobError> {
    let mut bytes = [0; N];
    if fill(file, &mut bytes)? < N {
        return Err(JobError::Damaged("file ends within its header".into()));
    }
    Ok(bytes)
}

fn unreadable(error: std::io::Error) -> JobError {
    JobError::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn told(bytes: &[u8]) -> Result<Header, JobError> {
        probe(&mut Cursor::new(bytes))
    }

    #[test]
    fn the_size_is_read_from_the_header_alone() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\0\x05\x08\x02\0\0\0";
        assert_eq!(told(png), Ok(Header { kind: Kind::Png, size: Size::new(16384, 5) }));
        let jpeg = [
            0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 9, 9, 0xFF, 0xFF, 0xC4, 0, 2, 0xFF, 0xC2, 0, 17, 8, 0xFA, 0xFA, 0,
            3, 3,
        ];
        assert_eq!(told(&jpeg), Ok(Header { kind: Kind::Jpeg, size: Size::new(3, 64250) }));
    }

    #[test]
    fn what_is_no_picture_or_ends_too_soon_is_told_apart() {
        for bytes in [&b""[..], b"\xFF", b"\x89PNG", b"hello, world", b"GIF89a\x01\0\x01\0"] {
            assert_eq!(told(bytes), Err(JobError::NotAPicture), "{bytes:?}");
        }
        for bytes in [
            &b"\xFF\xD8\xFF"[..],
            b"\xFF\xD8\xFF\xE0\0\x10JFIF",
            b"\xFF\xD8\xFF\xD9\0\x10",
            b"\xFF\xD8\xFF\xC0\0\x11\x08\0\0\0\x03",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT\0\0\0\x01\0\0\0\x01",
        ] {
            assert!(matches!(told(bytes), Err(JobError::Damaged(_))), "{bytes:?}");
        }
    }
}
