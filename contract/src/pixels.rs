//! What numbers a pixel becomes: 8- or 16-bit samples ↔ planar `f32` in [0, 1], and cutting windows with a
//! mirrored border. Knows no file format and no colour management: values go through as they are stored
//! (gamma-encoded RGB).

use crate::geometry::{Rect, Size, mirror};

/// A sample of a picture: all of its range is [0, 1].
pub trait Sample: Copy + Default {
    /// As a model number: `v / MAX`.
    fn unit(self) -> f32;

    /// The nearest sample of a model number: clipped to [0, 1], rounded half up. NaN becomes 0; whoever must
    /// know about NaN looks before converting.
    fn nearest(value: f32) -> Self;
}

impl Sample for u8 {
    fn unit(self) -> f32 {
        to_unit(self)
    }

    fn nearest(value: f32) -> u8 {
        to_byte(value)
    }
}

impl Sample for u16 {
    fn unit(self) -> f32 {
        f32::from(self) / 65_535.0
    }

    fn nearest(value: f32) -> u16 {
        // As in `to_byte`: `as` saturates.
        (value * 65_535.0 + 0.5) as u16
    }
}

/// A picture with interleaved channels (1 grey, 2 grey + alpha, 3 RGB, 4 RGBA), rows from the top; of 8 bits
/// a sample where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture<S = u8> {
    /// Width and height.
    pub size: Size,
    /// Samples a pixel.
    pub channels: usize,
    /// `size.area() * channels` samples.
    pub samples: Vec<S>,
}

impl Picture {
    /// A black (and transparent) picture.
    pub fn new(size: Size, channels: usize) -> Picture {
        Picture::blank(size, channels)
    }
}

impl<S: Sample> Picture<S> {
    /// A black (and transparent) picture of any samples.
    pub fn blank(size: Size, channels: usize) -> Picture<S> {
        Picture { size, channels, samples: vec![S::default(); size.area() * channels] }
    }
}

/// A planar `f32` picture: `channels` planes of `size`, values in [0, 1] where they are pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    /// Width and height.
    pub size: Size,
    /// Number of planes.
    pub channels: usize,
    /// Plane after plane, row after row: `channels * size.area()` values.
    pub values: Vec<f32>,
}

impl Planes {
    /// Planes of zeros.
    pub fn new(size: Size, channels: usize) -> Planes {
        Planes { size, channels, values: vec![0.0; channels * size.area()] }
    }

    /// Plane number `channel`.
    pub fn plane(&self, channel: usize) -> &[f32] {
        let area = self.size.area();
        &self.values[channel * area..(channel + 1) * area]
    }

    /// The planes of a picture, each sample in [0, 1].
    pub fn from_picture<S: Sample>(picture: &Picture<S>) -> Planes {
        let mut planes = Planes::new(picture.size, picture.channels);
        let area = picture.size.area();
        for (i, pixel) in picture.samples.chunks_exact(picture.channels).enumerate() {
            for (channel, &sample) in pixel.iter().enumerate() {
                planes.values[channel * area + i] = sample.unit();
            }
        }
        planes
    }

    /// The nearest 8-bit picture: clipped to [0, 1], rounded half up.
    pub fn to_picture(&self) -> Picture {
        let mut picture = Picture::new(self.size, self.channels);
        let area = self.size.area();
        for (i, pixel) in picture.samples.chunks_exact_mut(self.channels).enumerate() {
            for (channel, sample) in pixel.iter_mut().enumerate() {
                *sample = to_byte(self.values[channel * area + i]);
            }
        }
        picture
    }
}

/// An 8-bit sample as a model number: `v / 255`.
pub fn to_unit(sample: u8) -> f32 {
    f32::from(sample) / 255.0
}

/// The nearest 8-bit sample of a model number: clipped to [0, 1], rounded half up. NaN becomes 0; whoever
/// must know about NaN looks before converting.
pub fn to_byte(value: f32) -> u8 {
    // `as` saturates and sends NaN to 0, which is exactly the clip we want.
    (value * 255.0 + 0.5) as u8
}

/// Copies three channels of `window` out of a picture into planar `f32`, mirroring where it leaves the
/// picture. `pick[c]` names the picture's channel that becomes plane `c`, so grey is `[0, 0, 0]` and alpha of
/// RGBA `[3, 3, 3]`. `out` holds 3 · window area values.
///
/// # Panics
/// If `out` has another length or `pick` names a channel the picture does not have.
pub fn cut_window<S: Sample>(picture: &Picture<S>, pick: [usize; 3], window: Rect, out: &mut [f32]) {
    let Size { width, height } = window.size;
    assert_eq!(out.len(), 3 * width * height, "three planes of the window");
    let columns: Vec<usize> =
        (0..width).map(|i| mirror(window.x + i as i64, picture.size.width) * picture.channels).collect();
    for row in 0..height {
        let y = mirror(window.y + row as i64, picture.size.height);
        let stride = picture.size.width * picture.channels;
        let source = &picture.samples[y * stride..(y + 1) * stride];
        for (plane, &channel) in pick.iter().enumerate() {
            let begin = (plane * height + row) * width;
            for (value, &x) in out[begin..begin + width].iter_mut().zip(&columns) {
                *value = source[x + channel].unit();
            }
        }
    }
}

/// Luma of ITU-R BT.601 in studio swing, 16…235, from RGB in [0, 1]: the Y of "PSNR-Y".
pub fn luma(r: f64, g: f64, b: f64) -> f64 {
    16.0 + 65.481 * r + 128.553 * g + 24.966 * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        assert!((0..=255).all(|v: u8| to_byte(to_unit(v)) == v));
        assert_eq!((to_byte(-1.0), to_byte(2.0), to_byte(f32::NAN)), (0, 255, 0));
        assert!((0..=u16::MAX).all(|v| u16::nearest(v.unit()) == v));
        assert_eq!((u16::nearest(-1.0), u16::nearest(2.0), u16::nearest(f32::NAN)), (0, 65_535, 0));
    }

    #[test]
    fn planes_and_picture_are_inverse() {
        let picture =
            Picture { size: Size::new(3, 2), channels: 4, samples: (0..24).map(|v| v * 10).collect() };
        assert_eq!(Planes::from_picture(&picture).to_picture(), picture);
    }

    #[test]
    fn a_window_over_the_border_is_mirrored() {
        let picture = Picture { size: Size::new(3, 1), channels: 1, samples: vec![10u8, 20, 30] };
        let mut out = vec![0.0; 3 * 7 * 2];
        cut_window(&picture, [0, 0, 0], Rect { x: -2, y: -1, size: Size::new(7, 2) }, &mut out);
        let bytes: Vec<u8> = out.iter().map(|&v| to_byte(v)).collect();
        assert_eq!(&bytes[..7], [30, 20, 10, 20, 30, 20, 10]);
        assert!(bytes.chunks(7).all(|row| row == &bytes[..7]));
    }

    #[test]
    fn luma_spans_studio_swing() {
        assert!((luma(1.0, 1.0, 1.0) - 235.0).abs() < 1e-9);
        assert!((luma(0.0, 0.0, 0.0) - 16.0).abs() < 1e-9);
    }
}
