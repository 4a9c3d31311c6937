//! What the ledger knows of a picture, and what that means when it is seen again. Decides by what it is told:
//! knows no database and opens no file.

use crate::work::mark::Stamp;
use crate::work::masking::{is_with_mask, told_mask, with_mask};
use crate::work::naming::path_of;
use std::path::Path;

/// What failed for a reason that may go away (a name that is taken, a folder that cannot be written, a
/// network that stumbles) is tried again after so long: each scan would put it through the network.
pub const AGAIN_MINUTES: i64 = 60;

/// So many crashes with a picture in flight, and it is left alone.
pub const MAX_CRASHES: u32 = 2;

/// How far a picture has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its result was intended, and may or may not be there.
    Started,
    /// Its result is durable.
    Done,
    /// It failed for good.
    Failed,
}

/// A picture's row in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// How far it came.
    pub state: State,
    /// Where its result is or was to go.
    pub target: String,
    /// What the file looked like then.
    pub stamp: Stamp,
    /// SHA-256 of its content, hexadecimal; empty where it was never read to its end.
    pub sha256: String,
    /// The options of that time, as text.
    pub fingerprint: String,
    /// Crashes while it was in flight, since it last changed.
    pub crashes: u32,
    /// How long ago this run wrote that; `None` where an earlier run did.
    pub minutes: Option<i64>,
    /// When it was written, milliseconds since 1970.
    pub at_ms: i64,
}

impl Known {
    /// Whether it says anything of results in this output folder: what is done lies where results went then.
    pub fn is_of(&self, output: &Path) -> bool {
        self.state != State::Done || path_of(&self.target).starts_with(output)
    }
}

/// What is known about a picture that is seen again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// Nothing that helps.
    New,
    /// A result was intended and never reported.
    Interrupted,
    /// Exactly this was done.
    Done,
    /// The same was done if its content still has this SHA-256: the file was touched.
    Compare(String),
    /// Exactly this failed for good.
    Failed,
    /// It was in flight in several crashes; `told` when that has been told already.
    Quarantined {
        /// How many.
        crashes: u32,
        /// Whether its reason file was written.
        told: bool,
    },
}

/// The options that a result would have now, of a line's and the picture's mask file. A result whose mask was
/// taken away since is still its result: then those that it has.
pub fn wanted(known: Option<&Known>, of_line: &str, mask: Option<Stamp>) -> String {
    match (mask, known) {
        (None, Some(known)) if is_with_mask(of_line, &known.fingerprint) => known.fingerprint.clone(),
        _ => with_mask(of_line, mask),
    }
}

/// Compares. `done` and `failed` are the fingerprints that a result, or a failure, would have now.
pub fn recall(known: Option<&Known>, stamp: Stamp, done: &str, failed: &str) -> Recall {
    let Some(known) = known else { return Recall::New };
    let same_file = known.stamp == stamp;
    // Perhaps it was the mask, and that is another by now.
    let same_mask = told_mask(done).is_none_or(|mask| told_mask(&known.fingerprint) == Some(mask));
    if known.crashes >= MAX_CRASHES && same_file && same_mask {
        return Recall::Quarantined { crashes: known.crashes, told: known.state == State::Failed };
    }
    match known.state {
        State::Done if known.fingerprint == done && same_file => Recall::Done,
        // Another length is another content.
        State::Done if known.fingerprint == done && known.stamp.bytes == stamp.bytes => {
            Recall::Compare(known.sha256.clone())
        }
        State::Failed if known.fingerprint == failed && same_file => Recall::Failed,
        // What may pass is not tried with each scan; with another mask at once.
        State::Failed if same_file && is_unremembered(&known.fingerprint, done) && is_recent(known) => {
            Recall::Failed
        }
        State::Started => Recall::Interrupted,
        _ => Recall::New,
    }
}

/// Whether a failure that may pass is of the mask that a result would have now.
fn is_unremembered(fingerprint: &str, done: &str) -> bool {
    let is_of_no_options = fingerprint.is_empty() || is_with_mask("", fingerprint);
    is_of_no_options && told_mask(fingerprint) == told_mask(done)
}

