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

/// How long ago a time (nanoseconds since 1970) was; zero where it is yet to come.
pub fn since_ns(then_ns: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(u64::try_from(then_ns).unwrap_or(0)))
}
