//! The ground gives way: a full disk, an output folder that is gone, an input that was unmounted. It pauses
//! with one alarm, counts nothing as done, failed or missing, and goes on by itself.

use crate::support::fake::Fake;
use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::{onestep, start, until};
use crate::support::{Bench, World, onnx};
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory, as long as it lives.
struct Mount(PathBuf);

impl Mount {
    /// `None` where we may not mount, which is said.
    fn new(at: &Path, megabytes: u32) -> Option<Mount> {
        let size = format!("size={megabytes}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Mount(at.to_owned()));
        }
        writeln!(stderr(), "not tested: this user may not mount").ok();
        None
    }
}

/// Moves a mount to another folder.
fn mv(from: &Path, to: &Path) {
    let moved = Command::new("mount").arg("--move").args([from, to]).status().expect("mount");
    assert!(moved.success(), "{} to {}", from.display(), to.display());
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_pauses_and_room_lets_it_go_on() {
    let world = World::new();
    let Some(_mount) = Mount::new(&world.output, 5) else { return };
    for n in 0..6 {
        world.put(&format!("{n}.png"), png(&pattern(50 + n, 40, 3)));
    }
    // So little is left that the reserve is gone.
    let ballast = world.output.join("ballast");
    fs::write(&ballast, vec![1; 4_500_000]).expect("room");
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 2);
    bench.plan.admission.reserve_mb = 1;
    let output = world.output.clone();
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| bench.run());
        // It looks again and again; what it would have done by now it has not.
        crate::support::process::pause(std::time::Duration::from_millis(300));
        let made = fs::read_dir(&output).expect("there").count();
        assert_eq!(made, 1, "nothing is begun on a full disk");
        fs::remove_file(&ballast).expect("ours");
        run.join().expect("no panic")
    });
    assert_eq!((ran.end, ran.summary.done, ran.summary.failed), (Ok(()), 6, 0));
    assert_eq!(ran.settled.len(), 6, "nothing was counted twice");
}

/// The disk fills while pictures are in the making: what was in flight comes back and is done later.
#[test]
fn a_disk_that_fills_up_on_the_way_loses_nothing() {
    let world = World::new();
    let Some(_mount) = Mount::new(&world.output, 5) else { return };
    for n in 0..8 {
        world.put(&format!("{n}.png"), png(&pattern(300 + n, 300, 3)));
    }
    let ballast = world.output.join("ballast");
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 2);
    bench.plan.admission.reserve_mb = 1;
    // After the first result there is no room for another.
    let (filler, mut filled) = (ballast.clone(), false);
    bench.observe = Box::new(move |_| {
        if !std::mem::replace(&mut filled, true) {
            let mut file = fs::File::create(&filler).expect("writable");
            while file.write_all(&[1; 4096]).is_ok() {}
        }
    });
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| bench.run());
        until("the disk is full", || ballast.exists());
        crate::support::process::pause(std::time::Duration::from_millis(300));
        fs::remove_file(&ballast).expect("ours");
        run.join().expect("no panic")
    });
    assert_eq!((ran.end.clone(), ran.summary.failed), (Ok(()), 0), "{ran:?}");
    for n in 0..8 {
        let result = open(&world.output.join(format!("{n}.png")));
        assert_eq!(result, nearest(&pattern(300 + n, 300, 3), 2));
    }
}

#[test]
fn an_output_folder_that_is_gone_pauses_until_it_is_back() {
    let world = World::new();
    for n in 0..4 {
        world.put(&format!("{n}.png"), png(&pattern(50 + n, 40, 3)));
    }
    let aside = world.root.path().join("aside");
    fs::rename(&world.output, &aside).expect("ours");
    let bench = Bench::new(&world, &Fake::new(2, 1), 2);
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| bench.run());
        crate::support::process::pause(std::time::Duration::from_millis(200));
        assert!(!world.output.exists(), "nothing is made where the folder should be");
        fs::rename(&aside, &world.output).expect("ours");
        run.join().expect("no panic")
    });
    assert_eq!((ran.end, ran.summary.done, ran.summary.failed), (Ok(()), 4, 0));
}

/// Its pictures are neither gone nor failed while it is away: they are waited for, and done.
#[test]
fn pictures_of_an_input_that_is_unmounted_are_waited_for() {
    let world = World::new();
    let Some(_mount) = Mount::new(&world.input, 5) else { return };
    for n in 0..8 {
        world.put(&format!("{n}.png"), png(&pattern(50 + n, 40, 3)));
    }
    let (aside, away) = (world.root.path().join("aside"), world.root.path().join("in"));
    fs::create_dir(&aside).expect("ours");
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    // Only one at a time, so that most are not looked at yet when the input goes.
    bench.plan.admission.memory_mb = 8;
    let (gone_sender, gone) = crossbeam_channel::bounded(1);
    let (from, to, mut moved) = (away.clone(), aside.clone(), false);
    bench.observe = Box::new(move |_| {
        if !std::mem::replace(&mut moved, true) {
            mv(&from, &to);
            gone_sender.send(()).expect("the test listens");
        }
    });
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| bench.run());
        gone.recv().expect("a first result");
        crate::support::process::pause(std::time::Duration::from_millis(500));
        assert!(world.outputs().len() < 8);
        mv(&aside, &away);
        run.join().expect("no panic")
    });
    assert_eq!((ran.end.clone(), ran.summary.done), (Ok(()), 8), "{ran:?}");
    assert_eq!((ran.summary.failed, ran.summary.passed_over), (0, 0), "{ran:?}");
}

#[test]
fn a_folder_that_is_mounted_anew_is_watched_anew() {
    let world = World::new();
    let Some(mount) = Mount::new(&world.input, 5) else { return };
    world.put("a.png", png(&pattern(9, 8, 3)));
    onnx::tiny(&world.root.path().join("models"));
    let config = world.root.path().join("config.toml");
    let text = "[[pipeline]]\ninput = \"in\"\noutput = \"out\"\nsettle_ms = 100\n\
                model = \"tiny\"\nstrength = 0.0\n[models]\nfolder = \"models\"\n\
                [device]\ndevice = \"cpu\"\nthreads = 1\n";
    fs::write(&config, text).expect("writable");
    let child =
        start(&mut onestep(world.root.path(), &["run".as_ref(), "--config".as_ref(), config.as_os_str()]));
    until("a result", || world.output.join("a.png").exists());
    drop(mount);
    // It is another folder now, on another file system, and empty.
    until("the alarm", || child.stderr().contains("watching anew"));
    let _again = Mount::new(&world.input, 5).expect("it could before");
    until("the return", || child.stderr().matches("watching anew").count() == 2);
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stderr.contains("1 done, 0 already there, 0 failed\n"), "{said:?}");
}
