//! Figures of a set of generated pictures against real ones: Fréchet distance and kernel distance in the
//! features of a classifier of ours (called FD and KID of that classifier, never FID), and sliced Wasserstein
//! distance of patches. Works on tensors of features and pictures; knows no networks.

use crate::data::Random;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How much work the estimates are worth.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Subsets that KID averages over, and pictures in each (Bińkowski et al. 2018).
    subsets: usize,
    subset: usize,
    /// SWD's pictures, patches of each and lines (Karras et al. 2018).
    pictures: i64,
    patches: usize,
    lines: i64,
}

/// What reports use.
const FULL: Effort = Effort { subsets: 100, subset: 1000, pictures: 1000, patches: 128, lines: 512 };
/// Side of SWD's patches.
const PATCH: i64 = 7;
/// Lines sorted at once: bounds memory.
const AT_ONCE: i64 = 64;

/// How far a set is from another; 0 is equal, all lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GeneratedFigures {
    /// Fréchet distance of the features' Gaussians.
    pub fd: f64,
    /// Unbiased squared MMD of the features with the kernel (x·y/d + 1)³, ×10³.
    pub kid_e3: f64,
    /// Sliced Wasserstein distance of 7×7 patches ×10³ at full and half size.
    pub swd_e3: [f64; 2],
}

/// Features N×F and pictures N×3×S×S in [−1, 1] of one set.
#[derive(Debug)]
pub struct Gallery {
    /// N×F.
    pub features: Tensor,
    /// N×3×S×S.
    pub pictures: Tensor,
}

impl Gallery {
    /// The first `count`.
    pub fn first(&self, count: i64) -> Gallery {
        Gallery { features: self.features.narrow(0, 0, count), pictures: self.pictures.narrow(0, 0, count) }
    }
}

/// All figures of `out` against `truth`; both need at least 1,000 pictures.
pub fn generated_figures(out: &Gallery, truth: &Gallery, seed: u64) -> GeneratedFigures {
    figures(out, truth, seed, FULL)
}

fn figures(out: &Gallery, truth: &Gallery, seed: u64, effort: Effort) -> GeneratedFigures {
    let _guard = tch::no_grad_guard();
    let mut random = Random::new(&[seed]);
    GeneratedFigures {
        fd: frechet(&out.features, &truth.features),
        kid_e3: 1e3 * kernel(&out.features, &truth.features, &mut random, effort),
        swd_e3: sliced(&out.pictures, &truth.pictures, &mut random, effort).map(|d| 1e3 * d),
    }
}

/// ‖m₁ − m₂‖² + tr(C₁ + C₂ − 2·(C₁C₂)^½) (Dowson & Landau 1982), f64.
pub fn frechet(a: &Tensor, b: &Tensor) -> f64 {
    let ((mean_a, cov_a), (mean_b, cov_b)) = (moments(a), moments(b));
    // tr (C₁C₂)^½ = tr (C₁^½ C₂ C₁^½)^½, which is symmetric.
    let (values, vectors) = cov_a.linalg_eigh("L");
    let root = (&vectors * values.clamp_min(0.0).sqrt().unsqueeze(0)).matmul(&vectors.transpose(0, 1));
    let inner = root.matmul(&cov_b).matmul(&root);
    let (values, _) = ((&inner + inner.transpose(0, 1)) * 0.5).linalg_eigh("L");
    let cross = values.clamp_min(0.0).sqrt().sum(Kind::Double);
    let mean = (mean_a - mean_b).square().sum(Kind::Double);
    (mean + cov_a.trace() + cov_b.trace() - cross * 2.0).double_value(&[])
}

fn moments(x: &Tensor) -> (Tensor, Tensor) {
    let x = x.to_kind(Kind::Double);
    let mean = x.mean_dim(&[0i64][..], false, Kind::Double);
    let centred = x - &mean;
    let count = centred.size()[0] as f64;
    (mean, centred.transpose(0, 1).matmul(&centred) / (count - 1.0))
}

fn kernel(a: &Tensor, b: &Tensor, random: &mut Random, effort: Effort) -> f64 {
    let subset = effort.subset.min(a.size()[0] as usize).min(b.size()[0] as usize);
    let mut choose = |x: &Tensor| {
        let mut order: Vec<i64> = (0..x.size()[0]).collect();
        let count = order.len();
        (0..subset).for_each(|i| order.swap(i, i + random.below(count - i)));
        x.index_select(0, &Tensor::from_slice(&order[..subset]).to_device(x.device()))
    };
    let m = subset as f64;
    let total: f64 = (0..effort.subsets)
        .map(|_| {
            let (x, y) = (choose(a), choose(b));
            let k = |x: &Tensor, y: &Tensor| {
                (x.matmul(&y.transpose(0, 1)) / x.size()[1] as f64 + 1.0).pow_tensor_scalar(3)
            };
            // Means over all pairs of different pictures: the diagonal is left out.
            let within = |x: &Tensor| {
                let gram = k(x, x).to_kind(Kind::Double);
                ((gram.sum(Kind::Double) - gram.trace()) / (m * (m - 1.0))).double_value(&[])
            };
            within(&x) + within(&y) - 2.0 * k(&x, &y).mean(Kind::Double).double_value(&[])
        })
        .sum();
    total / effort.subsets as f64
}

