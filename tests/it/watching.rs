//! Nothing is missed: bursts that overflow every queue, folders that move, file systems that tell nobody, and
//! a kernel that gives no more watches.

use crate::run::{comes_back, configure};
use crate::support::pictures::{pattern, png};
use crate::support::process::{library, pause, start, until, within_namespace};
use crate::support::{World, within};
use crossbeam_channel::{Receiver, bounded};
use onestep::board::Board;
use onestep::job::Sighting;
use onestep::pulse::Pulse;
use onestep::stage::watch::{Notice, Watching, folder};
use onestep::stop::stop_pair;
use onestep::work::ignore::Ignore;
use onestep::work::order::Order;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(100);

fn watching(world: &World, notice: Notice) -> Watching {
    Watching {
        line: 0,
        input: world.input.clone(),
        quiet: Duration::from_millis(100),
        notice,
        poll: Duration::from_millis(50),
        masking: None,
        ignore: Ignore::default(),
        order: Order::Arrival,
        priority: 0,
        status_file: false,
    }
}

/// Watches while `body` runs; `trap` is called before each piece of work.
fn watch(options: &Watching, trap: Option<onestep::pulse::Trap>, body: impl FnOnce(&Receiver<Sighting>)) {
    watch_with_room(100, options, trap, body);
}

/// The same, with room for so many sightings between the watcher and whoever takes them.
fn watch_with_room(
    room: usize,
    options: &Watching,
    trap: Option<onestep::pulse::Trap>,
    body: impl FnOnce(&Receiver<Sighting>),
) {
    let (handle, stop) = stop_pair();
    let (outbox, sightings) = bounded(room);
    let pulse = Pulse::new("watch-0", trap);
    within(DEADLINE, || {
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| folder(options, &pulse, &outbox, &Board::new(1), &stop));
            body(&sightings);
            handle.trigger();
            watcher.join().expect("no panic").expect("a clean end");
        });
    });
}

/// Waits until each of these places was sighted.
fn sighted(sightings: &Receiver<Sighting>, places: impl IntoIterator<Item = PathBuf>) {
    let mut missing: BTreeSet<PathBuf> = places.into_iter().collect();
    while !missing.is_empty() {
        let sighting = sightings.recv_timeout(DEADLINE).expect("the watcher lives");
        missing.remove(&sighting.relative);
    }
}

#[test]
fn a_burst_that_overflows_every_queue_misses_nothing() {
    let world = World::new();
    fs::create_dir_all(world.input.join("sub")).expect("writable");
    let (go, gate) = bounded::<()>(0);
    let trap = Arc::new(move |_: &str| {
        // Closed when the burst is over: until then nobody takes events out of the queues.
        gate.recv().ok();
    });
    let places: Vec<PathBuf> = (0..20_000).map(|n| format!("sub/{n}.png").into()).collect();
    watch(&watching(&world, Notice::Events), Some(trap), |sightings| {
        // The first piece of work, opening, and one after it.
        go.send(()).expect("it waits");
        go.send(()).expect("it waits");
        for place in &places {
            fs::write(world.input.join(place), "x").expect("writable");
        }
        drop(go);
        sighted(sightings, places.clone());
    });
}

#[test]
fn folders_that_move_are_seen_with_all_that_is_in_them() {
    let world = World::new();
    let aside = world.root.path().join("aside");
    fs::create_dir_all(aside.join("deep/deeper")).expect("writable");
    for place in ["a.png", "deep/b.png", "deep/deeper/c.png"] {
        fs::write(aside.join(place), "x").expect("writable");
    }
    watch(&watching(&world, Notice::Auto), None, |sightings| {
        let all = |folder: &str| {
            ["a.png", "deep/b.png", "deep/deeper/c.png"].map(|place| Path::new(folder).join(place))
        };
        fs::rename(&aside, world.input.join("one")).expect("ours");
        sighted(sightings, all("one"));
        fs::rename(world.input.join("one"), world.input.join("two")).expect("ours");
        sighted(sightings, all("two"));
        // It is watched where it is now, at every depth.
        fs::write(world.input.join("two/deep/deeper/d.png"), "x").expect("writable");
        sighted(sightings, ["two/deep/deeper/d.png".into()]);
        fs::rename(world.input.join("two"), &aside)
            .and_then(|()| fs::rename(&aside, world.input.join("one")))
            .expect("ours");
        sighted(sightings, all("one"));
    });
}

