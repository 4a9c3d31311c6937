//! What the ledger promises, on real files.

use super::file::FILE;
use super::*;
use crate::work::death::PANICKED;
use crate::work::masking::with_mask;

fn present() -> Present {
    Present { boot: "boot".into(), oom_kills: 0 }
}

fn open(folder: &Path) -> (Ledger, Found) {
    Ledger::open(folder, &present(), None, &NoReceipts).expect("a ledger")
}

fn entry(relative: &str, state: State) -> Entry {
    Entry {
        root: "/in".into(),
        relative: relative.into(),
        target: format!("/out/{relative}"),
        state,
        stamp: Stamp { bytes: 5, modified_ns: -1, changed_ns: 2 },
        sha256: "abc".into(),
        fingerprint: "options".into(),
        reason: String::new(),
        at_ms: None,
    }
}

#[test]
fn what_is_written_is_read_on_both_connections_and_in_the_next_run() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (ledger, found) = open(folder.path());
    assert_eq!(found, Found { filled: Some(0), ..Found::default() });
    let mut second = ledger.second().expect("a connection");
    ledger.intend(&entry("a.jpg", State::Started)).expect("written");
    let known = second.known("/in", "a.jpg").expect("read").expect("there");
    assert_eq!((known.state, known.stamp.modified_ns, known.crashes), (State::Started, -1, 0));
    second.settle(&[entry("a.jpg", State::Done), entry("b.jpg", State::Failed)]).expect("written");
    ledger.end("ended").expect("written");
    drop((ledger, second));
    let (ledger, found) = open(folder.path());
    assert_eq!(found, Found { death: Some(Death::Clean), ..Found::default() });
    assert_eq!(ledger.count(State::Done).expect("read"), 1);
    let state = |name| ledger.known("/in", name).expect("read").map(|known| known.state);
    assert_eq!((state("a.jpg"), state("b.jpg")), (Some(State::Done), Some(State::Failed)));
    assert_eq!(ledger.known("/other", "a.jpg").expect("read"), None);
    let owner = |root| ledger.owner("/out/a.jpg", root, "a.jpg").expect("read");
    assert_eq!((owner("/in"), owner("/other")), (None, Some(("/in".into(), "a.jpg".into()))));
}

#[test]
fn what_was_begun_of_a_picture_that_is_gone_is_forgotten_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (ledger, _) = open(folder.path());
    let mut second = ledger.second().expect("a connection");
    let edition = second.edition().expect("read");
    second.settle(&[entry("a", State::Started), entry("b", State::Done)]).expect("written");
    assert_eq!(second.edition().expect("read"), edition, "what it wrote itself is no news");
    ledger.forget_begun("/in", "a").and_then(|()| ledger.forget_begun("/in", "b")).expect("written");
    assert_ne!(second.edition().expect("read"), edition);
    let state = |name| ledger.known("/in", name).expect("read").map(|known| known.state);
    assert_eq!((state("a"), state("b")), (None, Some(State::Done)));
}

/// A failure of this run has its age, one of an earlier run has none; and a receipt says when it was.
#[test]
fn it_is_known_when_pictures_ended() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (mut ledger, _) = open(folder.path());
    let an_hour_ago = Some(now_ms() - 3_600_000);
    let entries = [entry("a", State::Failed), Entry { at_ms: an_hour_ago, ..entry("b", State::Failed) }];
    ledger.settle(&entries).expect("written");
    let minutes = |ledger: &Ledger, name| ledger.known("/in", name).expect("read").expect("there").minutes;
    assert_eq!((minutes(&ledger, "a"), minutes(&ledger, "b")), (Some(0), Some(60)));
    ledger.end("ended").expect("written");
    assert_eq!(minutes(&open(folder.path()).0, "b"), None);
}

#[test]
fn only_crashes_are_counted_and_only_while_the_file_stays_the_same() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let crashes = |ledger: &Ledger| ledger.known("/in", "a").expect("read").expect("there").crashes;
    let run = |words: Option<&str>, expected: u32| {
        let words = words.map(str::to_owned);
        let (ledger, _) = Ledger::open(folder.path(), &present(), words.clone(), &NoReceipts).expect("opens");
        assert_eq!(crashes(&ledger), expected, "after {words:?}");
        ledger.intend(&entry("a", State::Started)).expect("written");
        assert_eq!(crashes(&ledger), expected);
        ledger
    };
    open(folder.path()).0.intend(&entry("a", State::Started)).expect("written");
    run(None, 0);
    let ledger = run(Some("SIGSEGV"), 1);
    ledger.end(PANICKED).expect("written");
    let ledger = run(None, 2);
    let changed = Entry { stamp: Stamp::default(), ..entry("a", State::Started) };
    ledger.intend(&changed).expect("written");
    assert_eq!(crashes(&ledger), 0);
}

