//! What a picture says of itself beside its pixels: colour profile, Exif, XMP, IPTC, and what PNG has of its
//! own. Carried as it is where it stays true; never a reason to fail a picture.

use super::probe::Header;
use super::profile;
use crate::work::format::{Format, Kind};
use crate::work::keeping::Keeping;
use crate::work::xmp::SourceType;
use crate::work::{exif, iptc, jpeg, xmp};
use contract::geometry::Size;
use image::{ImageDecoder, ImageResult};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Cursor;

/// Larger pieces are left out: real ones have some hundred kilobytes.
const MOST_BYTES: usize = 8 << 20;
/// What a segment of a JPEG has room for, beside what tells what it is.
const MOST_IN_JPEG: usize = 65_500;
/// An inch in metres.
const METRES: f64 = 0.0254;
/// Texts that are ours, or that are carried another way.
const NOT_CARRIED: [&str; 3] = [super::KEYWORD, XMP, "Raw profile type"];
/// ImageMagick's way to put records of news agencies into a PNG, which exiftool reads and writes too.
const RAW_IPTC: &str = "Raw profile type iptc";
/// Texts that say whose a PNG is (PNG 3, 11.3.3.1).
const OWNERSHIP: [&str; 2] = ["Author", "Copyright"];
/// Keyword of the text chunk that carries XMP (XMP Specification, part 3).
pub(super) const XMP: &str = "XML:com.adobe.xmp";
/// What begins the segments of what was too large for the first one of XMP.
pub(super) const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
/// Of these segments: a name of 32 letters, the whole length, the place of this part.
const EXTENDED_HEAD: usize = 32 + 4 + 4;

/// What a picture says of itself.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// ICC profile that fits its pixels.
    pub(super) icc: Option<Vec<u8>>,
    /// ICC profile of inks, which fits no pixels that we give.
    pub(super) inks: Option<Vec<u8>>,
    /// Exif as TIFF.
    pub(super) exif: Option<Vec<u8>>,
    /// XMP, all of it in one packet.
    pub(super) xmp: Option<String>,
    /// Records of news agencies.
    pub(super) iptc: Option<Vec<u8>>,
    /// Pixels an inch, across and down.
    pub(super) density: Option<(f64, f64)>,
    /// Whether its pixels are grey.
    pub(super) is_grey: bool,
    /// What only PNG has: gamma, primaries, density, texts.
    pub(super) png: Option<Box<png::Info<'static>>>,
    /// What was left out or changed, and why.
    pub notes: Vec<&'static str>,
}

/// What the result of a picture is to say of itself.
#[derive(Debug, Clone, Copy)]
pub struct Saying {
    /// Size of the result, upright.
    pub size: Size,
    /// How much is kept.
    pub keeping: Keeping,
    /// How it came to be, where it is to say so.
    pub source_type: Option<SourceType>,
    /// What it is written as.
    pub format: Format,
}

impl Metadata {
    /// What the decoder of a file tells, and the file itself.
    pub(super) fn of(decoder: &mut impl ImageDecoder, header: &Header, bytes: &[u8]) -> Metadata {
        let mut metadata = Metadata { is_grey: header.channels < 3, ..Metadata::default() };
        let mut icc = metadata.piece(decoder.icc_profile(), "left out: an ICC profile of more than 8 MB");
        metadata.exif = metadata.piece(decoder.exif_metadata(), "left out: Exif of more than 8 MB");
        let xmp = metadata.piece(decoder.xmp_metadata(), "left out: XMP of more than 8 MB");
        metadata.xmp = xmp.and_then(|xmp| String::from_utf8(xmp).ok());
        match header.kind {
            Kind::Jpeg => {
                let resources = metadata.piece(decoder.iptc_metadata(), "left out: IPTC of more than 8 MB");
                metadata.iptc = resources.and_then(|all| iptc::in_resources(&all).map(<[u8]>::to_vec));
                metadata.extend(bytes);
                metadata.density = jpeg::density(bytes);
            }
            Kind::Tiff => {
                metadata.exif = exif::gathered(bytes);
                metadata.iptc = exif::records(bytes);
                // Its decoder finds no room for large ones beside small pictures.
                icc = exif::piece(bytes, exif::ICC).or(icc);
                let xmp = exif::piece(bytes, exif::XMP).and_then(|xmp| String::from_utf8(xmp).ok());
                metadata.xmp = xmp.or(metadata.xmp);
                metadata.density = exif::density(bytes);
            }
            Kind::Png => {
                let reader = png::Decoder::new(Cursor::new(bytes)).read_info();
                metadata.png = reader.ok().map(|reader| Box::new(reader.info().clone()));
                let dots = metadata.png.as_ref().and_then(|info| info.pixel_dims);
                let dots = dots.filter(|dots| dots.unit == png::Unit::Meter);
                metadata.density =
                    dots.map(|dots| (f64::from(dots.xppu) * METRES, f64::from(dots.yppu) * METRES));
            }
            _ => {}
        }
        if header.kind != Kind::Tiff {
            metadata.density = metadata.density.or_else(|| exif::density(metadata.exif.as_deref()?));
        }
        match icc {
            Some(icc) if space(&icc) == Some(b"CMYK") && header.inks => metadata.inks = Some(icc),
            // An ICC profile is of grey pixels where they are grey, and of RGB where they are not.
            Some(icc) if space(&icc) == Some(if header.channels < 3 { b"GRAY" } else { b"RGB " }) => {
                metadata.icc = Some(icc);
            }
            Some(_) => {
                metadata.notes.push("left out: an ICC profile of another colour space than its pixels")
            }
            None => {}
        }
        metadata
    }

