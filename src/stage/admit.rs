//! Letting pictures in: is it a file, is it new, is its place free, is it within limits, is there room? What
//! is not let in is told to `record` at once. The only thread that counts the budget and holds the claims.

use crate::budget::{Budget, Release};
use crate::edge::codec::{Header, probe, read_mark};
use crate::edge::record::mark_from_text;
use crate::edge::scan::{look, stamp_of};
use crate::error::{End, JobError};
use crate::job::{Errand, Job, Outcome, Settled, Sighting};
use crate::plan::{Admission, Limits};
use crate::stop::{Stop, is_stopped};
use crate::work::mark::{Answer, Stamp, Standing, answer};
use crate::work::naming::{target, text_of};
use crossbeam_channel::{Receiver, Sender, select};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where `admit` reads and writes.
#[derive(Debug)]
pub struct Doors {
    /// Sightings come in.
    pub inbox: Receiver<Sighting>,
    /// Jobs go out.
    pub outbox: Sender<Arc<Job>>,
    /// What is not let in is told here; and so will be every job's end.
    pub settled: Sender<Settled>,
    /// Ends all waiting.
    pub stop: Stop,
}

struct Admitting<'a> {
    options: &'a Admission,
    doors: Doors,
    budget: Budget,
    claims: HashMap<PathBuf, Claim>,
    /// Sightings of pictures that were in flight when they were seen again.
    again: VecDeque<Sighting>,
    admitted: u64,
}

/// Who has an output name.
struct Claim {
    source: PathBuf,
    in_flight: bool,
    seen_again: Option<Sighting>,
}

/// Why a picture goes no further.
enum Turned {
    Away(Outcome),
    /// It will be looked at again when what is in flight has landed.
    Later,
}

/// Runs until sightings end, the stop, or nobody takes jobs any more.
pub fn run(options: &Admission, doors: Doors) -> End {
    let budget = Budget::new(usize::try_from(options.limits.budget_mpx).unwrap_or(usize::MAX));
    let mut admitting =
        Admitting { options, doors, budget, claims: HashMap::new(), again: VecDeque::new(), admitted: 0 };
    while let Some(sighting) = admitting.next() {
        if !admitting.admit(sighting) {
            break;
        }
    }
    Ok(())
}

