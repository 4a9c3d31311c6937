//! Pixels → PNG, with the mark inside. Writes to whatever it is given; durability is the store's business.

use super::mark::KEYWORD;
use contract::pixels::Picture;
use std::io::{self, Write};

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
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.samples)?;
    writer.finish()?;
    Ok(())
}
