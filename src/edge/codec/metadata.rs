//! What a picture says of itself beside its pixels: colour profile, Exif, XMP, IPTC, and what PNG has of its
//! own. Carried as it is where it stays true; never a reason to fail a picture.

use super::probe::Header;
use super::{profile, tiff};
use crate::work::format::{Format, Kind};
use crate::work::keeping::Keeping;
use crate::work::xmp::SourceType;
use crate::work::{exif, iptc, jpeg, xmp};
use contract::geometry::Size;
use image::{ImageDecoder, ImageResult};
use png::text_metadata::{ITXtChunk, TEXtChunk, ZTXtChunk};
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
const NOT_CARRIED: [&str; 3] = [super::KEYWORD, XMP, RAW];
/// ImageMagick's way to put what a JPEG has segments for into a PNG, which exiftool reads and writes too.
const RAW: &str = "Raw profile type";
/// Of these, records of news agencies, as they are and among Photoshop's resources.
const RAW_RECORDS: [&str; 2] = ["Raw profile type iptc", "Raw profile type 8bim"];
/// Texts that say whose a PNG is (PNG 3, 11.3.3.1).
const OWNERSHIP: [&str; 2] = ["Author", "Copyright"];
/// Keyword of the text chunk that carries XMP (XMP Specification, part 3).
pub(super) const XMP: &str = "XML:com.adobe.xmp";
/// What begins the segments of what was too large for the first one of XMP.
pub(super) use crate::work::jpeg::EXTENDED_XMP;
/// Of these segments: a name of 32 letters, the whole length, the place of this part.
const EXTENDED_HEAD: usize = 32 + 4 + 4;
/// What begins the segments of Photoshop's resources, which go on from one to the next.
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";

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
    /// Its size, where nothing turned it: what it says of places within itself is true of that.
    pub(super) unturned: Option<Size>,
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
                metadata.find_records(bytes);
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
                if tiff::says_in_vain(bytes) {
                    metadata.notes.push("left out: Exif, IPTC and density of a BigTIFF, which are not read");
                }
            }
            Kind::Png => metadata.find_in_png(bytes),
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

    /// The records of a JPEG.
    fn find_records(&mut self, bytes: &[u8]) {
        let parts = jpeg::segments(bytes).filter(|(marker, _)| *marker == 0xED);
        let parts: Vec<&[u8]> = parts.filter_map(|(_, body)| body.strip_prefix(PHOTOSHOP)).collect();
        if parts.iter().map(|part| part.len()).sum::<usize>() > MOST_BYTES {
            self.notes.push("left out: IPTC of more than 8 MB");
            return;
        }
        let all = parts.concat();
        // Some writers end each segment as they like.
        let alone = || parts.iter().find_map(|part| iptc::in_resources(part));
        self.iptc = iptc::in_resources(&all).or_else(alone).map(<[u8]>::to_vec);
    }

    /// What a PNG says, before its pixels and behind them.
    fn find_in_png(&mut self, bytes: &[u8]) {
        let (file, is_all) = told_first(bytes);
        if !is_all {
            self.notes.push("left out: texts and Exif of more than 8 MB behind a PNG's pixels");
        }
        let Some(mut info) = info_of(&file).or_else(|| info_of(bytes)) else { return };
        let exif = info.exif_metadata.take().map(Cow::into_owned);
        self.exif = self.exif.take().or(exif.filter(|exif| exif.len() <= MOST_BYTES));
        if self.xmp.is_none() {
            let text = info.utf8_text.iter().find(|text| text.keyword == XMP).cloned();
            self.xmp = text.and_then(|mut text| {
                text.decompress_text_with_limit(MOST_BYTES).ok()?;
                text.get_text().ok().filter(|text| text.len() <= MOST_BYTES)
            });
        }
        let is_records = |keyword: &str| RAW_RECORDS.contains(&keyword);
        let plain = info.uncompressed_latin1_text.iter().filter(|text| is_records(&text.keyword));
        let packed = info.compressed_latin1_text.iter().filter(|text| is_records(&text.keyword));
        let unpacked = |mut text: ZTXtChunk| {
            // To 2 MB at most.
            text.decompress_text().ok()?;
            iptc::of_text(&text.get_text().ok()?)
        };
        let found = plain.take(2).find_map(|text| iptc::of_text(&text.text));
        self.iptc = found.or_else(|| packed.take(2).cloned().find_map(unpacked));
        let plain = info.uncompressed_latin1_text.iter().map(|text| &text.keyword);
        let mut raw = plain.chain(info.compressed_latin1_text.iter().map(|text| &text.keyword));
        if raw.any(|word| word.starts_with(RAW) && (self.iptc.is_none() || !is_records(word))) {
            self.notes.push("left out: texts of a PNG that hold Exif or others as raw profiles");
        }
        keep_texts(&mut info, |keyword| !NOT_CARRIED.iter().any(|not| keyword.starts_with(not)));
        let dots = info.pixel_dims.filter(|dots| dots.unit == png::Unit::Meter);
        self.density = dots.map(|dots| (f64::from(dots.xppu) * METRES, f64::from(dots.yppu) * METRES));
        self.png = Some(Box::new(info));
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
        } else if !keep_place {
            self.iptc = self.iptc.and_then(|all| iptc::without_place(&all));
            if let Some(info) = &mut self.png {
                keep_texts(info, |keyword| !is_place(keyword));
            }
        }
        let had = self.xmp.is_some();
        if self.unturned != Some(size) {
            let enlarged = sides.filter(|_| self.unturned.is_some());
            self.exif = self.exif.map(|exif| exif::without_subject(&exif));
            self.xmp = self.xmp.and_then(|xmp| xmp::moved(&xmp, enlarged));
        }
        if let Some(exif) = self.exif.take() {
            self.exif = sides.and_then(|sides| exif::corrected(&exif, sides, keep_place));
            if self.exif.is_none() {
                self.notes.push("left out: Exif that makes no sense");
            }
        }
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
            // As they are: what is packed is not unpacked.
            copy_texts(from, info);
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
            info.utf8_text.push(ITXtChunk::new(XMP, xmp.as_str()));
        }
        if let Some(records) = &self.iptc {
            info.uncompressed_latin1_text.push(TEXtChunk::new(RAW_RECORDS[0], iptc::as_text(records)));
        }
    }
}

