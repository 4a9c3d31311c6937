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

/// Of so many patches whose holes are not deep one has holes whose coarse content is known, too: where others
/// near by are deep, it is.
const COARSE_EVERY: usize = 4;

/// How much coarse content is blurred. Of deep holes little is known, and what is repaired of them coarsely
/// is a blot: finer levels are to make texture of that, too.
const SHALLOW: [usize; 3] = [2, 4, 4];
const DEEP: [usize; 3] = [2, 4, 8];

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
pub struct HolePlan {
    /// Patches in a batch.
    pub batch: usize,
    /// Side of a patch in pixels; even.
    pub patch: usize,
    /// Depth in pixels ([`Mask::depth`]) beyond which the coarse content of holes is always known, as it is
    /// to the finer levels of [`contract::repair::Repair`].
    pub hole_px: usize,
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
            patch(large, plan, &mut random)
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

fn patch(large: &Picture, plan: HolePlan, random: &mut Random) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let side = plan.patch;
    let x = random.below(large.size.width - side + 1);
    let y = random.below(large.size.height - side + 1);
    let mut truth = Picture::new(Size::new(side, side), 3);
    batches::cut(large, (x, y), side, random.below(8), &mut truth.samples);
    let holes = draw_holes(side, random);
    let planes = Planes::from_picture(&truth);
    let mut filled = planes.clone();
    mask::fill(&mut filled, &holes);
    let is_deep = holes.depth() > plan.hole_px;
    let coarse = random.below(COARSE_EVERY) == 0 || is_deep;
    if coarse {
        put_coarse(&mut filled, &planes, &holes, if is_deep { &DEEP } else { &SHALLOW }, random);
    }
    let told = if coarse { 1 } else { 2 };
    let told = holes.holes.iter().map(|hole| if *hole { told } else { 0 }).collect();
    (truth.samples, filled.to_picture().samples, told)
}

/// What a repair at half the resolution may give, enlarged: truth blurred by one of these factors, drawn
/// towards the smooth fill where it knew little.
fn put_coarse(filled: &mut Planes, truth: &Planes, holes: &Mask, factors: &[usize; 3], random: &mut Random) {
    let factor = factors[random.below(3)];
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
impl HoleBatch {
    /// The mask of each patch, in halves.
    fn masks(&self) -> Vec<Vec<u8>> {
        self.mask.chunks(self.plan.1 * self.plan.1).map(<[u8]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::{CorpusFacts, Pair};
    use super::*;

    const PLAN: HolePlan = HolePlan { batch: 24, patch: 32, hole_px: 16, seed: 1, stage: 0 };

    fn corpus() -> Corpus {
        let size = Size::new(80, 72);
        let samples = (0..size.area() * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let large = Picture { size, channels: 3, samples };
        let pair = Pair { small: large.clone(), large, file: "a".into() };
        Corpus { pairs: vec![pair], facts: CorpusFacts::default() }
    }

    #[test]
    fn patches_differ_from_their_truth_in_holes_alone() {
        let (corpus, plan) = (corpus(), PLAN);
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

    /// Shallow holes are met both ways; to a finer level of a deep one its coarse content is never unknown.
    #[test]
    fn what_deep_holes_hold_is_coarsely_known() {
        let (corpus, plan) = (corpus(), HolePlan { hole_px: 6, ..PLAN });
        let mut met = [0; 3];
        for told in (0..8).flat_map(|step| make_hole_batch(&corpus, plan, step).masks()) {
            let mask = Mask { size: Size::new(32, 32), holes: told.iter().map(|told| *told > 0).collect() };
            match (mask.depth() > plan.hole_px, told.contains(&2)) {
                (true, unknown) => {
                    assert!(!unknown, "{} pixels deep", mask.depth());
                    met[0] += 1;
                }
                (false, unknown) => met[1 + usize::from(unknown)] += 1,
            }
        }
        assert!(met.iter().all(|met| *met > 10), "{met:?}");
    }
}
