//! Repairing the holes of one crop with a network, coarse to fine: a hole deeper than the network was trained
//! on is repaired at a half, a quarter … of the resolution first, and each finer level starts from what the
//! coarser one gave. Trainer and daemon repair with this code. Knows no network: it gives inputs and takes
//! outputs.

use crate::geometry::Size;
use crate::mask::{COARSE, Mask, UNKNOWN, fill};
use crate::pixels::Planes;
use crate::resample::enlarge;

/// Known pixels around a hole by which the network's output is corrected, in pixels.
const RING_PX: usize = 2;

/// How many levels below the full resolution a hole of this depth ([`Mask::depth`]) needs, where `hole_px` is
/// the deepest that one evaluation repairs.
pub fn levels(depth: usize, hole_px: usize) -> usize {
    (0..).find(|level| depth.div_ceil(1 << level) <= hole_px.max(1)).expect("a depth of one is reached")
}

/// One crop on its way through the levels.
#[derive(Debug)]
pub struct Repair {
    /// Those that are still to come, the next one last.
    levels: Vec<(Planes, Mask)>,
    /// The crop as the last level left it.
    done: Option<Planes>,
    /// All that the network gave was finite.
    sound: bool,
}

impl Repair {
    /// Of `image`, three planes in [0, 1] whose values in holes are not looked at, through so many levels
    /// below its own resolution.
    ///
    /// # Panics
    /// If picture and mask differ in size, or a side is no multiple of 2^levels.
    pub fn new(image: Planes, mask: Mask, levels: usize) -> Repair {
        assert_eq!(image.size, mask.size, "a crop and its mask");
        let Size { width, height } = image.size;
        let whole = width.is_multiple_of(1 << levels) && height.is_multiple_of(1 << levels);
        assert!(whole, "{} halves {levels} times", image.size);
        let mut all = vec![(image, mask)];
        for level in 0..levels {
            let coarser = halved(&all[level].0, &all[level].1);
            all.push(coarser);
        }
        Repair { levels: all, done: None, sound: true }
    }

    /// Size of the next evaluation; `None` where all is repaired.
    pub fn size(&self) -> Option<Size> {
        self.levels.last().map(|(image, _)| image.size)
    }

    /// Whether the next evaluation is the last. That one alone draws a sample: of what coarser levels miss
    /// too little can be known, and what one invents there the next would take for known, and build upon.
    pub fn is_last(&self) -> bool {
        self.levels.len() == 1
    }

    /// What the network is given next, appended: three planes of the picture with its holes filled, and one
    /// value a pixel for the mask.
    ///
    /// # Panics
    /// If all is repaired.
    pub fn input(&self, image: &mut Vec<f32>, mask: &mut Vec<f32>) {
        let (known, holes) = self.levels.last().expect("something is still to be repaired");
        let mut filled = known.clone();
        let told = match &self.done {
            None => {
                fill(&mut filled, holes);
                UNKNOWN
            }
            Some(coarse) => {
                put(&mut filled, holes, &enlarge(coarse, 2).values);
                COARSE
            }
        };
        image.extend_from_slice(&filled.values);
        mask.extend(holes.holes.iter().map(|hole| if *hole { told } else { 0.0 }));
    }

    /// Takes what the network made of that: three planes.
    ///
    /// # Panics
    /// If all was repaired before, or the length differs.
    pub fn take(&mut self, output: &[f32]) {
        let (mut image, holes) = self.levels.pop().expect("something is still to be repaired");
        assert_eq!(output.len(), image.values.len(), "three planes of the level's size");
        self.sound &= output.iter().all(|value| value.is_finite());
        let seams = seams(&image, &holes, output);
        let mut repaired: Vec<f32> =
            output.iter().zip(&seams).map(|(out, seam)| (out + seam).clamp(0.0, 1.0)).collect();
        if self.levels.is_empty() && !self.sound {
            // Clamped, an infinity would pass for white or black, and a finer level may hide what a coarser
            // one gave.
            repaired.fill(f32::NAN);
        }
        put(&mut image, &holes, &repaired);
        self.done = Some(image);
    }

    /// The repaired crop: known pixels as they were; holes are NaN where the network gave anything that is
    /// not finite.
    ///
    /// # Panics
    /// If something is still to be repaired.
    pub fn finish(self) -> Planes {
        assert!(self.levels.is_empty(), "every level was taken");
        self.done.expect("there is one level at least")
    }
}

/// Half as large. A pixel is known where all four of it are, and then their mean.
fn halved(image: &Planes, mask: &Mask) -> (Planes, Mask) {
    let holes = mask.halved();
    let mut half = Planes::new(holes.size, image.channels);
    let (width, area) = (image.size.width, holes.size.area());
    for channel in 0..image.channels {
        let plane = image.plane(channel);
        for (at, value) in half.values[channel * area..][..area].iter_mut().enumerate() {
            if !holes.holes[at] {
                let corner = 2 * (at / holes.size.width) * width + 2 * (at % holes.size.width);
                let pair = |from: usize| plane[from] + plane[from + 1];
                *value = (pair(corner) + pair(corner + width)) / 4.0;
            }
        }
    }
    (half, holes)
}

