//! Walking a JPEG's markers: how large it says it is, and whether it goes on to its end. Decoders fill what
//! is missing with grey and call it a picture; we want to know. ITU-T T.81, annex B. Decodes nothing.

/// What a marker walk has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Components: 1 grey, 3 colour, 4 CMYK.
    pub components: u8,
}

/// What a frame header's body says (the bytes after its length: precision, height, width, components, …).
pub fn frame(body: &[u8]) -> Option<Frame> {
    let word = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    Some(Frame { height: word(1)?, width: word(3)?, components: *body.get(5)? })
}

/// Whether `marker` begins a frame header (SOF0…SOF15 without DHT, JPG and DAC).
pub fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// Whether `marker` stands alone, without a length: TEM, RST0…7, SOI.
pub fn stands_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD0..=0xD8)
}

/// Whether the file goes on to its end-of-image marker. Segments are skipped by their length, so the end of
/// an embedded preview does not count.
pub fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(marker_at) = next_marker(bytes, at) {
        let marker = bytes[marker_at];
        at = marker_at + 1;
        match marker {
            0xD9 => return true,
            marker if stands_alone(marker) => {}
            _ => {
                let Some(length) = bytes.get(at..at + 2) else { return false };
                at += usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    false
}

/// The segments before the pixels: marker and body.
pub fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let marker_at = next_marker(bytes, at)?;
            let marker = bytes[marker_at];
            at = marker_at + 1;
            if marker == 0xDA || marker == 0xD9 {
                return None;
            }
            if !stands_alone(marker) {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
                let body = bytes.get(at + 2..at + length)?;
                at += length;
                return Some((marker, body));
            }
        }
    })
}

/// What a segment begins with that holds a piece of XMP which needs several (XMP Specification, part 3).
pub const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
/// More pieces than 250 MB of XMP have.
pub const MOST_PIECES: usize = 4096;

/// How many pieces of XMP a file may have, wherever a decoder sees markers.
pub fn pieces_of_xmp(bytes: &[u8]) -> usize {
    let is_one = |piece: &&[u8]| piece[0] == EXTENDED_XMP[0] && *piece == EXTENDED_XMP;
    bytes.windows(EXTENDED_XMP.len()).filter(is_one).count()
}

/// Pixels an inch, across and down, where the file says so (JFIF 1.02).
pub fn density(bytes: &[u8]) -> Option<(f64, f64)> {
    let (_, body) = segments(bytes).find(|(marker, body)| *marker == 0xE0 && body.starts_with(b"JFIF\0"))?;
    let inches = match body.get(7)? {
        1 => 1.0,
        2 => 2.54,
        _ => return None,
    };
    let dots = |at: usize| Some(f64::from(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?])) * inches);
    let (across, down) = (dots(8)?, dots(10)?);
    (across > 0.0 && down > 0.0).then_some((across, down))
}

/// Where the code of the next marker stands: after 0xFF, and neither a stuffed zero nor a fill byte.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)? + 1;
        while *bytes.get(at)? == 0xFF {
            at += 1;
        }
        if bytes[at] != 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOI, an APP1 that holds a whole preview, SOS, entropy data with stuffing and a restart, EOI.
    const WHOLE: [u8; 26] = [
        0xFF, 0xD8, 0xFF, 0xE1, 0, 8, 0xFF, 0xD8, 1, 2, 0xFF, 0xD9, 0xFF, 0xDA, 0, 3, 1, 5, 0xFF, 0, 0xFF,
        0xD0, 7, 0xFF, 0xFF, 0xD9,
    ];

    #[test]
    fn only_the_end_of_the_picture_itself_counts() {
        assert!(is_whole(&WHOLE));
        assert!((0..WHOLE.len()).all(|length| !is_whole(&WHOLE[..length])));
        let trailing: Vec<u8> = WHOLE.iter().copied().chain([0, 0, 9]).collect();
        assert!(is_whole(&trailing), "bytes after the end are somebody else's");
    }

    #[test]
    fn segments_end_where_the_pixels_begin() {
        let found: Vec<(u8, &[u8])> = segments(&WHOLE).collect();
        assert_eq!(found, [(0xE1, &WHOLE[6..12])]);
        assert!((0..12).all(|length| segments(&WHOLE[..length]).next().is_none()));
    }

    #[test]
    fn density_is_told_in_inches() {
        let jfif = |unit: u8| {
            let body = [b'J', b'F', b'I', b'F', 0, 1, 2, unit, 1, 0x2C, 0, 100, 0, 0];
            [&[0xFF, 0xD8, 0xFF, 0xE0, 0, 16][..], &body, &[0xFF, 0xDA]].concat()
        };
        assert_eq!(density(&jfif(1)), Some((300.0, 100.0)));
        assert_eq!(density(&jfif(2)), Some((762.0, 254.0)));
        assert_eq!((density(&jfif(0)), density(&WHOLE)), (None, None));
    }

    #[test]
    fn frame_headers_give_the_size() {
        assert_eq!(frame(&[8, 0xFA, 0xFA, 0, 3, 1]), Some(Frame { width: 3, height: 64250, components: 1 }));
        assert_eq!(frame(&[8, 0, 1, 0]), None);
        assert!(is_frame(0xC2) && !is_frame(0xC4) && !is_frame(0xDA));
    }
}
