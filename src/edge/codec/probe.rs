//! The size of a picture from its first bytes, before anything is decoded or allocated for it. Does not know
//! how pixels are coded.

use super::tiff;
use crate::error::JobError;
use crate::work::format::Kind;
use crate::work::jpeg;
use contract::geometry::Size;
use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::qoi::QoiDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom};

/// What the first bytes of a picture say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its format.
    pub kind: Kind,
    /// Its size as stored, before orientation.
    pub size: Size,
    /// Samples a pixel at most.
    pub channels: usize,
    /// 2 for 16-bit samples, else 1.
    pub sample_bytes: usize,
    /// Whether it is made of inks (CMYK), which become RGB.
    pub inks: bool,
    /// Bytes a pixel that the decoder keeps beside the pixels until the file ends.
    pub decoder_bytes: usize,
}

/// What is known and not read, and what to do.
const AVIF: &str = "AVIF is not read: convert it first, to PNG for example";
const HEIC: &str = "HEIC and its relatives are not read: convert it first, to PNG or JPEG for example";
#[cfg(not(feature = "jxl"))]
const JXL: &str = "JPEG XL is not read by this build: build onestep with --features jxl";
/// Characters that are kept of what a decoder says.
const MOST_WORDS: usize = 300;
/// A PAM's header takes no more.
const PAM_HEADER_BYTES: u64 = 1 << 16;
const PNG_SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Metadata segments before the frame header of a JPEG: a real file has tens, a hostile one must end
/// somewhere.
const MAX_SEGMENTS: usize = 4096;

/// Reads the header, from the beginning of the file.
///
/// # Errors
/// [`JobError::NotAPicture`], [`JobError::Damaged`] or [`JobError::Unreadable`].
pub fn probe(file: &mut (impl BufRead + Seek)) -> Result<Header, JobError> {
    let mut start = [0; 16];
    let length = fill(file, &mut start)?;
    if start[..length.min(3)] == [0xFF, 0xD8, 0xFF] {
        file.seek(SeekFrom::Start(2)).map_err(unreadable)?;
        return checked(jpeg_header(file)?);
    }
    if start[..length.min(8)] == PNG_SIGNATURE {
        file.seek(SeekFrom::Start(8)).map_err(unreadable)?;
        return checked(png_header(file)?);
    }
    let kind = match image::guess_format(&start[..length]) {
        Ok(ImageFormat::WebP) => Kind::WebP,
        Ok(ImageFormat::Tiff) => Kind::Tiff,
        Ok(ImageFormat::Gif) => Kind::Gif,
        Ok(ImageFormat::Bmp) => Kind::Bmp,
        Ok(ImageFormat::Pnm) => Kind::Pnm,
        Ok(ImageFormat::Qoi) => Kind::Qoi,
        Ok(ImageFormat::Avif) => return Err(JobError::Unsupported(AVIF.into())),
        // BigTIFF, which it does not know.
        _ if matches!(&start[..4], b"II+\0" | b"MM\0+") => Kind::Tiff,
        _ if start[4..8] == *b"ftyp" => return Err(JobError::Unsupported(HEIC.into())),
        _ if start[..length.min(2)] == [0xFF, 0x0A] || start[4..8] == *b"JXL " => Kind::Jxl,
        _ => return Err(JobError::NotAPicture),
    };
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    checked(other_header(kind, file)?)
}

/// The header as the format's own decoder reads it, which allocates nothing for pixels yet.
fn other_header(kind: Kind, file: &mut (impl BufRead + Seek)) -> Result<Header, JobError> {
    // What the decoder keeps beside the pixels: planes before they become RGB, a screen, whole strips.
    let decoder_bytes = match kind {
        Kind::Tiff => 8,
        // Planes of 32 bits, before and after each of its filters.
        Kind::Jxl => 48,
        _ => 5,
    };
    let decoder = open(kind, file)?;
    let (width, height) = decoder.dimensions();
    let colour = decoder.color_type();
    let inks = matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16);
    let channels = usize::from(colour.channel_count());
    let sample_bytes = usize::from(colour.bytes_per_pixel()) / channels.max(1);
    Ok(Header {
        kind,
        size: Size::new(width as usize, height as usize),
        channels,
        sample_bytes,
        inks,
        decoder_bytes,
    })
}