/// The colour space of an ICC profile (ICC.1:2022, 7.2.6).
fn space(icc: &[u8]) -> Option<&[u8; 4]> {
    icc.get(16..20)?.try_into().ok()
}

/// Of what PNG has, how its colours are meant and whose it is.
fn ownership(info: &png::Info<'static>) -> png::Info<'static> {
    let mut kept = colours(info);
    copy_texts(info, &mut kept);
    keep_texts(&mut kept, |keyword| OWNERSHIP.contains(&keyword));
    kept
}

fn copy_texts(from: &png::Info<'_>, to: &mut png::Info<'_>) {
    to.uncompressed_latin1_text.clone_from(&from.uncompressed_latin1_text);
    to.compressed_latin1_text.clone_from(&from.compressed_latin1_text);
    to.utf8_text.clone_from(&from.utf8_text);
}

/// Leaves those texts whose keywords are kept.
fn keep_texts(info: &mut png::Info<'_>, is_kept: impl Fn(&str) -> bool) {
    info.uncompressed_latin1_text.retain(|text| is_kept(&text.keyword));
    info.compressed_latin1_text.retain(|text| is_kept(&text.keyword));
    info.utf8_text.retain(|text| is_kept(&text.keyword));
}

/// Whether a text says where the picture was taken, as its keyword has it.
fn is_place(keyword: &str) -> bool {
    let lower = keyword.to_ascii_lowercase();
    ["gps", "location", "latitude", "longitude"].iter().any(|word| lower.contains(word))
}

/// A PNG up to its pixels.
fn info_of(file: &[u8]) -> Option<png::Info<'static>> {
    let reader = png::Decoder::new(Cursor::new(file)).read_info().ok()?;
    Some(reader.info().clone())
}

