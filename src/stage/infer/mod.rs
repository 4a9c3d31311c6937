//! Evaluating the network, on the thread that owns the session; and making the noise it wants. When an
//! evaluation fails, `keeper` tells whether it is the pictures or the device.

mod keeper;
mod repair;

use super::{Batch, Inferred, Opened, Slot};
use crate::edge::model::{BatchInput, Model, ModelError};
use crate::error::{End, JobError};
use crate::plan::{Inferring, Leg, Step};
use crate::pulse::Pulse;
use crate::work::canvas::Patch;
use crate::work::spread::Spread;
use contract::card::{Role, Task};
use contract::noise;
use crossbeam_channel::{Receiver, Sender};
use keeper::{Finding, Keeper};
use std::sync::Arc;
use std::time::Instant;

/// Runs until batches end or nobody takes results any more.
pub fn run(
    (leg, options): (Leg<'_>, Inferring),
    pulse: &Pulse,
    models: Vec<Box<dyn Model>>,
    inbox: Receiver<Batch>,
    outbox: Sender<Inferred>,
) -> End {
    let (mut keeper, mut noise) = (Keeper::new(leg, models, options), Vec::new());
    for batch in inbox {
        // What has no room in the device's memory, or was in flight when the device was lost, is done here
        // and now: nothing goes back through a channel.
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            if batch.slots.iter().all(|slot| slot.opened.job.is_settled()) {
                continue;
            }
            pulse.work(|| keeper.prove_in_time())?;
            let step = leg.step(batch.line);
            if batch.slots.len() > keeper.most_tiles(step.model) {
                waiting.extend(batch.halves());
                continue;
            }
            let (attempt, begin) =
                (keeper.attempt(step.model, batch.slots.len(), batch.window), Instant::now());
            let result = pulse.work(|| evaluate(step, keeper.model(step.model), &batch, &mut noise));
            // Each its share: pictures of one batch are evaluated once.
            let share = begin.elapsed() / batch.slots.len().max(1) as u32;
            for slot in &batch.slots {
                slot.opened.job.spent.inferring.add(share);
            }
            match result {
                Ok(parts) => {
                    keeper.went_well(attempt);
                    if outbox.send(Inferred { parts }).is_err() {
                        return Ok(());
                    }
                }
                Err(error) => match pulse.work(|| keeper.judge(attempt, &error))? {
                    Finding::TooMany | Finding::Again => waiting.push(batch),
                    // One of them may be the reason: the others are not to suffer for it.
                    Finding::Pictures if batch.slots.len() > 1 => waiting.extend(batch.halves()),
                    Finding::Pictures => {
                        for slot in &batch.slots {
                            slot.opened.job.fail("infer", JobError::Inference(error.to_string()));
                        }
                    }
                },
            }
        }
    }
    Ok(())
}

fn evaluate(
    step: &Step,
    model: &mut dyn Model,
    batch: &Batch,
    noise: &mut Vec<f32>,
) -> Result<Vec<(Arc<Opened>, Patch)>, ModelError> {
    if model.card().task == Task::Inpainting {
        return repair::repair(step, model, batch);
    }
    let spread = step.uncertainty.map(|samples| spread(step, model, batch, noise, samples));
    let spread = spread.transpose()?;
    let length = 3 * batch.window.times(step.scale).area();
    let mut parts = Vec::new();
    draw(step.scale, model, batch, noise, (step.strength, 0), &mut |output| {
        parts = cut(step.scale, batch, output.chunks_exact(length), spread.as_ref());
    })?;
    Ok(parts)
}

/// How far samples of full strength lie apart. Stream 0 of the noise is the result's own.
fn spread(
    step: &Step,
    model: &mut dyn Model,
    batch: &Batch,
    noise: &mut Vec<f32>,
    samples: u16,
) -> Result<Spread, ModelError> {
    let mut spread = Spread::new(batch.slots.len(), batch.window.times(step.scale));
    for stream in 1..=u32::from(samples) {
        draw(step.scale, model, batch, noise, (1.0, stream), &mut |output| spread.add(output))?;
    }
    Ok(spread)
}

/// Evaluates the batch at a strength, with noise of a stream where the model wants any, and shows what comes
/// out if it is whole.
fn draw(
    scale: usize,
    model: &mut dyn Model,
    batch: &Batch,
    noise: &mut Vec<f32>,
    (strength, stream): (f32, u32),
    see: &mut dyn FnMut(&[f32]),
) -> Result<(), ModelError> {
    let tiles = batch.slots.len();
    let length = 3 * batch.window.times(scale).area();
    if model.card().role == Role::Sample {
        noise.resize(tiles * length, 0.0);
        // λ = 0 multiplies the sample's part away, whatever the noise is.
        if strength != 0.0 {
            // Noise belongs to a place in the output picture, so it is the same however the picture is cut.
            for (slot, noise) in batch.slots.iter().zip(noise.chunks_exact_mut(length)) {
                noise::fill(slot.opened.seed, stream, slot.place.window.times(scale), noise);
            }
        }
    }
    // Once it did harm, a result is made without a sample. Its map still tells how far samples lie apart.
    let without = |slot: &Slot| slot.opened.job.errand.safe && stream == 0;
    let of = |slot: &Slot| if without(slot) { 0.0 } else { strength };
    let strength: Vec<f32> = batch.slots.iter().map(of).collect();
    let told = batch.slots.iter().map(|slot| slot.opened.told.map_or(0.0, |told| told.source.value()));
    let source: Vec<f32> = told.collect();
    let (window, image) = (batch.window, &batch.image);
    let input = BatchInput { tiles, window, image, mask: &[], noise, strength: &strength, source: &source };
    let mut whole = Err(ModelError("the network gave nothing".into()));
    model.run(&input, &mut |output| {
        whole = if output.len() == tiles * length {
            see(output);
            Ok(())
        } else {
            Err(ModelError(format!("the network gave {} values, not {}", output.len(), tiles * length)))
        };
    })?;
    whole
}

/// What each tile keeps. A picture whose output is not finite fails here.
fn cut<'a>(
    scale: usize,
    batch: &Batch,
    outputs: impl Iterator<Item = &'a [f32]>,
    spread: Option<&Spread>,
) -> Vec<(Arc<Opened>, Patch)> {
    let pixels = 3 * batch.window.area();
    let windows = batch.image.chunks_exact(pixels);
    let slots = batch.slots.iter().enumerate().zip(outputs.zip(windows));
    let unsettled = slots.filter(|((_, slot), _)| !slot.opened.job.is_settled());
    let cut = unsettled.filter_map(|((number, slot), (values, window))| {
        match Patch::cut(&slot.place, scale, slot.opened.depth, values) {
            Ok(patch) => {
                let map = spread.map(|spread| spread.cut(number, &slot.place, scale));
                let patch = patch.with_map(map).compared(&slot.place, scale, window);
                Some((Arc::clone(&slot.opened), patch))
            }
            Err(_) => {
                slot.opened.job.fail("infer", JobError::NonFinite);
                None
            }
        }
    });
    cut.collect()
}
