//! Pictures from files, as training takes them: 8-bit RGB, and none that a decoder only guesses at.

use contract::geometry::Size;
use contract::pixels::Picture;
use image::ImageReader;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;

/// A part of a picture that lies wholly inside it.
pub fn crop(picture: &Picture, x: usize, y: usize, size: Size) -> Picture {
    let channels = picture.channels;
    let mut out = Picture::new(size, channels);
    for (row, into) in out.samples.chunks_exact_mut(size.width * channels).enumerate() {
        let begin = ((y + row) * picture.size.width + x) * channels;
        into.copy_from_slice(&picture.samples[begin..begin + size.width * channels]);
    }
    out
}

/// Files with these endings are pictures; others are not looked at.
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Whether a file is one by its name.
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// Decodes any supported file to 8-bit RGB.
///
/// # Errors
/// The decoder's words.
pub fn read_rgb(path: &Path) -> Result<Picture, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    if is_cmyk(&bytes) {
        return Err("CMYK, whose colours mean little without its profile".into());
    }
    if bytes.starts_with(b"\xFF\xD8") && !is_ended(&bytes) {
        return Err("it ends early, and decoders would make the rest grey".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let rgb = reader.decode().map_err(|e| e.to_string())?.into_rgb8();
    let size = Size::new(rgb.width() as usize, rgb.height() as usize);
    Ok(Picture { size, channels: 3, samples: rgb.into_raw() })
}

/// Whether these bytes are a JPEG of four inks: decoders make RGB of it, in colours nobody saw.
fn is_cmyk(bytes: &[u8]) -> bool {
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    let known = decoder.decode_headers().is_ok();
    known && matches!(decoder.input_colorspace(), Some(ColorSpace::CMYK | ColorSpace::YCCK))
}

/// Whether a JPEG has its end: the last marker there is, whatever some cameras put behind it. Pictures within
/// its head are passed over.
fn is_ended(bytes: &[u8]) -> bool {
    let mut at = 2;
    // Segments say how long they are, up to the pixels.
    while let Some([0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        at += 2 + length;
        if *marker == 0xDA {
            return bytes.get(at..).is_some_and(|rest| rest.windows(2).any(|pair| pair == [0xFF, 0xD9]));
        }
    }
    // Odder than this walk understands: then the decoder has to say.
    true
}
