//! SIGINT and SIGTERM. The only file that names `signal_hook`. The first asks for the stop, the second ends
//! the process at once: correctness rests on the order of commits, not on politeness.

use crate::stop::StopHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Signals as they come.
#[derive(Debug)]
pub struct Listener {
    signals: Signals,
}

/// Ends a listener from another thread.
#[derive(Debug)]
pub struct Closer(Handle);

/// Takes the signals over from their default.
///
/// # Errors
/// What the system says.
pub fn listen() -> io::Result<(Listener, Closer)> {
    // Whether the next one ends the process.
    let armed = Arc::<AtomicBool>::default();
    for signal in [SIGINT, SIGTERM] {
        // In the handler itself: threads may be held up, by a log that nobody reads, and two signals may come
        // before any of them runs. The first process of a
        // container does not die of signals, and what raises them there falls back on an abort, which would
        // count as a crash.
        if process::id() == 1 {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
        } else {
            flag::register_conditional_default(signal, Arc::clone(&armed))?;
        }
        // After that, so that it is the next one that it holds for.
        flag::register(signal, Arc::clone(&armed))?;
    }
    let signals = Signals::new([SIGINT, SIGTERM])?;
    let closer = Closer(signals.handle());
    Ok((Listener { signals }, closer))
}

impl Listener {
    /// Serves until closed.
    pub fn serve(mut self, stop: &StopHandle) {
        for _ in self.signals.forever() {
            stop.trigger();
            log::warn!("stopping: what is in flight will be finished; a second signal ends at once");
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}
