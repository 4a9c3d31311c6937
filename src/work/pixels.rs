//! Pixels of 8 or 16 bits a sample, as a picture came and as its result goes: one value for both, so that
//! nobody else asks which. Knows no file format.

use contract::geometry::{Rect, Size};
use contract::pixels::{Picture, Planes, Sample, cut_window};
use contract::resample::enlarge;
use std::borrow::Cow;

/// A picture of 8 or of 16 bits a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    /// 8 bits a sample.
    Eight(Picture),
    /// 16 bits a sample.
    Sixteen(Picture<u16>),
}

/// Does the same with the picture in either variant.
macro_rules! either {
    ($pixels:expr, $picture:ident => $body:expr) => {
        match $pixels {
            Pixels::Eight($picture) => $body,
            Pixels::Sixteen($picture) => $body,
        }
    };
}

impl Pixels {
    /// Black (and transparent), of 16 bits a sample where it is `deep`.
    pub fn new(size: Size, channels: usize, deep: bool) -> Pixels {
        if deep {
            Pixels::Sixteen(Picture::blank(size, channels))
        } else {
            Pixels::Eight(Picture::blank(size, channels))
        }
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        either!(self, picture => picture.size)
    }

    /// Samples a pixel.
    pub fn channels(&self) -> usize {
        either!(self, picture => picture.channels)
    }

    /// Whether it has 16 bits a sample.
    pub fn is_deep(&self) -> bool {
        matches!(self, Pixels::Sixteen(_))
    }

