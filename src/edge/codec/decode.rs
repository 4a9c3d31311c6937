//! Bytes → upright pixels of 8 or 16 bits. Allocates only after the size was compared with the header
//! that limits were checked against. May panic inside decoders: whoever calls it catches that.

use super::cmyk::Print;
use super::in_time::InTime;
use super::metadata::Metadata;
use super::probe::{Header, damaged, ends_early, open};
use super::tiff;
use crate::error::JobError;
use crate::work::format::Kind;
use crate::work::pixels::Pixels;
use crate::work::{exif, jpeg, webp};
use contract::geometry::Size;
use contract::mask::Mask;
use contract::pixels::Picture;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, Limits};
use std::io::Cursor;
use std::time::{Duration, Instant};

/// A picture as it is meant to be seen.
#[derive(Debug)]
pub struct Decoded {
    /// Upright.
    pub pixels: Pixels,
    /// How it was turned to be upright.
    pub turn: Turn,
    /// Whether it had more bits a sample than are wanted.
    pub reduced: bool,
    /// What it says of itself.
    pub metadata: Metadata,
}

/// How a picture is turned to be upright, as its Exif says.
#[derive(Debug, Clone, Copy)]
pub struct Turn(Orientation);

impl Turn {
    /// Whether it was upright as it is stored.
    pub fn is_none(self) -> bool {
        self.0 == Orientation::NoTransforms
    }

    /// A mask of the picture as it is stored, turned likewise.
    pub fn applied(self, mask: Mask) -> Mask {
        let side = |length: usize| u32::try_from(length).ok();
        let bytes = mask.holes.iter().map(|hole| u8::from(*hole)).collect();
        let sides = side(mask.size.width).zip(side(mask.size.height));
        let Some(image) = sides.and_then(|(width, height)| GrayImage::from_raw(width, height, bytes)) else {
            return mask;
        };
        let mut image = DynamicImage::ImageLuma8(image);
        image.apply_orientation(self.0);
        let size = Size::new(image.width() as usize, image.height() as usize);
        Mask { size, holes: image.into_luma8().into_raw().into_iter().map(|byte| byte != 0).collect() }
    }
}

/// What may be spent on a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Whether 16 bits a sample stay so.
    pub deep: bool,
    /// Seconds that it may take.
    pub limit_s: u64,
}

/// Of a file that its own markers or lengths give away.
const EARLY: &str = "the file ends before the picture does";
const THROUGH_PROFILE: &str = "CMYK became sRGB through its profile";
const WITHOUT_PROFILE: &str = "CMYK became RGB without a profile that can be used: colours are rough";
/// What a decoder may use beside the pixels: tables, rows, an embedded profile.
const MARGIN_BYTES: u64 = 4 << 20;

/// Decodes a whole file. Of 16 bits a sample, 8 are left where it is not to be `deep`.
///
/// # Errors
/// [`JobError::Damaged`] or [`JobError::EndsEarly`] where it does not decode to its end,
/// [`JobError::Changed`] where it is not the file whose header was looked at, [`JobError::TooSlow`].
pub fn decode(bytes: &[u8], header: &Header, effort: Effort) -> Result<Decoded, JobError> {
    let Effort { deep, limit_s } = effort;
    // What is longer than clocks go has no end.
    let until = Instant::now().checked_add(Duration::from_secs(limit_s));
    let decoded = decode_until(bytes, header, deep, until);
    // Decoders wrap what their reader says in words of theirs.
    match decoded {
        Err(_) if until.is_some_and(|until| Instant::now() >= until) => Err(JobError::TooSlow { limit_s }),
        decoded => decoded,
    }
}

