//! Pixels → JPEG, with the mark and what the picture says of itself inside, and both back out of one without
//! decoding it. The only file that names `jpeg_encoder`.

use super::mark::{KEYWORD, MAX_MARK_BYTES};
use super::metadata::{EXTENDED_XMP, Metadata};
use crate::edge::digest::md5;
use crate::work::iptc;
use crate::work::jpeg::{is_whole, stands_alone};
use crate::work::xmp::pointer;
use contract::pixels::Picture;
use jpeg_encoder::{ColorType, Encoder, EncodingError, PixelDensity, PixelDensityUnit};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Segments before the pixels of what may be a result of ours; a real one has tens.
const MOST_SEGMENTS: usize = 4096;
const APP1: u8 = 1;
const APP13: u8 = 13;
const APP15: u8 = 15;
/// What begins a segment of XMP (XMP Specification, part 3).
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// What begins a segment of Photoshop's resources.
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
/// The most that a segment holds.
const SEGMENT_BYTES: usize = 65_533;
/// Of XMP that needs several segments, so much is in each (XMP Specification, part 3, 1.1.3.1).
const EXTENDED_PART_BYTES: usize = 65_400;

/// Writes a JPEG. Where pixels are transparent, white shows through.
///
/// # Errors
/// What the writer says, or that a side is longer than the format has numbers for.
pub fn write(
    picture: &Picture,
    mark: &str,
    metadata: &Metadata,
    quality: u8,
    writer: impl Write,
) -> io::Result<()> {
    let mut encoder = Encoder::new(writer, quality);
    if let Some((across, down)) = metadata.density {
        let [x, y] = [across, down].map(|dots| dots.round() as u16);
        encoder.set_density(PixelDensity { density: (x, y), unit: PixelDensityUnit::Inches });
    }
    // A piece that does not fit into its segment is left out, as everything of its kind.
    if let Some(exif) = &metadata.exif {
        encoder.add_exif_metadata(exif).ok();
    }
    for segment in metadata.xmp.iter().flat_map(|xmp| xmp_segments(xmp)) {
        encoder.add_app_segment(APP1, segment).ok();
    }
    if let Some(records) = &metadata.iptc {
        encoder.add_app_segment(APP13, [PHOTOSHOP, &iptc::as_resources(records)].concat()).ok();
    }
    if let Some(icc) = &metadata.icc {
        encoder.add_icc_profile(icc).ok();
    }
    let mark = [KEYWORD.as_bytes(), b"\0", mark.as_bytes()].concat();
    encoder.add_app_segment(APP15, mark).map_err(io::Error::other)?;
    let flat;
    let samples = if picture.channels.is_multiple_of(2) {
        flat = on_white(picture);
        &flat
    } else {
        &picture.samples
    };
    let colour = if picture.channels < 3 { ColorType::Luma } else { ColorType::Rgb };
    let side = |length: usize| u16::try_from(length).map_err(io::Error::other);
    let (width, height) = (side(picture.size.width)?, side(picture.size.height)?);
    encoder.encode(samples, width, height, colour).map_err(|error| match error {
        EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    })
}

/// A packet that fits into a segment, or one that names the others, and these.
fn xmp_segments(xmp: &str) -> Vec<Vec<u8>> {
    if XMP.len() + xmp.len() <= SEGMENT_BYTES {
        return vec![[XMP, xmp.as_bytes()].concat()];
    }
    let name = md5(xmp.as_bytes());
    let length = u32::try_from(xmp.len()).unwrap_or(u32::MAX).to_be_bytes();
    let first = [XMP, pointer(&name).as_bytes()].concat();
    let parts = xmp.as_bytes().chunks(EXTENDED_PART_BYTES).enumerate().map(|(index, part)| {
        let at = u32::try_from(index * EXTENDED_PART_BYTES).unwrap_or(u32::MAX).to_be_bytes();
        [EXTENDED_XMP, name.as_bytes(), &length, &at, part].concat()
    });
    [first].into_iter().chain(parts).collect()
}

