//! Putting tiles on the canvas of their picture. The canvas lives and dies with the picture, so nothing is
//! left of one that was given up.

use super::{Finished, Inferred, Onward, Opened};
use crate::error::End;
use crate::plan::Leg;
use crate::pulse::Pulse;
use crate::work::canvas::{Canvas, Patch};
use crossbeam_channel::Receiver;
use std::sync::PoisonError;

/// Runs until results end or nobody takes pictures any more.
pub fn run(leg: Leg<'_>, pulse: &Pulse, inbox: Receiver<Inferred>, onward: Onward) -> End {
    for inferred in inbox {
        for (opened, patch) in inferred.parts {
            let line = opened.job.errand.line;
            let complete = pulse.work(|| place(leg.step(line).scale, &opened, patch));
            if let Some(canvas) = complete
                && !onward.send(&leg.lines[line], Finished { opened, canvas })
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Places a patch. Gives the canvas if that was the last one.
fn place(scale: usize, opened: &Opened, patch: Patch) -> Option<Canvas> {
    if opened.job.is_settled() {
        return None;
    }
    // Nobody else locks it: this is how a value is changed that many hold.
    let mut slot = opened.canvas.lock().unwrap_or_else(PoisonError::into_inner);
    if let (None, Some(grid)) = (&*slot, &opened.grid) {
        *slot = Some(Canvas::new(grid.picture(), scale, opened.depth, grid.len()));
    }
    let canvas = slot.as_mut()?;
    canvas.place(patch);
    if canvas.is_complete() { slot.take() } else { None }
}
