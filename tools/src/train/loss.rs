//! The losses, one function each. All take folded tensors (N×3s²×H×W) and ignore the outer `border` LR
//! pixels, where a patch lacks its context.

use tch::{Kind, Tensor};

/// Pseudo-Huber constant per √dimension (iCT, Song & Dhariwal 2023, section 3.3).
const HUBER: f64 = 0.000_54;
/// Side of the blocks over which consistency distances are taken, in LR pixels: photographs mix flat and
/// textured places, and one norm over all would see the edges alone.
const BLOCK: i64 = 7;
/// Weight of the distance between high-pass parts beside the plain one.
const HIGH_PASS: f64 = 0.5;

/// Drops the outer `border` LR pixels.
pub fn inner(x: &Tensor, border: i64) -> Tensor {
    let size = x.size();
    x.narrow(2, border, size[2] - 2 * border).narrow(3, border, size[3] - 2 * border)
}

/// Charbonnier distance, mean of √(d² + 10⁻⁶): stage A.
pub fn charbonnier(mean: &Tensor, truth: &Tensor, border: i64) -> Tensor {
    (inner(&(mean - truth), border).square() + 1e-6).sqrt().mean(Kind::Float)
}

/// Gaussian negative log-likelihood of the normalised residual e under the local scale, per plane k:
/// log s_k + mean(e_k²) / (2 s_k²), the mean over the s² pixels that share an LR pixel.
pub fn scale_likelihood(log_scale: &Tensor, residual: &Tensor, border: i64) -> Tensor {
    let energy = plane_energy(residual);
    let log_scale = inner(log_scale, border);
    let inverse_variance = (&log_scale * -2.0).exp();
    (log_scale + inner(&energy, border) * inverse_variance * 0.5).mean(Kind::Float)
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

/// Diffusion loss in F space: λ(σ)·‖D − e‖² with EDM's λ = (σ² + σ_d²)/(σ σ_d)² is the plain mean square of
/// F − (e − c_skip·x)/c_out (Karras et al. 2022, eq. 8).
pub fn diffusion(f: &Tensor, target: &Tensor, border: i64) -> Tensor {
    inner(&(f - target), border).square().mean(Kind::Float)
}

/// Consistency distance of each sample, N values: pseudo-Huber √(‖d‖² + c²) − c over 7×7-pixel blocks of d =
/// f_t − f_r, plus half of the same for d's high-pass part, divided by the block's √dimension (an RMS, so
/// that it does not depend on the block's size).
pub fn consistency(difference: &Tensor, border: i64) -> Tensor {
    let d = inner(difference, border);
    let size = d.size();
    let sub = size[1] / 3;
    // High-pass: what remains of the s² pixels of an LR pixel after their mean.
    let fine = d.reshape([size[0], 3, sub, size[2], size[3]]);
    let fine = &fine - fine.mean_dim(&[2i64][..], true, Kind::Float);
    huber_blocks(&d.square()) + huber_blocks(&fine.reshape(&size[..]).square()) * HIGH_PASS
}

fn huber_blocks(square: &Tensor) -> Tensor {
    let mean_square = square.mean_dim(&[1i64][..], true, Kind::Float).avg_pool2d(
        [BLOCK, BLOCK],
        [BLOCK, BLOCK],
        [0, 0],
        true,
        false,
        None,
    );
    let distance = (mean_square + HUBER * HUBER).sqrt() - HUBER;
    distance.mean_dim(&[1i64, 2, 3][..], false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// The likelihood's minimum is the true local RMS.
    #[test]
    fn the_scale_likelihood_is_least_at_the_true_scale() {
        tch::manual_seed(3);
        let residual = Tensor::randn([2, 48, 12, 12], (Kind::Float, Device::Cpu)) * 0.5;
        let at = |s: f64| {
            let log_scale = Tensor::zeros([2, 3, 12, 12], (Kind::Float, Device::Cpu)) + s.ln();
            scale_likelihood(&log_scale, &residual, 2).double_value(&[])
        };
        assert!(at(0.5) < at(0.47) && at(0.5) < at(0.53));
    }

    #[test]
    fn the_consistency_distance_is_an_rms_far_from_zero_and_zero_at_zero() {
        let ones = Tensor::ones([2, 48, 18, 18], (Kind::Float, Device::Cpu));
        // A constant has no high-pass part.
        let far = Vec::<f64>::try_from(consistency(&ones, 2).to_kind(Kind::Double)).unwrap();
        assert!(far.iter().all(|v| (v - 1.0).abs() < 1e-3), "{far:?}");
        let none = Vec::<f64>::try_from(consistency(&(ones * 0.0), 2).to_kind(Kind::Double)).unwrap();
        assert!(none.iter().all(|v| v.abs() < 1e-9));
    }
}
