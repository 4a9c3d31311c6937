//! EDM preconditioning with the consistency boundary f(x, 0) = x (Karras et al. 2022, table 1; Song et al.
//! 2023, eq. 5; unshifted as in ECT, Geng et al. 2024). One D or f for every method.

use tch::{Kind, Tensor};

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

/// The three scalings for data of standard deviation σ_d; c_noise = ln(σ)/4 lives in the networks' embedding.
pub fn coefficients(sigma: &Tensor, sigma_data: f64) -> Coefficients {
    let total = sigma.square() + sigma_data * sigma_data;
    let root = total.sqrt();
    Coefficients {
        skip: total.reciprocal() * (sigma_data * sigma_data),
        out: sigma * sigma_data / &root,
        input: root.reciprocal(),
    }
}

/// c_skip·x + c_out·F(c_in·x, σ): x N×C×H×W, σ of N values, `network` F(scaled x, σ).
pub fn preconditioned(
    network: &dyn Fn(&Tensor, &Tensor) -> Tensor,
    x: &Tensor,
    sigma: &Tensor,
    sigma_data: f64,
) -> Tensor {
    let c = coefficients(&each(sigma), sigma_data);
    x * &c.skip + network(&(x * &c.input), sigma) * &c.out
}

/// N values as N×1×1×1, to broadcast over pictures.
pub fn each(values: &Tensor) -> Tensor {
    values.to_kind(Kind::Float).view([-1, 1, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f(x, 0) = x exactly, and c_in·x has unit variance.
    #[test]
    fn the_boundary_is_exact_and_inputs_have_unit_variance() {
        for sigma_data in [1.0, 0.5] {
            let at = |sigma: f64| {
                let c = coefficients(&Tensor::from(sigma), sigma_data);
                [&c.skip, &c.out, &c.input].map(|t| t.double_value(&[]))
            };
            assert_eq!(at(0.0), [1.0, 0.0, 1.0 / sigma_data]);
            for sigma in [0.02, 0.5, 3.0, 80.0] {
                let [skip, out, input] = at(sigma);
                let data = sigma_data * sigma_data;
                assert!((input * input * (sigma * sigma + data) - 1.0).abs() < 1e-9);
                // The target of F has unit variance: Var(e − c_skip·x) = c_out².
                let target = (1.0 - skip).powi(2) * data + skip * skip * sigma * sigma;
                assert!((target - out * out).abs() < 1e-9);
            }
        }
        let x = Tensor::randn([2, 3, 4, 4], (Kind::Float, tch::Device::Cpu));
        let same = preconditioned(&|x, _| x * 7.0, &x, &Tensor::zeros([2], (Kind::Float, x.device())), 0.5);
        assert_eq!(same, x);
    }
}
