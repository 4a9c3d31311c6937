//! Pixels → TIFF, packed by Deflate, with the mark and what the picture says of itself in tags, and the mark
//! back out of one. The only file that names `tiff`.

use super::mark::MAX_MARK_BYTES;
use super::metadata::Metadata;
use crate::work::exif;
use crate::work::pixels::Pixels;
use contract::pixels::Picture;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom, Write};
use tiff::decoder::Decoder;
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::compression::DeflateLevel;
use tiff::encoder::{Compression, Predictor, TiffEncoder, TiffValue};
use tiff::tags::{ExtraSamples, Tag};
use tiff::{TiffError, TiffResult};

/// The tag that carries the mark, of those that are free for private use.
const MARK: Tag = Tag::Unknown(65_201);
const ICC: Tag = Tag::IccProfile;
const IPTC: Tag = Tag::Unknown(33_723);
/// XMP Specification, part 3.
const XMP: Tag = Tag::Unknown(700);

/// Writes a TIFF. The packed file is in memory as a whole, since its encoder goes back and forth.
///
/// # Errors
/// What the writer says, or that the file would be longer than the format has numbers for.
pub fn write(pixels: &Pixels, mark: &str, metadata: &Metadata, mut writer: impl Write) -> io::Result<()> {
    let mut file = Cursor::new(Vec::new());
    let written = match (pixels, pixels.channels() < 3) {
        (Pixels::Eight(picture), true) => put::<Gray8>(picture, mark, metadata, &mut file),
        (Pixels::Eight(picture), false) => put::<RGB8>(picture, mark, metadata, &mut file),
        (Pixels::Sixteen(picture), true) => put::<Gray16>(picture, mark, metadata, &mut file),
        (Pixels::Sixteen(picture), false) => put::<RGB16>(picture, mark, metadata, &mut file),
    };
    written.map_err(io::Error::other)?;
    let file = file.into_inner();
    match &metadata.exif {
        Some(said) => writer.write_all(&exif::joined(file, said)),
        None => writer.write_all(&file),
    }
}

fn put<C: ColorType>(
    picture: &Picture<C::Inner>,
    mark: &str,
    metadata: &Metadata,
    file: &mut (impl Write + Seek),
) -> TiffResult<()>
where
    [C::Inner]: TiffValue,
{
    let side = |length: usize| u32::try_from(length).map_err(TiffError::from);
    let has_alpha = picture.channels.is_multiple_of(2);
    let packing = Compression::Deflate(DeflateLevel::Fast);
    // The encoder's prediction knows nothing of alpha.
    let prediction = if has_alpha { Predictor::None } else { Predictor::Horizontal };
    let mut encoder = TiffEncoder::new(file)?.with_compression(packing).with_predictor(prediction);
    let mut image = encoder.new_image::<C>(side(picture.size.width)?, side(picture.size.height)?)?;
    if has_alpha {
        image.extra_samples(&[ExtraSamples::UnassociatedAlpha])?;
    }
    let tags = image.encoder();
    // As bytes: texts of a TIFF are ASCII, and names are not.
    tags.write_tag(MARK, mark.as_bytes())?;
    if let Some(icc) = &metadata.icc {
        tags.write_tag(ICC, &icc[..])?;
    }
    if let Some(xmp) = &metadata.xmp {
        tags.write_tag(XMP, xmp.as_bytes())?;
    }
    if let Some(records) = &metadata.iptc {
        tags.write_tag(IPTC, &records[..])?;
    }
    image.write_data(&picture.samples)
}

/// The mark in a TIFF; `None` where it has none.
///
/// # Errors
/// What the reader says.
pub fn read_mark(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    file.seek(SeekFrom::Start(0))?;
    let Ok(mut decoder) = Decoder::new(file) else { return Ok(None) };
    let mark = decoder.get_tag_u8_vec(MARK).ok();
    let mark = mark.filter(|mark| mark.len() <= MAX_MARK_BYTES as usize);
    Ok(mark.and_then(|mark| String::from_utf8(mark).ok()))
}

/// Reads a TIFF to its end, strip by strip.
///
/// # Errors
/// What is wrong with it.
pub fn read_whole(file: impl BufRead + Seek) -> io::Result<()> {
    let mut decoder = Decoder::new(file).map_err(io::Error::other)?;
    let strips = decoder.strip_count().map_err(io::Error::other)?;
    (0..strips).try_for_each(|strip| decoder.read_chunk(strip).map(drop).map_err(io::Error::other))
}
