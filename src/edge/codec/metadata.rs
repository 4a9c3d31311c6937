//! What a picture says of itself beside its pixels: colour profile, Exif, XMP, and what PNG has of its own.
//! Carried as it is where it stays true; never a reason to fail a picture.

use crate::work::exif::corrected;
use crate::work::keeping::Keeping;
use image::ImageDecoder;
use std::borrow::Cow;
use std::io::Cursor;

/// Larger pieces are left out: real ones have some hundred kilobytes.
const MOST_BYTES: usize = 8 << 20;
/// Texts that are ours, or that are carried another way.
const NOT_CARRIED: [&str; 3] = [super::KEYWORD, XMP, "Raw profile type"];
/// Keyword of the text chunk that carries XMP (XMP Specification, part 3).
pub(super) const XMP: &str = "XML:com.adobe.xmp";

/// What a picture says of itself.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// ICC profile that fits its pixels.
    pub(super) icc: Option<Vec<u8>>,
    /// Exif as TIFF.
    pub(super) exif: Option<Vec<u8>>,
    /// XMP.
    pub(super) xmp: Option<String>,
    /// What only PNG has: gamma, primaries, density, texts.
    pub(super) png: Option<Box<png::Info<'static>>>,
    /// What was left out, and why.
    pub notes: Vec<&'static str>,
}

impl Metadata {
    /// What a decoder tells, of a picture with so many channels.
    pub(super) fn of(decoder: &mut impl ImageDecoder, channels: usize) -> Metadata {
        let mut notes = Vec::new();
        let mut piece = |piece: image::ImageResult<Option<Vec<u8>>>, note| {
            let piece = piece.ok().flatten();
            let fits = piece.as_ref().is_none_or(|piece| piece.len() <= MOST_BYTES);
            if !fits {
                notes.push(note);
            }
            piece.filter(|_| fits)
        };
        let icc = piece(decoder.icc_profile(), "an ICC profile of more than 8 MB");
        let exif = piece(decoder.exif_metadata(), "Exif of more than 8 MB");
        let xmp = piece(decoder.xmp_metadata(), "XMP of more than 8 MB");
        let of_pixels = icc.as_deref().is_none_or(|icc| fits(icc, channels));
        if !of_pixels {
            notes.push("an ICC profile of another colour space than its pixels");
        }
        let xmp = xmp.and_then(|xmp| String::from_utf8(xmp).ok());
        Metadata { icc: icc.filter(|_| of_pixels), exif, xmp, png: None, notes }
    }

    /// And what only PNG has.
    pub(super) fn with_png(mut self, bytes: &[u8]) -> Metadata {
        let reader = png::Decoder::new(Cursor::new(bytes)).read_info();
        self.png = reader.ok().map(|reader| Box::new(reader.info().clone()));
        self
    }

    /// Of the result: a picture of so many pixels, upright.
    pub fn of_result(mut self, size: contract::geometry::Size, keeping: Keeping) -> Metadata {
        if keeping == Keeping::Nothing {
            // Colours are no secret, and wrong without it.
            return Metadata { icc: self.icc, notes: self.notes, ..Metadata::default() };
        }
        let keep_place = keeping == Keeping::All;
        let sides = u32::try_from(size.width).ok().zip(u32::try_from(size.height).ok());
        if let Some(exif) = self.exif.take() {
            self.exif = sides.and_then(|sides| corrected(&exif, sides, keep_place));
            if self.exif.is_none() {
                self.notes.push("Exif that makes no sense");
            }
        }
        if !keep_place && self.xmp.as_ref().is_some_and(|xmp| xmp.contains("GPS")) {
            self.xmp = None;
            self.notes.push("XMP that names the place");
        }
        self
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        [&self.icc, &self.exif].into_iter().flatten().map(Vec::len).sum::<usize>()
            + self.xmp.as_ref().map_or(0, String::len)
    }

    /// Adds itself to the header of a result.
    pub(super) fn add_to(&self, info: &mut png::Info<'_>) {
        if let Some(from) = &self.png {
            (info.srgb, info.source_gamma, info.source_chromaticities) =
                (from.srgb, from.gama_chunk, from.chrm_chunk);
            info.pixel_dims = from.pixel_dims;
            let carried = |keyword: &str| !NOT_CARRIED.iter().any(|not| keyword.starts_with(not));
            let plain = from.uncompressed_latin1_text.iter().filter(|text| carried(&text.keyword));
            info.uncompressed_latin1_text = plain.cloned().collect();
            // As they are: what is packed is never unpacked.
            let packed = from.compressed_latin1_text.iter().filter(|text| carried(&text.keyword));
            info.compressed_latin1_text = packed.cloned().collect();
            let utf8 = from.utf8_text.iter().filter(|text| carried(&text.keyword));
            info.utf8_text = utf8.cloned().collect();
        }
        if let Some(icc) = &self.icc {
            // One or the other (PNG 3, 11.3.2): the profile says more.
            info.srgb = None;
            info.icc_profile = Some(Cow::Owned(icc.clone()));
        }
        info.exif_metadata = self.exif.clone().map(Cow::Owned);
        if let Some(xmp) = &self.xmp {
            info.utf8_text.push(png::text_metadata::ITXtChunk::new(XMP, xmp.as_str()));
        }
    }
}

/// Whether an ICC profile is of grey pixels where they are grey, and of RGB where they are not (ICC.1:2022,
/// 7.2.6).
fn fits(icc: &[u8], channels: usize) -> bool {
    icc.get(16..20) == Some(if channels < 3 { b"GRAY" } else { b"RGB " })
}