impl Admitting<'_> {
    /// The next picture to look at.
    fn next(&mut self) -> Option<Sighting> {
        loop {
            if is_stopped(&self.doors.stop) {
                return None;
            }
            if let Some(sighting) = self.again.pop_front() {
                return Some(sighting);
            }
            select! {
                recv(self.doors.inbox) -> sighting => return sighting.ok(),
                recv(self.budget.released()) -> release => {
                    if let Ok(release) = release {
                        self.budget.credit(&release);
                        came_home(&mut self.claims, &mut self.again, self.options.keep_names, release);
                    }
                },
                recv(self.doors.stop) -> _ => return None,
            }
        }
    }

    /// Whether to go on.
    fn admit(&mut self, sighting: Sighting) -> bool {
        let mut errand = Errand {
            target: target(&self.options.output, &sighting.relative),
            source: sighting.source.clone(),
            relative: sighting.relative.clone(),
            stamp: Stamp::default(),
        };
        let outcome = match self.look(&sighting, &mut errand) {
            Ok(header) => return self.let_in(errand, header),
            Err(Turned::Later) => return true,
            Err(Turned::Away(outcome)) => outcome,
        };
        self.doors.settled.send(Settled { errand, outcome, seconds: 0.0 }).is_ok()
    }

    fn look(&mut self, sighting: &Sighting, errand: &mut Errand) -> Result<Header, Turned> {
        errand.stamp = stamp(sighting)?;
        self.claim(sighting, errand)?;
        let standing =
            standing(&errand.target).map_err(|error| failed(JobError::Write(error.to_string())))?;
        let source = text_of(&errand.relative);
        match answer(&standing, &source, errand.stamp, &self.options.wanted, self.options.force) {
            Answer::Do => {}
            Answer::AlreadyThere => return Err(Turned::Away(Outcome::AlreadyThere)),
            Answer::Refuse(error) => return Err(failed(error)),
        }
        header(&errand.source, errand.stamp, &self.options.limits, self.options.scale).map_err(failed)
    }

    /// Takes the output name, or says who has it.
    fn claim(&mut self, sighting: &Sighting, errand: &Errand) -> Result<(), Turned> {
        if is_same_file(&errand.source, &errand.target) {
            return Err(failed(JobError::OverItself));
        }
        match self.claims.get_mut(&errand.target) {
            Some(claim) if claim.source != errand.source => {
                Err(failed(JobError::NameTaken { by: text_of(&claim.source) }))
            }
            Some(claim) if claim.in_flight => {
                claim.seen_again = Some(sighting.clone());
                Err(Turned::Later)
            }
            Some(_) => Ok(()),
            None if self.options.keep_names => {
                let claim = Claim { source: errand.source.clone(), in_flight: false, seen_again: None };
                self.claims.insert(errand.target.clone(), claim);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn let_in(&mut self, errand: Errand, header: Header) -> bool {
        let pixels = header.size.times(self.options.scale).area();
        let (claims, again, keep) = (&mut self.claims, &mut self.again, self.options.keep_names);
        let home = |release| came_home(claims, again, keep, release);
        let Some(permit) =
            self.budget.take(pixels.div_ceil(1_000_000), &errand.target, &self.doors.stop, home)
        else {
            return false;
        };
        let claim = Claim { source: errand.source.clone(), in_flight: true, seen_again: None };
        self.claims.insert(errand.target.clone(), claim);
        let job = Job::new(self.admitted, errand, header, permit, self.doors.settled.clone());
        self.admitted += 1;
        self.doors.outbox.send(Arc::new(job)).is_ok()
    }
}

fn failed(error: JobError) -> Turned {
    Turned::Away(Outcome::Failed { stage: "admit", error })
}

/// A permit came home: its claim ends, or in `once` only rests.
fn came_home(
    claims: &mut HashMap<PathBuf, Claim>,
    again: &mut VecDeque<Sighting>,
    keep_names: bool,
    release: Release,
) {
    if let Some(claim) = claims.get_mut(&release.target) {
        claim.in_flight = false;
        again.extend(claim.seen_again.take());
        if !keep_names {
            claims.remove(&release.target);
        }
    }
}

/// Length and time of what was sighted, if it is our business.
fn stamp(sighting: &Sighting) -> Result<Stamp, Turned> {
    let metadata = match look(&sighting.source, sighting.named) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound && !sighting.named => {
            return Err(Turned::Away(Outcome::PassedOver));
        }
        Err(error) => return Err(failed(JobError::Unreadable(error.to_string()))),
    };
    if metadata.is_file() {
        return Ok(stamp_of(&metadata));
    }
    if !sighting.named {
        return Err(Turned::Away(Outcome::PassedOver));
    }
    // A folder is sighted by name when it could not be read: say why.
    let why = std::fs::read_dir(&sighting.source).err().filter(|_| metadata.is_dir());
    Err(failed(why.map_or(JobError::NotAFile, |error| JobError::Unreadable(error.to_string()))))
}

fn is_same_file(source: &Path, target: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(a), Ok(b)) = (look(source, true), look(target, true)) else { return false };
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// What stands where the result would go.
fn standing(target: &Path) -> std::io::Result<Standing> {
    match look(target, false) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Standing::Free);
        }
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => return Ok(Standing::Foreign),
        Ok(_) => {}
    }
    let mark = read_mark(&mut BufReader::new(File::open(target)?))?;
    let mark = mark.and_then(|text| mark_from_text(&text));
    Ok(mark.map_or(Standing::Foreign, |mark| Standing::Ours(Box::new(mark))))
}

/// The picture's header, if the picture is within limits: nothing was allocated for its pixels yet.
fn header(source: &Path, stamp: Stamp, limits: &Limits, scale: usize) -> Result<Header, JobError> {
    if stamp.bytes == 0 {
        return Err(JobError::Empty);
    }
    if stamp.bytes > limits.max_file_mb.saturating_mul(1_000_000) {
        return Err(JobError::FileTooLarge { bytes: stamp.bytes, limit_mb: limits.max_file_mb });
    }
    let file = File::open(source).map_err(|error| JobError::Unreadable(error.to_string()))?;
    let header = probe(&mut BufReader::new(file))?;
    let over = |pixels: u128, limit_mpx: u64| pixels > u128::from(limit_mpx) * 1_000_000;
    let pixels = header.size.width as u128 * header.size.height as u128;
    if over(pixels, limits.max_input_mpx) {
        return Err(JobError::InputTooLarge { size: header.size, limit_mpx: limits.max_input_mpx });
    }
    if over(pixels * (scale * scale) as u128, limits.max_output_mpx) {
        let size = header.size.times(scale);
        return Err(JobError::OutputTooLarge { size, limit_mpx: limits.max_output_mpx });
    }
    Ok(header)
}