/// Opens the decoder of any format but JPEG and PNG.
pub(super) fn open<'a>(
    kind: Kind,
    mut file: impl BufRead + Seek + 'a,
) -> Result<Box<dyn ImageDecoder + 'a>, JobError> {
    if kind == Kind::Pnm {
        has_header_end(&mut file)?;
    }
    let decoder: ImageResult<Box<dyn ImageDecoder + 'a>> = match kind {
        Kind::WebP => WebPDecoder::new(file).map(|decoder| Box::new(decoder) as _),
        Kind::Tiff => return tiff::open(file),
        Kind::Gif => GifDecoder::new(file).map(|decoder| Box::new(decoder) as _),
        Kind::Bmp => BmpDecoder::new(file).map(|decoder| Box::new(decoder) as _),
        Kind::Pnm => PnmDecoder::new(file).map(|decoder| Box::new(decoder) as _),
        Kind::Qoi => QoiDecoder::new(file).map(|decoder| Box::new(decoder) as _),
        #[cfg(feature = "jxl")]
        Kind::Jxl => super::jxl::open(file),
        #[cfg(not(feature = "jxl"))]
        Kind::Jxl => return Err(JobError::Unsupported(JXL.into())),
        Kind::Jpeg | Kind::Png => return Err(JobError::Unsupported("has a reader of its own".into())),
    };
    decoder.map_err(damaged)
}

/// An error of a decoder in our words.
pub(super) fn damaged(error: ImageError) -> JobError {
    match &error {
        ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            ends_early(short(error.to_string()))
        }
        ImageError::Unsupported(_) => JobError::Unsupported(short(error.to_string())),
        _ => JobError::Damaged(short(error.to_string())),
    }
}

/// The same of a decoder that is not `image`'s.
pub(super) fn damaged_words(error: impl std::fmt::Display) -> JobError {
    JobError::Damaged(short(error.to_string()))
}

/// Decoders quote what they do not understand, and files may hold that without end.
fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_WORDS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A PAM's header has lines, which its decoder reads however long they are.
fn has_header_end(file: &mut (impl Read + Seek)) -> Result<(), JobError> {
    let mut begin = Vec::new();
    file.by_ref().take(PAM_HEADER_BYTES).read_to_end(&mut begin).map_err(damaged_words)?;
    file.seek(SeekFrom::Start(0)).map_err(damaged_words)?;
    let has_end = begin.windows(7).any(|word| word == b"ENDHDR\n");
    if has_end || !begin.starts_with(b"P7") {
        return Ok(());
    }
    Err(JobError::Damaged(format!("PAM whose header does not end within {PAM_HEADER_BYTES} bytes")))
}

/// How young the file is, the stage knows.
pub(super) fn ends_early(what: String) -> JobError {
    JobError::EndsEarly { what, young: false }
}

fn png_header(file: &mut (impl Read + Seek)) -> Result<Header, JobError> {
    let header: [u8; 18] = exactly(file)?;
    if header[4..8] != *b"IHDR" {
        return Err(JobError::Damaged("PNG without its header chunk".into()));
    }
    let side =
        |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let size = Size::new(side(8), side(12));
    // The format's own bound, which also keeps products within 64 bits.
    if size.width > i32::MAX as usize || size.height > i32::MAX as usize {
        return Err(JobError::Damaged("PNG sides beyond the format's bound".into()));
    }
    // Grey, RGB and palettes become one channel more where a colour is transparent.
    let transparent = usize::from(has_transparency(file)?);
    let channels = match header[17] {
        0 => 1 + transparent,
        4 => 2,
        6 => 4,
        _ => 3 + transparent,
    };
    let sample_bytes = if header[16] == 16 { 2 } else { 1 };
    Ok(Header { kind: Kind::Png, size, channels, sample_bytes, inks: false, decoder_bytes: 0 })
}

/// Whether there is a tRNS chunk before the pixels. `file` stands behind depth and colour type in the header
/// chunk. A file that ends here has none; its decoder will say what is wrong with it.
fn has_transparency(file: &mut (impl Read + Seek)) -> Result<bool, JobError> {
    file.seek_relative(3 + 4).map_err(unreadable)?; // the rest of the header chunk and its checksum
    let mut head = [0; 8];
    for _ in 0..MAX_SEGMENTS {
        if fill(file, &mut head)? < head.len() || matches!(&head[4..], b"IDAT" | b"IEND") {
            break;
        }
        if head[4..] == *b"tRNS" {
            return Ok(true);
        }
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        file.seek_relative(i64::from(length) + 4).map_err(unreadable)?;
    }
    Ok(false)
}

fn jpeg_header(file: &mut (impl Read + Seek)) -> Result<Header, JobError> {
    for _ in 0..MAX_SEGMENTS {
        let marker = jpeg_marker(file)?;
        if jpeg::stands_alone(marker) {
            continue;
        }
        let length = u16::from_be_bytes(exactly(file)?);
        if length < 2 || marker == 0xD9 || marker == 0xDA {
            break;
        }
        if jpeg::is_frame(marker) {
            let body: [u8; 6] = exactly(file)?;
            let frame =
                jpeg::frame(&body).ok_or_else(|| JobError::Damaged("JPEG frame header cut short".into()))?;
            let channels = if frame.components == 1 { 1 } else { 3 };
            // A progressive file is decoded only when its last scan was read: 16-bit coefficients until then.
            let coefficients = if marker == 0xC2 { 2 * usize::from(frame.components) } else { 0 };
            let inks = frame.components == 4;
            let decoder_bytes = coefficients + if inks { 4 } else { 0 };
            let size = Size::new(frame.width.into(), frame.height.into());
            return Ok(Header { kind: Kind::Jpeg, size, channels, sample_bytes: 1, inks, decoder_bytes });
        }
        file.seek_relative(i64::from(length) - 2).map_err(unreadable)?;
    }
    Err(JobError::Damaged("JPEG without a frame header".into()))
}

