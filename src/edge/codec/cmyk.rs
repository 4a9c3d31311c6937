//! Pictures of inks: cyan, magenta, yellow and black → sRGB, through the profile that the file carries. The
//! only file that names `zune_jpeg`.

use super::probe::{Header, damaged_words};
use super::tiff::room_for;
use crate::error::JobError;
use crate::work::format::Kind;
use contract::geometry::Size;
use image::{DynamicImage, RgbImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, TransformOptions};
use std::io::{BufRead, Seek};
use std::sync::Arc;
use tiff::decoder::{Decoder, DecodingResult};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Pixels that are converted at a time.
const CHUNK_PX: usize = 1 << 14;
const INKS: usize = 4;

/// What a profile makes of inks.
pub(super) struct Print(Arc<Transform8BitExecutor>);

impl Print {
    /// By an ICC profile of inks; `None` where it cannot be used.
    pub(super) fn new(icc: &[u8]) -> Option<Print> {
        let profile = ColorProfile::new_from_slice(icc).ok()?;
        if profile.color_space != DataColorSpace::Cmyk {
            return None;
        }
        let srgb = ColorProfile::new_srgb();
        // Four samples a pixel are "RGBA" to it.
        let options = TransformOptions::default();
        profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, options).ok().map(Print)
    }

    /// The picture in sRGB, 8 bits a sample; `None` where its inks cannot be had so, and another decoder may.
    ///
    /// # Errors
    /// [`JobError::Damaged`], [`JobError::Changed`].
    pub(super) fn decode(
        &self,
        header: &Header,
        file: impl BufRead + Seek,
    ) -> Result<Option<DynamicImage>, JobError> {
        let inks = if header.kind == Kind::Jpeg { of_jpeg(file)? } else { of_tiff(file) };
        let Some((size, inks)) = inks else { return Ok(None) };
        if size != header.size || inks.len() != INKS * size.area() {
            return Err(JobError::Changed);
        }
        let mut samples = vec![0; 3 * size.area()];
        for (inks, colours) in inks.chunks(INKS * CHUNK_PX).zip(samples.chunks_mut(3 * CHUNK_PX)) {
            self.0.transform(inks, colours).map_err(|error| JobError::Damaged(error.to_string()))?;
        }
        let sides = u32::try_from(size.width).ok().zip(u32::try_from(size.height).ok());
        let image = sides.and_then(|(width, height)| RgbImage::from_raw(width, height, samples));
        Ok(image.map(DynamicImage::ImageRgb8))
    }
}

/// Inks, 255 for all of it.
fn of_jpeg(file: impl BufRead + Seek) -> Result<Option<(Size, Vec<u8>)>, JobError> {
    let options = DecoderOptions::default().set_strict_mode(false);
    let options = options.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(file, options);
    decoder.decode_headers().map_err(damaged_words)?;
    let Some(space @ (ColorSpace::CMYK | ColorSpace::YCCK)) = decoder.input_colorspace() else {
        return Ok(None);
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let mut inks = decoder.decode().map_err(damaged_words)?;
    let size = decoder.dimensions().map(|(width, height)| Size::new(width, height));
    for pixel in inks.chunks_exact_mut(INKS) {
        if space == ColorSpace::YCCK {
            let [red, green, blue] = rgb(pixel[0], pixel[1], pixel[2]);
            // What it calls red is the lack of cyan, and all of it is stored the other way round.
            pixel[..3].copy_from_slice(&[255 - red, 255 - green, 255 - blue]);
        }
        // Adobe stores what is left of the paper's white, and so does everybody since.
        pixel.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    Ok(size.map(|size| (size, inks)))
}

/// JFIF's colours, ITU-T T.871, section 7.
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|value| (value + 0.5) as u8)
}

/// Inks, 255 for all of it, where a TIFF has four of 8 bits side by side.
fn of_tiff(file: impl BufRead + Seek) -> Option<(Size, Vec<u8>)> {
    let mut decoder = Decoder::new(file).ok()?;
    if decoder.colortype().ok()? != tiff::ColorType::CMYK(8) {
        return None;
    }
    let (width, height) = decoder.dimensions().ok()?;
    let size = Size::new(width as usize, height as usize);
    match decoder.with_limits(room_for((width, height))).read_image().ok()? {
        DecodingResult::U8(inks) if inks.len() == INKS * size.area() => Some((size, inks)),
        _ => None,
    }
}
