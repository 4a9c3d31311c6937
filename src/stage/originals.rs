//! Putting pictures away whose result is done and written down: by the rule of their pipeline, and only while
//! they are still the file that was done. What cannot be put away stays, and is told.

use crate::edge::codec::{read_mark, read_whole};
use crate::edge::digest::sha256_of;
use crate::edge::originals::{Originals, put_away};
use crate::edge::record::mark_from_text;
use crate::edge::scan::{look, open, stamp_of};
use crate::error::End;
use crate::job::{Errand, MaskFile};
use crate::plan::Line;
use crate::pulse::Pulse;
use crate::work::naming::text_of;
use crossbeam_channel::Receiver;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};

/// A picture whose result is written down.
#[derive(Debug)]
pub struct Landed {
    /// Which.
    pub errand: Errand,
    /// Its result was made just now; else it was known to be done.
    pub is_made: bool,
}

/// Runs until nothing more is recorded.
pub fn run(lines: &[Line], pulse: &Pulse, inbox: &Receiver<Landed>) -> End {
    for landed in inbox {
        let errand = &landed.errand;
        let rule = &lines[errand.line].originals;
        let source = errand.source.display();
        match pulse.work(|| clear(rule, &landed)) {
            Ok(Cleared::Away(Some(place))) => log::info!("original moved to {}: {source}", place.display()),
            Ok(Cleared::Away(None)) => match rule {
                Originals::Trash => log::info!("original put into the trash: {source}"),
                _ => log::info!("original deleted: {source}"),
            },
            Ok(Cleared::Not(why)) => log::info!("original kept, {why}: {source}"),
            // Two looks at one picture: the first has put it away.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => log::warn!("original kept, it cannot be put away: {error}: {source}"),
        }
    }
    Ok(())
}

enum Cleared {
    /// It has left its place, for this one if any.
    Away(Option<std::path::PathBuf>),
    /// It stays, and why.
    Not(String),
}

fn clear(rule: &Originals, Landed { errand, is_made }: &Landed) -> io::Result<Cleared> {
    let is_same = || Ok(stamp_of(&look(&errand.source, errand.named)?) == errand.stamp);
    if !is_same()? {
        return Ok(Cleared::Not("since it has changed".into()));
    }
    // It is wanted once more, with what is marked now. A mask that is gone changes nothing.
    let is_other = |mask: &MaskFile| {
        look(&mask.path, mask.beneath.is_none()).is_ok_and(|at| stamp_of(&at) != mask.stamp)
    };
    if errand.mask.as_ref().is_some_and(is_other) {
        return Ok(Cleared::Not("since its mask has changed".into()));
    }
    // What was done once may be gone by now, and then the picture is all there is.
    if !is_made && !is_there(errand)? {
        return Ok(Cleared::Not("since its result is gone".into()));
    }
    // Nothing brings it back, so the result must be sure.
    if *rule == Originals::Delete
        && let Err(error) = is_sure(errand)
    {
        return Ok(Cleared::Not(format!("since its result cannot be made sure of ({error})")));
    }
    put_away(rule, &errand.source, &errand.relative, &is_same).map(Cleared::Away)
}

/// Whether a result is there, and not that of another picture.
fn is_there(errand: &Errand) -> io::Result<bool> {
    if look(&errand.target, false).is_err() {
        return Ok(false);
    }
    let text = read_mark(&mut BufReader::new(File::open(&errand.target)?))?;
    let mark = text.and_then(|text| mark_from_text(&text));
    Ok(mark.is_none_or(|mark| mark.source == text_of(&errand.relative)))
}

/// The result says that it was made from this very content, and can be read to its end.
fn is_sure(errand: &Errand) -> io::Result<()> {
    let text = read_mark(&mut BufReader::new(File::open(&errand.target)?))?;
    let mark = text.and_then(|text| mark_from_text(&text));
    let sha256 = sha256_of(open(errand)?)?;
    if mark.is_none_or(|mark| mark.sha256 != sha256) {
        return Err(io::Error::other("it is of another content"));
    }
    read_whole(BufReader::new(File::open(&errand.target)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    /// It is still wanted: its result is of the mask that was there before.
    #[test]
    fn an_original_stays_whose_mask_is_another_by_now() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let put = |name: &str| -> PathBuf {
            let path = folder.path().join(name);
            File::create(&path).expect("writable");
            path
        };
        let (source, target, mask) = (put("a.png"), put("result.png"), put("a.mask.png"));
        let stamp = |path: &Path| stamp_of(&look(path, false).expect("there"));
        let errand = |mask_stamp| Errand {
            line: 0,
            root: folder.path().into(),
            source: source.clone(),
            relative: "a.png".into(),
            target: target.clone(),
            stamp: stamp(&source),
            named: false,
            attempt: 0,
            safe: false,
            is_free: false,
            mask: Some(MaskFile { path: mask.clone(), beneath: None, stamp: mask_stamp, header: None }),
        };
        let rule = Originals::Move(folder.path().join("done"));
        let (same, mut other) = (stamp(&mask), stamp(&mask));
        other.bytes += 1;
        let clear = |errand| clear(&rule, &Landed { errand, is_made: true }).expect("readable");
        let Cleared::Not(why) = clear(errand(other)) else { panic!("it was put away") };
        assert!(why == "since its mask has changed" && source.exists(), "{why}");
        // One that is the same, also by a link that the user named, or gone, holds nothing up.
        let link = folder.path().join("link.png");
        std::os::unix::fs::symlink(&mask, &link).expect("writable");
        let mut linked = errand(same);
        linked.mask.iter_mut().for_each(|mask| mask.path = link.clone());
        assert!(matches!(clear(linked), Cleared::Away(Some(_))));
        File::create(&source).expect("writable");
        assert!(matches!(clear(errand(same)), Cleared::Away(Some(_))));
        File::create(&source).expect("writable");
        std::fs::remove_file(&mask).expect("ours");
        assert!(matches!(clear(errand(other)), Cleared::Away(Some(_))));
    }
}
