//! Pixels → TIFF, packed by Deflate, with the mark and what the picture says of itself in tags, and the mark
//! back out of one. The only file that names `tiff`.

use super::mark::MAX_MARK_BYTES;
use super::metadata::Metadata;
use super::probe::{damaged, damaged_words};
use crate::error::JobError;
use crate::work::exif::{self, Piece};
use crate::work::jpeg;
use crate::work::pixels::Pixels;
use contract::pixels::Picture;
use image::codecs::tiff::TiffDecoder;
use image::error::{DecodingError, ImageFormatHint, LimitError, LimitErrorKind};
use image::metadata::Orientation;
use image::{ColorType as Colour, ImageDecoder, ImageError, ImageFormat, ImageResult};
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom, Write};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::compression::DeflateLevel;
use tiff::encoder::{Compression, Predictor, TiffEncoder, TiffValue};
use tiff::tags::{ExtraSamples, Tag};
use tiff::{TiffError, TiffResult};

/// The tag that carries the mark, of those that are free for private use.
const MARK: Tag = Tag::Unknown(65_201);

/// Writes a TIFF. The packed file is in memory as a whole, since its encoder goes back and forth.
///
/// # Errors
/// What the writer says, or that the file would be longer than the format has numbers for.
pub fn write(pixels: &Pixels, mark: &str, metadata: &Metadata, mut writer: impl Write) -> io::Result<()> {
    let mut file = Cursor::new(Vec::new());
    let written = match (pixels, pixels.channels() < 3) {
        (Pixels::Eight(picture), true) => put::<Gray8>(picture, &mut file),
        (Pixels::Eight(picture), false) => put::<RGB8>(picture, &mut file),
        (Pixels::Sixteen(picture), true) => put::<Gray16>(picture, &mut file),
        (Pixels::Sixteen(picture), false) => put::<RGB16>(picture, &mut file),
    };
    written.map_err(io::Error::other)?;
    // As bytes: texts of a TIFF are ASCII, and names are not.
    let mut pieces = vec![Piece::bytes(MARK.to_u16(), mark.as_bytes())];
    pieces.extend(metadata.icc.as_ref().map(|icc| Piece::opaque(exif::ICC, icc)));
    pieces.extend(metadata.xmp.as_ref().map(|xmp| Piece::bytes(exif::XMP, xmp.as_bytes())));
    pieces.extend(metadata.iptc.as_deref().map(Piece::records));
    pieces.extend(metadata.density.into_iter().flat_map(exif::of_density));
    writer.write_all(&exif::joined(file.into_inner(), metadata.exif.as_deref(), pieces))
}

fn put<C: ColorType>(picture: &Picture<C::Inner>, file: &mut (impl Write + Seek)) -> TiffResult<()>
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

/// Opens the decoder of a TIFF: `image`'s, or ours of grey with alpha, which that one does not read.
///
/// # Errors
/// [`JobError::Damaged`], [`JobError::Unsupported`].
pub fn open<'a>(mut file: impl BufRead + Seek + 'a) -> Result<Box<dyn ImageDecoder + 'a>, JobError> {
    let mut decoder = Decoder::new(&mut file).map_err(damaged_words)?;
    let has_alpha = is_grey_alpha(&mut decoder)?;
    drop(decoder);
    file.seek(SeekFrom::Start(0)).map_err(damaged_words)?;
    if has_alpha {
        return Ok(Box::new(GreyAlpha::new(file).map_err(failed).map_err(damaged)?));
    }
    Ok(Box::new(TiffDecoder::new(file).map_err(damaged)?))
}