    fn piece(&mut self, piece: ImageResult<Option<Vec<u8>>>, note: &'static str) -> Option<Vec<u8>> {
        let piece = piece.ok().flatten();
        let fits = piece.as_ref().is_none_or(|piece| piece.len() <= MOST_BYTES);
        if !fits {
            self.notes.push(note);
        }
        piece.filter(|_| fits)
    }

    /// With what of a JPEG's XMP stands in segments of its own.
    fn extend(&mut self, bytes: &[u8]) {
        let Some(main) = &self.xmp else { return };
        let segments = jpeg::segments(bytes).filter_map(|(marker, body)| match marker {
            0xE1 => body.strip_prefix(EXTENDED_XMP).filter(|part| part.len() > EXTENDED_HEAD),
            _ => None,
        });
        // Those that the packet names, by their place in the whole.
        let mut told = 0;
        let mut parts = BTreeMap::new();
        for part in segments {
            let (name, long) = (&part[..32], |at| [part[at], part[at + 1], part[at + 2], part[at + 3]]);
            if str::from_utf8(name).is_ok_and(|name| main.contains(name)) {
                told = u32::from_be_bytes(long(32));
                parts.insert(long(36), &part[EXTENDED_HEAD..]);
            }
        }
        if parts.is_empty() {
            return;
        }
        let length: usize = parts.values().map(|part| part.len()).sum();
        let is_whole = length <= MOST_BYTES && u32::try_from(length) == Ok(told);
        let whole = is_whole.then(|| parts.into_values().flatten().copied().collect());
        let joined = whole.and_then(|whole| String::from_utf8(whole).ok());
        match joined.and_then(|extended| xmp::joined(main, &extended)) {
            Some(joined) => self.xmp = Some(joined),
            None => self.notes.push("left out: extended XMP that makes no sense"),
        }
    }

    /// Of the result.
    pub fn of_result(mut self, saying: &Saying) -> Metadata {
        let Saying { size, keeping, source_type, format } = *saying;
        if keeping == Keeping::Nothing {
            // Colours are no secret, and wrong without it.
            let png = self.png.map(|info| Box::new(colours(&info)));
            let Metadata { icc, is_grey, notes, .. } = self;
            self = Metadata { icc, is_grey, png, notes, ..Metadata::default() };
        }
        self.icc = self.icc_for(format);
        let (keep_place, keep_all) = (keeping == Keeping::All, keeping != Keeping::Copyright);
        let sides = u32::try_from(size.width).ok().zip(u32::try_from(size.height).ok());
        if !keep_all {
            self.exif = self.exif.and_then(|all| exif::ownership(&all));
            self.iptc = self.iptc.and_then(|all| iptc::ownership(&all));
            self.png = self.png.map(|info| Box::new(ownership(&info)));
            self.density = None;
        }
        if let Some(exif) = self.exif.take() {
            self.exif = sides.and_then(|sides| exif::corrected(&exif, sides, keep_place));
            if self.exif.is_none() {
                self.notes.push("left out: Exif that makes no sense");
            }
        }
        let had = self.xmp.is_some();
        self.xmp = sides.and_then(|(width, height)| {
            let outcome = xmp::Outcome { width, height, keep_place, keep_all, source_type };
            // What cannot be read gives way to what is to be said.
            let new = || xmp::corrected(None, &outcome);
            self.xmp.as_deref().and_then(|xmp| xmp::corrected(Some(xmp), &outcome)).or_else(new)
        });
        if had && self.xmp.is_none() {
            self.notes.push("left out: XMP that makes no sense");
        }
        if self.iptc.is_some() && format.is_webp() {
            self.iptc = None;
            self.notes.push("left out: IPTC, for which WebP has no place");
        }
        if matches!(format, Format::Jpeg(_)) {
            for (piece, note) in [
                (&mut self.exif, "left out: Exif of more than 64 KB, for which JPEG has no place"),
                (&mut self.iptc, "left out: IPTC of more than 64 KB, for which JPEG has no place"),
            ] {
                if piece.as_ref().is_some_and(|piece| piece.len() > MOST_IN_JPEG) {
                    *piece = None;
                    self.notes.push(note);
                }
            }
        }
        self
    }

