//! Who has which output name: one picture at a time, and in `once` to the end of the run. Holds names and
//! sightings; asks no file system.

use crate::job::{Errand, Sighting};
use crate::work::naming::map_of;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// All claims, by output path.
pub(super) struct Claims {
    by_target: HashMap<PathBuf, Claim>,
    /// Names in flight, by how a file system has them that tells no upper case from lower: there two of them
    /// would be one file, and the mark of the first tells the second only when it has landed.
    in_flight: HashMap<String, PathBuf>,
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
    seen_again: Vec<Sighting>,
}

impl Claim {
    /// Once is enough for a picture, however often it is seen.
    fn see_again(&mut self, sighting: &Sighting) {
        self.seen_again.retain(|seen| seen.source != sighting.source);
        self.seen_again.push(sighting.clone());
    }
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
        Claims { by_target: HashMap::new(), in_flight: HashMap::new(), again: VecDeque::new(), keep }
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
                claim.see_again(sighting);
                Answer::InFlight
            }
            Some(_) => Answer::Yours,
            None => {
                let other = self.in_flight.get(&without_case(&errand.target));
                if let Some(claim) = other.and_then(|other| self.by_target.get_mut(other)) {
                    claim.see_again(sighting);
                    return Answer::InFlight;
                }
                if self.keep {
                    self.insert(errand, mapped, false);
                }
                Answer::Yours
            }
        }
    }

    /// The errand does not get its name after all, and may have had it kept for itself.
    pub(super) fn forgo(&mut self, errand: &Errand) {
        for name in [errand.target.clone(), map_of(&errand.target)] {
            if self
                .by_target
                .get(&name)
                .is_some_and(|claim| claim.source == errand.source && !claim.in_flight)
            {
                self.by_target.remove(&name);
            }
        }
    }

    /// The errand is in flight.
    pub(super) fn fly(&mut self, errand: &Errand, mapped: bool) {
        self.in_flight.insert(without_case(&errand.target), errand.target.clone());
        self.insert(errand, mapped, true);
    }

    /// What had this name in flight has landed.
    pub(super) fn land(&mut self, target: &Path) {
        let Some(claim) = self.by_target.get_mut(target) else { return };
        claim.in_flight = false;
        self.again.extend(claim.seen_again.drain(..));
        self.in_flight.remove(&without_case(target));
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
            let claim = Claim { source: errand.source.clone(), mapped, in_flight, seen_again: Vec::new() };
            self.by_target.insert(name, claim);
        }
    }
}

fn without_case(path: &Path) -> String {
    path.to_string_lossy().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::scan::sighting;
    use crate::work::mark::Stamp;
    use std::sync::Arc;

    fn seen(name: &str) -> (Sighting, Errand) {
        let root: Arc<Path> = Path::new("/in").into();
        let sighting = sighting(&root, &Path::new("/in").join(name), false);
        let errand = Errand {
            line: 0,
            root,
            source: sighting.source.clone(),
            relative: name.into(),
            target: Path::new("/out").join(name).with_extension("png"),
            stamp: Stamp::default(),
            named: false,
            attempt: 1,
            safe: false,
            is_free: false,
            mask: None,
        };
        (sighting, errand)
    }

    #[test]
    fn names_that_differ_in_case_alone_do_not_fly_together() {
        for keep in [false, true] {
            let mut claims = Claims::new(keep);
            let ((upper, first), (lower, second)) = (seen("A.jpg"), seen("a.jpg"));
            assert!(matches!(claims.ask(&first, &upper, false), Answer::Yours));
            claims.fly(&first, false);
            assert!(matches!(claims.ask(&second, &lower, false), Answer::InFlight));
            assert!(matches!(claims.ask(&first, &upper, false), Answer::InFlight));
            claims.land(&first.target);
            let again: Vec<_> = std::iter::from_fn(|| claims.seen_again()).map(|seen| seen.source).collect();
            assert_eq!(again, [lower.source.clone(), upper.source.clone()]);
            assert!(matches!(claims.ask(&second, &lower, false), Answer::Yours));
            // Another picture of the very name is told so.
            let (other, third) = seen("a.png");
            claims.fly(&second, false);
            assert!(matches!(claims.ask(&third, &other, false), Answer::Taken(by) if by == second.source));
        }
    }
}
