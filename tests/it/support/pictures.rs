//! Small pictures, good and bad.

use contract::geometry::Size;
use contract::pixels::Picture;
use image::codecs::jpeg::JpegEncoder;
use image::{ColorType, DynamicImage, ExtendedColorType, ImageEncoder};
use std::io::Cursor;
use std::path::Path;

/// A picture whose pixels all differ from their neighbours.
pub fn pattern(width: usize, height: usize, channels: usize) -> Picture {
    let size = Size::new(width, height);
    let samples = (0..size.area() * channels).map(|i| (i * 89 + i / (width * channels) * 53) as u8).collect();
    Picture { size, channels, samples }
}

/// The same picture with every pixel repeated.
pub fn nearest(picture: &Picture, scale: usize) -> Picture {
    let mut large = Picture::new(picture.size.times(scale), picture.channels);
    let (channels, width) = (picture.channels, large.size.width);
    for (i, pixel) in large.samples.chunks_exact_mut(channels).enumerate() {
        let from = (i / width / scale * picture.size.width + i % width / scale) * channels;
        pixel.copy_from_slice(&picture.samples[from..from + channels]);
    }
    large
}

pub fn png(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    onestep::edge::codec::encode(
        &onestep::work::pixels::Pixels::Eight(picture.clone()),
        "{}",
        &onestep::edge::codec::Metadata::default(),
        onestep::work::format::Format::Png,
        &mut bytes,
    )
    .expect("memory");
    bytes
}

/// A 16-bit grey PNG, every sample `value`.
pub fn png16(width: usize, height: usize, value: u16) -> Vec<u8> {
    let samples: Vec<u8> = (0..width * height).flat_map(|_| value.to_ne_bytes()).collect();
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.write_image(&samples, width as u32, height as u32, ExtendedColorType::L16).expect("memory");
    bytes
}

pub fn jpeg(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    let colour = if picture.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let (width, height) = (picture.size.width as u32, picture.size.height as u32);
    JpegEncoder::new_with_quality(&mut bytes, 95)
        .write_image(&picture.samples, width, height, colour)
        .expect("memory");
    bytes
}

/// Puts an EXIF segment with this orientation into a JPEG.
pub fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
    let length = (2 + 6 + tiff.len()) as u16;
    [&jpeg[..2], &[0xFF, 0xE1], &length.to_be_bytes(), b"Exif\0\0", &tiff, &jpeg[2..]].concat()
}

/// The header of a JPEG of 64250×64250 pixels, and nothing more.
pub fn jpeg_bomb() -> Vec<u8> {
    let frame = [0xFF, 0xC0, 0, 17, 8, 0xFA, 0xFA, 0xFA, 0xFA, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    [&[0xFF, 0xD8][..], &frame, &[0xFF, 0xDA, 0, 2, 0xFF, 0xD9]].concat()
}

/// The header of a PNG of 64250×64250 pixels, and nothing more.
pub fn png_bomb() -> Vec<u8> {
    let side = 64250u32.to_be_bytes();
    [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &side, &side, &[8, 2, 0, 0, 0, 0, 0, 0, 0]].concat()
}

/// A PNG as it is, in its own channels.
pub fn open(path: &Path) -> Picture {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let image = image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("memory");
    let image: DynamicImage = image.decode().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let channels = usize::from(image.color().channel_count());
    assert!(matches!(image.color(), ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8));
    let size = Size::new(image.width() as usize, image.height() as usize);
    Picture { size, channels, samples: image.into_bytes() }
}

/// Largest difference of two pictures of one shape.
#[track_caller]
pub fn difference(a: &Picture, b: &Picture) -> u8 {
    assert_eq!((a.size, a.channels), (b.size, b.channels));
    a.samples.iter().zip(&b.samples).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}
