//! A small counter-based generator for choosing crops and σ on the host: SplitMix64 (Steele et al. 2014). A
//! stream is named by (seed, stage, step), so any step of a run can be drawn again and resuming is exact.

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of these words, in order.
    pub fn new(words: &[u64]) -> Random {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for &word in words {
            random.0 ^= word;
            random.0 = random.next();
        }
        random
    }

    /// Next 64 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "a generator never ends, an Iterator would promise otherwise"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..n (bias below n/2⁶⁴).
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "nothing to choose from");
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal: Box–Muller on two 32-bit uniforms.
    pub fn normal(&mut self) -> f64 {
        let word = self.next();
        let uniform = |bits: u64| (bits as f64 + 0.5) / 4_294_967_296.0;
        let (u, v) = (uniform(word >> 32), uniform(word & 0xFFFF_FFFF));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}
