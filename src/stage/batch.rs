//! Putting tiles together for one evaluation. Decides nothing itself: `work::batch` does.

use super::{Batch, Slot, Tile};
use crate::error::End;
use crate::plan::Batching;
use crate::pulse::Pulse;
use crate::work::batch::{Batcher, Reason};
use crate::work::tiling::crops;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::time::Instant;

/// Runs until tiles end or nobody takes batches any more.
pub fn run(options: &Batching, pulse: &Pulse, inbox: &Receiver<Tile>, outbox: &Sender<Batch>) -> End {
    let mut batcher = Batcher::new(options.gathered, options.linger);
    loop {
        let tile = match batcher.due() {
            Some(due) => inbox.recv_deadline(due),
            None => inbox.recv().map_err(RecvTimeoutError::from),
        };
        let (leaving, closing): (Vec<(Vec<Tile>, Reason)>, bool) = match tile {
            Ok(tile) => {
                let kind = (tile.opened.job.errand.line, tile.size(), tile.levels());
                let most =
                    if tile.hole.is_some() { crops(options.tiles, tile.size()) } else { options.tiles };
                (batcher.push(kind, most, tile, Instant::now()).collect(), false)
            }
            Err(RecvTimeoutError::Timeout) => (batcher.take(Reason::Linger).into_iter().collect(), false),
            Err(RecvTimeoutError::Disconnected) => {
                (std::iter::from_fn(|| batcher.take(Reason::Drain)).collect(), true)
            }
        };
        for (tiles, reason) in leaving {
            log::debug!("batch of {}: {reason:?}", tiles.len());
            if outbox.send(pulse.work(|| join(tiles))).is_err() {
                return Ok(());
            }
        }
        if closing {
            return Ok(());
        }
    }
}

/// One tensor out of many; the first one's memory is used again, and for a batch of one nothing is copied.
fn join(tiles: Vec<Tile>) -> Batch {
    let (line, window) = (tiles[0].opened.job.errand.line, tiles[0].size());
    let (mut slots, mut image) = (Vec::with_capacity(tiles.len()), Vec::new());
    for tile in tiles {
        if image.is_empty() {
            image = tile.image;
        } else {
            image.extend_from_slice(&tile.image);
        }
        slots.push(Slot { opened: tile.opened, place: tile.place, hole: tile.hole });
    }
    Batch { line, window, slots, image }
}
