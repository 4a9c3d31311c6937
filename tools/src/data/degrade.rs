//! Damage done to small pictures on purpose, so that a network learns to enlarge what cameras and the web
//! give: blur, noise and JPEG, in this order. What is drawn depends on the random stream alone.

use super::random::Random;
use contract::geometry::Size;
use contract::pixels::Picture;
use contract::source::Source;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use serde::{Deserialize, Serialize};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

/// Which share of the patches comes from where; the rest is clean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// Share of photographs, 0 to 1.
    pub photo: f64,
    /// Share of heavily damaged pictures, 0 to 1.
    pub heavy: f64,
}

impl Mix {
    /// What is drawn but clean pictures.
    pub fn damages(self) -> Vec<Source> {
        let shares = [(Source::Photo, self.photo), (Source::Heavy, self.heavy)];
        shares.into_iter().filter(|(_, share)| *share > 0.0).map(|(source, _)| source).collect()
    }

    /// Draws a source.
    pub fn draw(self, random: &mut Random) -> Source {
        let at = random.uniform();
        if at < self.heavy {
            Source::Heavy
        } else if at < self.heavy + self.photo {
            Source::Photo
        } else {
            Source::Clean
        }
    }
}

/// Widest blur that is drawn: standard deviation in pixels.
const WIDEST_BLUR: f64 = 2.0;
/// Pixels around a patch that its damage depends on: the blur's three standard deviations, and a block of
/// 4:2:0 JPEG.
pub const DAMAGE_RADIUS: usize = 16;

/// One picture's damage.
#[derive(Debug, Clone, PartialEq)]
struct Damage {
    /// Standard deviation of the Gaussian blur in pixels; 0 is none.
    blur: f64,
    /// Standard deviation of the noise in 8-bit steps.
    noise: f64,
    /// The same noise in all three channels.
    grey: bool,
    /// Each time it was saved: JPEG quality, and whether its colours were halved (4:2:0).
    saved: Vec<(u8, bool)>,
}

impl Damage {
    fn draw(source: Source, random: &mut Random) -> Damage {
        let mut within = |low: f64, high: f64| low + (high - low) * random.uniform();
        let (blur, noise, quality, times) = match source {
            Source::Clean => (0.0, 0.0, (0.0, 0.0), 0.0),
            // Half of the photographs are sharp.
            Source::Photo => (within(-0.8, 0.8).max(0.0), within(0.0, 6.0), (60.0, 95.0), 1.0),
            Source::Heavy => (within(0.0, WIDEST_BLUR), within(0.0, 18.0), (25.0, 75.0), within(1.0, 3.0)),
        };
        let grey = within(0.0, 1.0) < 0.5;
        let saved = (0..times as usize)
            .map(|_| (within(quality.0, quality.1).round() as u8, within(0.0, 1.0) < 0.5))
            .collect();
        Damage { blur, noise, grey, saved }
    }
}

/// `picture` (RGB) as it would come from `source`; clean changes nothing.
pub fn degrade(picture: &Picture, source: Source, random: &mut Random) -> Picture {
    let damage = Damage::draw(source, random);
    let mut values: Vec<f32> = picture.samples.iter().map(|&v| f32::from(v)).collect();
    if damage.blur > 0.05 {
        values = blur(&values, picture.size, damage.blur);
    }
    if damage.noise > 0.0 {
        for pixel in values.chunks_exact_mut(3) {
            let same = random.normal();
            for value in pixel {
                let one = if damage.grey { same } else { random.normal() };
                *value += (one * damage.noise) as f32;
            }
        }
    }
    let samples = values.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    let damaged = Picture { samples, ..*picture };
    damage.saved.iter().fold(damaged, |picture, &(quality, halved)| saved(&picture, quality, halved))
}

/// Separable Gaussian blur, the border repeated.
fn blur(values: &[f32], size: Size, sigma: f64) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as i64;
    let weights: Vec<f64> =
        (-radius..=radius).map(|d| (-((d * d) as f64) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|w| (w / total) as f32).collect();
    let (width, height) = (size.width as i64, size.height as i64);
    let pass = |from: &[f32], along: (i64, i64)| {
        let mut to = vec![0.0; from.len()];
        for y in 0..height {
            for x in 0..width {
                let at = 3 * (y * width + x) as usize;
                for (weight, d) in weights.iter().zip(-radius..) {
                    let column = (x + d * along.0).clamp(0, width - 1);
                    let row = (y + d * along.1).clamp(0, height - 1);
                    let seen = 3 * (row * width + column) as usize;
                    for channel in 0..3 {
                        to[at + channel] += weight * from[seen + channel];
                    }
                }
            }
        }
        to
    };
    pass(&pass(values, (1, 0)), (0, 1))
}

/// Through JPEG and back.
fn saved(picture: &Picture, quality: u8, halved: bool) -> Picture {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(if halved { SamplingFactor::F_2_2 } else { SamplingFactor::F_1_1 });
    let (width, height) = (picture.size.width as u16, picture.size.height as u16);
    encoder.encode(&picture.samples, width, height, ColorType::Rgb).expect("a small RGB picture is encoded");
    let samples = JpegDecoder::new(ZCursor::new(&bytes)).decode().expect("what was just encoded is decoded");
    Picture { samples, ..*picture }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let size = Size::new(40, 24);
        // A ramp with a step in it.
        let samples = (0..size.area() * 3).map(|i| ((i / 3 % 40) * 3 + i / 1440 * 90) as u8).collect();
        Picture { size, channels: 3, samples }
    }

    fn distance(a: &Picture, b: &Picture) -> f64 {
        let squares = a.samples.iter().zip(&b.samples).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
        (squares.sum::<f64>() / a.samples.len() as f64).sqrt()
    }

    #[test]
    fn damage_grows_with_the_source_and_repeats_with_its_stream() {
        let mean = |source| {
            let one = |i| distance(&picture(), &degrade(&picture(), source, &mut Random::new(&[i])));
            (0..40).map(one).sum::<f64>() / 40.0
        };
        let [clean, photo, heavy] = Source::ALL.map(mean);
        assert!(clean == 0.0 && photo > 2.0 && heavy > 1.5 * photo, "{clean} {photo} {heavy}");
        let again = || degrade(&picture(), Source::Heavy, &mut Random::new(&[3]));
        assert_eq!(again(), again());
    }

    #[test]
    fn a_mix_is_drawn_in_its_shares() {
        let mix = Mix { photo: 0.3, heavy: 0.1 };
        let mut random = Random::new(&[1]);
        let drawn: Vec<Source> = (0..4000).map(|_| mix.draw(&mut random)).collect();
        let share = |source| drawn.iter().filter(|s| **s == source).count() as f64 / 4000.0;
        assert!((share(Source::Photo) - 0.3).abs() < 0.03 && (share(Source::Heavy) - 0.1).abs() < 0.02);
    }

    #[test]
    fn blur_keeps_what_is_even() {
        let flat = blur(&[7.0; 3 * 20], Size::new(5, 4), 1.3);
        assert!(flat.iter().all(|v| (v - 7.0).abs() < 1e-4));
    }
}
