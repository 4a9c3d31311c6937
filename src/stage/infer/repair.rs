//! Repairing crops: one evaluation a level, the coarsest first, all of a batch together. The levels of a crop
//! follow each other on this thread, so nothing goes back through a channel.

use super::super::{Batch, Opened};
use crate::edge::model::{BatchInput, Model, ModelError};
use crate::error::JobError;
use crate::plan::Step;
use crate::work::canvas::Patch;
use contract::card::Role;
use contract::geometry::Rect;
use contract::noise;
use contract::pixels::Planes;
use contract::repair::Repair;
use std::sync::Arc;

/// The pixels of each crop's holes. A picture whose output is not finite fails here.
pub(super) fn repair(
    step: &Step,
    model: &mut dyn Model,
    batch: &Batch,
) -> Result<Vec<(Arc<Opened>, Patch)>, ModelError> {
    let images = batch.image.chunks_exact(3 * batch.window.area());
    let mut repairs: Vec<Repair> = batch
        .slots
        .iter()
        .zip(images)
        .filter_map(|(slot, image)| {
            let hole = slot.hole.as_ref()?;
            let image = Planes { size: batch.window, channels: 3, values: image.to_vec() };
            Some(Repair::new(image, hole.mask.clone(), hole.crop.levels))
        })
        .collect();
    let (mut image, mut mask, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((size, is_last)) = repairs.first().and_then(|one| Some((one.size()?, one.is_last()))) {
        image.clear();
        mask.clear();
        repairs.iter().for_each(|repair| repair.input(&mut image, &mut mask));
        if model.card().role == Role::Sample {
            noise.clear();
            noise.resize(3 * size.area() * repairs.len(), 0.0);
            if is_last {
                draw(batch, &mut noise);
            }
        }
        let tiles = repairs.len();
        let strength = if is_last { step.strength } else { 0.0 };
        let (strength, source) = (&vec![strength; tiles][..], &vec![0.0; tiles][..]);
        let (image, mask, noise) = (&image[..], &mask[..], &noise[..]);
        let input = BatchInput { tiles, window: size, image, mask, noise, strength, source };
        let length = 3 * size.area();
        let mut whole = Err(ModelError("the network gave nothing".into()));
        model.run(&input, &mut |output| {
            whole = if output.len() == tiles * length {
                repairs
                    .iter_mut()
                    .zip(output.chunks_exact(length))
                    .for_each(|(repair, out)| repair.take(out));
                Ok(())
            } else {
                Err(ModelError(format!("the network gave {} values, not {}", output.len(), tiles * length)))
            };
        })?;
        whole?;
    }
    Ok(patches(batch, repairs))
}

/// Noise belongs to a place in the picture, so that pieces of one hole meet in the same. What is evaluated at
/// a half, a quarter … of the resolution has a stream of its own.
fn draw(batch: &Batch, noise: &mut [f32]) {
    let size = batch.window;
    for (slot, noise) in batch.slots.iter().zip(noise.chunks_exact_mut(3 * size.area())) {
        let Some(crop) = slot.hole.as_ref().map(|hole| &hole.crop) else { continue };
        let shrink = crop.shrink as i64;
        let place = Rect { x: crop.window.x / shrink, y: crop.window.y / shrink, size };
        noise::fill(slot.opened.seed, crop.shrink.ilog2(), place, noise);
    }
}

fn patches(batch: &Batch, repairs: Vec<Repair>) -> Vec<(Arc<Opened>, Patch)> {
    let mut patches = Vec::new();
    for (slot, repair) in batch.slots.iter().zip(repairs) {
        let (opened, Some(hole)) = (&slot.opened, &slot.hole) else { continue };
        if opened.job.is_settled() {
            continue;
        }
        match Patch::repaired(&hole.crop, hole.own.clone(), opened.depth, &repair.finish()) {
            Ok(patch) => patches.push((Arc::clone(opened), patch)),
            Err(_) => opened.job.fail("infer", JobError::NonFinite),
        }
    }
    patches
}
