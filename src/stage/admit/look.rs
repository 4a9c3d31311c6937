//! Looking at one picture: what the file system, the ledger and whatever stands in its place say about it.
//! Reads; writes nothing and waits for nothing.

use super::claims::Answer as Claimed;
use super::measure::{Measured, measure};
use super::unmasked::pause;
use super::{Admitting, Candidate, Turned};
use crate::edge::clock::since_latest_ns;
use crate::edge::codec::{probe, read_mark};
use crate::edge::digest::sha256_of;
use crate::edge::disk::{Place, place};
use crate::edge::ledger::Entry;
use crate::edge::mask_file;
use crate::edge::originals::Originals;
use crate::edge::record::mark_from_text;
use crate::edge::scan::{look, open, stamp_of};
use crate::error::JobError;
use crate::job::{Errand, Found, Outcome, Sighting};
use crate::plan::Line;
use crate::work::file_name::numbered;
use crate::work::format::{Format, Writing};
use crate::work::known::{Known, Recall, State, recall, wanted};
use crate::work::mark::{Answer, Mark, Stamp, Standing, answer};
use crate::work::naming::{map_of, path_of, text_of};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many results may want one name before one is refused.
const MOST_NUMBERS: usize = 1000;

/// What is to be done of a sighting, as far as that alone tells it.
pub(super) fn begin(line: &Line, sighting: &Sighting) -> Errand {
    Errand {
        line: sighting.line,
        root: Arc::clone(&sighting.root),
        source: sighting.source.clone(),
        relative: sighting.relative.clone(),
        target: line.target(&sighting.relative, line.wanted.format.usual()),
        stamp: Stamp::default(),
        named: sighting.named,
        attempt: sighting.attempt,
        safe: sighting.safe,
        is_free: false,
        mask: None,
    }
}

/// What is written down before anything is done.
pub(super) fn intent(line: &Line, errand: &Errand) -> Entry {
    Entry {
        root: text_of(&errand.root),
        relative: text_of(&errand.relative),
        target: text_of(&errand.target),
        state: State::Started,
        stamp: errand.stamp,
        sha256: String::new(),
        fingerprint: errand.options(&line.done),
        reason: String::new(),
        at_ms: None,
    }
}

impl Turned {
    /// Whether something else has the name that its result would get.
    fn is_for_a_name(&self) -> bool {
        let Turned::Away(Outcome::Failed { error, .. }) = self else { return false };
        matches!(error, JobError::NameTaken { .. } | JobError::ForeignTarget)
    }
}

impl<'a> Admitting<'a> {
    /// Whether a picture may be let in. Writes into `errand` what it finds out on the way.
    pub(super) fn look(&mut self, sighting: &Sighting, errand: &mut Errand) -> Result<Candidate, Turned> {
        errand.stamp = self.stamp(sighting)?;
        if let Some(masking) = &self.line(errand).wanted.masking {
            let picture = (errand.source.as_path(), errand.relative.as_path());
            errand.mask = mask_file::find(masking, &errand.root, picture, errand.named);
        }
        if let Some(format) = self.format(errand)? {
            errand.target = self.line(errand).target(&errand.relative, format);
        }
        if !self.line(errand).number {
            return self.look_at_place(sighting, errand);
        }
        let wanted = errand.target.clone();
        let places = (1..=MOST_NUMBERS).map(|number| numbered(&wanted, number));
        // The place it had before comes first.
        let (root, relative) = (text_of(&errand.root), text_of(&errand.relative));
        let known = self.doors.ledger.known(&root, &relative).map_err(|error| self.ledger_error(error))?;
        let before = known.filter(|known| known.state != State::Failed).map(|known| path_of(&known.target));
        let before = before.filter(|before| places.clone().any(|place| place == *before));
        for place in before.into_iter().chain(places) {
            errand.target = place;
            match self.look_at_place(sighting, errand) {
                Err(turned) if turned.is_for_a_name() => {}
                other => return other,
            }
        }
        Err(failed(JobError::NameTaken { by: format!("{MOST_NUMBERS} others") }))
    }

    /// The same, with the place of its result as it is in `errand`.
    fn look_at_place(&mut self, sighting: &Sighting, errand: &mut Errand) -> Result<Candidate, Turned> {
        self.claim(sighting, errand)?;
        let (root, relative) = (text_of(&errand.root), text_of(&errand.relative));
        let known = self.doors.ledger.known(&root, &relative).map_err(|error| self.ledger_error(error))?;
        let known = known.filter(|known| known.is_of(&self.line(errand).output));
        let alone = self.recall(known.as_ref(), errand)?;
        let stood = self.stand(known.as_ref(), errand, (&root, &relative));
        if stood.as_ref().is_err_and(Turned::is_for_a_name) {
            self.claims.forgo(errand);
        }
        stood?;
        self.mask(errand)?;
        let line = self.line(errand);
        let measured =
            measure(self.options, line, (errand.stamp.bytes, errand.mask.as_ref()), || open(errand));
        let Measured { header, mask, need } = measured.map_err(failed)?;
        errand.mask.iter_mut().for_each(|file| file.header = mask);
        Ok(Candidate { header, need, alone })
    }

