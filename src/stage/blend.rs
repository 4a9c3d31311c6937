//! Putting tiles on the canvas of their picture, one canvas a picture in the making.

use super::{Finished, Inferred};
use crate::error::{End, JobError};
use crate::plan::Inference;
use crate::work::canvas::Canvas;
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashMap;

/// Runs until results end or nobody takes pictures any more.
pub fn run(options: &Inference, inbox: Receiver<Inferred>, outbox: Sender<Finished>) -> End {
    let mut open: HashMap<u64, Canvas> = HashMap::new();
    for inferred in inbox {
        let length = inferred.output.len() / inferred.slots.len().max(1);
        for (slot, values) in inferred.slots.into_iter().zip(inferred.output.chunks_exact(length)) {
            let (id, opened) = (slot.opened.job.id, slot.opened);
            if opened.job.is_settled() {
                open.remove(&id);
                continue;
            }
            let grid = &opened.grid;
            let canvas = open
                .entry(id)
                .or_insert_with(|| Canvas::new(grid.picture(), options.scale, opened.grey, grid.len()));
            if canvas.place(&slot.place, values).is_err() {
                opened.job.fail("blend", JobError::NonFinite);
                open.remove(&id);
                continue;
            }
            if !canvas.is_complete() {
                continue;
            }
            let Some(canvas) = open.remove(&id) else { continue };
            if outbox.send(Finished { opened, canvas }).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
