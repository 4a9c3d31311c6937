//! The losses of the mean net and the scale head. All take folded tensors (N×3s²×H×W) and ignore the outer
//! `border` LR pixels, where a patch lacks its context.

use tch::{Kind, Tensor};

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
}