    /// The profile of a result in this format: its own, or one that says what a PNG says otherwise.
    fn icc_for(&mut self, format: Format) -> Option<Vec<u8>> {
        let own = self.icc.take();
        match format {
            Format::Png => own,
            // Its pixels are never grey.
            _ if format.is_webp() && self.is_grey => {
                let grey = own.or_else(|| profile::of_png(self.png.as_deref()?, true));
                grey.and_then(|icc| profile::of_grey(&icc))
            }
            _ => own.or_else(|| profile::of_png(self.png.as_deref()?, self.is_grey)),
        }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        [&self.icc, &self.exif, &self.iptc].into_iter().flatten().map(Vec::len).sum::<usize>()
            + self.xmp.as_ref().map_or(0, String::len)
    }

    /// Adds itself to the header of a result.
    pub(super) fn add_to(&self, info: &mut png::Info<'_>) {
        if let Some(from) = &self.png {
            (info.srgb, info.source_gamma, info.source_chromaticities) =
                (from.srgb, from.gama_chunk, from.chrm_chunk);
            info.pixel_dims = from.pixel_dims;
            info.coding_independent_code_points = from.coding_independent_code_points;
            let carried = |keyword: &str| {
                keyword == RAW_IPTC || !NOT_CARRIED.iter().any(|not| keyword.starts_with(not))
            };
            let plain = from.uncompressed_latin1_text.iter().filter(|text| carried(&text.keyword));
            info.uncompressed_latin1_text = plain.cloned().collect();
            // As they are: what is packed is never unpacked.
            let packed = from.compressed_latin1_text.iter().filter(|text| carried(&text.keyword));
            info.compressed_latin1_text = packed.cloned().collect();
            let utf8 = from.utf8_text.iter().filter(|text| carried(&text.keyword));
            info.utf8_text = utf8.cloned().collect();
        }
        if let Some((across, down)) = self.density.filter(|_| info.pixel_dims.is_none()) {
            let [xppu, yppu] = [across, down].map(|dots| (dots / METRES).round() as u32);
            info.pixel_dims = Some(png::PixelDimensions { xppu, yppu, unit: png::Unit::Meter });
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
        if let Some(records) = &self.iptc {
            let resources = iptc::as_resources(records);
            let hex = resources.chunks(36).flat_map(|line| {
                line.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect::<Vec<_>>()
            });
            let text = format!("\niptc\n{:8}\n{}", resources.len(), hex.collect::<String>());
            info.uncompressed_latin1_text.push(png::text_metadata::TEXtChunk::new(RAW_IPTC, text));
        }
    }
}

/// The colour space of an ICC profile (ICC.1:2022, 7.2.6).
fn space(icc: &[u8]) -> Option<&[u8; 4]> {
    icc.get(16..20)?.try_into().ok()
}

/// Of what PNG has, how its colours are meant and whose it is.
fn ownership(info: &png::Info<'static>) -> png::Info<'static> {
    let (plain, packed, utf8) =
        (&info.uncompressed_latin1_text, &info.compressed_latin1_text, &info.utf8_text);
    let is_said = |keyword: &str| OWNERSHIP.contains(&keyword);
    let plain = plain.iter().filter(|text| is_said(&text.keyword)).cloned().collect();
    let packed = packed.iter().filter(|text| is_said(&text.keyword)).cloned().collect();
    let utf8 = utf8.iter().filter(|text| is_said(&text.keyword)).cloned().collect();
    let mut kept = colours(info);
    (kept.uncompressed_latin1_text, kept.compressed_latin1_text, kept.utf8_text) = (plain, packed, utf8);
    kept
}

/// Of what PNG has, how its colours are meant.
fn colours(from: &png::Info<'static>) -> png::Info<'static> {
    let mut kept = png::Info::default();
    (kept.srgb, kept.source_gamma, kept.gama_chunk) = (from.srgb, from.source_gamma, from.gama_chunk);
    (kept.source_chromaticities, kept.chrm_chunk) = (from.source_chromaticities, from.chrm_chunk);
    kept.coding_independent_code_points = from.coding_independent_code_points;
    kept
}