    /// Whether it has the mask that it needs; a daemon waits for it.
    fn mask(&self, errand: &Errand) -> Result<(), Turned> {
        let masking = self.line(errand).wanted.masking.as_ref();
        let Some(masking) = masking.filter(|masking| masking.from.is_file() && errand.mask.is_none()) else {
            return Ok(());
        };
        let wait = if self.options.once { Duration::ZERO } else { masking.wait };
        let Stamp { modified_ns, changed_ns, .. } = errand.stamp;
        let waited = since_latest_ns([modified_ns, changed_ns]);
        if waited < wait {
            return Err(Turned::Unmasked(pause(waited, wait)));
        }
        Err(failed(JobError::MaskMissing {
            looked: masking.places_told(&errand.source, &errand.relative),
            waited_s: wait.as_secs(),
            meaning: masking.meaning(),
        }))
    }

    fn line(&self, errand: &Errand) -> &'a Line {
        &self.lines[errand.line]
    }

    /// What its result is, where that depends on the picture: told by the name of the result that the ledger
    /// knows, else by the picture's first bytes.
    fn format(&self, errand: &Errand) -> Result<Option<Format>, Turned> {
        let line = self.line(errand);
        let Writing::Same(quality) = line.wanted.format else { return Ok(None) };
        let (root, relative) = (text_of(&errand.root), text_of(&errand.relative));
        let known = self.doors.ledger.known(&root, &relative).map_err(|error| self.ledger_error(error))?;
        let known = known.filter(|known| known.state != State::Failed && known.stamp == errand.stamp);
        let target = |format: &Format| text_of(&line.target(&errand.relative, *format));
        let was = known.and_then(|known| {
            Format::of_same(quality).into_iter().find(|format| target(format) == known.target)
        });
        // What cannot be read now is told when it is measured.
        let is = || open(errand).ok().and_then(|file| probe(&mut BufReader::new(file)).ok());
        Ok(was.or_else(|| is().map(|header| line.wanted.format.of(header.kind))))
    }

    /// Length and times of what was sighted, if it is our business.
    fn stamp(&mut self, sighting: &Sighting) -> Result<Stamp, Turned> {
        let metadata = match look(&sighting.source, sighting.named) {
            Ok(metadata) => metadata,
            Err(error) => {
                let is_gone = error.kind() == ErrorKind::NotFound && !sighting.named;
                return Err(if is_gone { Turned::Away(Outcome::PassedOver) } else { unreadable(error) });
            }
        };
        if metadata.is_file() {
            return Ok(stamp_of(&metadata));
        }
        if !sighting.named {
            return Err(Turned::Away(Outcome::PassedOver));
        }
        // A folder is sighted by name when it could not be read: say why.
        let why = std::fs::read_dir(&sighting.source).err().filter(|_| metadata.is_dir());
        Err(why.map_or(failed(JobError::NotAFile), unreadable))
    }

    /// Takes the output name, or says who has it.
    fn claim(&mut self, sighting: &Sighting, errand: &Errand) -> Result<(), Turned> {
        if is_same_file(&errand.source, &errand.target) {
            return Err(failed(JobError::OverItself));
        }
        let mapped = self.line(errand).wanted.uncertainty.is_some();
        match self.claims.ask(errand, sighting, mapped) {
            Claimed::Yours => Ok(()),
            Claimed::InFlight => Err(Turned::Later),
            Claimed::Taken(by) => Err(failed(JobError::NameTaken { by: text_of(&by) })),
        }
    }

    /// What the ledger says. `Ok` is whether it must be done alone.
    fn recall(&self, known: Option<&Known>, errand: &Errand) -> Result<bool, Turned> {
        let there = |found| Err(Turned::Away(Outcome::AlreadyThere(found)));
        // Whoever asks for these very pictures wants the results; a daemon's results are often taken away.
        let is_there = |errand: &Errand| !self.options.once || self.is_whole(errand);
        let line = self.line(errand);
        let done = wanted(known, &line.done, errand.mask.as_ref().map(|mask| mask.stamp));
        match recall(known, errand.stamp, &done, &errand.options(&line.failed)) {
            Recall::Done if is_there(errand) => there(Found::Known),
            Recall::Compare(sha256) if is_there(errand) => {
                let now = open(errand).and_then(sha256_of).map_err(unreadable)?;
                if now == sha256 { there(Found::Touched(sha256)) } else { Ok(false) }
            }
            Recall::Quarantined { told: true, .. } | Recall::Failed if !self.options.once => {
                Err(Turned::Away(Outcome::KnownBad))
            }
            Recall::Quarantined { crashes, .. } => Err(failed(JobError::Quarantined { crashes })),
            _ => Ok(known.is_some_and(|known| known.crashes > 0 && known.stamp == errand.stamp)),
        }
    }

    /// Whether the result is there, and its uncertainty map where that is wanted. Another picture's may have
    /// come in its place.
    fn is_whole(&self, errand: &Errand) -> bool {
        let mapped = self.line(errand).wanted.uncertainty.is_some();
        let of_other = match standing(&errand.target) {
            Ok(Standing::Ours(mark)) => mark.source != text_of(&errand.relative),
            _ => false,
        };
        let is_there = look(&errand.target, false).is_ok() && !of_other;
        is_there && (!mapped || look(&map_of(&errand.target), false).is_ok())
    }

    /// Where originals are deleted, a result is the last of its picture: another picture of the same name
    /// does not take its place. One that changed before its result was done was not deleted, and takes it.
    fn spare(&self, known: Option<&Known>, standing: &Standing, errand: &Errand) -> Result<(), Turned> {
        let Standing::Ours(mark) = standing else { return Ok(()) };
        let Stamp { bytes, modified_ns, changed_ns } = errand.stamp;
        let is_kept = known.is_some_and(|known| match known.state {
            // By one clock: another machine's may be behind ours.
            State::Done => changed_ns / 1_000_000 <= known.at_ms && !self.is_far(errand),
            // It was let in.
            State::Started => true,
            // Perhaps for this very reason.
            State::Failed => false,
        });
        let same_file = (mark.bytes, mark.modified_ns) == (bytes, modified_ns);
        let is_deleted = self.line(errand).originals == Originals::Delete && !is_kept && !same_file;
        if self.options.force || !is_deleted {
            return Ok(());
        }
        if open(errand).and_then(sha256_of).map_err(unreadable)? == mark.sha256 {
            return Ok(());
        }
        let by = format!(
            "an earlier {} of another content, which may be all that is left of it (originals = \"delete\"); \
             name_taken = \"number\" keeps both",
            mark.source
        );
        Err(failed(JobError::NameTaken { by }))
    }

    /// Whether its folder is another machine's.
    fn is_far(&self, errand: &Errand) -> bool {
        place(&errand.root).map_or(true, Place::is_of_a_network)
    }

    /// What stands where the result would go, and its uncertainty map.
    fn stand(
        &self,
        known: Option<&Known>,
        errand: &mut Errand,
        (root, relative): (&str, &str),
    ) -> Result<(), Turned> {
        let look = |path: &Path| standing(path).map_err(|error| failed(JobError::Write(error.into())));
        let standing = look(&errand.target)?;
        errand.is_free = standing == Standing::Free;
        let (wanted, force) = (&self.line(errand).wanted, self.options.force);
        let stamps = (errand.stamp, errand.mask.as_ref().map(|mask| mask.stamp));
        if wanted.uncertainty.is_some() {
            let beside = look(&map_of(&errand.target))?;
            if let Answer::Refuse(error) = answer(&beside, relative, stamps, wanted, force) {
                return Err(failed(error));
            }
        }
        match answer(&standing, relative, stamps, wanted, force) {
            Answer::Refuse(error) => return Err(failed(error)),
            // A result that the ledger does not know, of a lost ledger or another machine. What it has as
            // begun was not reported, and what it has as done is of another file, whatever the mark says.
            Answer::AlreadyThere
                if known.is_none_or(|known| known.state == State::Failed) && self.is_whole(errand) =>
            {
                let Standing::Ours(mark) = &standing else { return Ok(()) };
                // Pictures of other trees have places of the same names, and may have lengths and times too.
                if open(errand).and_then(sha256_of).map_err(unreadable)? == mark.sha256 {
                    return Err(Turned::Away(Outcome::AlreadyThere(Found::Marked(mark.sha256.clone()))));
                }
            }
            Answer::AlreadyThere | Answer::Do => {}
        }
        self.spare(known, &standing, errand)?;
        // What failed has no place of its own.
        let target = text_of(&errand.target);
        let is_ours = known.is_some_and(|known| known.state != State::Failed && known.target == target);
        if is_ours || standing == Standing::Free || force {
            return Ok(());
        }
        // The mark tells the place in the tree, the ledger in which tree.
        let owner =
            self.doors.ledger.owner(&target, root, relative).map_err(|error| self.ledger_error(error))?;
        let Some((old_root, old)) = owner else { return Ok(()) };
        // The same file at the same place of a tree that was moved, to be done with other options.
        let same_file = (errand.stamp.bytes, errand.stamp.modified_ns);
        let is_same = |mark: &Mark| {
            let looks_same = old == relative && (mark.bytes, mark.modified_ns) == same_file;
            looks_same && open(errand).and_then(sha256_of).is_ok_and(|sha256| sha256 == mark.sha256)
        };
        match standing {
            Standing::Ours(mark) if is_same(&mark) => Ok(()),
            _ => Err(failed(JobError::NameTaken { by: format!("{old_root}/{old}") })),
        }
    }
}

fn is_same_file(source: &Path, target: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(a), Ok(b)) = (look(source, true), look(target, true)) else { return false };
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn standing(target: &Path) -> io::Result<Standing> {
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

fn failed(error: JobError) -> Turned {
    Turned::Away(Outcome::Failed { stage: "admit", error })
}

/// What was there a moment ago is looked for once more.
fn unreadable(error: io::Error) -> Turned {
    let is_gone = error.kind() == ErrorKind::NotFound;
    failed(if is_gone { JobError::Gone } else { JobError::Unreadable(error.into()) })
}
