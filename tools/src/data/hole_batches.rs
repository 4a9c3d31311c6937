//! Batches to learn repair from: whole patches, their holes, and what stands in the holes before repair. What
//! a batch holds depends on the seed, the stage and the step alone.

use super::batches;
use super::corpus::Corpus;
use super::holes::{draw_holes, within};
use super::random::Random;
use contract::geometry::Size;
use contract::mask::{self, Mask};
use contract::pixels::{Picture, Planes};
use contract::resample::{enlarge, shrink};
use rayon::prelude::*;
use tch::{Device, Tensor};

/// Of so many patches one has holes whose coarse content is known, as the finer levels of a deep hole have.
const COARSE_EVERY: usize = 4;

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
pub struct HolePlan {
    /// Patches in a batch.
    pub batch: usize,
    /// Side of a patch in pixels; even.
    pub patch: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the stage: different stages see different patches.
    pub stage: u64,
}

/// Patches in 8 bits, interleaved RGB, patch after patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoleBatch {
    truth: Vec<u8>,
    filled: Vec<u8>,
    /// In halves: 0 known, 1 coarsely known, 2 unknown.
    mask: Vec<u8>,
    plan: (usize, usize),
}

/// A batch on a device.
#[derive(Debug)]
pub struct Holed {
    /// x, N×3×P×P f32 in [0, 1].
    pub truth: Tensor,
    /// x with its holes filled.
    pub image: Tensor,
    /// N×1×P×P: 0 known, [`mask::COARSE`], [`mask::UNKNOWN`].
    pub mask: Tensor,
}

impl HoleBatch {
    /// As tensors on `device`.
    pub fn tensors(&self, device: Device) -> Holed {
        let (n, side) = (self.plan.0 as i64, self.plan.1 as i64);
        let planes = |bytes: &[u8], planes: i64, whole: f64| {
            let tensor = batches::upload(bytes, [n, side, side, planes], device);
            (tensor / whole).permute([0, 3, 1, 2])
        };
        Holed {
            truth: planes(&self.truth, 3, 255.0),
            image: planes(&self.filled, 3, 255.0),
            mask: planes(&self.mask, 1, 2.0),
        }
    }
}

/// The batch of one step.
pub fn make_hole_batch(corpus: &Corpus, plan: HolePlan, step: u64) -> HoleBatch {
    let patches: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = (0..plan.batch)
        .into_par_iter()
        .map(|index| {
            let mut random = Random::new(&[plan.seed, plan.stage, step, index as u64]);
            let large = &corpus.pairs[random.below(corpus.pairs.len())].large;
            patch(large, plan.patch, &mut random)
        })
        .collect();
    let mut batch =
        HoleBatch { truth: Vec::new(), filled: Vec::new(), mask: Vec::new(), plan: (plan.batch, plan.patch) };
    for (truth, filled, mask) in patches {
        batch.truth.extend(truth);
        batch.filled.extend(filled);
        batch.mask.extend(mask);
    }
    batch
}

fn patch(large: &Picture, side: usize, random: &mut Random) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let x = random.below(large.size.width - side + 1);
    let y = random.below(large.size.height - side + 1);
    let mut truth = Picture::new(Size::new(side, side), 3);
    batches::cut(large, (x, y), side, random.below(8), &mut truth.samples);
    let holes = draw_holes(side, random);
    let planes = Planes::from_picture(&truth);
    let mut filled = planes.clone();
    mask::fill(&mut filled, &holes);
    let coarse = random.below(COARSE_EVERY) == 0;
    if coarse {
        put_coarse(&mut filled, &planes, &holes, random);
    }
    let told = if coarse { 1 } else { 2 };
    let told = holes.holes.iter().map(|hole| if *hole { told } else { 0 }).collect();
    (truth.samples, filled.to_picture().samples, told)
}

/// What a repair at half the resolution may give, enlarged: blurred truth, drawn towards the smooth fill
/// where it knew little.
fn put_coarse(filled: &mut Planes, truth: &Planes, holes: &Mask, random: &mut Random) {
    let factor = if random.below(3) == 0 { 2 } else { 4 };
    let known = within(random, (0.5, 1.0)) as f32;
    let coarse = enlarge(&shrink(truth, factor), factor);
    let area = holes.holes.len();
    for (i, value) in filled.values.iter_mut().enumerate() {
        if holes.holes[i % area] {
            *value += known * (coarse.values[i] - *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::{CorpusFacts, Pair};
    use super::*;

    #[test]
    fn patches_differ_from_their_truth_in_holes_alone() {
        let size = Size::new(80, 72);
        let large = Picture {
            size,
            channels: 3,
            samples: (0..size.area() * 3).map(|i| (i * 7919 % 251) as u8).collect(),
        };
        let pair = Pair { small: large.clone(), large, file: "a".into() };
        let corpus = Corpus { pairs: vec![pair], facts: CorpusFacts::default() };
        let plan = HolePlan { batch: 24, patch: 32, seed: 1, stage: 0 };
        let batch = make_hole_batch(&corpus, plan, 3);
        assert_eq!(batch, make_hole_batch(&corpus, plan, 3));
        assert_ne!(batch, make_hole_batch(&corpus, plan, 4));
        let changed = |at: usize| batch.truth[3 * at..3 * at + 3] != batch.filled[3 * at..3 * at + 3];
        assert!((0..batch.mask.len()).all(|at| batch.mask[at] > 0 || !changed(at)));
        for told in [1, 2] {
            assert!((0..batch.mask.len()).any(|at| batch.mask[at] == told && changed(at)), "{told}");
        }
        let holed = batch.tensors(Device::Cpu);
        assert_eq!(holed.mask.size(), [24, 1, 32, 32]);
        assert_eq!(holed.mask.max().double_value(&[]), f64::from(mask::UNKNOWN));
    }
}
