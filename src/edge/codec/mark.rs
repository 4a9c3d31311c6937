//! Reading the mark back out of a result without decoding it: of a PNG chunks are walked by their lengths up
//! to the first pixel. Gives text; what it says is for others to know.

use super::{jpeg, tiff, webp};
use std::io::{self, Read, Seek, SeekFrom};

/// Keyword of the text chunk that carries the mark.
pub const KEYWORD: &str = "onestep";

/// A mark is some hundred bytes; longer chunks are not ours, whatever their keyword.
pub(super) const MAX_MARK_BYTES: u32 = 64 << 10;

/// The mark's text; `None` where this is of no format that we write, or carries no mark before its pixels,
/// or ends before its end.
///
/// # Errors
/// What the reader says, except that a file that ends too soon is simply not ours.
pub fn read_mark(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    match walk(file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        other => other,
    }
}

fn walk(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let mut start = [0; 2];
    file.read_exact(&mut start)?;
    if start == [0xFF, 0xD8] {
        return jpeg::read_mark(file);
    }
    match &start {
        b"RI" => return webp::read_mark(file),
        b"II" | b"MM" => return tiff::read_mark(file),
        _ => {}
    }
    let mut signature = [start[0], start[1], 0, 0, 0, 0, 0, 0];
    file.read_exact(&mut signature[2..])?;
    if signature != *b"\x89PNG\r\n\x1a\n" {
        return Ok(None);
    }
    loop {
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        match &head[4..] {
            b"IDAT" | b"IEND" => return Ok(None),
            b"iTXt" if length <= MAX_MARK_BYTES => {
                let mut body = vec![0; length as usize];
                file.read_exact(&mut body)?;
                if let Some(text) = text_of(&body) {
                    return Ok(Some(text.to_owned()));
                }
                file.seek(SeekFrom::Current(4))?; // its checksum
            }
            _ => {
                file.seek(SeekFrom::Current(i64::from(length) + 4))?;
            }
        }
    }
}

/// The text of an uncompressed iTXt body with our keyword: keyword, 0, 0, 0, language, 0, keyword translated,
/// 0, text.
fn text_of(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(KEYWORD.as_bytes())?.strip_prefix(&[0, 0, 0])?;
    let mut parts = rest.splitn(3, |&byte| byte == 0);
    let text = parts.nth(2)?;
    str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::codec::encode;
    use crate::work::format::Format;
    use crate::work::pixels::Pixels;
    use contract::geometry::Size;
    use std::io::Cursor;

    #[test]
    fn a_mark_survives_the_round_trip_and_half_a_file_has_none_or_the_whole() {
        let mut file = Vec::new();
        let metadata = crate::edge::codec::Metadata::default();
        let pixels = Pixels::new(Size::new(3, 2), 2, false);
        encode(&pixels, "{\"source\":\"grün.jpg\"}", &metadata, Format::Png, &mut file).expect("memory");
        let read = |bytes: &[u8]| read_mark(&mut Cursor::new(bytes)).expect("memory");
        assert_eq!(read(&file).as_deref(), Some("{\"source\":\"grün.jpg\"}"));
        assert!((0..60).all(|length| read(&file[..length]).is_none()));
    }

    #[test]
    fn strangers_have_no_mark() {
        for bytes in
            [&b""[..], b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\xFF\xFF\xFF\xFFxxxx"]
        {
            assert_eq!(read_mark(&mut Cursor::new(bytes)).expect("memory"), None);
        }
    }
}
