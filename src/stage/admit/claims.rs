//! Who has which output name: one picture at a time, and in `once` to the end of the run. Holds names and
//! sightings; asks no file system.

use crate::job::{Errand, Sighting};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// All claims, by output path.
pub(super) struct Claims {
    by_target: HashMap<PathBuf, Claim>,
    /// Sightings of pictures that were in flight when they were seen again.
    again: VecDeque<Sighting>,
    /// Names are kept to the end of the run.
    keep: bool,
}

struct Claim {
    source: PathBuf,
    in_flight: bool,
    seen_again: Option<Sighting>,
}

/// What a picture hears that wants an output name.
pub(super) enum Answer {
    /// It is yours.
    Yours,
    /// You have it already, and are in flight: come again when you have landed.
    InFlight,
    /// This picture has it.
    Taken(PathBuf),
}

impl Claims {
    pub(super) fn new(keep: bool) -> Claims {
        Claims { by_target: HashMap::new(), again: VecDeque::new(), keep }
    }

    /// Asks for the name of an errand.
    pub(super) fn ask(&mut self, errand: &Errand, sighting: &Sighting) -> Answer {
        match self.by_target.get_mut(&errand.target) {
            Some(claim) if claim.source != errand.source => Answer::Taken(claim.source.clone()),
            Some(claim) if claim.in_flight => {
                claim.seen_again = Some(sighting.clone());
                Answer::InFlight
            }
            Some(_) => Answer::Yours,
            None => {
                if self.keep {
                    self.insert(errand, false);
                }
                Answer::Yours
            }
        }
    }

    /// The errand is in flight.
    pub(super) fn fly(&mut self, errand: &Errand) {
        self.insert(errand, true);
    }

    /// What had this name in flight has landed.
    pub(super) fn land(&mut self, target: &Path) {
        let Some(claim) = self.by_target.get_mut(target) else { return };
        claim.in_flight = false;
        self.again.extend(claim.seen_again.take());
        if !self.keep {
            self.by_target.remove(target);
        }
    }

    /// A picture that was in flight when it was seen again, and has landed.
    pub(super) fn seen_again(&mut self) -> Option<Sighting> {
        self.again.pop_front()
    }

    fn insert(&mut self, errand: &Errand, in_flight: bool) {
        let claim = Claim { source: errand.source.clone(), in_flight, seen_again: None };
        self.by_target.insert(errand.target.clone(), claim);
    }
}
