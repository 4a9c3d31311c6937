//! Pixels → WebP, with the mark and what the picture says of itself in chunks of the container (RFC
//! 9649), and the mark back out of one. The only file that names `image_webp` and
//! `webp`.

use super::mark::MAX_MARK_BYTES;
use super::metadata::Metadata;
use contract::geometry::Size;
use contract::pixels::Picture;
use image_webp::{ColorType, EncodingError, WebPEncoder};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The chunk that carries the mark; readers leave alone what they do not know.
const MARK: &[u8; 4] = b"onst";
/// Bytes before the first chunk.
const HEAD: usize = 12;
/// Chunks that are looked at for the mark.
const MOST_CHUNKS: usize = 64;
/// What the extended header says is there: profile, alpha, Exif, XMP.
const FLAGS: [u8; 4] = [0x20, 0x10, 0x08, 0x04];

/// Writes a WebP, lossless where no `quality` is given. The packed file is in memory as a whole, since it
/// begins with its length.
///
/// # Errors
/// What the writer says, or that a side is longer than the format has numbers for.
pub fn write(
    picture: &Picture,
    quality: Option<u8>,
    mark: &str,
    metadata: &Metadata,
    mut writer: impl Write,
) -> io::Result<()> {
    let Size { width, height } = picture.size;
    let side = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let simple = match quality {
        None => lossless(picture)?,
        Some(quality) => lossy(picture, quality)?,
    };
    let xmp = metadata.xmp.as_ref().map(|xmp| xmp.as_bytes());
    let [icc, exif] = [&metadata.icc, &metadata.exif].map(|piece| piece.as_deref());
    let has = [icc.is_some(), picture.channels.is_multiple_of(2), exif.is_some(), xmp.is_some()];
    let flags = FLAGS.into_iter().zip(has).map(|(flag, has)| if has { flag } else { 0 }).sum::<u8>();
    let lessened =
        |length: usize| [(length - 1) as u8, ((length - 1) >> 8) as u8, ((length - 1) >> 16) as u8];
    let extended = [&[flags, 0, 0, 0][..], &lessened(width), &lessened(height)].concat();
    let before = [Some((b"VP8X", &extended[..])), icc.map(|icc| (b"ICCP", icc))];
    let after =
        [exif.map(|exif| (b"EXIF", exif)), xmp.map(|xmp| (b"XMP ", xmp)), Some((MARK, mark.as_bytes()))];
    let padded = |length: usize| 8 + length + length % 2;
    let chunks = before.iter().chain(&after).flatten();
    let pixels = chunks_of_pixels(&simple);
    let length = 4 + pixels.len() + chunks.map(|(_, body)| padded(body.len())).sum::<usize>();
    writer.write_all(b"RIFF")?;
    writer.write_all(&side(length)?.to_le_bytes())?;
    writer.write_all(b"WEBP")?;
    for (name, body) in before.into_iter().flatten() {
        put(name, body, &mut writer)?;
    }
    writer.write_all(pixels)?;
    for (name, body) in after.into_iter().flatten() {
        put(name, body, &mut writer)?;
    }
    Ok(())
}

/// A WebP of pixels alone.
fn lossless(picture: &Picture) -> io::Result<Vec<u8>> {
    let side = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let colour = match picture.channels {
        1 => ColorType::L8,
        2 => ColorType::La8,
        3 => ColorType::Rgb8,
        _ => ColorType::Rgba8,
    };
    let (mut file, Size { width, height }) = (Vec::new(), picture.size);
    let encoded = WebPEncoder::new(&mut file).encode(&picture.samples, side(width)?, side(height)?, colour);
    encoded.map_err(|error| match error {
        EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    })?;
    Ok(file)
}

#[cfg(feature = "webp-lossy")]
fn lossy(picture: &Picture, quality: u8) -> io::Result<Vec<u8>> {
    let side = |length: usize| u32::try_from(length).map_err(io::Error::other);
    // It knows no grey.
    let coloured;
    let samples = if picture.channels < 3 {
        let pixels = picture.samples.chunks_exact(picture.channels);
        coloured = pixels.flat_map(|pixel| [&[pixel[0]; 3], &pixel[1..]].concat()).collect::<Vec<u8>>();
        &coloured
    } else {
        &picture.samples
    };
    let (width, height) = (side(picture.size.width)?, side(picture.size.height)?);
    let has_alpha = picture.channels.is_multiple_of(2);
    let encoder = if has_alpha {
        webp::Encoder::from_rgba(samples, width, height)
    } else {
        webp::Encoder::from_rgb(samples, width, height)
    };
    let failed = |error| io::Error::other(format!("libwebp: {error:?}"));
    encoder.encode_simple(false, quality.into()).map(|file| file.to_vec()).map_err(failed)
}

#[cfg(not(feature = "webp-lossy"))]
fn lossy(_: &Picture, _: u8) -> io::Result<Vec<u8>> {
    Err(io::Error::other("WebP with losses needs a build with the feature webp-lossy"))
}

/// What of a WebP of pixels alone is pixels: all but its head, and an extended header of its own.
fn chunks_of_pixels(file: &[u8]) -> &[u8] {
    let chunks = file.get(HEAD..).unwrap_or_default();
    if chunks.starts_with(b"VP8X") { chunks.get(18..).unwrap_or_default() } else { chunks }
}

fn put(name: &[u8; 4], body: &[u8], writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(name)?;
    writer.write_all(&u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes())?;
    writer.write_all(body)?;
    // Chunks begin at even places.
    writer.write_all(&[0][..body.len() % 2])
}

/// The mark in a WebP, read from its beginning; `None` where it has none.
///
/// # Errors
/// What the reader says.
pub fn read_mark(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    file.seek(SeekFrom::Start(HEAD as u64))?;
    for _ in 0..MOST_CHUNKS {
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if head[..4] == MARK[..] && length <= MAX_MARK_BYTES {
            let mut body = vec![0; length as usize];
            file.read_exact(&mut body)?;
            return Ok(String::from_utf8(body).ok());
        }
        file.seek(SeekFrom::Current(i64::from(length) + i64::from(length % 2)))?;
    }
    Ok(None)
}
