//! Schedules of the optimiser as pure functions: learning rate and the averages' decay. Noise levels are
//! `method`'s.

/// Learning rate as a fraction of its peak at `progress` 0…1 of the stage: constant, then from 30 % on a
/// cosine down to 2 %; the first `warmup` steps rise linearly.
pub fn learning_rate(progress: f64, step: u64, warmup: u64) -> f64 {
    let rise = ((step + 1) as f64 / warmup.max(1) as f64).min(1.0);
    let late = ((progress - 0.3) / 0.7).clamp(0.0, 1.0);
    let fall = 0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * late).cos());
    rise * fall
}

/// EMA decay at step n: (1 + n)/(10 + n) until it reaches `limit`.
pub fn ema_decay(step: u64, limit: f64) -> f64 {
    ((1 + step) as f64 / (10 + step) as f64).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_holds_and_falls_to_two_percent() {
        assert!((learning_rate(0.0, 0, 100) - 0.01).abs() < 1e-12);
        assert!((learning_rate(0.2, 500, 100) - 1.0).abs() < 1e-12);
        assert!((learning_rate(1.0, 9999, 100) - 0.02).abs() < 1e-12);
        assert!((learning_rate(0.65, 9999, 100) - 0.51).abs() < 1e-3);
    }
}
