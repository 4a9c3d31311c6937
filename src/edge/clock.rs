//! The time of day. The only file that names `jiff`.

use jiff::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now in UTC as RFC 3339, to the millisecond.
pub fn now_text() -> String {
    format!("{:.3}", Timestamp::now())
}

/// A time in milliseconds since 1970 as [`now_text`] has it, to the second.
pub fn text_of_ms(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.0}"))
}

/// Milliseconds since 1970; 0 before.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How far clocks of machines that keep time may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(86_400);

/// How long ago the latest of these times (nanoseconds since 1970) was. Those that are more than a day ahead
/// (a camera whose clock is wrong) say nothing; others that are yet to come are just now, and so are all
/// where none says anything.
pub fn since_latest_ns(times_ns: [i64; 2]) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let latest = i64::try_from((now + AHEAD).as_nanos()).unwrap_or(i64::MAX);
    times_ns.into_iter().filter(|time| *time <= latest).map(since_ns).min().unwrap_or_default()
}

/// Milliseconds since 1970 of a time as [`now_text`] has it; `None` where it is none.
pub fn ms_of_text(text: &str) -> Option<i64> {
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

/// How long ago a time (nanoseconds since 1970) was; zero where it is yet to come.
pub fn since_ns(then_ns: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(u64::try_from(then_ns).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_far_ahead_say_nothing() {
        let (now, hour) = (now_ms() * 1_000_000, 3_600_000_000_000);
        let minutes = |times| since_latest_ns(times).as_secs().div_ceil(60);
        assert_eq!(minutes([now - hour, now + 30 * hour]), 60);
        assert_eq!(minutes([now - 2 * hour, now - hour]), 60);
        for times in [[now - hour, now + hour], [now + 30 * hour, now + 30 * hour]] {
            assert_eq!(since_latest_ns(times), Duration::ZERO);
        }
    }

    #[test]
    fn a_time_survives_as_text() {
        let now = now_text();
        assert!(ms_of_text(&now).is_some_and(|ms| now.starts_with(text_of_ms(ms).trim_end_matches('Z'))));
        assert_eq!(ms_of_text("yesterday"), None);
    }
}