#[test]
fn what_nobody_tells_of_is_polled() {
    let world = World::new();
    world.put("sub/early.png", "x");
    // Without events: settled by its quiet alone, five seconds of it.
    watch(&watching(&world, Notice::Poll), None, |sightings| {
        sighted(sightings, ["sub/early.png".into()]);
        world.put("new/late.png", "x");
        sighted(sightings, ["new/late.png".into()]);
        assert!(sightings.is_empty(), "what has not changed is not news");
        world.put("sub/early.png", "more");
        sighted(sightings, ["sub/early.png".into()]);
    });
}

#[test]
fn what_the_user_leaves_alone_is_not_seen() {
    let world = World::new();
    let ignore = Ignore::new(&["raw".into(), "*.bak.png".into(), "a/b".into()]).expect("globs");
    let options = Watching { ignore, ..watching(&world, Notice::Events) };
    world.put("raw/early.png", "x");
    watch(&options, None, |sightings| {
        for place in ["x/raw/1.png", "1.bak.png", "a/b/1.png", "@eaDir/1.png", "x/2.png"] {
            world.put(place, "x");
        }
        sighted(sightings, ["x/2.png".into()]);
        world.put("last.png", "x");
        let sighting = sightings.recv_timeout(DEADLINE).expect("the watcher lives");
        assert_eq!(sighting.relative, Path::new("last.png"), "nothing else in between");
    });
}

#[test]
fn what_waits_is_told_in_the_order_that_was_asked_for() {
    let world = World::new();
    for (name, bytes) in [("a.png", 30), ("b.png", 10), ("c.png", 20)] {
        world.put(name, vec![b'x'; bytes]);
    }
    let options = Watching { order: Order::Smallest, ..watching(&world, Notice::Events) };
    // Nobody takes the first before all of them are whole, ten times their quiet later.
    watch_with_room(0, &options, None, |sightings| {
        pause(Duration::from_secs(1));
        let names: Vec<PathBuf> =
            (0..3).map(|_| sightings.recv_timeout(DEADLINE).expect("the watcher lives").relative).collect();
        assert_eq!(names, ["b.png", "c.png", "a.png"].map(PathBuf::from));
    });
}

/// In a user namespace of its own the kernel's limit may be lowered. Where there are none, this is not
/// tested.
#[test]
fn where_the_kernel_gives_no_more_watches_the_rest_is_polled() {
    let world = World::new();
    let config = configure(&world, 100);
    let text = fs::read_to_string(&config).expect("there");
    fs::write(&config, text.replace("[models]", "poll_s = 1\nignore = [\"raw\"]\n[models]"))
        .expect("writable");
    let folders = ["a", "b", "c", "d"];
    for folder in folders {
        fs::create_dir_all(world.input.join(folder)).expect("writable");
    }
    for n in 0..10 {
        fs::create_dir_all(world.input.join(format!("raw/{n}"))).expect("writable");
    }
    let daemon = |watches: u32| {
        let command = within_namespace(world.root.path(), watches, &config)?;
        Some(start({ command }.env("ORT_DYLIB_PATH", library())))
    };
    let Some(child) = daemon(3) else { return };
    let limited = "since the limit on watched folders is reached (sysctl fs.inotify.max_user_watches): ";
    until("the limit", || child.stderr().contains(limited));
    for (n, folder) in folders.into_iter().enumerate() {
        let picture = pattern(9 + n, 8, 3);
        world.put(&format!("{folder}/new.png"), png(&picture));
        comes_back(&world, &format!("{folder}/new.png"), &picture);
    }
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.stderr.matches(limited).count(), 1, "{said:?}");
    // Five folders, and what is left alone takes no watch.
    let child = daemon(5).expect("as before");
    until("a scan", || child.stderr().contains("watching: "));
    child.signal("TERM");
    assert!(!child.wait().stderr.contains(limited));
}