fn decode_until(
    bytes: &[u8],
    header: &Header,
    deep: bool,
    until: Option<Instant>,
) -> Result<Decoded, JobError> {
    let file = || InTime::new(Cursor::new(bytes), until);
    let mut limits = Limits::no_limits();
    // 8 bytes a pixel is RGBA with 16 bits, the most there is. What a file says of itself is read as a whole.
    limits.max_alloc = Some(header.size.area() as u64 * 8 + 2 * bytes.len() as u64 + MARGIN_BYTES);
    match header.kind {
        Kind::Jpeg if !jpeg::is_whole(bytes) => Err(ends_early(EARLY.into())),
        Kind::WebP if !webp::is_whole(bytes) => Err(ends_early(EARLY.into())),
        #[cfg(feature = "jxl")]
        Kind::Jxl if !super::jxl::is_whole(bytes) => Err(ends_early(EARLY.into())),
        Kind::Jpeg => {
            // With each piece all are sorted anew, whatever the time.
            if jpeg::pieces_of_xmp(bytes) > jpeg::MOST_PIECES {
                let most = jpeg::MOST_PIECES;
                return Err(JobError::Unsupported(format!("XMP in more than {most} pieces is not read")));
            }
            let mut decoder = JpegDecoder::new(file()).map_err(damaged)?;
            decoder.set_limits(limits).map_err(damaged)?;
            upright(decoder, header, (bytes, file()), deep)
        }
        Kind::Png => {
            let decoder = PngDecoder::with_limits(file(), limits).map_err(damaged)?;
            upright(decoder, header, (bytes, file()), deep)
        }
        other => {
            if other == Kind::Tiff {
                tiff::refuse_large_parts(bytes)?;
            }
            let mut decoder = open(other, file())?;
            decoder.set_limits(limits).map_err(damaged)?;
            let decoded = upright(decoder, header, (bytes, file()), deep)?;
            // A GIF is told as if it had alpha, and seldom has.
            let pixels = match decoded.pixels {
                pixels if other == Kind::Tiff && tiff::is_premultiplied(bytes) => pixels.unassociated(),
                Pixels::Eight(picture) if other == Kind::Gif => Pixels::Eight(without_idle_alpha(picture)),
                pixels => pixels,
            };
            Ok(Decoded { pixels, ..decoded })
        }
    }
}

fn upright(
    mut decoder: impl ImageDecoder,
    header: &Header,
    (bytes, file): (&[u8], InTime<Cursor<&[u8]>>),
    deep: bool,
) -> Result<Decoded, JobError> {
    let (width, height) = decoder.dimensions();
    if Size::new(width as usize, height as usize) != header.size {
        return Err(JobError::Changed);
    }
    let mut colour = decoder.color_type();
    let channels = usize::from(colour.channel_count());
    let mut metadata = Metadata::of(&mut decoder, header, bytes);
    let orientation = orientation(&mut decoder, header.kind, metadata.exif.as_deref());
    let print = metadata.inks.take().and_then(|profile| Print::new(&profile));
    let printed = print.map(|print| print.decode(header, file)).transpose()?.flatten();
    if header.inks {
        metadata.notes.push(if printed.is_some() { THROUGH_PROFILE } else { WITHOUT_PROFILE });
    }
    let mut image = match printed {
        Some(image) => {
            colour = image.color();
            image
        }
        None => DynamicImage::from_decoder(decoder).map_err(damaged)?,
    };
    image.apply_orientation(orientation);
    let size = Size::new(image.width() as usize, image.height() as usize);
    // Nobody knows whether a decoder that turns it itself did so.
    let is_as_stored = orientation == Orientation::NoTransforms && header.kind != Kind::Jxl;
    metadata.unturned = is_as_stored.then_some(size);
    if is_quarter(orientation) {
        turn_density(&mut metadata);
    }
    let had_more = colour.bytes_per_pixel() > colour.channel_count();
    let pixels = if had_more && deep {
        let samples = match colour {
            ColorType::L16 => image.into_luma16().into_raw(),
            ColorType::La16 => image.into_luma_alpha16().into_raw(),
            ColorType::Rgb16 => image.into_rgb16().into_raw(),
            ColorType::Rgba16 => image.into_rgba16().into_raw(),
            other => return Err(not_read(other)),
        };
        Pixels::Sixteen(Picture { size, channels, samples })
    } else {
        let samples = match colour {
            ColorType::L8 | ColorType::L16 => image.into_luma8().into_raw(),
            ColorType::La8 | ColorType::La16 => image.into_luma_alpha8().into_raw(),
            ColorType::Rgb8 | ColorType::Rgb16 => image.into_rgb8().into_raw(),
            ColorType::Rgba8 | ColorType::Rgba16 => image.into_rgba8().into_raw(),
            other => return Err(not_read(other)),
        };
        Pixels::Eight(Picture { size, channels, samples })
    };
    Ok(Decoded { pixels, turn: Turn(orientation), reduced: had_more && !deep, metadata })
}

