//! What was repaired goes on to be enlarged: it is cut anew, for threads of their own, so that nothing goes
//! back to those that it came from. It never was a file.

use super::decode::cut;
use super::{Finished, Tile};
use crate::error::End;
use crate::pulse::Pulse;
use crossbeam_channel::{Receiver, Sender};

/// Runs until pictures end or nobody takes tiles any more.
pub fn run(pulse: &Pulse, inbox: Receiver<Finished>, outbox: Sender<Tile>) -> End {
    for Finished { opened, canvas } in inbox {
        // Its alpha waits apart, and is enlarged when the canvas is whole.
        if !opened.job.is_settled() && !cut(&opened, pulse, canvas.finish(None), &outbox) {
            break;
        }
    }
    Ok(())
}
