//! Who has which output name: one picture at a time, and in `once` to the end of the run. Holds names and
//! sightings; asks no file system.

use crate::job::{Errand, Sighting};
use crate::work::naming::map_of;
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
    /// The result has an uncertainty map beside it, and this is one of two names.
    mapped: bool,
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

    /// Asks for the names of an errand: of its result, and of its map where it is `mapped`.
    pub(super) fn ask(&mut self, errand: &Errand, sighting: &Sighting, mapped: bool) -> Answer {
        let map = mapped.then(|| self.by_target.get(&map_of(&errand.target))).flatten();
        if let Some(claim) = map.filter(|claim| claim.source != errand.source) {
            return Answer::Taken(claim.source.clone());
        }
        match self.by_target.get_mut(&errand.target) {
            Some(claim) if claim.source != errand.source => Answer::Taken(claim.source.clone()),
            Some(claim) if claim.in_flight => {
                claim.seen_again = Some(sighting.clone());
                Answer::InFlight
            }
            Some(_) => Answer::Yours,
            None => {
                if self.keep {
                    self.insert(errand, mapped, false);
                }
                Answer::Yours
            }
        }
    }

    /// The errand is in flight.
    pub(super) fn fly(&mut self, errand: &Errand, mapped: bool) {
        self.insert(errand, mapped, true);
    }

    /// What had this name in flight has landed.
    pub(super) fn land(&mut self, target: &Path) {
        let Some(claim) = self.by_target.get_mut(target) else { return };
        claim.in_flight = false;
        self.again.extend(claim.seen_again.take());
        let mapped = claim.mapped;
        if !self.keep {
            self.by_target.remove(target);
            if mapped {
                self.by_target.remove(&map_of(target));
            }
        }
    }

    /// A picture that was in flight when it was seen again, and has landed.
    pub(super) fn seen_again(&mut self) -> Option<Sighting> {
        self.again.pop_front()
    }

    fn insert(&mut self, errand: &Errand, mapped: bool, in_flight: bool) {
        let map = mapped.then(|| map_of(&errand.target));
        for name in std::iter::once(errand.target.clone()).chain(map) {
            let claim = Claim { source: errand.source.clone(), mapped, in_flight, seen_again: None };
            self.by_target.insert(name, claim);
        }
    }
}