/// Whether it is grey with alpha; and nothing that is read, and wrong.
fn is_grey_alpha(decoder: &mut Decoder<impl Read + Seek>) -> Result<bool, JobError> {
    let Ok(colour) = decoder.colortype() else { return Ok(false) };
    let mut number = |tag| decoder.find_tag_unsigned::<u16>(tag).ok().flatten();
    let [samples, predictor, planes] =
        [Tag::SamplesPerPixel, Tag::Predictor, Tag::PlanarConfiguration].map(&mut number);
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).ok().flatten().unwrap_or_default();
    let refused = |what: &str| Err(JobError::Unsupported(format!("TIFF with {what} is not read")));
    // Its decoder takes the others out of each row before it adds the differences up.
    if samples > Some(colour.num_samples()) && predictor.is_some_and(|predictor| predictor != 1) {
        return refused("channels beside its colours that are stored as differences (Predictor)");
    }
    if !matches!(colour, tiff::ColorType::Multiband { bit_depth: 8 | 16, num_samples: 2 }) {
        return Ok(false);
    }
    if planes == Some(2) {
        return refused("grey and alpha in planes of their own");
    }
    let alphas = [ExtraSamples::AssociatedAlpha, ExtraSamples::UnassociatedAlpha].map(|kind| kind.to_u16());
    if extra.first().is_some_and(|kind| !alphas.contains(kind)) {
        return refused("a second channel beside grey that is no alpha");
    }
    Ok(true)
}

/// Refuses a TIFF whose strips or tiles are JPEGs that are larger than they: their decoder makes whatever
/// they say.
///
/// # Errors
/// [`JobError::Damaged`].
pub fn refuse_large_parts(file: &[u8]) -> Result<(), JobError> {
    let Ok(mut decoder) = Decoder::new(Cursor::new(file)) else { return Ok(()) };
    let compression = decoder.find_tag_unsigned::<u16>(Tag::Compression).ok().flatten();
    if compression != Some(7) {
        return Ok(());
    }
    let (width, height) = decoder.chunk_dimensions();
    let mut all = |tag| decoder.find_tag_unsigned_vec::<u64>(tag).ok().flatten();
    let places = all(Tag::StripOffsets).or_else(|| all(Tag::TileOffsets)).unwrap_or_default();
    let lengths = all(Tag::StripByteCounts).or_else(|| all(Tag::TileByteCounts)).unwrap_or_default();
    let tables = decoder.get_tag_u8_vec(Tag::JPEGTables).unwrap_or_default();
    let parts = places.into_iter().zip(lengths).filter_map(|(place, length)| {
        let (place, length) = (usize::try_from(place).ok()?, usize::try_from(length).ok()?);
        file.get(place..place.checked_add(length)?)
    });
    // Whole blocks of 8 pixels, sampled half as finely at the most.
    let most = |side: u32| (side as usize).next_multiple_of(16);
    let is_large = |part: &[u8]| {
        let frames = jpeg::segments(part).filter(|(marker, _)| jpeg::is_frame(*marker));
        let mut frames = frames.filter_map(|(_, body)| jpeg::frame(body));
        frames.any(|frame| usize::from(frame.width) > most(width) || usize::from(frame.height) > most(height))
    };
    if std::iter::once(&tables[..]).chain(parts).any(is_large) {
        return Err(JobError::Damaged("TIFF with a JPEG in it that is larger than its place".into()));
    }
    Ok(())
}

/// Whether the colours of a TIFF are multiplied with its alpha (TIFF 6.0, ExtraSamples).
pub fn is_premultiplied(file: &[u8]) -> bool {
    let extra = Decoder::new(Cursor::new(file))
        .and_then(|mut decoder| decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples));
    let multiplied = ExtraSamples::AssociatedAlpha.to_u16();
    extra.ok().flatten().is_some_and(|extra| extra.first() == Some(&multiplied))
}

/// Whether a BigTIFF says of its picture what is read in classic TIFFs alone.
pub fn says_in_vain(file: &[u8]) -> bool {
    if !matches!(file.get(..4), Some(b"II+\0" | b"MM\0+")) {
        return false;
    }
    let Ok(mut decoder) = Decoder::new(Cursor::new(file)) else { return false };
    let told = decoder.image_ifd();
    told.directory().iter().any(|(tag, _)| exif::is_carried(tag.to_u16()))
}

