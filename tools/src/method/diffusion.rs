//! Diffusion training of the denoiser D (Karras et al. 2022): the teacher, and every consistency net's start.

use super::Denoiser;
use super::precondition::{coefficients, each};
use tch::Tensor;

/// What F should be: (x₀ − c_skip·x)/c_out. λ(σ)·‖D − x₀‖² with EDM's λ = (σ² + σ_d²)/(σ σ_d)² is the plain
/// mean square of F minus this (eq. 8), so every level weighs the same. All N×C×H×W, σ of N values > 0.
pub fn target(clean: &Tensor, noisy: &Tensor, sigma: &Tensor, sigma_data: f64) -> Tensor {
    let c = coefficients(&each(sigma), sigma_data);
    (clean - noisy * &c.skip) / &c.out
}

/// F's error at `sigma`: network(c_in·x_σ, σ) minus its target, for x_σ = `clean` + σ·`noise`.
pub fn difference(
    network: Denoiser<'_>,
    clean: &Tensor,
    noise: &Tensor,
    sigma: &Tensor,
    sigma_data: f64,
) -> Tensor {
    let noisy = clean + noise * each(sigma);
    let c = coefficients(&each(sigma), sigma_data);
    network(&(&noisy * &c.input), sigma) - target(clean, &noisy, sigma, sigma_data)
}

#[cfg(test)]
mod tests {
    use super::super::precondition::preconditioned;
    use super::*;
    use tch::{Device, Kind};

    /// The stated identity: λ·‖D − x₀‖² is ‖F − target‖², at every level.
    #[test]
    fn unit_weight_on_f_is_edms_weight_on_d() {
        let draw = || Tensor::randn([3, 2, 4, 4], (Kind::Float, Device::Cpu));
        tch::manual_seed(1);
        let (clean, noise) = (draw() * 0.5, draw());
        let levels = [0.01f64, 0.7, 30.0];
        let sigma = Tensor::from_slice(&levels).to_kind(Kind::Float);
        let network = |x: &Tensor, _: &Tensor| x * 0.3 + 0.1;
        let of_f = difference(&network, &clean, &noise, &sigma, 0.5).square();
        let noisy = &clean + &noise * each(&sigma);
        let of_d = (preconditioned(&network, &noisy, &sigma, 0.5) - &clean).square();
        for (index, level) in levels.iter().enumerate() {
            let mean = |x: &Tensor| x.select(0, index as i64).mean(Kind::Double).double_value(&[]);
            let lambda = (level * level + 0.25) / (level * 0.5).powi(2);
            assert!((lambda * mean(&of_d) / mean(&of_f) - 1.0).abs() < 1e-2, "{level}");
        }
    }
}
