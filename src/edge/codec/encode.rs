//! Pixels → PNG, with the mark inside. Writes to whatever it is given; durability is the store's business.

use super::mark::KEYWORD;
use contract::pixels::Picture;
use std::io::{self, Write};

/// Length of the pieces that the pixels are written in.
const CHUNK_BYTES: usize = 1 << 18;

/// Writes a PNG at a fast level, with `mark` as an uncompressed text chunk before the pixels.
///
/// # Errors
/// What the writer says; nothing else can go wrong with a whole picture.
pub fn encode(picture: &Picture, mark: &str, writer: impl Write) -> io::Result<()> {
    let side = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let mut encoder = png::Encoder::new(writer, side(picture.size.width)?, side(picture.size.height)?);
    encoder.set_color(match picture.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.add_itxt_chunk(KEYWORD.to_owned(), mark.to_owned())?;
    // As a stream: the packed picture is never in memory as a whole.
    let mut file = encoder.write_header()?;
    let mut pixels = file.stream_writer_with_size(CHUNK_BYTES)?;
    pixels.write_all(&picture.samples)?;
    pixels.finish()?;
    file.finish()?;
    Ok(())
}
