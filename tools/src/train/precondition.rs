//! EDM preconditioning with the consistency boundary f(x, 0) = x (Karras et al. 2022, table 1; Song et al.
//! 2023, eq. 5; unshifted as in ECT, Geng et al. 2024). σ_data = 1: residuals are normalised.

use tch::Tensor;

/// σ_data of the normalised residual.
pub const SIGMA_DATA: f64 = 1.0;

/// c_skip, c_out and c_in at σ (any shape that broadcasts).
#[derive(Debug)]
pub struct Coefficients {
    /// σ_d² / (σ² + σ_d²)
    pub skip: Tensor,
    /// σ·σ_d / √(σ² + σ_d²)
    pub out: Tensor,
    /// 1 / √(σ² + σ_d²)
    pub input: Tensor,
}

/// The three scalings of the EDM denoiser; c_noise = ln(σ)/4 lives in the network's embedding.
pub fn coefficients(sigma: &Tensor) -> Coefficients {
    let total = sigma.square() + SIGMA_DATA * SIGMA_DATA;
    let root = total.sqrt();
    Coefficients {
        skip: total.reciprocal() * (SIGMA_DATA * SIGMA_DATA),
        out: sigma * SIGMA_DATA / &root,
        input: root.reciprocal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T1 of the specification: f(x, 0) = x exactly, and c_in·x has unit variance.
    #[test]
    fn the_boundary_is_exact_and_inputs_have_unit_variance() {
        let at = |sigma: f64| {
            let c = coefficients(&Tensor::from(sigma));
            [&c.skip, &c.out, &c.input].map(|t| t.double_value(&[]))
        };
        assert_eq!(at(0.0), [1.0, 0.0, 1.0]);
        for sigma in [0.02, 0.5, 3.0, 20.0] {
            let [skip, out, input] = at(sigma);
            assert!((input * input * (sigma * sigma + 1.0) - 1.0).abs() < 1e-9);
            // The target of F has unit variance too: Var(e − c_skip·x) = c_out².
            let target = (1.0 - skip) * (1.0 - skip) + skip * skip * sigma * sigma;
            assert!((target - out * out).abs() < 1e-9);
        }
    }
}
