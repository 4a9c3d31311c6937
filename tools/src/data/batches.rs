//! Batches of aligned patches, augmented by the eight symmetries of the square and damaged as their source
//! has it, made ahead of the training loop on rayon threads. A batch depends only on (seed, stage, step).

use super::corpus::{Corpus, Pair};
use super::degrade::{DAMAGE_RADIUS, Mix, degrade};
use super::random::Random;
use contract::geometry::Size;
use contract::pixels::Picture;
use contract::source::Source;
use crossbeam_channel::{Receiver, bounded};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Batches made ahead: enough to hide one slow batch, few enough to cost no memory to speak of.
const AHEAD: usize = 3;

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
pub struct BatchPlan {
    /// Patches in a batch.
    pub batch: usize,
    /// Side of a patch in LR pixels.
    pub patch: usize,
    /// Enlargement.
    pub scale: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the stage: different stages see different patches.
    pub stage: u64,
    /// Where the patches come from.
    pub mix: Mix,
}

/// 8-bit patches, interleaved RGB, patch after patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    small: Vec<u8>,
    large: Vec<u8>,
    sources: Vec<Source>,
    plan: (usize, usize, usize),
}

impl Batch {
    /// y N×3×P×P, its source N×1×1×1 and x folded N×3s²×P×P, f32 in [0, 1], channels last, on `device`.
    pub fn tensors(&self, device: Device) -> (Tensor, Tensor, Tensor) {
        let (n, patch, scale) = self.plan;
        let picture = |bytes: &[u8], side: usize| {
            let shape = [n as i64, side as i64, side as i64, 3];
            (upload(bytes, shape, device) / 255.0).permute([0, 3, 1, 2])
        };
        let large = picture(&self.large, patch * scale);
        let values: Vec<f32> = self.sources.iter().map(|source| source.value()).collect();
        let source = Tensor::from_slice(&values).view([n as i64, 1, 1, 1]).to_device(device);
        (picture(&self.small, patch), source, large.pixel_unshuffle(scale as i64))
    }
}

/// Bytes as f32 on `device`. To a GPU they go through pinned memory, which neither waits for what is computed
/// there nor makes that wait for long.
pub(super) fn upload(bytes: &[u8], shape: [i64; 4], device: Device) -> Tensor {
    let host = Tensor::from_data_size(bytes, &shape, Kind::Uint8);
    let there = match device {
        Device::Cuda(_) => host.pin_memory(device).to_device_(device, Kind::Uint8, true, false),
        _ => host.to_device(device),
    };
    there.to_kind(Kind::Float)
}

/// The batch of one step.
pub fn make_batch(corpus: &Corpus, plan: BatchPlan, step: u64) -> Batch {
    let area = 3 * plan.patch * plan.patch;
    let (mut small, mut large) =
        (vec![0; plan.batch * area], vec![0; plan.batch * area * plan.scale * plan.scale]);
    let places = small.par_chunks_mut(area).zip(large.par_chunks_mut(area * plan.scale * plan.scale));
    let sources = places
        .enumerate()
        .map(|(index, (small, large))| {
            let mut random = Random::new(&[plan.seed, plan.stage, step, index as u64]);
            let pair = &corpus.pairs[random.below(corpus.pairs.len())];
            patch(pair, plan, (small, large), &mut random)
        })
        .collect();
    Batch { small, large, sources, plan: (plan.batch, plan.patch, plan.scale) }
}

/// Draws one patch into its places and tells where its small picture comes from.
fn patch(pair: &Pair, plan: BatchPlan, into: (&mut [u8], &mut [u8]), random: &mut Random) -> Source {
    let x = random.below(pair.small.size.width - plan.patch + 1);
    let y = random.below(pair.small.size.height - plan.patch + 1);
    let symmetry = random.below(8);
    let source = plan.mix.draw(random);
    let (s, side) = (plan.scale, plan.patch);
    match source {
        Source::Clean => cut(&pair.small, (x, y), side, symmetry, into.0),
        _ => cut_damaged(&pair.small, (x, y), side, symmetry, source, random, into.0),
    }
    cut(&pair.large, (x * s, y * s), side * s, symmetry, into.1);
    source
}

