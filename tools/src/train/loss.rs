//! The losses of the mean net and the scale head on folded tensors (N×3s²×H×W), without the outer `border` LR
//! pixels, where a patch lacks its context; and the energy score of samples.

use tch::{Kind, Tensor};

/// Drops the outer `border` LR pixels.
pub fn inner(x: &Tensor, border: i64) -> Tensor {
    let size = x.size();
    x.narrow(2, border, size[2] - 2 * border).narrow(3, border, size[3] - 2 * border)
}

/// Charbonnier distance, mean of √(d² + ε²): stage A. Errors well above ε count as they are, those below as
/// squares.
pub fn charbonnier(mean: &Tensor, truth: &Tensor, epsilon: f64, border: i64) -> Tensor {
    (inner(&(mean - truth), border).square() + epsilon * epsilon).sqrt().mean(Kind::Float)
}

/// Gaussian negative log-likelihood of the normalised residual e under the local scale, of each plane k at
/// each LR pixel: log s_k + E / (2 s_k²), `energy` E the mean of e_k² over the pixels that share it
/// ([`plane_energy`]). All N×3×H×W.
pub fn scale_likelihood(log_scale: &Tensor, energy: &Tensor) -> Tensor {
    let inverse_variance = (log_scale * -2.0).exp();
    log_scale + energy * inverse_variance * 0.5
}

/// Mean square of each of the three planes over the pixels of an LR pixel: N×3s²×H×W → N×3×H×W.
pub fn plane_energy(residual: &Tensor) -> Tensor {
    let size = residual.size();
    residual.square().reshape([size[0], 3, size[1] / 3, size[2], size[3]]).mean_dim(
        &[2i64][..],
        false,
        Kind::Float,
    )
}

/// Sides in pixels of the patches over which samples are compared, and what each counts.
const PATCHES_PX: [(i64, f64); 3] = [(4, 1.0), (8, 1.0), (16, 0.5)];

/// Energy score of two samples a and b of the same picture against the truth x, folded N×3s²×H×W each: ½(|a
/// − x| + |b − x|) − ½|a − b| (Gneiting & Raftery 2007, equation 21, with two samples), where |·| is the
/// Euclidean norm of a patch, averaged over patches of several sides, each by its share of `weight`
/// N×1×H×W. A strictly proper score: in the mean least where samples are drawn from the truth's own
/// distribution. Taken of the pictures, and of their differences between neighbours, which weigh fine
/// detail more.
pub fn energy_score(a: &Tensor, b: &Tensor, x: &Tensor, scale: i64, weight: &Tensor) -> Tensor {
    let (to_truth, apart) = (0.5, -0.5);
    let pairs = [(a - x, to_truth), (b - x, to_truth), (a - b, apart)];
    let terms = pairs.iter().flat_map(|(difference, sign)| {
        let size = difference.size();
        let pixels = difference.view([size[0], 3, scale, scale, size[2], size[3]]);
        let between = |axis| pixels.narrow(axis, 1, scale - 1) - pixels.narrow(axis, 0, scale - 1);
        [pixels.shallow_clone(), between(2), between(3)].map(|view| patch_norms(&view, scale, weight) * *sign)
    });
    terms.reduce(|sum, term| sum + term).expect("there are three pairs")
}

/// A folded picture N×3s²×H×W whose blocks begin `offset` pixels (down, right) later: N×3s²×(H−1)×(W−1).
pub fn moved(folded: &Tensor, scale: i64, [down, right]: [i64; 2]) -> Tensor {
    let large = folded.pixel_shuffle(scale);
    let size = large.size();
    let part = large.narrow(2, down, size[2] - scale).narrow(3, right, size[3] - scale);
    part.pixel_unshuffle(scale)
}