/// What decoding a picture of four bytes a pixel takes: by itself the decoder ends at 256 MB. The size is
/// within limits by now, or will be refused for it before anything is decoded.
pub fn room_for((width, height): (u32, u32)) -> Limits {
    let bytes = (width as usize).saturating_mul(height as usize).saturating_mul(4);
    let mut limits = Limits::default();
    (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (bytes, bytes);
    limits
}

/// Grey with alpha, side by side.
struct GreyAlpha<R: BufRead + Seek> {
    decoder: Decoder<R>,
    size: (u32, u32),
    colour: Colour,
    orientation: Orientation,
}

impl<R: BufRead + Seek> GreyAlpha<R> {
    fn new(file: R) -> TiffResult<GreyAlpha<R>> {
        let mut decoder = Decoder::new(file)?;
        let size = decoder.dimensions()?;
        let is_deep = matches!(decoder.colortype()?, tiff::ColorType::Multiband { bit_depth: 16, .. });
        let turned = decoder.find_tag(Tag::Orientation)?.and_then(|value| value.into_u16().ok());
        let orientation = turned.and_then(|turned| Orientation::from_exif(u8::try_from(turned).ok()?));
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        let decoder = decoder.with_limits(room_for(size));
        Ok(GreyAlpha { decoder, size, colour: if is_deep { Colour::La16 } else { Colour::La8 }, orientation })
    }
}

impl<R: BufRead + Seek> ImageDecoder for GreyAlpha<R> {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> Colour {
        self.colour
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        Ok(self.orientation)
    }

    fn read_image(mut self, into: &mut [u8]) -> ImageResult<()> {
        let samples = match self.decoder.read_image().map_err(failed)? {
            DecodingResult::U8(samples) => samples,
            DecodingResult::U16(samples) => samples.into_iter().flat_map(u16::to_ne_bytes).collect(),
            _ => Vec::new(),
        };
        if samples.len() != into.len() {
            return Err(ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)));
        }
        into.copy_from_slice(&samples);
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, into: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(into)
    }
}