/// As of a picture that is turned by a quarter.
fn turn_density(metadata: &mut Metadata) {
    metadata.density = metadata.density.map(|(across, down)| (down, across));
    if let Some(dots) = metadata.png.as_mut().and_then(|info| info.pixel_dims.as_mut()) {
        (dots.xppu, dots.yppu) = (dots.yppu, dots.xppu);
    }
}

/// Whether width and height change places.
fn is_quarter(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH)
}

/// How a picture is turned to be upright. Metadata that cannot be read never spoils a picture that can.
fn orientation(decoder: &mut impl ImageDecoder, kind: Kind, exif: Option<&[u8]>) -> Orientation {
    let told = match kind {
        // Its decoder turns it itself, and what Exif says besides does not count (ISO 18181-2).
        Kind::Jxl => return Orientation::NoTransforms,
        // As what calls the result upright reads it: decoders know fewer ways to write it.
        Kind::Jpeg | Kind::Png | Kind::WebP => exif.and_then(exif::orientation),
        _ => None,
    };
    let own = || decoder.orientation().unwrap_or(Orientation::NoTransforms);
    told.and_then(Orientation::from_exif).unwrap_or_else(own)
}

fn not_read(colour: ColorType) -> JobError {
    JobError::Unsupported(format!("pixels of type {colour:?} are not read"))
}

/// Without its alpha where every pixel is opaque.
fn without_idle_alpha(picture: Picture) -> Picture {
    if picture.channels != 4 || picture.samples.chunks_exact(4).any(|pixel| pixel[3] != 255) {
        return picture;
    }
    let samples = picture.samples.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    Picture { size: picture.size, channels: 3, samples }
}

#[cfg(test)]
mod tests {
    use super::super::{Metadata, Saying, encode, probe};
    use super::*;
    use crate::work::format::Format;
    use crate::work::keeping::Keeping;

    /// Whatever its decoder has in hand when time is up.
    #[test]
    fn decoding_ends_in_time() {
        let mut png = Vec::new();
        let pixels = Pixels::Eight(Picture::new(Size::new(64, 64), 3));
        encode(&pixels, "{}", &Metadata::default(), Format::Png, &mut png).expect("memory");
        let header = probe(&mut Cursor::new(&png)).expect("a PNG");
        let within = |limit_s| decode(&png, &header, Effort { deep: false, limit_s }).map(|_| ());
        assert_eq!(within(0), Err(JobError::TooSlow { limit_s: 0 }));
        assert_eq!((within(60), within(u64::MAX)), (Ok(()), Ok(())));
    }

    /// Each piece of XMP costs its decoder as much as all before it.
    #[test]
    fn xmp_in_pieces_without_end_is_refused() {
        let picture = Pixels::Eight(Picture::new(Size::new(8, 8), 3));
        let mut jpeg = Vec::new();
        encode(&picture, "{}", &Metadata::default(), Format::Jpeg(90), &mut jpeg).expect("memory");
        let body = [jpeg::EXTENDED_XMP, &[b'A'; 40]].concat();
        let piece = [&[0xFF, 0xE1][..], &(body.len() as u16 + 2).to_be_bytes(), &body].concat();
        // Behind the frame header, where nobody counts segments any more.
        let at = jpeg.windows(2).position(|two| two == [0xFF, 0xDA]).expect("a scan");
        for (count, is_read) in [(9, true), (jpeg::MOST_PIECES + 1, false)] {
            let file = [&jpeg[..at], &piece.repeat(count), &jpeg[at..]].concat();
            let header = probe(&mut Cursor::new(&file)).expect("a JPEG");
            let decoded = decode(&file, &header, Effort { deep: false, limit_s: 60 });
            assert_eq!(decoded.is_ok(), is_read, "{count}");
        }
    }

