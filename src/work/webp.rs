//! Walking a WebP's chunks: whether it goes on to the end of each. Decoders take a chunk's word for how long
//! it is, and memory for it. RFC 9649, section 2.3. Decodes nothing.

/// Bytes of `RIFF`, a length, `WEBP`.
const HEAD: usize = 12;

/// Whether each chunk ends within the file, which is known to begin as a WebP. What stands behind the length
/// of the whole is nobody's business.
pub fn is_whole(bytes: &[u8]) -> bool {
    let long = |at: usize| {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(four) as usize)
    };
    let Some(length) = long(4) else { return false };
    let end = length.saturating_add(8);
    let mut at = HEAD;
    // A chunk that reaches beyond the whole leads decoders on to whatever is there.
    while at < end {
        let Some(length) = long(at + 4) else { return false };
        at += 8;
        if length > bytes.len().saturating_sub(at) {
            return false;
        }
        // Chunks begin at even places.
        at += length + length % 2;
    }
    at > HEAD && at <= end.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_is_longer_than_the_file_is_told() {
        let chunk = |name: &[u8], length: u32, body: &[u8]| [name, &length.to_le_bytes(), body].concat();
        let body = [chunk(b"VP8 ", 3, b"abc\0"), chunk(b"EXIF", 4, b"abcd")].concat();
        let whole = chunk(b"RIFF", 4 + body.len() as u32, &[b"WEBP", &body[..]].concat());
        assert!(is_whole(&whole) && is_whole(&[&whole[..], b"behind it 12345"].concat()));
        assert!((0..whole.len()).all(|length| !is_whole(&whole[..length])));
        // The last chunk reaches beyond the length of the whole, into what stands behind it.
        let behind = [&whole[..], b"behind it 12345"].concat();
        let beyond = [&behind[..4], &(whole.len() as u32 - 8 - 4).to_le_bytes(), &behind[8..]].concat();
        assert!(!is_whole(&beyond));
        let mut lies = whole;
        lies[HEAD + 12 + 7] = 0x90;
        assert!(!is_whole(&lies));
    }
}
