//! Schedules of training as pure functions: learning rate, the averages' decay, the mean's loss. Noise levels
//! are `method`'s.

/// Learning rate as a fraction of its peak at `progress` 0…1 of the stage: constant, then from 30 % on a
/// cosine down to 2 %; the first `warmup` steps rise linearly. Nothing over the share `head_start` of the
/// stage, though moments gather.
pub fn learning_rate(progress: f64, step: u64, warmup: u64, head_start: f64) -> f64 {
    if progress < head_start {
        return 0.0;
    }
    let rise = ((step + 1) as f64 / warmup.max(1) as f64).min(1.0);
    let late = ((progress - 0.3) / 0.7).clamp(0.0, 1.0);
    let fall = 0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * late).cos());
    rise * fall
}

/// EMA decay at step n: (1 + n)/(10 + n) until it reaches `limit`.
pub fn ema_decay(step: u64, limit: f64) -> f64 {
    ((1 + step) as f64 / (10 + step) as f64).min(limit)
}

/// What the mean's loss √(d² + ε²) begins and ends with, in shares of the range of pictures.
const EPSILON: (f64, f64) = (1e-3, 0.1);

/// ε at `progress` 0…1 of the mean's stage. Absolute errors teach faster, and lead to the median of what may
/// have been there; squares lead to its mean, which μ is to be. So ε grows from 40 % to 90 % of the stage,
/// slowly enough for Adam's second moments to follow the gradients, which shrink.
pub fn epsilon(progress: f64) -> f64 {
    let late = ((progress - 0.4) / 0.5).clamp(0.0, 1.0);
    EPSILON.0 * (EPSILON.1 / EPSILON.0).powf(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_holds_and_falls_to_two_percent() {
        assert!((learning_rate(0.0, 0, 100, 0.0) - 0.01).abs() < 1e-12);
        assert!((learning_rate(0.2, 500, 100, 0.0) - 1.0).abs() < 1e-12);
        assert!((learning_rate(1.0, 9999, 100, 0.0) - 0.02).abs() < 1e-12);
        assert!((learning_rate(0.65, 9999, 100, 0.0) - 0.51).abs() < 1e-3);
        assert_eq!(
            [0.0, 0.04, 0.05].map(|progress| learning_rate(progress, 500, 100, 0.05)),
            [0.0, 0.0, 1.0]
        );
    }

    #[test]
    fn the_mean_ends_with_squares() {
        let near = |progress: f64, expected: f64| (epsilon(progress) / expected - 1.0).abs() < 1e-12;
        assert!(near(0.0, 1e-3) && near(0.4, 1e-3) && near(0.65, 1e-2) && near(0.9, 0.1) && near(1.0, 0.1));
    }
}
