//! How much memory a picture takes at most while it is in flight, from its header alone. Arithmetic only: it
//! allocates nothing, and knows no limit.

use crate::work::crops::MOST_RUNS;
use contract::geometry::Size;

/// A file, as its first bytes have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Length of the file.
    pub bytes: u64,
    /// Its size as stored.
    pub size: Size,
    /// Samples a pixel at most: a palette or a transparent colour may add some.
    pub channels: usize,
    /// 2 for 16-bit samples.
    pub sample_bytes: usize,
    /// Bytes a pixel of what the decoder keeps beside the pixels until the file ends: the coefficients of a
    /// progressive JPEG.
    pub decoder_bytes: usize,
}

/// What tells which pixels are to be repaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Marked {
    /// Nothing: none are.
    #[default]
    Not,
    /// The picture itself.
    Itself,
    /// A mask file.
    By(Stored),
}

/// What counts, all of it known before the first pixel is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The picture.
    pub stored: Stored,
    /// What tells which pixels are to be repaired.
    pub marked: Marked,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// Rows, or columns where it is turned, that are cut at a time. What lies behind them is let go of,
    /// unless something of it is to be repaired.
    pub band_px: usize,
    /// Whether an uncertainty map is made beside the result.
    pub mapped: bool,
    /// Whether 16-bit samples stay so.
    pub deep: bool,
    /// Bytes of each output pixel that the encoder holds beside it
    /// ([`crate::work::format::Format::held_px_bytes`]).
    pub held_px_bytes: usize,
}

/// Bytes of a run of a mask with what is made of it, at most ([`crate::work::crops`]). Where each is a part
/// of its own, that is 84 while parts are told apart (12 of its own, 16 in two tables, 24 for the header of
/// its part and 32 for what is allocated for that), then 92 while they are joined: header and allocation, and
/// 36 in a list that grows to double its room. Of a part with many runs each takes less.
const RUN_BYTES: u128 = 100;
/// Tables, rows, buffers and an embedded profile, whatever the size of the picture.
const FIXED_BYTES: u64 = 4 << 20;

/// The most bytes that are held for a picture at one time: while it is decoded, while its tiles are cut and
/// placed, or while it is encoded, whichever is most. Sides are at most 2³¹, as formats have them; what
/// passes 64 bits saturates.
pub fn footprint(shape: &Shape) -> u64 {
    let stored = &shape.stored;
    let pixels = area(stored.size);
    let (channels, scale) = (stored.channels as u128, shape.scale as u128);
    let large = pixels * scale * scale;
    // While a mask is made, the picture is there already: the mask as it is stored, turned or resized, and
    // grown, a byte a pixel each time. It is kept to the end.
    let (masking, mask) = match &shape.marked {
        Marked::Not => (0, 0),
        Marked::Itself => (decoded(stored) + 2 * pixels, pixels),
        Marked::By(file) => (decoded(stored) + decoding(file) + 3 * pixels.max(area(file.size)), pixels),
    };
    let decoding = decoding(stored).max(masking);
    let has_alpha = channels.is_multiple_of(2);
    let colours = channels - u128::from(has_alpha);
    let depth = if shape.deep { 2 } else { 1 };
    // Alpha is kept beside the picture, and enlarged when the canvas is whole: 32-bit values of one direction
    // and of both, then the picture with its alpha. While colours grow into it, a byte a pixel is.
    let alpha = if has_alpha { pixels * (depth + 5) } else { 0 };
    let enlarging = if has_alpha { 4 * pixels * scale + 4 * large + large * channels * depth } else { 0 };
    let canvas = large * (colours * depth + u128::from(shape.mapped));
    let written = large * shape.held_px_bytes as u128;
    // What the file says of itself is kept to the end, and written from a copy.
    let beside = 2 * u128::from(stored.bytes) + mask;
    // While holes are cut out: how deep they are (3 bytes a pixel), then what one of them covers, pixel by
    // pixel and as its patch, in the worst case all of the picture; and their runs, one in two pixels.
    let runs = RUN_BYTES * pixels.div_ceil(2).min(MOST_RUNS as u128);
    let holes = if mask > 0 { pixels * (colours * depth + 1).max(3) + runs } else { 0 };
    // The picture goes as its canvas comes, a band behind it.
    let picture = pixels * channels * depth;
    let held = if mask > 0 {
        picture + canvas
    } else {
        let longest = stored.size.width.max(stored.size.height) as u128;
        picture.max(canvas) + picture.min(longest * shape.band_px as u128 * channels * depth)
    };
    let tiling = held + alpha + holes + beside;
    let encoding = alpha + canvas + enlarging + written + beside;
    u64::try_from(decoding.max(tiling).max(encoding)).unwrap_or(u64::MAX).saturating_add(FIXED_BYTES)
}

