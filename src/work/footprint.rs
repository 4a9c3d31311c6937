//! How much memory a picture takes at most while it is in flight, from its header alone. Arithmetic only: it
//! allocates nothing, and knows no limit.

use contract::geometry::Size;

/// What counts, all of it known before the first pixel is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Length of the file.
    pub file_bytes: u64,
    /// Its size as stored.
    pub size: Size,
    /// Samples a pixel at most: a palette or a transparent colour may add some.
    pub channels: usize,
    /// 2 for 16-bit samples.
    pub sample_bytes: usize,
    /// Bytes a pixel of what the decoder keeps beside the pixels until the file ends: the coefficients of a
    /// progressive JPEG.
    pub decoder_bytes: usize,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// Whether an uncertainty map is made beside the result.
    pub mapped: bool,
    /// Whether 16-bit samples stay so.
    pub deep: bool,
    /// Whether the written file is in memory as a whole.
    pub buffered: bool,
}

/// Tables, rows, buffers and an embedded profile, whatever the size of the picture.
const FIXED_BYTES: u64 = 4 << 20;

/// The most bytes that are held for a picture at one time: while it is decoded, while its tiles are cut and
/// placed, or while it is encoded, whichever is most. Sides are at most 2³¹, as formats have them; what
/// passes 64 bits saturates.
pub fn footprint(shape: &Shape) -> u64 {
    let pixels = shape.size.width as u128 * shape.size.height as u128;
    let (channels, scale) = (shape.channels as u128, shape.scale as u128);
    let large = pixels * scale * scale;
    // The file and, for JPEG, the decoder's copy of it; the pixels as stored, and once more where they are
    // turned upright or reduced to 8 bits.
    let decoding = 2 * u128::from(shape.file_bytes)
        + 2 * pixels * channels * shape.sample_bytes as u128
        + pixels * shape.decoder_bytes as u128;
    let has_alpha = channels.is_multiple_of(2);
    let colours = channels - u128::from(has_alpha);
    let depth = if shape.deep { 2 } else { 1 };
    // Alpha is kept beside the picture, and enlarged when the canvas is whole: 32-bit values of one direction
    // and of both, then the picture with its alpha.
    let alpha = if has_alpha { pixels * (depth + 4) } else { 0 };
    let enlarging = if has_alpha { 4 * pixels * scale + 4 * large + large * channels * depth } else { 0 };
    let canvas = large * (colours * depth + u128::from(shape.mapped));
    let written = if shape.buffered { large * channels * depth } else { 0 };
    // What the file says of itself is kept to the end, and written from a copy.
    let beside = 2 * u128::from(shape.file_bytes);
    let tiling = pixels * channels * depth + alpha + canvas + beside;
    let encoding = alpha + canvas + enlarging + written + beside;
    u64::try_from(decoding.max(tiling).max(encoding)).unwrap_or(u64::MAX).saturating_add(FIXED_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(side: usize, channels: usize) -> Shape {
        let size = Size::new(side, side);
        Shape {
            file_bytes: 0,
            size,
            channels,
            sample_bytes: 1,
            decoder_bytes: 0,
            scale: 4,
            mapped: false,
            deep: false,
            buffered: false,
        }
    }

    #[test]
    fn a_large_canvas_or_a_large_decoder_decides() {
        let megapixel = shape(1000, 3);
        assert_eq!(footprint(&megapixel) - FIXED_BYTES, 3_000_000 + 48_000_000);
        let mapped = Shape { mapped: true, ..megapixel };
        assert_eq!(footprint(&mapped) - footprint(&megapixel), 16_000_000);
        let small_result = Shape { scale: 1, sample_bytes: 2, ..megapixel };
        assert_eq!(footprint(&small_result) - FIXED_BYTES, 12_000_000);
        let progressive = Shape { scale: 1, decoder_bytes: 6, file_bytes: 5, ..megapixel };
        assert_eq!(footprint(&progressive) - FIXED_BYTES, 10 + 6_000_000 + 6_000_000);
    }

    #[test]
    fn alpha_is_counted_and_absurd_sizes_do_not_overflow() {
        assert!(footprint(&shape(1000, 4)) > 2 * footprint(&shape(1000, 3)));
        assert_eq!(footprint(&shape(i32::MAX as usize, 4)), u64::MAX, "the largest PNG there can be");
    }
}
