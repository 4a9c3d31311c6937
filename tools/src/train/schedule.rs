//! Schedules as pure functions: learning rate, EMA decay, noise levels and ECT's pairs (t, r).

use crate::data::Random;

/// Noise level where the one-step sample starts, in units of the normalised residual: at 20 σ_data nothing of
/// the residual is left to see.
pub const SIGMA_MAX: f64 = 20.0;
/// Floor of the noise levels drawn in training: below it f(x, σ) = x is right to a tenth of the local RMS. At
/// a floor of 0.02 the weight 1/(t − r) reached 160 and single small-σ samples blew the training up.
pub const SIGMA_MIN: f64 = 0.1;
/// Mean and standard deviation of ln σ.
const LOG_SIGMA: (f64, f64) = (-0.4, 1.4);
/// One draw in this many is σ_max itself, where the one-step output lives.
const AT_MAX_EVERY: usize = 10;

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

/// `count` noise levels: ln σ ~ N(−0.4, 1.4²) clipped to [0.1, 20], one in ten exactly 20.
pub fn sigmas(count: usize, random: &mut Random) -> Vec<f64> {
    let draw = |random: &mut Random| {
        let at_max = random.below(AT_MAX_EVERY) == 0;
        let normal = standard_normal(random);
        if at_max {
            SIGMA_MAX
        } else {
            (LOG_SIGMA.0 + LOG_SIGMA.1 * normal).exp().clamp(SIGMA_MIN, SIGMA_MAX)
        }
    };
    (0..count).map(|_| draw(random)).collect()
}

/// ECT's second time at the fixed stage of fineness q (Geng et al. 2024, eq. 16 with k = 8, b = 1): r = t·(1
/// − (1 + 8·sigmoid(−t))/q), and 0 where that falls below the floor: there the truth itself is the target.
pub fn ect_r(t: f64, q: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + t.exp());
    let r = t * (1.0 - (1.0 + 8.0 * sigmoid) / q);
    if r < SIGMA_MIN { 0.0 } else { r }
}

/// Box–Muller on two 32-bit uniforms.
fn standard_normal(random: &mut Random) -> f64 {
    let word = random.next();
    let uniform = |bits: u64| (bits as f64 + 0.5) / 4_294_967_296.0;
    let (u, v) = (uniform(word >> 32), uniform(word & 0xFFFF_FFFF));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
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

    #[test]
    fn sigmas_follow_the_clipped_lognormal() {
        let mut draws = sigmas(20_000, &mut Random::new(&[1]));
        assert!(draws.iter().all(|s| (SIGMA_MIN..=SIGMA_MAX).contains(s)));
        let at_max = draws.iter().filter(|&&s| s == SIGMA_MAX).count() as f64 / 20_000.0;
        assert!((at_max - 0.107).abs() < 0.01, "{at_max}"); // a tenth, plus the lognormal's own tail
        draws.retain(|&s| s < SIGMA_MAX);
        draws.sort_by(f64::total_cmp);
        assert!((draws[draws.len() / 2].ln() + 0.4).abs() < 0.06);
    }

    #[test]
    fn ect_pairs_are_ordered_and_reach_the_boundary() {
        for q in [4.0, 16.0, 64.0, 256.0] {
            for t in [0.1, 0.2, 1.0, 5.0, 20.0] {
                let r = ect_r(t, q);
                assert!((0.0..t).contains(&r), "q {q} t {t} r {r}");
            }
        }
        assert!((ect_r(20.0, 16.0) / 20.0 - 15.0 / 16.0).abs() < 1e-6);
        assert_eq!(ect_r(0.14, 16.0), 0.0, "near zero the clean residual is the target");
        assert!((ect_r(0.15, 16.0) - 0.1059).abs() < 1e-3, "just above the floor it is not");
    }
}
