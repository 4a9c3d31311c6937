//! Proofs of the methods on data whose ideal denoiser is a formula: for x₀ ~ N(0, s²) it is
//! D*(x; σ) = x·s²/(s² + σ²). The spread that a chain of consistency steps keeps follows the mean-collapse
//! law R = Π cos(θ_n − θ_{n−1}), θ = atan(σ/s); with a teacher and Heun's method it hardly shrinks.

use super::precondition::each;
use super::*;
use tch::{Device, Kind};

const S: f64 = 0.5;
const CIFAR: Levels = Levels {
    sigma_data: S,
    sigma_min: 0.002,
    sigma_max: 80.0,
    log_mean: -1.1,
    log_std: 2.0,
    at_max_every: 0,
};

fn normal(count: i64) -> Tensor {
    Tensor::randn([count, 1, 1, 1], (Kind::Float, Device::Cpu))
}

fn ideal(x: &Tensor, sigma: &Tensor) -> Tensor {
    x * (S * S) / (each(sigma).square() + S * S)
}

/// R of a grid that starts at 0.
fn law(grid: &[f64]) -> f64 {
    grid.windows(2).map(|pair| ((pair[1] / S).atan() - (pair[0] / S).atan()).cos()).product()
}

/// Std of f(x, t_N) over s, where f(x, t_n) = a_n·x and each a_n is where the loss with f(·, t_{n−1}) as
/// target is least: the loss is a parabola in a_n, so two evaluations of `difference` find its bottom.
fn spread_kept(grid: &[f64], teacher: Option<Solver>) -> f64 {
    tch::manual_seed(11);
    tch::set_num_threads(1);
    let count = 150_000;
    let mut before = 1.0;
    for pair in grid.windows(2) {
        let (clean, noise) = (normal(count) * S, normal(count));
        let pairs = Pairs {
            t: vec![pair[1]; count as usize],
            r: vec![pair[0]; count as usize],
            weight: vec![1.0; count as usize],
        };
        let target = |x: &Tensor, _: &Tensor| x * before;
        let at = |a: f64| {
            let student = |x: &Tensor, _: &Tensor| x * a;
            let teacher = teacher.map(|solver| (&ideal as Denoiser<'_>, solver));
            difference(Functions { student: &student, target: &target, teacher }, &clean, &noise, &pairs)
                .to_kind(Kind::Double)
        };
        let (at_zero, at_one) = (at(0.0), at(1.0));
        let x = &at_one - &at_zero;
        let dot = |a: &Tensor, b: &Tensor| (a * b).sum(Kind::Double).double_value(&[]);
        before = -dot(&x, &at_zero) / dot(&x, &x);
    }
    let top = grid[grid.len() - 1];
    before * (S * S + top * top).sqrt() / S
}

/// Without a teacher x_r is exactly an Euler step whose denoiser knows the truth.
#[test]
fn the_unbiased_score_estimate_is_an_euler_step_with_the_truth() {
    tch::manual_seed(2);
    let (clean, noise) = (normal(64), normal(64));
    let (t, r) = (vec![3.0; 64], vec![1.7; 64]);
    let truth = |_: &Tensor, _: &Tensor| clean.shallow_clone();
    let noisy = &clean + &noise * 3.0;
    let stepped =
        Solver::Euler.step(&truth, &noisy, &levels_tensor(&t, Device::Cpu), &levels_tensor(&r, Device::Cpu));
    let coupled = &clean + &noise * 1.7;
    assert!((stepped - coupled).abs().max().double_value(&[]) < 1e-6 * 8.0, "f32 of numbers up to 10");
}

/// Heun's method on the ideal denoiser overshoots the spread by these known amounts.
#[test]
fn heun_from_the_top_gives_the_known_spread() {
    for (points, known) in [(18, 1.055), (20, 1.044), (40, 1.010)] {
        let mut down = CIFAR.karras(points);
        down.reverse();
        let start = Tensor::full([1, 1, 1, 1], 80.0, (Kind::Float, Device::Cpu));
        let end = integrate(Solver::Heun, &ideal, &start, &down).double_value(&[0, 0, 0, 0]);
        let ratio = end / 80.0 * (S * S + 80.0f64.powi(2)).sqrt() / (S * S + 0.002f64.powi(2)).sqrt();
        assert!((ratio / known - 1.0).abs() < 2e-3, "{points} points: {ratio}");
    }
}

/// Consistency training and distillation with Euler steps lose what the law says, on any grid.
#[test]
fn spread_shrinks_by_the_mean_collapse_law() {
    let uniform: Vec<f64> = (0..=4).map(|n| S * (f64::from(n) / 4.0 * (80.0 / S).atan()).tan()).collect();
    for (grid, known) in [(uniform, 0.73), (CIFAR.grid(8), 0.67)] {
        assert!((law(&grid) / known - 1.0).abs() < 0.02, "{}", law(&grid));
        for teacher in [None, Some(Solver::Euler)] {
            let kept = spread_kept(&grid, teacher);
            assert!((kept / law(&grid) - 1.0).abs() < 0.02, "{kept} with {teacher:?}");
        }
    }
}

/// Distillation with Heun's method hardly shrinks; one step from the top alone gives the mean.
#[test]
fn distillation_with_heun_keeps_the_spread() {
    let kept = spread_kept(&CIFAR.grid(18), Some(Solver::Heun));
    assert!((kept / 1.055 - 1.0).abs() < 0.01, "{kept}");
    assert!(spread_kept(&[0.0, 80.0], None) < 0.02);
}