/// The next marker's code; fill bytes and garbage before it are skipped as decoders do, within reason.
fn jpeg_marker(file: &mut impl Read) -> Result<u8, JobError> {
    let mut previous = 0;
    for _ in 0..MAX_SEGMENTS {
        let [byte] = exactly(file)?;
        if previous == 0xFF && byte != 0xFF && byte != 0 {
            return Ok(byte);
        }
        previous = byte;
    }
    Err(JobError::Damaged("JPEG without a frame header".into()))
}

fn checked(header: Header) -> Result<Header, JobError> {
    if header.size.width == 0 || header.size.height == 0 {
        return Err(JobError::Damaged(format!("header says {} pixels", header.size)));
    }
    Ok(header)
}

fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, JobError> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(length)
}

fn exactly<const N: usize>(file: &mut impl Read) -> Result<[u8; N], JobError> {
    let mut bytes = [0; N];
    if fill(file, &mut bytes)? < N {
        return Err(JobError::Damaged("file ends within its header".into()));
    }
    Ok(bytes)
}

fn unreadable(error: std::io::Error) -> JobError {
    JobError::Unreadable(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn told(bytes: &[u8]) -> Result<Header, JobError> {
        probe(&mut Cursor::new(bytes))
    }

    /// They end in logs, reason files and the ledger.
    #[test]
    fn what_a_file_says_is_never_quoted_at_length() {
        let word = "word".repeat(400);
        let told_of = |bytes: &[u8]| told(bytes).expect_err("it is no picture").to_string();
        let long = told_of(format!("P7\n{word}\nENDHDR\n").as_bytes());
        assert!((100..700).contains(&long.chars().count()) && long.ends_with('…'), "{long}");
        let endless = told_of(&[b"P7\n", &[b'A'; 70_000][..]].concat());
        assert!(endless.contains("PAM whose header does not end within 65536 bytes"), "{endless}");
        let pam = b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n\x01\x02\x03";
        assert_eq!(told(pam).expect("a PAM").channels, 3);
    }

    #[test]
    fn the_size_is_read_from_the_header_alone() {
        let png = |colour: u8, next: &[u8]| {
            let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x40\0\0\0\0\x05\x10";
            [head, &[colour][..], b"\0\0\0CRC4", next, b"\0\0\0\x09IDAT"].concat()
        };
        let size = Size::new(16384, 5);
        let kind = Kind::Png;
        let rgb = Header { kind, size, channels: 3, sample_bytes: 2, inks: false, decoder_bytes: 0 };
        assert_eq!(told(&png(2, b"\0\0\0\x01gAMAxCRC4")), Ok(rgb));
        assert_eq!(told(&png(3, b"\0\0\0\x01tRNS")), Ok(Header { channels: 4, ..rgb }));
        assert_eq!(told(&png(4, b"")), Ok(Header { channels: 2, ..rgb }));
        let jpeg = [
            0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 9, 9, 0xFF, 0xFF, 0xC4, 0, 2, 0xFF, 0xC2, 0, 17, 8, 0xFA, 0xFA, 0,
            3, 3,
        ];
        let size = Size::new(3, 64250);
        let kind = Kind::Jpeg;
        let progressive = Header { kind, size, channels: 3, sample_bytes: 1, inks: false, decoder_bytes: 6 };
        assert_eq!(told(&jpeg), Ok(progressive));
    }

    #[test]
    fn what_is_no_picture_or_ends_too_soon_is_told_apart() {
        for bytes in [&b""[..], b"\xFF", b"\x89PNG", b"hello, world", b"GIF80a\x01\0\x01\0"] {
            assert_eq!(told(bytes), Err(JobError::NotAPicture), "{bytes:?}");
        }
        for bytes in [
            &b"\xFF\xD8\xFF"[..],
            b"\xFF\xD8\xFF\xE0\0\x10JFIF",
            b"\xFF\xD8\xFF\xD9\0\x10",
            b"\xFF\xD8\xFF\xC0\0\x11\x08\0\0\0\x03",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT\0\0\0\x01\0\0\0\x01",
        ] {
            assert!(matches!(told(bytes), Err(JobError::Damaged(_))), "{bytes:?}");
        }
    }
}