/// What is missing to the network's output in each pixel, so that it meets what is known at the border: known
/// minus output in a ring around the holes, carried smoothly inwards.
fn seams(known: &Planes, holes: &Mask, output: &[f32]) -> Vec<f32> {
    let values = known.values.iter().zip(output).map(|(known, out)| known - out).collect();
    let mut difference = Planes { size: known.size, channels: known.channels, values };
    let near = holes.grown(RING_PX);
    let is_ring = near.holes.iter().zip(&holes.holes).map(|(near, hole)| *near && !*hole);
    let beyond = Mask { size: holes.size, holes: is_ring.map(|ring| !ring).collect() };
    fill(&mut difference, &beyond);
    difference.values
}

/// Replaces what lies in holes.
fn put(image: &mut Planes, holes: &Mask, values: &[f32]) {
    let area = holes.holes.len();
    for (i, (value, new)) in image.values.iter_mut().zip(values).enumerate() {
        if holes.holes[i % area] {
            *value = *new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holed(size: Size) -> (Planes, Mask) {
        let inside = |i: usize| {
            let (x, y) = (i % size.width, i / size.width);
            (12..30).contains(&x) && (9..23).contains(&y)
        };
        let mask = Mask { size, holes: (0..size.area()).map(inside).collect() };
        let mut planes = Planes::new(size, 3);
        for (i, value) in planes.values.iter_mut().enumerate() {
            let (x, y) = ((i % size.width) as f32, (i % size.area() / size.width) as f32);
            // In holes, nothing that may be looked at.
            *value = if mask.holes[i % size.area()] { f32::NAN } else { 0.3 + x / 200.0 + y / 300.0 };
        }
        (planes, mask)
    }

    /// A network that changes nothing gives the fill, at every number of levels; and known pixels stay.
    #[test]
    fn levels_follow_each_other_and_known_pixels_stay() {
        for levels in 0..3 {
            let (image, mask) = holed(Size::new(48, 32));
            let mut repair = Repair::new(image.clone(), mask.clone(), levels);
            for level in (0..=levels).rev() {
                assert_eq!(repair.size(), Some(Size::new(48 >> level, 32 >> level)));
                let (mut input, mut told) = (Vec::new(), Vec::new());
                repair.input(&mut input, &mut told);
                assert!(input.iter().all(|v| v.is_finite()), "holes are filled");
                let expected = if level == levels { UNKNOWN } else { COARSE };
                assert!(told.iter().all(|v| *v == 0.0 || *v == expected));
                repair.take(&input);
            }
            assert_eq!(repair.size(), None);
            let done = repair.finish();
            for (i, (now, was)) in done.values.iter().zip(&image.values).enumerate() {
                let at = i % 1536;
                if mask.holes[at] {
                    // The ramp, as well as a smooth fill knows it.
                    let truth = 0.3 + (at % 48) as f32 / 200.0 + (at / 48) as f32 / 300.0;
                    assert!((now - truth).abs() < 0.06, "{now} is not {truth} with {levels} levels");
                } else {
                    assert_eq!(now.to_bits(), was.to_bits());
                }
            }
        }
    }

    /// A network whose output is too bright everywhere leaves no seam.
    #[test]
    fn what_the_ring_tells_is_taken_off_inside() {
        let (image, mask) = holed(Size::new(48, 32));
        let mut plain = Repair::new(image.clone(), mask.clone(), 0);
        let mut bright = Repair::new(image, mask, 0);
        let (mut input, mut told) = (Vec::new(), Vec::new());
        plain.input(&mut input, &mut told);
        plain.take(&input);
        let brighter: Vec<f32> = input.iter().map(|v| v + 0.2).collect();
        bright.take(&brighter);
        let (plain, bright) = (plain.finish(), bright.finish());
        let apart = plain.values.iter().zip(&bright.values).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-5);
    }

    /// An infinity in a hole or around it, at any level, is not taken for white.
    #[test]
    fn what_is_not_finite_stays_so() {
        let (image, mask) = holed(Size::new(48, 32));
        let hole = mask.holes.iter().position(|hole| *hole).expect("one");
        for (level, at, value) in [(0, hole, f32::INFINITY), (0, 0, f32::NEG_INFINITY), (1, 3, f32::NAN)] {
            let mut repair = Repair::new(image.clone(), mask.clone(), 1);
            for now in [1, 0] {
                let (mut input, mut told) = (Vec::new(), Vec::new());
                repair.input(&mut input, &mut told);
                if now == level {
                    input[at] = value;
                }
                repair.take(&input);
            }
            let done = repair.finish();
            let is_lost = |i: usize| done.values[i].is_nan() == mask.holes[i % mask.holes.len()];
            assert!((0..done.values.len()).all(is_lost), "{value} at {at} of level {level}");
        }
    }

    #[test]
    fn deep_holes_need_levels() {
        let of = |depth| levels(depth, 64);
        assert_eq!([0, 1, 64, 65, 128, 129, 1000].map(of), [0, 0, 0, 1, 1, 2, 4]);
    }
}