/// Colours over white, without alpha.
fn on_white(picture: &Picture) -> Vec<u8> {
    let colours = picture.channels - 1;
    let pixels = picture.samples.chunks_exact(picture.channels);
    let over = |pixel: &[u8]| {
        let alpha = u32::from(pixel[colours]);
        let over = move |&colour: &u8| ((u32::from(colour) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        pixel[..colours].iter().map(over).collect::<Vec<u8>>()
    };
    pixels.flat_map(over).collect()
}

/// The mark in a JPEG whose first two bytes were read; `None` where it has none before its pixels.
///
/// # Errors
/// What the reader says.
pub fn read_mark(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    for _ in 0..MOST_SEGMENTS {
        let mut head = [0; 2];
        file.read_exact(&mut head)?;
        let [0xFF, marker] = head else { return Ok(None) };
        if stands_alone(marker) {
            continue;
        }
        let mut length = [0; 2];
        file.read_exact(&mut length)?;
        let length = u32::from(u16::from_be_bytes(length)).saturating_sub(2);
        match marker {
            0xD9 | 0xDA => return Ok(None),
            0xEF if length <= MAX_MARK_BYTES => {
                let mut body = vec![0; length as usize];
                file.read_exact(&mut body)?;
                let text = body.strip_prefix(KEYWORD.as_bytes()).and_then(|rest| rest.strip_prefix(b"\0"));
                if let Some(text) = text.and_then(|text| str::from_utf8(text).ok()) {
                    return Ok(Some(text.to_owned()));
                }
            }
            _ => {
                file.seek(SeekFrom::Current(i64::from(length)))?;
            }
        }
    }
    Ok(None)
}

/// Reads a JPEG, whose first two bytes were read, to the marker of its end.
///
/// # Errors
/// What the reader says, or that it has no end.
pub fn read_whole(mut file: impl Read) -> io::Result<()> {
    let mut bytes = vec![0xFF, 0xD8];
    file.read_to_end(&mut bytes)?;
    if is_whole(&bytes) { Ok(()) } else { Err(io::Error::other("it ends before the picture does")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::geometry::Size;
    use std::io::Cursor;

    #[test]
    fn what_is_transparent_shows_white() {
        let picture = Picture { size: Size::new(3, 1), channels: 2, samples: vec![10, 255, 10, 0, 0, 128] };
        assert_eq!(on_white(&picture), [10, 255, 127]);
        let rgba = Picture { size: Size::new(1, 1), channels: 4, samples: vec![255, 0, 0, 255] };
        assert_eq!(on_white(&rgba), [255, 0, 0]);
    }

    #[test]
    fn a_mark_survives_and_a_torn_file_is_not_whole() {
        let (picture, mut file) = (Picture::new(Size::new(40, 30), 3), Vec::new());
        let metadata = Metadata { exif: Some(vec![1; 70_000]), ..Metadata::default() };
        write(&picture, "{\"source\":\"grün.png\"}", &metadata, 90, &mut file).expect("memory");
        let behind = |file: &[u8]| {
            let mut cursor = Cursor::new(file.to_vec());
            cursor.set_position(2);
            cursor
        };
        assert_eq!(read_mark(&mut behind(&file)).expect("memory"), Some("{\"source\":\"grün.png\"}".into()));
        read_whole(behind(&file)).expect("whole");
        assert!(read_whole(behind(&file[..file.len() - 2])).is_err());
        let mut plain = Vec::new();
        Encoder::new(&mut plain, 90).encode(&picture.samples, 40, 30, ColorType::Rgb).expect("memory");
        assert_eq!(read_mark(&mut behind(&plain)).expect("memory"), None);
    }

    #[test]
    fn a_side_that_the_format_has_no_number_for_is_refused() {
        let picture = Picture::new(Size::new(65_536, 1), 1);
        assert!(write(&picture, "", &Metadata::default(), 90, io::sink()).is_err());
    }
}