fn is_recent(known: &Known) -> bool {
    known.minutes.is_some_and(|minutes| (0..AGAIN_MINUTES).contains(&minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { bytes: 7, modified_ns: 1, changed_ns: 2 };

    fn known(state: State, fingerprint: &str, crashes: u32) -> Known {
        let (sha256, fingerprint) = ("abc".into(), fingerprint.into());
        Known {
            state,
            target: "/out/a.png".into(),
            stamp: STAMP,
            sha256,
            fingerprint,
            crashes,
            minutes: None,
            at_ms: 0,
        }
    }

    #[track_caller]
    fn check(known: &Known, stamp: Stamp, expected: &Recall) {
        assert_eq!(&recall(Some(known), stamp, "options", "options and limits"), expected);
    }

    #[test]
    fn the_quick_path_needs_the_same_length_times_and_options() {
        let done = known(State::Done, "options", 0);
        check(&done, STAMP, &Recall::Done);
        check(&done, Stamp { modified_ns: 9, ..STAMP }, &Recall::Compare("abc".into()));
        check(&done, Stamp { changed_ns: 9, ..STAMP }, &Recall::Compare("abc".into()));
        check(&done, Stamp { bytes: 9, ..STAMP }, &Recall::New);
        check(&known(State::Done, "other options", 0), STAMP, &Recall::New);
    }

    #[test]
    fn a_result_counts_where_it_lies_and_other_rows_anywhere() {
        let of = |state, output: &str| known(state, "options", 0).is_of(Path::new(output));
        assert_eq!([of(State::Done, "/out"), of(State::Done, "/out2")], [true, false]);
        assert!(of(State::Started, "/out2") && of(State::Failed, "/out2"));
    }

    #[test]
    fn another_mask_is_another_result_and_none_any_more_is_not() {
        let mask = |modified_ns| Some(Stamp { bytes: 3, modified_ns, changed_ns: 0 });
        let done = known(State::Done, &wanted(None, "options", mask(5)), 0);
        let now = |mask| recall(Some(&done), STAMP, &wanted(Some(&done), "options", mask), "");
        assert_eq!((now(mask(5)), now(mask(6)), now(None)), (Recall::Done, Recall::New, Recall::Done));
        assert_eq!(recall(Some(&done), STAMP, &wanted(Some(&done), "other", None), ""), Recall::New);
        let plain = known(State::Done, "options", 0);
        assert_eq!(recall(Some(&plain), STAMP, &wanted(Some(&plain), "options", None), ""), Recall::Done);
    }

    #[test]
    fn a_failure_is_remembered_until_anything_changes() {
        let failed = known(State::Failed, "options and limits", 0);
        check(&failed, STAMP, &Recall::Failed);
        check(&failed, Stamp { changed_ns: 9, ..STAMP }, &Recall::New);
        check(&known(State::Failed, "options and other limits", 0), STAMP, &Recall::New);
    }

    #[test]
    fn what_may_go_well_another_time_is_tried_once_an_hour_and_at_each_start() {
        let failed = |minutes| Known { minutes, ..known(State::Failed, "", 0) };
        check(&failed(Some(0)), STAMP, &Recall::Failed);
        check(&failed(Some(AGAIN_MINUTES - 1)), STAMP, &Recall::Failed);
        check(&failed(Some(0)), Stamp { bytes: 9, ..STAMP }, &Recall::New);
        let masked = wanted(None, "options", Some(STAMP));
        assert_eq!(
            recall(Some(&failed(Some(0))), STAMP, &masked, "other"),
            Recall::New,
            "perhaps another mask"
        );
        for minutes in [Some(AGAIN_MINUTES), Some(-1), None] {
            check(&failed(minutes), STAMP, &Recall::New);
        }
        // Where a mask is known, with that mask; with another one, or none any more, at once.
        let mask = |modified_ns| Some(Stamp { bytes: 3, modified_ns, changed_ns: 0 });
        let masked = Known { fingerprint: wanted(None, "", mask(5)), ..failed(Some(0)) };
        let now = |mask| recall(Some(&masked), STAMP, &wanted(None, "options", mask), "other");
        assert_eq!([mask(5), mask(6), None].map(now), [Recall::Failed, Recall::New, Recall::New]);
    }

    #[test]
    fn what_was_interrupted_is_done_again_and_two_crashes_are_enough() {
        check(&known(State::Started, "options", 0), STAMP, &Recall::Interrupted);
        check(&known(State::Started, "options", 1), STAMP, &Recall::Interrupted);
        check(&known(State::Started, "", 2), STAMP, &Recall::Quarantined { crashes: 2, told: false });
        check(&known(State::Failed, "", 2), STAMP, &Recall::Quarantined { crashes: 2, told: true });
        check(&known(State::Started, "", 2), Stamp { bytes: 8, ..STAMP }, &Recall::Interrupted);
        let mask = |modified_ns| Some(Stamp { bytes: 3, modified_ns, changed_ns: 0 });
        let masked = known(State::Started, &wanted(None, "options", mask(5)), 2);
        let now = |mask| recall(Some(&masked), STAMP, &wanted(Some(&masked), "options", mask), "");
        let quarantined = Recall::Quarantined { crashes: 2, told: false };
        assert_eq!((now(mask(5)), now(None)), (quarantined.clone(), quarantined));
        assert_eq!(now(mask(6)), Recall::Interrupted, "another mask");
        assert_eq!(recall(None, STAMP, "", ""), Recall::New);
    }
}
