//! Pixels → PNG or JPEG, with the mark inside. Writes to whatever it is given; durability is the store's
//! business.

use super::jpeg;
use super::mark::KEYWORD;
use super::metadata::Metadata;
use crate::work::format::Format;
use contract::pixels::Picture;
use std::io::{self, Write};

/// Length of the pieces that the pixels are written in.
const CHUNK_BYTES: usize = 1 << 18;

/// Writes a result in its format.
///
/// # Errors
/// What the writer says; nothing else can go wrong with a whole picture whose sides the format has numbers
/// for.
pub fn encode(
    picture: &Picture,
    mark: &str,
    metadata: &Metadata,
    format: Format,
    writer: impl Write,
) -> io::Result<()> {
    match format {
        Format::Png => write_png(picture, mark, metadata, writer),
        Format::Jpeg(quality) => jpeg::write(picture, mark, metadata, quality, writer),
    }
}

/// Writes a PNG at a fast level, with `mark` as an uncompressed text chunk before the pixels, and what the
/// picture says of itself.
fn write_png(picture: &Picture, mark: &str, metadata: &Metadata, writer: impl Write) -> io::Result<()> {
    let side = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let mut info = png::Info::with_size(side(picture.size.width)?, side(picture.size.height)?);
    metadata.add_to(&mut info);
    info.color_type = match picture.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    };
    info.bit_depth = png::BitDepth::Eight;
    let mut encoder = png::Encoder::with_info(writer, info)?;
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
