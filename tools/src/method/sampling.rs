//! From noise to pictures with a consistency function: in one evaluation, or in a few (Song et al. 2023,
//! algorithm 1). The solvers of the ODE are in `solver`.

use super::{Denoiser, levels_tensor};
use tch::Tensor;

/// x₀ at σ = `sigma` for every picture.
fn at(f: Denoiser<'_>, x: &Tensor, sigma: f64) -> Tensor {
    f(x, &levels_tensor(&vec![sigma; x.size()[0] as usize], x.device()))
}

/// Algorithm 1 without ε (f(x, 0) = x here): x = f(τ₁·n₁, τ₁), then for each further level x = f(x + τ·n, τ).
/// `levels` descend from σ_max; one level is one-step sampling. Every estimate is clipped to [−1, 1], except
/// the last. `noise` gives fresh N×C×H×W standard normals for step 0, 1, ….
///
/// # Panics
/// If there is no level.
pub fn multistep(f: Denoiser<'_>, noise: &dyn Fn(usize) -> Tensor, levels: &[f64]) -> Tensor {
    let mut x = at(f, &(noise(0) * levels[0]), levels[0]);
    for (step, &level) in levels.iter().enumerate().skip(1) {
        x = at(f, &(x.clamp(-1.0, 1.0) + noise(step) * level), level);
    }
    x
}

/// Spherical interpolation of two noises, `share` 0…1 of the way (each picture of N×C×H×W by itself).
pub fn slerp(a: &Tensor, b: &Tensor, share: f64) -> Tensor {
    let sum = |x: Tensor| x.sum_dim_intlist(&[1i64, 2, 3][..], true, tch::Kind::Float);
    let (length_a, length_b) = (sum(a.square()).sqrt(), sum(b.square()).sqrt());
    let angle = (sum(a * b) / (length_a * length_b)).clamp(-1.0, 1.0).acos().clamp_min(1e-6);
    let weight = |part: f64| (&angle * part).sin() / angle.sin();
    a * weight(1.0 - share) + b * weight(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn slerp_ends_at_its_ends_and_keeps_lengths() {
        tch::manual_seed(1);
        let noise = || Tensor::randn([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        let (a, b) = (noise(), noise());
        assert!((slerp(&a, &b, 0.0) - &a).abs().max().double_value(&[]) < 1e-5);
        assert!((slerp(&a, &b, 1.0) - &b).abs().max().double_value(&[]) < 1e-5);
        let half = slerp(&a, &b, 0.5).norm().double_value(&[]) / a.norm().double_value(&[]);
        assert!((half - 1.0).abs() < 0.05, "{half}");
    }

    /// On Gaussian data a second step with the ideal f keeps the distribution: std s in, std s out.
    #[test]
    fn a_second_step_adds_fresh_noise_at_its_level() {
        tch::manual_seed(2);
        let s = 0.2;
        // The exact consistency function of N(0, s²): x·s/√(s² + σ²).
        let f = |x: &Tensor, sigma: &Tensor| {
            x * (sigma.square() + s * s).sqrt().reciprocal().view([-1, 1, 1, 1]) * s
        };
        let noise = |_: usize| Tensor::randn([1, 1, 256, 256], (Kind::Float, Device::Cpu));
        let out = multistep(&f, &noise, &[80.0, 0.8]);
        assert!((out.std(true).double_value(&[]) / s - 1.0).abs() < 0.02);
    }
}