/// A mask that is another by now has crashed nothing yet.
#[test]
fn another_mask_begins_without_suspicion() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let masked = |bytes: u64| Entry {
        fingerprint: with_mask("options", Some(Stamp { bytes, ..Stamp::default() })),
        ..entry("a", State::Started)
    };
    open(folder.path()).0.intend(&masked(7)).expect("written");
    let (ledger, _) =
        Ledger::open(folder.path(), &present(), Some("SIGSEGV".into()), &NoReceipts).expect("opens");
    let crashes = || ledger.known("/in", "a").expect("read").expect("there").crashes;
    assert_eq!(crashes(), 1);
    for (entry, expected) in [(masked(7), 1), (entry("a", State::Started), 1), (masked(7), 1), (masked(8), 0)]
    {
        ledger.intend(&entry).expect("written");
        assert_eq!(crashes(), expected, "{entry:?}");
    }
}

/// Receipts of one run.
struct Told(String, Vec<Entry>);

impl Receipts for Told {
    fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>> {
        Ok(Box::new(self.1.iter().cloned().map(Ok)))
    }

    fn of_run(&self, name: &str) -> Vec<Entry> {
        if name == self.0 { self.1.clone() } else { Vec::new() }
    }
}

#[test]
fn what_the_dead_run_started_and_reported_is_done_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let die = |receipts: &Told| {
        let (ledger, found) = Ledger::open(folder.path(), &present(), None, receipts).expect("opens");
        ledger.intend(&entry("a", State::Started)).expect("written");
        ledger.intend(&entry("b", State::Started)).expect("written");
        (ledger.run_name().to_owned(), found)
    };
    let (first, _) = die(&Told(String::new(), vec![]));
    let other_file = Entry { stamp: Stamp::default(), ..entry("b", State::Done) };
    let (second, found) = die(&Told(first.clone(), vec![entry("a", State::Done), other_file]));
    assert_eq!((found.confirmed, found.in_flight), (1, vec!["b".to_owned()]));
    // The same receipts again: they are of an older run, and a was begun once more since.
    assert_ne!(first, second);
    let (_, found) = die(&Told(first, vec![entry("a", State::Done)]));
    assert_eq!((found.confirmed, found.in_flight.len()), (0, 2));
}

#[test]
fn a_new_ledger_is_filled_whole_or_not_at_all() {
    struct Broken;
    impl Receipts for Broken {
        fn all(&self) -> Said<Box<dyn Iterator<Item = Said<Entry>> + '_>> {
            let error = SystemError { text: "I/O".into(), transient: true };
            Ok(Box::new([Ok(entry("a", State::Done)), Err(error)].into_iter()))
        }
        fn of_run(&self, _: &str) -> Vec<Entry> {
            Vec::new()
        }
    }
    let folder = tempfile::tempdir().expect("a temp folder");
    assert!(Ledger::open(folder.path(), &present(), None, &Broken).is_err());
    let whole = Told(String::new(), vec![entry("a", State::Done), entry("b", State::Done)]);
    let (ledger, found) = Ledger::open(folder.path(), &present(), None, &whole).expect("opens");
    assert_eq!((found.filled, ledger.count(State::Done).expect("read")), (Some(2), 2));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
fn a_damaged_ledger_is_put_aside_and_begun_anew() {
    let folder = tempfile::tempdir().expect("a temp folder");
    open(folder.path()).0.intend(&entry("a", State::Started)).expect("written");
    std::fs::write(folder.path().join(FILE), "no database, whatever else it is".repeat(200)).expect("ours");
    let (ledger, found) = open(folder.path());
    assert!(found.aside.is_some_and(|aside| aside.exists()), "kept");
    assert_eq!(ledger.known("/in", "a").expect("read"), None);
}

#[test]
fn a_newer_ledger_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a temp folder");
    open(folder.path()).0.connection.pragma_update(None, "user_version", 9).expect("written");
    let error = Ledger::open(folder.path(), &present(), None, &NoReceipts).expect_err("newer");
    assert!(error.text.contains("the ledger is of version 9, this onestep reads version 1"), "{error}");
}

/// An earlier onestep that is at work beside us told less of its pipelines.
#[test]
fn what_the_pipelines_of_an_earlier_version_said_can_be_read() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (mut ledger, _) = open(folder.path());
    let served = Some("on cpu".to_owned());
    let row = PipelineRow { name: "p".into(), waiting: 3, served, ..Default::default() };
    ledger.tell(std::slice::from_ref(&row)).expect("written");
    let read = || Reader::open(folder.path(), true).expect("read").expect("there").pipelines().expect("read");
    assert_eq!(read(), std::slice::from_ref(&row));
    ledger.connection.execute_batch("ALTER TABLE pipeline DROP COLUMN served").expect("written");
    assert_eq!(read(), [PipelineRow { served: None, ..row }]);
}