/// A patch out of a damaged surrounding: blur looks beyond the patch, and JPEG's blocks begin anywhere.
fn cut_damaged(
    picture: &Picture,
    (x, y): (usize, usize),
    side: usize,
    symmetry: usize,
    source: Source,
    random: &mut Random,
    into: &mut [u8],
) {
    let mut span = |at: usize, whole: usize| {
        let begin = at.saturating_sub(DAMAGE_RADIUS + random.below(16));
        (begin, (at + side + DAMAGE_RADIUS).min(whole) - begin)
    };
    let (left, width) = span(x, picture.size.width);
    let (top, height) = span(y, picture.size.height);
    let mut around = Picture::new(Size::new(width, height), 3);
    for (row, into) in around.samples.chunks_exact_mut(3 * width).enumerate() {
        let at = 3 * ((top + row) * picture.size.width + left);
        into.copy_from_slice(&picture.samples[at..at + 3 * width]);
    }
    cut(&degrade(&around, source, random), (x - left, y - top), side, symmetry, into);
}

/// A square under one of the eight symmetries: bit 0 flips columns, bit 1 rows, bit 2 transposes. The
/// shrinking kernel is symmetric, so the pair stays a pair. `into` takes its interleaved RGB.
pub(super) fn cut(picture: &Picture, (x, y): (usize, usize), side: usize, symmetry: usize, into: &mut [u8]) {
    for (row, pixels) in into.chunks_exact_mut(3 * side).enumerate() {
        for (column, pixel) in pixels.chunks_exact_mut(3).enumerate() {
            let (mut a, mut b) = if symmetry & 4 == 0 { (column, row) } else { (row, column) };
            if symmetry & 1 != 0 {
                a = side - 1 - a;
            }
            if symmetry & 2 != 0 {
                b = side - 1 - b;
            }
            let at = ((y + b) * picture.size.width + x + a) * 3;
            pixel.copy_from_slice(&picture.samples[at..at + 3]);
        }
    }
}

/// Runs `body` with a receiver of the batches `make` gives from number `first` on, made ahead by a thread
/// that ends with `body`.
pub fn with_batches<B: Send, T>(
    make: impl Fn(u64) -> B + Send,
    first: u64,
    body: impl FnOnce(&Receiver<B>) -> T,
) -> T {
    std::thread::scope(|scope| {
        let (sender, receiver) = bounded(AHEAD);
        let maker = move || {
            for number in first.. {
                if sender.send(make(number)).is_err() {
                    return; // The loop has ended.
                }
            }
        };
        let spawned = std::thread::Builder::new().name("batches".into()).spawn_scoped(scope, maker);
        spawned.expect("one thread can be started");
        // Ends the maker, whose send fails once the only receiver is gone.
        let receiver = receiver;
        body(&receiver)
    })
}

#[cfg(test)]
mod tests {
    use super::super::corpus::CorpusFacts;
    use super::*;
    use contract::geometry::Size;
    use contract::pixels::Planes;
    use contract::resample::shrink;

    fn corpus() -> Corpus {
        let size = Size::new(96, 64);
        let samples = (0..size.area() * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let large = Picture { size, channels: 3, samples };
        let small = shrink(&Planes::from_picture(&large), 4).to_picture();
        Corpus { pairs: vec![Pair { large, small, file: "a".into() }], facts: CorpusFacts::default() }
    }

    const PLAN: BatchPlan =
        BatchPlan { batch: 3, patch: 8, scale: 4, seed: 1, stage: 0, mix: Mix { photo: 0.4, heavy: 0.2 } };

    #[test]
    fn a_batch_depends_on_its_step_alone() {
        let corpus = corpus();
        let ahead = with_batches(
            |step| make_batch(&corpus, PLAN, step),
            5,
            |batches| [batches.recv().unwrap(), batches.recv().unwrap()],
        );
        assert_eq!(ahead, [make_batch(&corpus, PLAN, 5), make_batch(&corpus, PLAN, 6)]);
        assert_ne!(ahead[0], ahead[1]);
    }

    /// Every symmetry keeps small and large aligned: shrinking the large patch gives the small one, off the
    /// border.
    #[test]
    fn pairs_stay_pairs_under_every_symmetry() {
        let corpus = corpus();
        for symmetry in 0..8 {
            let mut small = [0; 3 * 8 * 8];
            cut(&corpus.pairs[0].small, (4, 3), 8, symmetry, &mut small);
            let mut large = Picture::new(Size::new(32, 32), 3);
            cut(&corpus.pairs[0].large, (16, 12), 32, symmetry, &mut large.samples);
            let shrunk = shrink(&Planes::from_picture(&large), 4).to_picture();
            for y in 2..6 {
                for x in 2..6 {
                    let at = (y * 8 + x) * 3;
                    assert_eq!(
                        small[at..at + 3],
                        shrunk.samples[at..at + 3],
                        "symmetry {symmetry} at {x},{y}"
                    );
                }
            }
        }
    }
}
