//! Pixels → a file of a format, with the mark inside. Writes to whatever it is given; durability is the
//! store's business.

use super::mark::KEYWORD;
use super::metadata::Metadata;
use super::{jpeg, tiff, webp};
use crate::work::format::Format;
use crate::work::pixels::Pixels;
use std::io::{self, Write};

/// Length of the pieces that the pixels are written in.
const CHUNK_BYTES: usize = 1 << 18;

/// Writes a result in its format.
///
/// # Errors
/// What the writer says; nothing else can go wrong with a whole picture whose sides the format has numbers
/// for. A picture of 16 bits a sample loses half of them where the format has no room for them.
pub fn encode(
    pixels: &Pixels,
    mark: &str,
    metadata: &Metadata,
    format: Format,
    writer: impl Write,
) -> io::Result<()> {
    match format {
        Format::Png => write_png(pixels, mark, metadata, writer),
        Format::Jpeg(quality) => jpeg::write(&pixels.to_eight(), mark, metadata, quality, writer),
        Format::WebP => webp::write(&pixels.to_eight(), None, mark, metadata, writer),
        Format::LossyWebP(quality) => webp::write(&pixels.to_eight(), Some(quality), mark, metadata, writer),
        Format::Tiff => tiff::write(pixels, mark, metadata, writer),
    }
}

/// Writes a PNG at a fast level, with `mark` as an uncompressed text chunk before the pixels, and what the
/// picture says of itself.
fn write_png(pixels: &Pixels, mark: &str, metadata: &Metadata, writer: impl Write) -> io::Result<()> {
    let side = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let mut info = png::Info::with_size(side(pixels.size().width)?, side(pixels.size().height)?);
    metadata.add_to(&mut info);
    info.color_type = match pixels.channels() {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    };
    info.bit_depth = if pixels.is_deep() { png::BitDepth::Sixteen } else { png::BitDepth::Eight };
    // The encoder knows of them and leaves them out.
    let code_points = info.coding_independent_code_points;
    let mut encoder = png::Encoder::with_info(writer, info)?;
    encoder.set_compression(png::Compression::Fast);
    encoder.add_itxt_chunk(KEYWORD.to_owned(), mark.to_owned())?;
    // As a stream: the packed picture is never in memory as a whole.
    let mut file = encoder.write_header()?;
    if let Some(points) = code_points {
        let bytes = [
            points.color_primaries,
            points.transfer_function,
            points.matrix_coefficients,
            u8::from(points.is_video_full_range_image),
        ];
        file.write_chunk(png::chunk::ChunkType(*b"cICP"), &bytes)?;
    }
    let mut stream = file.stream_writer_with_size(CHUNK_BYTES)?;
    match pixels {
        Pixels::Eight(picture) => stream.write_all(&picture.samples)?,
        Pixels::Sixteen(picture) => {
            for part in picture.samples.chunks(CHUNK_BYTES) {
                let bytes: Vec<u8> = part.iter().flat_map(|sample| sample.to_be_bytes()).collect();
                stream.write_all(&bytes)?;
            }
        }
    }
    stream.finish()?;
    file.finish()?;
    Ok(())
}
