//! Whether the threads still move. A thread that works on one thing for too long is stuck; so is a pipeline
//! with pictures in flight in which nothing has moved for too long. Time is an argument.

use std::time::{Duration, Instant};

/// What a thread shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Its name.
    pub name: String,
    /// Counts what it has done: begun, moved, finished.
    pub beats: u64,
    /// How long it has been at the piece in hand; `None` while it waits for one.
    pub busy: Option<Duration>,
}

/// Remembers since when nothing has moved.
#[derive(Debug)]
pub struct Stall {
    limit: Duration,
    beats: u64,
    still_since: Instant,
}

impl Stall {
    /// Nothing may stand still for `limit`.
    pub fn new(limit: Duration, now: Instant) -> Stall {
        Stall { limit, beats: 0, still_since: now }
    }

    /// Says what is stuck, or `None` where all is well.
    pub fn check(&mut self, signs: &[Sign], in_flight: usize, now: Instant) -> Option<String> {
        // Those that look out for pictures, and let them in, move whatever becomes of those in flight.
        let moves = signs.iter().filter(|sign| sign.name != "admit" && !sign.name.starts_with("watch"));
        let beats = moves.map(|sign| sign.beats).sum();
        if beats != self.beats || in_flight == 0 {
            (self.beats, self.still_since) = (beats, now);
        }
        let stuck = signs.iter().filter(|sign| sign.busy.is_some_and(|busy| busy >= self.limit));
        let mut names: Vec<String> = stuck.map(|sign| sign.name.clone()).collect();
        let still = now.saturating_duration_since(self.still_since);
        if names.is_empty() && still >= self.limit {
            names.push("every thread waits for another".into());
        }
        let limit = self.limit.as_secs();
        (!names.is_empty()).then(|| format!("no progress for {limit} s: {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn sign(beats: u64, busy_s: Option<u64>) -> Sign {
        Sign { name: "infer-0".into(), beats, busy: busy_s.map(Duration::from_secs) }
    }

    #[test]
    fn work_that_goes_on_and_idleness_are_well() {
        let start = Instant::now();
        let mut stall = Stall::new(LIMIT, start);
        for n in 0..100 {
            assert_eq!(stall.check(&[sign(n + 1, Some(9))], 3, start + LIMIT * n as u32 / 2), None);
        }
        assert_eq!(stall.check(&[sign(100, None)], 0, start + 1000 * LIMIT), None);
    }

    #[test]
    fn one_piece_for_too_long_or_a_standstill_is_told() {
        let start = Instant::now();
        let mut stall = Stall::new(LIMIT, start);
        let told = stall.check(&[sign(1, Some(10)), sign(2, None)], 1, start);
        assert_eq!(told.as_deref(), Some("no progress for 10 s: infer-0"));
        assert_eq!(stall.check(&[sign(1, None), sign(2, None)], 1, start + LIMIT / 2), None);
        // Who looks out for pictures does so all the time.
        let named = |name: &str| Sign { name: name.into(), ..sign(9, None) };
        let others = [sign(1, None), sign(2, None), named("watch-0"), named("admit")];
        let told = stall.check(&others, 1, start + LIMIT);
        assert_eq!(told.as_deref(), Some("no progress for 10 s: every thread waits for another"));
    }
}
