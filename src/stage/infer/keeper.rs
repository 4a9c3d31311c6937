//! Keeping a device honest: it proves itself now and then, what fails is told apart from what it is asked to
//! do, and once it is lost its networks are opened anew. Evaluates no pictures.

use crate::edge::model::{Model, ModelError, prove};
use crate::error::Fatal;
use crate::plan::{Inferring, Leg};
use std::time::Instant;

/// The networks of one thread.
pub(super) struct Keeper {
    models: Vec<Box<dyn Model>>,
    /// Side of the window in which each proves itself.
    sides: Vec<usize>,
    options: Inferring,
    proven: Instant,
    /// Most tiles that have room in the device's memory, as far as is known.
    most_tiles: usize,
    /// Whether the device was lost, and is there again.
    renewed: bool,
    /// Whether its memory is new, and nothing was evaluated since.
    fresh: bool,
}

/// What an evaluation that failed means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The device is well: something is wrong with what it was asked.
    Pictures,
    /// There were too many tiles for its memory.
    TooMany,
    /// The device was lost and is there again, or its memory was in pieces and is new.
    Again,
}

impl Keeper {
    /// They have just proven themselves. There is at least one line for each network.
    pub(super) fn new(leg: Leg<'_>, models: Vec<Box<dyn Model>>, options: Inferring) -> Keeper {
        let side = |(number, model): (usize, &dyn Model)| {
            let steps = leg.lines.iter().filter_map(|line| line.steps.get(leg.number));
            let step = steps.into_iter().find(|step| step.model == number);
            step.map_or_else(|| model.card().golden_side(), |step| step.tiling.golden_side(model.card()))
        };
        let sides = models.iter().map(AsRef::as_ref).enumerate().map(side).collect();
        let (proven, most_tiles) = (Instant::now(), options.tiles.max(1));
        Keeper { models, sides, options, proven, most_tiles, renewed: false, fresh: false }
    }

    /// The network of this number.
    pub(super) fn model(&mut self, number: usize) -> &mut dyn Model {
        self.models[number].as_mut()
    }

    /// Most tiles of an evaluation.
    pub(super) fn most_tiles(&self) -> usize {
        self.most_tiles
    }

    /// An evaluation went well.
    pub(super) fn went_well(&mut self) {
        self.fresh = false;
    }

    /// Where the last proof is too long ago, all networks give their golden tiles again: a device that
    /// computes something else without an error is found out. What had no room is tried again from then on:
    /// who took it may be gone.
    ///
    /// # Errors
    /// [`Fatal::Device`], where they do not and cannot be opened anew.
    pub(super) fn prove_in_time(&mut self) -> Result<(), Fatal> {
        if self.proven.elapsed() < self.options.prove {
            return Ok(());
        }
        if let Err(reason) = self.prove() {
            self.renew(&reason)?;
        }
        self.proven = Instant::now();
        if self.most_tiles < self.options.tiles {
            self.serve((2 * self.most_tiles).min(self.options.tiles));
        }
        Ok(())
    }

    /// Whether fewer tiles an evaluation change anything.
    fn serve(&mut self, tiles: usize) -> bool {
        let serve = |changes: bool, model: &mut Box<dyn Model>| changes & model.serve(tiles);
        let changes = self.models.iter_mut().fold(true, serve);
        if changes {
            self.most_tiles = tiles;
        }
        changes
    }

    /// Tells what it means that so many tiles could not be evaluated.
    ///
    /// # Errors
    /// [`Fatal::Device`], where the device is lost for good.
    pub(super) fn judge(&mut self, tiles: usize, error: &ModelError) -> Result<Finding, Fatal> {
        if error.is_out_of_memory() {
            let half = tiles / 2;
            if half > 0 && self.serve(half) {
                log::warn!("{half} tiles an evaluation from now on, since {tiles} have no room: {error}");
                return Ok(Finding::TooMany);
            }
            // Memory may be in pieces, none of which is large enough.
            if !self.fresh {
                log::warn!("networks are opened anew, since a tile has no room: {error}");
                self.reopen(&error.to_string())?;
                self.fresh = true;
                return Ok(Finding::Again);
            }
        }
        // The device is acquitted if it still gives the golden tile's answer.
        if self.prove().is_ok() {
            return Ok(Finding::Pictures);
        }
        self.renew(&error.to_string())?;
        Ok(Finding::Again)
    }

    fn prove(&mut self) -> Result<(), String> {
        for (model, side) in self.models.iter_mut().zip(&self.sides) {
            prove(model.as_mut(), *side)?;
        }
        Ok(())
    }

    /// Once; what is lost a second time is for the supervisor, and for a fresh process.
    fn renew(&mut self, reason: &str) -> Result<(), Fatal> {
        if self.renewed {
            return Err(Fatal::Device(reason.to_owned()));
        }
        self.renewed = true;
        log::error!(
            "the device is lost; its networks are opened anew, and nothing of the pictures is lost: {reason}"
        );
        self.reopen(reason)?;
        log::info!("the device is there again");
        Ok(())
    }

    fn reopen(&mut self, reason: &str) -> Result<(), Fatal> {
        for model in &mut self.models {
            model.renew().map_err(|error| Fatal::Device(format!("{reason}; opened anew: {error}")))?;
        }
        self.prove().map_err(|error| Fatal::Device(format!("{reason}; opened anew: {error}")))?;
        self.proven = Instant::now();
        Ok(())
    }
}