/// As `image` says it of the TIFFs that it reads.
fn failed(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(error) => ImageError::IoError(error),
        other => ImageError::Decoding(DecodingError::new(ImageFormatHint::Exact(ImageFormat::Tiff), other)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Effort, decode, probe};
    use super::*;
    use contract::geometry::Size;
    use tiff::encoder::TiffKind;

    /// One pixel whose colours are multiplied with its alpha, a third.
    fn multiplied<K: TiffKind>(mut encoder: TiffEncoder<&mut Cursor<Vec<u8>>, K>) {
        let mut image = encoder.new_image::<RGB8>(1, 1).expect("memory");
        image.extra_samples(&[ExtraSamples::AssociatedAlpha]).expect("memory");
        image.write_data(&[10, 20, 40, 85]).expect("memory");
    }

    fn refusal(file: &[u8]) -> JobError {
        let header = probe(&mut Cursor::new(file));
        let decoded = header.and_then(|header| decode(file, &header, Effort { deep: false, limit_s: 60 }));
        decoded.map(|decoded| decoded.pixels).expect_err("it is not read")
    }

    /// A channel that is none of its colours is left out, and refused where that would spoil them.
    #[test]
    fn channels_that_are_no_colours_never_spoil_them() {
        let with_extra = |predictor: Predictor| {
            let mut file = Cursor::new(Vec::new());
            let mut encoder = TiffEncoder::new(&mut file)
                .expect("memory")
                .with_compression(Compression::Deflate(DeflateLevel::Fast))
                .with_predictor(predictor);
            let mut image = {
                let image = encoder.new_image::<RGB8>(2, 1);
                image.expect("memory")
            };
            image.extra_samples(&[ExtraSamples::Unspecified]).expect("memory");
            image.write_data(&[10, 20, 40, 85, 60, 70, 80, 9]).expect("memory");
            file.into_inner()
        };
        let plain = with_extra(Predictor::None);
        let header = probe(&mut Cursor::new(&plain)).expect("a TIFF");
        let decoded = decode(&plain, &header, Effort { deep: false, limit_s: 60 }).expect("a TIFF");
        let Pixels::Eight(picture) = decoded.pixels.without_alpha() else { panic!("8 bits a sample") };
        assert_eq!(picture.samples, [10, 20, 40, 60, 70, 80]);
        let told = refusal(&with_extra(Predictor::Horizontal)).to_string();
        assert!(told.contains("(Predictor) is not read"), "{told}");
    }

    /// A TIFF of 8×8 pixels, grey, whose only strip begins as a JPEG of this size; its second channel is of
    /// this kind, if it has any.
    fn small(compression: u16, side: u16, extra: Option<u16>) -> Vec<u8> {
        let side = side.to_be_bytes();
        let strip =
            [&[0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8], &side[..], &side, &[1, 1, 0x11, 0], &[0; 128]].concat();
        let samples = 1 + u32::from(extra.is_some());
        let mut entries = vec![
            (0x0100, 8),
            (0x0101, 8),
            (0x0102, if extra.is_some() { 0x0008_0008 } else { 8 }),
            (0x0103, u32::from(compression)),
            (0x0106, 1),
            (0x0111, 8),
            (0x0115, samples),
            (0x0116, 8),
            (0x0117, strip.len() as u32),
        ];
        entries.extend(extra.map(|kind| (0x0152, u32::from(kind))));
        let begin = 8 + strip.len() as u32;
        let mut file =
            [&b"II*\0"[..], &begin.to_le_bytes(), &strip, &(entries.len() as u16).to_le_bytes()].concat();
        for (tag, value) in entries {
            let kind = if tag == 0x0111 || tag == 0x0117 { 4u16 } else { 3 };
            let count = if tag == 0x0102 { samples } else { 1 };
            file.extend(u16::to_le_bytes(tag));
            file.extend(kind.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend([0; 4]);
        file
    }

    #[test]
    fn a_jpeg_that_is_larger_than_its_strip_is_refused() {
        let told = refusal(&small(7, 16_384, None)).to_string();
        assert!(told.contains("a JPEG in it that is larger than its place"), "{told}");
        assert!(!refusal(&small(7, 16, None)).to_string().contains("larger"), "within a block");
        assert_eq!(refuse_large_parts(&small(1, 16_384, None)), Ok(()));
    }

    #[test]
    fn a_second_channel_of_grey_is_alpha_only_where_it_says_so() {
        for kind in [1, 2] {
            let file = small(1, 8, Some(kind));
            assert_eq!(probe(&mut Cursor::new(&file)).expect("a TIFF").channels, 2);
        }
        let told = refusal(&small(1, 8, Some(0))).to_string();
        assert!(told.contains("a second channel beside grey that is no alpha"), "{told}");
    }

    #[test]
    fn alpha_that_is_multiplied_in_is_taken_out_of_large_files_too() {
        let (mut classic, mut big) = (Cursor::new(Vec::new()), Cursor::new(Vec::new()));
        multiplied(TiffEncoder::new(&mut classic).expect("memory"));
        multiplied(TiffEncoder::new_big(&mut big).expect("memory"));
        for (file, is_big) in [(classic.into_inner(), false), (big.into_inner(), true)] {
            let header = probe(&mut Cursor::new(&file)).expect("a TIFF");
            let decoded = decode(&file, &header, Effort { deep: false, limit_s: 60 }).expect("a TIFF");
            let Pixels::Eight(picture) = decoded.pixels else { panic!("8 bits a sample") };
            assert_eq!((picture.size, &picture.samples[..]), (Size::new(1, 1), &[30, 60, 120, 85][..]));
            // Its encoder writes a density.
            let is_noted = decoded.metadata.notes.iter().any(|note| note.contains("of a BigTIFF"));
            assert_eq!((says_in_vain(&file), is_noted), (is_big, is_big));
        }
    }
}