    /// Exif of a PNG or WebP may begin as that of a JPEG does, and its orientation may be a long number.
    #[test]
    fn a_picture_is_turned_however_its_exif_is_written() {
        let pixels = Pixels::Eight(Picture::new(Size::new(24, 16), 3));
        let exif = |kind: u8, value: [u8; 4]| {
            [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0"[..], &[kind, 0, 0, 0, 1], &value, &[0; 4]].concat()
        };
        let prefixed = [&b"Exif\0\0"[..], &exif(3, [0, 6, 0, 0])].concat();
        for exif in [prefixed, exif(4, [0, 0, 0, 6])] {
            for format in [Format::Png, Format::WebP, Format::Jpeg(90)] {
                let density = Some((204.0, 98.0));
                let metadata = Metadata { exif: Some(exif.clone()), density, ..Metadata::default() };
                let mut file = Vec::new();
                encode(&pixels, "{}", &metadata, format, &mut file).expect("memory");
                let header = probe(&mut Cursor::new(&file)).expect("a picture");
                let decoded = decode(&file, &header, Effort { deep: false, limit_s: 60 }).expect("a picture");
                let size = decoded.pixels.size();
                assert_eq!((size, decoded.metadata.unturned), (Size::new(16, 24), None), "{format:?}");
                // So are the dots along and down.
                let dots = decoded.metadata.density.map(|(across, down)| (across.round(), down.round()));
                assert!(dots.is_none_or(|dots| dots == (98.0, 204.0)), "{format:?}: {dots:?}");
                assert_eq!(dots.is_some(), format != Format::WebP);
                let saying = Saying { size, keeping: Keeping::All, source_type: None, format };
                let said = decoded.metadata.of_result(&saying);
                assert_eq!(said.exif.as_deref().and_then(exif::orientation), Some(1), "{format:?}");
            }
        }
    }

    /// A mask that is stored as its picture is comes to lie as the upright picture does.
    #[test]
    fn a_mask_turns_as_its_picture_does() {
        let size = Size::new(24, 16);
        let mask = Mask { size, holes: (0..size.area()).map(|at| at % 24 < 8 && at / 24 < 8).collect() };
        let samples = mask.holes.iter().map(|hole| if *hole { 255 } else { 0 }).collect();
        let picture = Pixels::Eight(Picture { size, channels: 1, samples });
        let mut jpeg = Vec::new();
        encode(&picture, "{}", &Metadata::default(), Format::Jpeg(95), &mut jpeg).expect("memory");
        for orientation in 1..=8 {
            let tiff =
                [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation, 0, 0, 0, 0, 0, 0]];
            let exif = [&b"Exif\0\0"[..], &tiff.concat()].concat();
            let segment = [&[0xFF, 0xE1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
            let turned = [&jpeg[..2], &segment, &jpeg[2..]].concat();
            let header = probe(&mut Cursor::new(&turned)).expect("a JPEG");
            let decoded = decode(&turned, &header, Effort { deep: false, limit_s: 60 }).expect("a JPEG");
            let seen = decoded.turn.applied(mask.clone());
            assert_eq!(seen.size, decoded.pixels.size(), "orientation {orientation}");
            let shown: Vec<bool> = (0..size.area()).map(|at| decoded.pixels.unit(at) > 0.5).collect();
            assert_eq!(seen.holes, shown, "orientation {orientation}");
        }
    }
}
