//! What a supervisor such as systemd hears of us. The only file that names `sd_notify`. Without a supervisor
//! nothing happens.

use sd_notify::NotifyState;
use std::time::Duration;

/// The models have proven themselves, and pictures are taken in.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// What is in flight is finished, and nothing more is taken in.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// All threads move.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// A line for `systemctl status`.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// Within what time the supervisor wants to hear that we are alive.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the supervisor cannot be told: {error}");
    }
}