    /// With 8 bits a sample.
    pub fn to_eight(&self) -> Cow<'_, Picture> {
        match self {
            Pixels::Eight(picture) => Cow::Borrowed(picture),
            Pixels::Sixteen(picture) => {
                let samples = picture.samples.iter().map(|sample| u8::nearest(sample.unit())).collect();
                Cow::Owned(Picture { size: picture.size, channels: picture.channels, samples })
            }
        }
    }

    /// The sample at this place in [0, 1], counted through all pixels and channels.
    pub fn unit(&self, at: usize) -> f32 {
        either!(self, picture => picture.samples[at].unit())
    }

    /// Means of squares of `scale`×`scale` pixels, in [0, 1], channels interleaved as they are.
    ///
    /// # Panics
    /// If its sides are not multiples of `scale`.
    pub fn reduced(&self, scale: usize) -> Vec<f32> {
        either!(self, picture => reduced(picture, scale))
    }

    /// See [`cut_window`].
    pub fn cut_window(&self, pick: [usize; 3], window: Rect, out: &mut [f32]) {
        either!(self, picture => cut_window(picture, pick, window, out));
    }

    /// Lets go of what lies below the first `rows`. Its size stays, and nobody may ask for those pixels
    /// again.
    pub fn let_go_below(&mut self, rows: usize) {
        either!(self, picture => {
            picture.samples.truncate(rows * picture.size.width * picture.channels);
            // What is large has pages of its own, which go back where they came from without a copy.
            picture.samples.shrink_to_fit();
        });
    }

    /// The last channel, where it is alpha.
    pub fn alpha(&self) -> Option<Pixels> {
        match self {
            Pixels::Eight(picture) => alpha_of(picture).map(Pixels::Eight),
            Pixels::Sixteen(picture) => alpha_of(picture).map(Pixels::Sixteen),
        }
    }

    /// Lets colours grow a few pixels into what is wholly transparent by `alpha`, one channel of the same
    /// size, whose own nobody sees: a network that was given those would draw them into the edge of what is
    /// seen.
    pub fn grow_colours(&mut self, alpha: &Pixels) {
        let is_seen = (0..alpha.size().area()).map(|at| alpha.unit(at) > 0.0).collect();
        either!(self, picture => grow_colours(picture, is_seen));
    }

    /// With colours that are not multiplied with alpha, which they were.
    pub fn unassociated(self) -> Pixels {
        match self {
            Pixels::Eight(picture) => Pixels::Eight(unassociated(picture)),
            Pixels::Sixteen(picture) => Pixels::Sixteen(unassociated(picture)),
        }
    }

    /// Without its alpha, if it has any.
    pub fn without_alpha(self) -> Pixels {
        match self {
            Pixels::Eight(picture) => Pixels::Eight(colours_of(picture)),
            Pixels::Sixteen(picture) => Pixels::Sixteen(colours_of(picture)),
        }
    }

    /// Puts a part of the same kind where it belongs.
    ///
    /// # Panics
    /// If the part is of another kind, or does not lie within.
    pub fn put(&mut self, keep: &Rect, part: &Pixels) {
        match (self, part) {
            (Pixels::Eight(picture), Pixels::Eight(part)) => put(picture, keep, &part.samples),
            (Pixels::Sixteen(picture), Pixels::Sixteen(part)) => put(picture, keep, &part.samples),
            _ => panic!("a picture and its parts have one depth"),
        }
    }

    /// Puts those pixels of a part where they belong that are `wanted`.
    ///
    /// # Panics
    /// As [`Pixels::put`].
    pub fn put_some(&mut self, keep: &Rect, part: &Pixels, wanted: &[bool]) {
        match (self, part) {
            (Pixels::Eight(picture), Pixels::Eight(part)) => put_some(picture, keep, &part.samples, wanted),
            (Pixels::Sixteen(picture), Pixels::Sixteen(part)) => {
                put_some(picture, keep, &part.samples, wanted)
            }
            _ => panic!("a picture and its parts have one depth"),
        }
    }

    /// Means of the squares of `shrink`×`shrink` pixels of `window`, three planes in [0, 1], mirrored where
    /// it leaves the picture; `pick` as in [`cut_window`].
    ///
    /// # Panics
    /// If a side of the window is no multiple of `shrink`.
    pub fn shrunk_window(&self, pick: [usize; 3], window: Rect, shrink: usize) -> Planes {
        let size = Size::new(window.size.width / shrink, window.size.height / shrink);
        assert_eq!(size.times(shrink), window.size, "whole squares");
        let mut planes = Planes::new(size, 3);
        let line = Size::new(window.size.width, 1);
        let mut values = vec![0.0; 3 * line.width];
        let share = 1.0 / (shrink * shrink) as f32;
        for row in 0..window.size.height {
            // A row at a time: the window of a large hole is a large part of the picture.
            let place = Rect { y: window.y + row as i64, size: line, ..window };
            self.cut_window(pick, place, &mut values);
            for (plane, values) in values.chunks_exact(line.width).enumerate() {
                let into =
                    &mut planes.values[plane * size.area() + row / shrink * size.width..][..size.width];
                for (mean, square) in into.iter_mut().zip(values.chunks_exact(shrink)) {
                    *mean += square.iter().sum::<f32>() * share;
                }
            }
        }
        planes
    }

    /// With `alpha`, a picture of one channel that is smaller by `scale`. It is enlarged by itself, so that
    /// what the network makes of colours never leaks into what is transparent.
    pub fn with_alpha(&self, alpha: &Pixels, scale: usize) -> Pixels {
        // As it is, to the last bit.
        match (self, alpha) {
            (Pixels::Eight(picture), Pixels::Eight(alpha)) if scale == 1 => {
                return Pixels::Eight(joined(picture, alpha.samples.iter().copied()));
            }
            (Pixels::Sixteen(picture), Pixels::Sixteen(alpha)) if scale == 1 => {
                return Pixels::Sixteen(joined(picture, alpha.samples.iter().copied()));
            }
            _ => {}
        }
        let alpha = enlarge(&either!(alpha, picture => Planes::from_picture(picture)), scale).values;
        match self {
            Pixels::Eight(picture) => {
                Pixels::Eight(joined(picture, alpha.iter().map(|&value| u8::nearest(value))))
            }
            Pixels::Sixteen(picture) => {
                Pixels::Sixteen(joined(picture, alpha.iter().map(|&value| u16::nearest(value))))
            }
        }
    }
}

/// How far colours grow: further than alpha is smeared when it is enlarged.
const GROWN_PX: usize = 4;