/// A PNG up to its pixels, as if the texts and the Exif behind them stood before them; and whether these are
/// all there are.
fn told_first(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let (mut at, mut pixels_at): (usize, Option<usize>) = (8, None);
    let (mut behind, mut is_all) = (Vec::<u8>::new(), true);
    while let Some(head) = bytes.get(at..at + 8) {
        let (length, name) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize, &head[4..]);
        if name == b"IDAT" {
            pixels_at = pixels_at.or(Some(at));
        }
        // To its checksum. What ends early has been told by now, or will be.
        let Some(chunk) = bytes.get(at..at + 8 + length + 4).filter(|_| name != b"IEND") else { break };
        if pixels_at.is_some() && matches!(name, b"tEXt" | b"zTXt" | b"iTXt" | b"eXIf") {
            is_all &= behind.len() + chunk.len() <= MOST_BYTES;
            if is_all {
                behind.extend_from_slice(chunk);
            }
        }
        at += chunk.len();
    }
    let Some(pixels_at) = pixels_at.filter(|_| !behind.is_empty()) else {
        return (Cow::Borrowed(bytes), is_all);
    };
    (Cow::Owned([&bytes[..pixels_at], &behind, b"\0\0\0\0IDAT"].concat()), is_all)
}

/// Of what PNG has, how its colours are meant.
fn colours(from: &png::Info<'static>) -> png::Info<'static> {
    let mut kept = png::Info::default();
    (kept.srgb, kept.source_gamma, kept.gama_chunk) = (from.srgb, from.source_gamma, from.gama_chunk);
    (kept.source_chromaticities, kept.chrm_chunk) = (from.source_chromaticities, from.chrm_chunk);
    kept.coding_independent_code_points = from.coding_independent_code_points;
    kept
}

#[cfg(test)]
mod tests {
    use super::super::{Decoded, Effort, decode, encode, probe};
    use super::*;
    use crate::work::pixels::Pixels;
    use contract::pixels::Picture;

    const SIZE: Size = Size::new(24, 16);
    /// A packet that says where in the picture its subject is.
    const PACKET: &str = "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description \
        xmlns:e='http://ns.adobe.com/exif/1.0/' e:SubjectLocation='1 2'/></r:RDF>";

    fn read(file: &[u8]) -> Decoded {
        let header = probe(&mut Cursor::new(file)).expect("a picture");
        decode(file, &header, Effort { deep: false, limit_s: 60 }).expect("a picture")
    }

    /// Of the second record.
    fn dataset(number: u8, text: &[u8]) -> Vec<u8> {
        [&[0x1C, 2, number][..], &(text.len() as u16).to_be_bytes(), text].concat()
    }

    /// Exif of one short number.
    fn exif_of(tag: u16, number: u8) -> Vec<u8> {
        let head = b"II*\0\x08\0\0\0\x01\0";
        [&head[..], &tag.to_le_bytes(), &[3, 0, 1, 0, 0, 0, number, 0, 0, 0], &[0; 4]].concat()
    }

    fn keywords(info: &png::Info<'_>) -> Vec<String> {
        info.uncompressed_latin1_text.iter().map(|text| text.keyword.clone()).collect()
    }

    #[test]
    fn records_of_a_jpeg_may_go_on_from_segment_to_segment() {
        let (mut jpeg, records) = (Vec::new(), dataset(5, &[b'a'; 90]));
        let pixels = Pixels::Eight(Picture::new(SIZE, 3));
        encode(&pixels, "{}", &Metadata::default(), Format::Jpeg(90), &mut jpeg).expect("memory");
        let segment = |part: &[u8]| {
            let body = [PHOTOSHOP, part].concat();
            [&[0xFF, 0xED][..], &(body.len() as u16 + 2).to_be_bytes(), &body].concat()
        };
        let all = iptc::as_resources(&records);
        // A resource of one byte, which should be even.
        let odd = [&b"8BIM\x03\xED\0\0"[..], &[0, 0, 0, 1, 7]].concat();
        for parts in [[&all[..40], &all[40..]], [&odd[..], &all[..]]] {
            let segments = parts.map(segment).concat();
            let file = [&jpeg[..2], &segments, &jpeg[2..]].concat();
            assert_eq!(read(&file).metadata.iptc.as_deref(), Some(&records[..]));
        }
    }

    #[test]
    fn what_stands_behind_the_pixels_of_a_png_is_read_too() {
        let (mut file, records) = (Vec::new(), dataset(5, b"title"));
        let mut encoder = png::Encoder::new(&mut file, 24, 16);
        encoder.set_color(png::ColorType::Rgb);
        encoder.add_text_chunk("Title".into(), "before".into()).expect("latin");
        let mut writer = encoder.write_header().expect("memory");
        writer.write_image_data(&[0; 24 * 16 * 3]).expect("memory");
        writer.write_chunk(png::chunk::ChunkType(*b"eXIf"), &exif_of(0x0112, 6)).expect("memory");
        writer.write_text_chunk(&TEXtChunk::new("Comment", "behind")).expect("memory");
        writer.write_text_chunk(&ITXtChunk::new(XMP, PACKET)).expect("memory");
        for (keyword, text) in [("Raw profile type iptc", iptc::as_text(&records)), (RAW, "other".into())] {
            writer.write_text_chunk(&ZTXtChunk::new(keyword, text)).expect("memory");
        }
        writer.finish().expect("memory");
        let Decoded { pixels, metadata, .. } = read(&file);
        assert_eq!(pixels.size(), Size::new(16, 24), "turned");
        assert_eq!((metadata.xmp.as_deref(), metadata.iptc), (Some(PACKET), Some(records)));
        let info = metadata.png.expect("a PNG");
        assert_eq!(keywords(&info), ["Title", "Comment"]);
        assert_eq!(info.compressed_latin1_text.len(), 0, "none is carried twice");
        assert!(metadata.notes.iter().any(|note| note.contains("raw profiles")), "{:?}", metadata.notes);
    }

    #[test]
    fn more_behind_the_pixels_than_there_is_room_for_is_told() {
        let chunk =
            |name: &[u8], body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], name, body, &[0; 4]].concat();
        let file = |length: usize| {
            let (pixels, text) = (chunk(b"IDAT", b"123"), chunk(b"tEXt", &vec![0; length]));
            [&[0; 8][..], &pixels, &text, &chunk(b"IEND", b""), &chunk(b"tEXt", b"gone")].concat()
        };
        let small = file(5);
        let (told, is_all) = told_first(&small);
        let expected = [&[0; 8][..], &chunk(b"tEXt", &[0; 5]), &[0; 4], b"IDAT"].concat();
        assert_eq!((&told[..], is_all), (&expected[..], true));
        let large = file(MOST_BYTES);
        assert!(matches!(told_first(&large), (Cow::Borrowed(same), false) if same.len() == large.len()));
        (0..small.len()).for_each(|length| drop(told_first(&small[..length])));
    }

    #[test]
    fn places_go_by_their_names_too() {
        let mut info = png::Info::with_size(24, 16);
        info.uncompressed_latin1_text =
            ["Title", "exif:GPSLatitude", "Shot Location"].map(|word| TEXtChunk::new(word, "Ulm")).to_vec();
        let iptc = Some([dataset(5, b"title"), dataset(90, b"Ulm")].concat());
        let metadata = Metadata { iptc, png: Some(Box::new(info)), ..Metadata::default() };
        for (keeping, length, texts) in [(Keeping::NoPlace, 10, 1), (Keeping::All, 18, 3)] {
            let saying = Saying { size: SIZE, keeping, source_type: None, format: Format::Png };
            let said = metadata.clone().of_result(&saying);
            assert_eq!(said.iptc.map(|records| records.len()), Some(length));
            assert_eq!(keywords(&said.png.expect("a PNG")).len(), texts);
        }
    }

    #[test]
    fn where_something_is_within_the_picture_is_left_out_where_that_moved() {
        let metadata = |unturned| {
            let (exif, xmp) = (Some(exif_of(0x9214, 7)), Some(PACKET.to_owned()));
            Metadata { exif, xmp, unturned, ..Metadata::default() }
        };
        let cases = [(Some(SIZE), SIZE, true), (Some(SIZE), SIZE.times(2), false), (None, SIZE, false)];
        for (unturned, size, is_kept) in cases {
            let saying = Saying { size, keeping: Keeping::All, source_type: None, format: Format::Png };
            let said = metadata(unturned).of_result(&saying);
            let (exif, xmp) = (said.exif.expect("Exif"), said.xmp.expect("XMP"));
            assert_eq!(exif.windows(2).any(|two| two == [0x14, 0x92]), is_kept, "{unturned:?} {size}");
            assert_eq!(xmp.contains("SubjectLocation"), is_kept, "{unturned:?} {size}");
        }
    }
}