fn area(size: Size) -> u128 {
    size.width as u128 * size.height as u128
}

/// The pixels as stored.
fn decoded(stored: &Stored) -> u128 {
    area(stored.size) * (stored.channels * stored.sample_bytes) as u128
}

/// The file and, for JPEG, the decoder's copy of it; the pixels as stored, and once more where they are
/// turned upright or reduced to 8 bits.
fn decoding(stored: &Stored) -> u128 {
    2 * u128::from(stored.bytes) + 2 * decoded(stored) + area(stored.size) * stored.decoder_bytes as u128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::format::Format;

    fn shape(side: usize, channels: usize) -> Shape {
        let size = Size::new(side, side);
        Shape {
            stored: Stored { bytes: 0, size, channels, sample_bytes: 1, decoder_bytes: 0 },
            marked: Marked::Not,
            scale: 4,
            band_px: 100,
            mapped: false,
            deep: false,
            held_px_bytes: 0,
        }
    }

    /// WebP is made of a copy with alpha, and lies in memory as TIFF does until it is whole.
    #[test]
    fn what_encoders_hold_counts() {
        let of = |format: Format| {
            let held_px_bytes = format.held_px_bytes(3, 1);
            footprint(&Shape { held_px_bytes, ..shape(1000, 3) }) - footprint(&shape(1000, 3))
        };
        let large = 16 * 1000 * 1000;
        assert_eq!([Format::Png, Format::Jpeg(90)].map(of), [0, 0]);
        assert!(of(Format::Tiff) >= 2 * large && of(Format::WebP) >= 6 * large);
    }

    #[test]
    fn a_large_canvas_or_a_large_decoder_decides() {
        let megapixel = shape(1000, 3);
        assert_eq!(footprint(&megapixel) - FIXED_BYTES, 300_000 + 48_000_000);
        // Of a picture that is all one band nothing goes before its canvas is whole.
        assert_eq!(footprint(&Shape { band_px: 1000, ..megapixel }) - FIXED_BYTES, 3_000_000 + 48_000_000);
        let mapped = Shape { mapped: true, ..megapixel };
        assert_eq!(footprint(&mapped) - footprint(&megapixel), 16_000_000);
        let stored = Stored { sample_bytes: 2, ..megapixel.stored };
        let small_result = Shape { scale: 1, stored, ..megapixel };
        assert_eq!(footprint(&small_result) - FIXED_BYTES, 12_000_000);
        let stored = Stored { decoder_bytes: 6, bytes: 5, ..megapixel.stored };
        let progressive = Shape { scale: 1, stored, ..megapixel };
        assert_eq!(footprint(&progressive) - FIXED_BYTES, 10 + 6_000_000 + 6_000_000);
    }

    #[test]
    fn a_mask_costs_a_byte_a_pixel_and_its_decoding() {
        let repaired = Shape { scale: 1, ..shape(1000, 3) };
        assert_eq!(footprint(&repaired) - FIXED_BYTES, 6_000_000);
        let alone = Shape { marked: Marked::Itself, ..repaired };
        // The picture, its canvas, the mask, one patch over all of it, and as many runs as there may be.
        let cutting = 3_000_000 + 3_000_000 + 1_000_000 + 4_000_000 + 100 * 500_000;
        assert_eq!(footprint(&alone) - FIXED_BYTES, cutting);
        let by_file = Shape { marked: Marked::By(repaired.stored), ..repaired };
        assert_eq!(footprint(&by_file), footprint(&alone), "decoding it takes less");
        // There are no more runs that are looked at.
        let larger = Shape { marked: Marked::Itself, scale: 1, ..shape(2000, 3) };
        assert_eq!(footprint(&larger) - FIXED_BYTES, 4 * 11_000_000 + 100 * 500_000);
        let large = Stored { size: Size::new(10_000, 1000), ..repaired.stored };
        let by_file = Shape { marked: Marked::By(large), ..repaired };
        assert_eq!(footprint(&by_file) - FIXED_BYTES, 3_000_000 + 60_000_000 + 30_000_000);
    }

    #[test]
    fn alpha_is_counted_and_absurd_sizes_do_not_overflow() {
        assert!(footprint(&shape(1000, 4)) > 2 * footprint(&shape(1000, 3)));
        assert_eq!(footprint(&shape(i32::MAX as usize, 4)), u64::MAX, "the largest PNG there can be");
    }
}