/// Mean Euclidean norm of patches of N×3×rows×columns×H×W, each of [`PATCHES_PX`] by its weight.
fn patch_norms(view: &Tensor, scale: i64, weight: &Tensor) -> Tensor {
    let squares = view.square().sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float).unsqueeze(1);
    let total = |x: &Tensor| x.sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float);
    let norm = |(side_px, counts): (i64, f64)| {
        let side = side_px / scale;
        let pooled = |x: &Tensor| x.avg_pool2d([side, side], [side, side], [0, 0], false, true, None::<i64>);
        let (weight, norms) = (pooled(weight), (pooled(&squares) + 1e-6).sqrt());
        (total(&(norms * &weight)) / total(&weight).clamp_min(1e-3)).mean(Kind::Float) * counts
    };
    PATCHES_PX.map(norm).into_iter().reduce(|sum, term| sum + term).expect("there are patches")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn noise(seed: i64, std: f64) -> Tensor {
        tch::manual_seed(seed);
        Tensor::randn([8, 48, 12, 12], (Kind::Float, Device::Cpu)) * std
    }

    /// Everywhere.
    fn all() -> Tensor {
        Tensor::ones([8, 1, 12, 12], (Kind::Float, Device::Cpu))
    }

    /// Where nothing is to be made, nothing counts.
    #[test]
    fn the_energy_score_is_that_of_its_own_places() {
        let weight = all();
        drop(weight.narrow(3, 0, 8).fill_(0.0));
        let (a, b, x) = (noise(1, 1.0), noise(2, 1.0), noise(3, 1.0));
        let score = |x: &Tensor| energy_score(&a, &b, x, 4, &weight).double_value(&[]);
        let before = score(&x);
        drop(x.narrow(3, 0, 8).fill_(9.0));
        assert!((score(&x) - before).abs() < 1e-6 * before);
        drop(x.narrow(3, 8, 4).fill_(9.0));
        assert!(score(&x) > 2.0 * before);
    }

    /// Truth of standard deviation 1: samples that vary as much score best, and the mean alone worse.
    #[test]
    fn the_energy_score_is_least_for_samples_like_the_truth() {
        let truth = noise(1, 1.0);
        let score = |std| energy_score(&noise(2, std), &noise(3, std), &truth, 4, &all()).double_value(&[]);
        let right = score(1.0);
        for wrong in [0.0, 0.6, 1.5] {
            assert!(score(wrong) > right, "{wrong}: {} {right}", score(wrong));
        }
    }

    /// Noise that is the same over each block has the right strength and the wrong structure.
    #[test]
    fn the_energy_score_sees_structure() {
        let truth = noise(1, 1.0);
        let flat = |seed| noise(seed, 1.0).narrow(1, 0, 3).repeat_interleave_self_int(16, 1, None::<i64>);
        let score = |a, b| energy_score(a, b, &truth, 4, &all()).double_value(&[]);
        let (right, wrong) = (score(&noise(2, 1.0), &noise(3, 1.0)), score(&flat(2), &flat(3)));
        assert!(wrong > 1.05 * right, "{wrong} {right}");
    }

    #[test]
    fn moved_pictures_lose_what_lies_before_the_offset() {
        let large = Tensor::arange(3 * 8 * 8, (Kind::Float, Device::Cpu)).view([1, 3, 8, 8]);
        let moved = moved(&large.pixel_unshuffle(4), 4, [1, 3]).pixel_shuffle(4);
        assert_eq!(moved, large.narrow(2, 1, 4).narrow(3, 3, 4));
    }

    /// The likelihood's minimum is the true local RMS.
    #[test]
    fn the_scale_likelihood_is_least_at_the_true_scale() {
        tch::manual_seed(3);
        let residual = Tensor::randn([2, 48, 12, 12], (Kind::Float, Device::Cpu)) * 0.5;
        let at = |s: f64| {
            let log_scale = Tensor::zeros([2, 3, 12, 12], (Kind::Float, Device::Cpu)) + s.ln();
            scale_likelihood(&log_scale, &plane_energy(&residual)).mean(Kind::Float).double_value(&[])
        };
        assert!(at(0.5) < at(0.47) && at(0.5) < at(0.53));
    }
}
