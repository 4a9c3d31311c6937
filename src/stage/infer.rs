//! Evaluating the network, on the thread that owns the session; and making the noise it wants. When an
//! evaluation fails, the golden tile tells whether it is the pictures or the device.

use super::{Batch, Inferred, Opened, Slot};
use crate::edge::model::{BatchInput, Model, ModelError, golden_error};
use crate::error::{End, Fatal, JobError};
use crate::plan::Inference;
use crate::pulse::Pulse;
use crate::work::canvas::Patch;
use contract::card::Role;
use contract::noise;
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::time::Instant;

/// Runs until batches end or nobody takes results any more.
pub fn run(
    options: &Inference,
    pulse: &Pulse,
    mut model: Box<dyn Model>,
    inbox: Receiver<Batch>,
    outbox: Sender<Inferred>,
) -> End {
    let mut noise = Vec::new();
    for batch in inbox {
        if batch.slots.iter().all(|slot| slot.opened.job.is_settled()) {
            continue;
        }
        let begin = Instant::now();
        let result = pulse.work(|| evaluate(options, model.as_mut(), &batch, &mut noise));
        for slot in &batch.slots {
            slot.opened.job.spent.inferring.add_since(begin);
        }
        match result {
            Ok(parts) => {
                if outbox.send(Inferred { parts }).is_err() {
                    break;
                }
            }
            Err(error) => {
                pulse.work(|| acquit(model.as_mut(), &error))?;
                for slot in &batch.slots {
                    slot.opened.job.fail("infer", JobError::Inference(error.to_string()));
                }
            }
        }
    }
    Ok(())
}

fn evaluate(
    options: &Inference,
    model: &mut dyn Model,
    batch: &Batch,
    noise: &mut Vec<f32>,
) -> Result<Vec<(Arc<Opened>, Patch)>, ModelError> {
    let tiles = batch.slots.len();
    let length = 3 * batch.window.times(options.scale).area();
    if model.card().role == Role::Sample {
        noise.resize(tiles * length, 0.0);
        // λ = 0 multiplies the sample's part away, whatever the noise is.
        if options.strength != 0.0 {
            for (slot, noise) in batch.slots.iter().zip(noise.chunks_exact_mut(length)) {
                fill(slot, options.scale, noise);
            }
        }
    }
    let strength = vec![options.strength; tiles];
    let told = batch.slots.iter().map(|slot| slot.opened.told.map_or(0.0, |told| told.source.value()));
    let source: Vec<f32> = told.collect();
    let (window, image) = (batch.window, &batch.image);
    let input = BatchInput { tiles, window, image, noise, strength: &strength, source: &source };
    let mut parts = Err(ModelError("the network gave nothing".into()));
    model.run(&input, &mut |output| {
        let is_whole = output.len() == tiles * length;
        parts = if is_whole {
            Ok(cut(options.scale, &batch.slots, output.chunks_exact(length)))
        } else {
            Err(ModelError(format!("the network gave {} values, not {}", output.len(), tiles * length)))
        };
    })?;
    parts
}

/// What each tile keeps. A picture whose output is not finite fails here.
fn cut<'a>(
    scale: usize,
    slots: &[Slot],
    outputs: impl Iterator<Item = &'a [f32]>,
) -> Vec<(Arc<Opened>, Patch)> {
    let unsettled = slots.iter().zip(outputs).filter(|(slot, _)| !slot.opened.job.is_settled());
    let cut = unsettled.filter_map(|(slot, values)| {
        match Patch::cut(&slot.place, scale, slot.opened.grey, values) {
            Ok(patch) => Some((Arc::clone(&slot.opened), patch)),
            Err(_) => {
                slot.opened.job.fail("infer", JobError::NonFinite);
                None
            }
        }
    });
    cut.collect()
}

/// Noise belongs to a place in the output picture, so it is the same however the picture is cut.
fn fill(slot: &Slot, scale: usize, out: &mut [f32]) {
    noise::fill(slot.opened.seed, 0, slot.place.window.times(scale), out);
}

/// The device is acquitted if it still gives the golden tile's answer.
fn acquit(model: &mut dyn Model, error: &ModelError) -> End {
    match golden_error(model) {
        Ok(difference) if difference <= model.card().golden_tolerance() => Ok(()),
        _ => Err(Fatal::Device(error.to_string())),
    }
}