/// Per level of a Laplacian pyramid: patches normalised per channel, projected to lines, sorted, compared.
fn sliced(a: &Tensor, b: &Tensor, random: &mut Random, effort: Effort) -> [f64; 2] {
    let count = effort.pictures.min(a.size()[0]).min(b.size()[0]);
    let [levels_a, levels_b] = [a, b].map(|x| pyramid(&x.narrow(0, 0, count)));
    let mut distances = [0.0; 2];
    for (level, distance) in distances.iter_mut().enumerate() {
        let size = levels_a[level].size()[2];
        let places: Vec<(i64, i64)> = (0..effort.patches)
            .map(|_| {
                let mut place = || random.below((size - PATCH + 1) as usize) as i64;
                (place(), place())
            })
            .collect();
        let (x, y) = (patches(&levels_a[level], &places), patches(&levels_b[level], &places));
        tch::manual_seed(random.next() as i64);
        let lines = Tensor::randn([x.size()[1], effort.lines], (Kind::Float, x.device()));
        let lines = &lines / lines.square().sum_dim_intlist(&[0i64][..], true, Kind::Float).sqrt();
        let parts = effort.lines / AT_ONCE;
        let sum: f64 = (0..parts)
            .map(|part| {
                let some = lines.narrow(1, part * AT_ONCE, AT_ONCE);
                let sorted = |x: &Tensor| x.matmul(&some).transpose(0, 1).contiguous().sort(-1, false).0;
                (sorted(&x) - sorted(&y)).abs().mean(Kind::Double).double_value(&[])
            })
            .sum();
        *distance = sum / parts as f64;
    }
    distances
}

/// Full size less what half size can say, and half size.
fn pyramid(x: &Tensor) -> [Tensor; 2] {
    let half = x.avg_pool2d([2, 2], [2, 2], [0, 0], false, false, None);
    let size = x.size();
    let back = half.upsample_bilinear2d([size[2], size[3]], false, None, None);
    [x - back, half]
}

/// The same `places` of every picture → M×147, each channel to zero mean and unit variance over the set.
fn patches(x: &Tensor, places: &[(i64, i64)]) -> Tensor {
    let cut = |&(r, c): &(i64, i64)| x.narrow(2, r, PATCH).narrow(3, c, PATCH);
    let all = Tensor::cat(&places.iter().map(cut).collect::<Vec<_>>(), 0);
    let mean = all.mean_dim(&[0i64, 2, 3][..], true, Kind::Float);
    let centred = all - mean;
    let std = centred.square().mean_dim(&[0i64, 2, 3][..], true, Kind::Float).sqrt();
    (centred / (std + 1e-8)).reshape([-1, 3 * PATCH * PATCH])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn normal(shape: [i64; 2]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    /// Two Gaussians with means 0 and 1 and stds 1 and 2 in each of five directions: 5·(1² + (1 − 2)²).
    #[test]
    fn the_frechet_distance_of_known_gaussians() {
        tch::manual_seed(4);
        let (a, b) = (normal([200_000, 5]), normal([200_000, 5]) * 2.0 + 1.0);
        assert!((frechet(&a, &b) - 10.0).abs() < 0.15, "{}", frechet(&a, &b));
        assert!(frechet(&a, &a).abs() < 1e-9);
    }

    #[test]
    fn equal_sets_are_near_zero_and_a_shift_is_not() {
        tch::manual_seed(5);
        tch::set_num_threads(1);
        let picture = || Tensor::rand([150, 3, 32, 32], (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
        let gallery = |shift: f64| Gallery { features: normal([600, 8]) + shift, pictures: picture() };
        let (a, b, far) = (gallery(0.0), gallery(0.0), gallery(0.5));
        let effort = Effort { subsets: 20, subset: 400, pictures: 100, patches: 32, lines: 64 };
        let of = |x: &Gallery| figures(&a, x, 1, effort);
        let (near, away) = (of(&b), of(&far));
        assert!(near.kid_e3.abs() < 10.0 && away.kid_e3 > 100.0, "{near:?} {away:?}");
        assert!(near.fd < 0.1 && (away.fd - 2.0).abs() < 0.4, "{near:?} {away:?}");
        let blurred = Gallery {
            features: b.features.copy(),
            pictures: b.pictures.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None),
        };
        let soft = of(&blurred);
        assert!(soft.swd_e3[0] > 1.5 * near.swd_e3[0], "{near:?} {soft:?}");
    }
}
