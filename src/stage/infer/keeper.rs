//! Keeping a device honest: it proves itself now and then, what fails is told apart from what it is asked to
//! do, and once it is lost its networks are opened anew. Evaluates no pictures.

use crate::edge::model::{Model, ModelError, prove};
use crate::error::Fatal;
use crate::plan::{Inferring, Leg};
use crate::work::lacking;
use contract::card::ModelCard;
use contract::geometry::Size;
use std::time::Instant;

/// The networks of one thread.
pub(super) struct Keeper {
    networks: Vec<Network>,
    options: Inferring,
    proven: Instant,
    /// Whether the device was lost, and is there again.
    renewed: bool,
    /// So many pixels had no room though memory was new, since the last proof.
    no_room_px: Option<usize>,
}

struct Network {
    model: Box<dyn Model>,
    /// Side of the window in which it proves itself.
    side: usize,
    /// Most tiles that have room in the device's memory, as far as is known.
    most_tiles: usize,
    /// Whether as many were evaluated since that is so.
    held: bool,
}

impl Network {
    /// No more tiles from now on; `false` where that changes nothing.
    fn serve(&mut self, tiles: usize) -> bool {
        let changes = tiles > 0 && self.model.serve(tiles);
        if changes {
            (self.most_tiles, self.held) = (tiles, false);
        }
        changes
    }

    /// Gives its golden tile, in fewer tiles where those have no room.
    fn prove(&mut self) -> Result<(), String> {
        loop {
            let Err(reason) = prove(self.model.as_mut(), self.side) else { return Ok(()) };
            if !lacking::is_out_of_memory(&reason) || !self.serve(self.most_tiles / 2) {
                return Err(reason);
            }
            log::warn!("{} tiles an evaluation from now on: {reason}", self.most_tiles);
        }
    }
}

/// An evaluation: of which network, of how many tiles of how many pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) number: usize,
    pub(super) tiles: usize,
    pub(super) window: Size,
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
        let side = |number: usize, card: &ModelCard| {
            let steps = leg.lines.iter().filter_map(|line| line.steps.get(leg.number));
            let step = steps.into_iter().find(|step| step.model == number);
            step.map_or_else(|| card.golden_side(), |step| step.tiling.golden_side(card))
        };
        let most_tiles = options.tiles.max(1);
        let networks = models.into_iter().enumerate().map(|(number, model)| {
            let side = side(number, model.card());
            Network { model, side, most_tiles, held: false }
        });
        let (networks, proven) = (networks.collect(), Instant::now());
        Keeper { networks, options, proven, renewed: false, no_room_px: None }
    }

    /// The network of this number.
    pub(super) fn model(&mut self, number: usize) -> &mut dyn Model {
        self.networks[number].model.as_mut()
    }

    /// Most tiles of an evaluation of this network.
    pub(super) fn most_tiles(&self, number: usize) -> usize {
        self.networks[number].most_tiles
    }

    /// So many tiles as were asked for are evaluated as so many.
    pub(super) fn attempt(&self, number: usize, tiles: usize, window: Size) -> Attempt {
        Attempt { number, tiles: self.networks[number].model.evaluated(tiles), window }
    }

    /// An evaluation went well.
    pub(super) fn went_well(&mut self, attempt: Attempt) {
        let network = &mut self.networks[attempt.number];
        network.held |= attempt.tiles >= network.most_tiles;
        self.no_room_px = self.no_room_px.filter(|px| *px > attempt.window.area());
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
        (self.proven, self.no_room_px) = (Instant::now(), None);
        for network in self.networks.iter_mut().filter(|network| network.held) {
            let more = (2 * network.most_tiles).min(self.options.tiles);
            if more > network.most_tiles {
                network.serve(more);
            }
        }
        Ok(())
    }

    /// Tells what it means that an evaluation failed.
    ///
    /// # Errors
    /// [`Fatal::Device`], where the device is lost for good.
    pub(super) fn judge(&mut self, attempt: Attempt, error: &ModelError) -> Result<Finding, Fatal> {
        if error.is_out_of_memory() {
            let Attempt { number, tiles, window } = attempt;
            if self.networks[number].serve(tiles / 2) {
                log::warn!("{} tiles an evaluation from now on: {error}", tiles / 2);
                return Ok(Finding::TooMany);
            }
            // Memory may be in pieces, none of which is large enough. What had no room in new memory either
            // is too large, and so is all that is larger.
            if self.no_room_px.is_none_or(|px| window.area() < px) {
                log::warn!("networks are opened anew, since a window of {window} has no room: {error}");
                self.reopen(&error.to_string())?;
                self.no_room_px = Some(window.area());
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
        self.networks.iter_mut().try_for_each(Network::prove)
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
        for Network { model, .. } in &mut self.networks {
            model.renew().map_err(|error| Fatal::Device(format!("{reason}; opened anew: {error}")))?;
        }
        self.prove().map_err(|error| Fatal::Device(format!("{reason}; opened anew: {error}")))?;
        self.proven = Instant::now();
        Ok(())
    }
}
