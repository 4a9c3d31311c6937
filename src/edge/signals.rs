//! SIGINT and SIGTERM. The only file that names `signal_hook`. The first asks for the stop, the second ends
//! the process at once: correctness rests on the order of commits, not on politeness.

use crate::stop::StopHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use std::io;

/// Signals as they come.
#[derive(Debug)]
pub struct Listener(Signals);

/// Ends a listener from another thread.
#[derive(Debug)]
pub struct Closer(Handle);

/// Takes the signals over from their default.
///
/// # Errors
/// What the system says.
pub fn listen() -> io::Result<(Listener, Closer)> {
    let signals = Signals::new([SIGINT, SIGTERM])?;
    let closer = Closer(signals.handle());
    Ok((Listener(signals), closer))
}

impl Listener {
    /// Serves until closed.
    pub fn serve(mut self, stop: &StopHandle) {
        let mut asked = false;
        for signal in self.0.forever() {
            if asked {
                log::warn!("second signal: ending at once; what was in flight is redone by the next run");
                // It can fail only for signals that have no default.
                emulate_default_handler(signal).ok();
            }
            log::info!("stopping: what is in flight will be finished; a second signal ends at once");
            asked = true;
            stop.trigger();
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}