/// See [`Pixels::grow_colours`]. A pixel becomes the mean of those beside it that have colours.
fn grow_colours<S: Sample>(picture: &mut Picture<S>, mut coloured: Vec<bool>) {
    let (Size { width, height }, channels) = (picture.size, picture.channels);
    let colours = channels - usize::from(channels.is_multiple_of(2));
    for _ in 0..GROWN_PX {
        let mut grown = Vec::new();
        for at in (0..coloured.len()).filter(|at| !coloured[*at]) {
            let (x, y) = (at % width, at / width);
            let (columns, rows) =
                (x.saturating_sub(1)..(x + 2).min(width), y.saturating_sub(1)..(y + 2).min(height));
            let beside = rows.flat_map(|row| columns.clone().map(move |column| row * width + column));
            let beside = beside.filter(|place| coloured[*place]);
            let (mut sum, mut count) = ([0.0; 3], 0.0);
            for place in beside {
                let pixel = &picture.samples[place * channels..][..colours];
                sum.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += sample.unit());
                count += 1.0;
            }
            if count > 0.0 {
                grown.push((at, sum.map(|sum| S::nearest(sum / count))));
            }
        }
        for (at, colour) in grown {
            coloured[at] = true;
            let pixel = &mut picture.samples[at * channels..][..colours];
            pixel.iter_mut().zip(colour).for_each(|(sample, colour)| *sample = colour);
        }
    }
}

fn alpha_of<S: Sample>(picture: &Picture<S>) -> Option<Picture<S>> {
    let last = picture.channels - 1;
    picture.channels.is_multiple_of(2).then(|| {
        let samples = picture.samples.chunks_exact(picture.channels).map(|pixel| pixel[last]).collect();
        Picture { size: picture.size, channels: 1, samples }
    })
}

fn unassociated<S: Sample>(mut picture: Picture<S>) -> Picture<S> {
    if picture.channels.is_multiple_of(2) {
        for pixel in picture.samples.chunks_exact_mut(picture.channels) {
            let (alpha, colours) = pixel.split_last_mut().expect("a pixel has samples");
            let alpha = alpha.unit();
            if alpha > 0.0 {
                colours.iter_mut().for_each(|colour| *colour = S::nearest(colour.unit() / alpha));
            }
        }
    }
    picture
}

fn colours_of<S: Sample>(picture: Picture<S>) -> Picture<S> {
    if !picture.channels.is_multiple_of(2) {
        return picture;
    }
    let channels = picture.channels - 1;
    let pixels = picture.samples.chunks_exact(picture.channels);
    let samples = pixels.flat_map(|pixel| &pixel[..channels]).copied().collect();
    Picture { size: picture.size, channels, samples }
}

fn joined<S: Sample>(colours: &Picture<S>, alpha: impl Iterator<Item = S>) -> Picture<S> {
    let channels = colours.channels;
    let mut picture = Picture::blank(colours.size, channels + 1);
    let pixels = picture.samples.chunks_exact_mut(channels + 1);
    for ((pixel, colour), a) in pixels.zip(colours.samples.chunks_exact(channels)).zip(alpha) {
        pixel[..channels].copy_from_slice(colour);
        pixel[channels] = a;
    }
    picture
}

fn reduced<S: Sample + Into<u32>>(picture: &Picture<S>, scale: usize) -> Vec<f32> {
    // A number of channels that is known makes loops of a few instructions.
    match picture.channels {
        1 => reduced_of::<S, 1>(picture, scale),
        3 => reduced_of::<S, 3>(picture, scale),
        other => unreachable!("results have one colour or three, not {other}"),
    }
}

fn reduced_of<S: Sample + Into<u32>, const CHANNELS: usize>(picture: &Picture<S>, scale: usize) -> Vec<f32> {
    let width = picture.size.width / scale;
    let mut sums = vec![[0u32; CHANNELS]; picture.size.height / scale * width];
    for (row, line) in picture.samples.chunks_exact(picture.size.width * CHANNELS).enumerate() {
        let sums = &mut sums[row / scale * width..][..width];
        for (sum, square) in sums.iter_mut().zip(line.chunks_exact(scale * CHANNELS)) {
            for pixel in square.chunks_exact(CHANNELS) {
                sum.iter_mut().zip(pixel).for_each(|(sum, &sample)| *sum += sample.into());
            }
        }
    }
    let white: u32 = S::nearest(1.0).into();
    let share = 1.0 / (white as f32 * (scale * scale) as f32);
    sums.into_iter().flatten().map(|sum| sum as f32 * share).collect()
}

/// Those of interleaved pixels that are wanted.
fn put_some<S: Sample>(picture: &mut Picture<S>, keep: &Rect, samples: &[S], wanted: &[bool]) {
    let channels = picture.channels;
    let pixels = samples.chunks_exact(channels).zip(wanted).enumerate();
    for (i, (pixel, _)) in pixels.filter(|(_, (_, wanted))| **wanted) {
        let (x, y) = (keep.x as usize + i % keep.size.width, keep.y as usize + i / keep.size.width);
        let at = (y * picture.size.width + x) * channels;
        picture.samples[at..at + channels].copy_from_slice(pixel);
    }
}

/// Puts interleaved samples where they belong.
fn put<S: Sample>(picture: &mut Picture<S>, keep: &Rect, samples: &[S]) {
    let (stride, channels) = (picture.size.width * picture.channels, picture.channels);
    let (left, width) = (keep.x as usize * channels, keep.size.width * channels);
    for (row, line) in samples.chunks_exact(width).enumerate() {
        let begin = (keep.y as usize + row) * stride + left;
        picture.samples[begin..begin + width].copy_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some pixels far and no further, also around corners; what is seen, and alpha itself, stay.
    #[test]
    fn colours_grow_into_what_nobody_sees() {
        let size = Size::new(12, 9);
        let is_seen = |at: usize| at % 12 < 3 && at / 12 < 2;
        let pixel = |at: usize| if is_seen(at) { [200, 100, 50, 1] } else { [0, 0, 0, 0] };
        let samples: Vec<u8> = (0..size.area()).flat_map(pixel).collect();
        let mut pixels = Pixels::Eight(Picture { size, channels: 4, samples });
        let alpha = pixels.alpha().expect("there is some");
        let mut apart = pixels.clone().without_alpha();
        pixels.grow_colours(&alpha);
        apart.grow_colours(&alpha);
        assert_eq!(pixels.clone().without_alpha(), apart);
        let Pixels::Eight(grown) = &pixels else { panic!("8 bits a sample") };
        for (at, now) in grown.samples.chunks_exact(4).enumerate() {
            let is_near = at % 12 < 3 + GROWN_PX && at / 12 < 2 + GROWN_PX;
            let expected = if is_near { [200, 100, 50] } else { [0, 0, 0] };
            assert_eq!((&now[..3], now[3]), (&expected[..], u8::from(is_seen(at))), "{at}");
        }
    }

    /// Each mean is of its own square and channel, in the range of its samples.
    #[test]
    fn a_picture_is_reduced_to_the_means_of_its_squares() {
        let size = Size::new(4, 2);
        let colours: Vec<u8> = (0..8).flat_map(|i| [255 * u8::from(i % 4 < 2), 51, 10 * i]).collect();
        let reduced = Pixels::Eight(Picture { size, channels: 3, samples: colours }).reduced(2);
        // The third channel: 0, 10, 40, 50 and 20, 30, 60, 70.
        let expected = [1.0, 0.2, 25.0 / 255.0, 0.0, 0.2, 45.0 / 255.0];
        assert!(reduced.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{reduced:?}");
        let grey = vec![65_535, 0, 13_107, 13_107, 65_535, 0, 13_107, 13_107];
        let reduced = Pixels::Sixteen(Picture { size, channels: 1, samples: grey }).reduced(2);
        assert!(reduced.iter().zip([0.5, 0.2]).all(|(a, b)| (a - b).abs() < 1e-6), "{reduced:?}");
    }
}
