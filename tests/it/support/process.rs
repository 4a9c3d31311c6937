//! The program itself as a child process, with deadlines and an environment of its own.

use super::{DEADLINE, World, onnx};
use crossbeam_channel::{RecvTimeoutError, bounded};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// ONNX Runtime for tests: ORT_DYLIB_PATH, or what scripts/fetch-runtime left in the repository. Without it a
/// test that needs it fails, and says what to do.
pub fn library() -> PathBuf {
    let path = std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| repository().join(".runtime/libonnxruntime.so"), PathBuf::from);
    assert!(path.is_file(), "no {}: run scripts/fetch-runtime once", path.display());
    path
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `onestep` with an empty environment, but for the runtime library and a HOME.
pub fn onestep<S: AsRef<OsStr>>(home: &Path, words: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onestep"));
    command.args(words).env_clear().env("HOME", home).env("ORT_DYLIB_PATH", library()).stdin(Stdio::null());
    command
}

/// `onestep once` with the tiny model at strength 0: each pixel of the input folder becomes four.
pub fn once(world: &World, words: &[&str]) -> Said {
    let model = onnx::tiny(&world.root.path().join("models"));
    let fixed: [&OsStr; 8] = [
        "once".as_ref(),
        world.input.as_ref(),
        "-o".as_ref(),
        world.output.as_ref(),
        "--model".as_ref(),
        model.as_ref(),
        "--device=cpu".as_ref(),
        "--strength=0".as_ref(),
    ];
    let words: Vec<&OsStr> = fixed.into_iter().chain(words.iter().map(AsRef::as_ref)).collect();
    said(&mut onestep(world.root.path(), &words))
}

/// `onestep run` where the kernel gives a process no more than so many folder watches. `None` where there are
/// no user namespaces.
pub fn within_namespace(home: &Path, watches: u32, config: &Path) -> Option<Command> {
    let set = format!("echo {watches} > /proc/sys/user/max_inotify_watches");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", script]).stdin(Stdio::null());
        command
    };
    let works = unshare(&set).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    // What stands behind a script is its $0, $1 and so on.
    let mut command = works.then(|| unshare(&format!("{set} && exec \"$0\" run --config \"$1\"")))?;
    command.arg(env!("CARGO_BIN_EXE_onestep")).arg(config).env("HOME", home);
    Some(command)
}

/// A running process. It speaks into files, since a pipe that nobody reads would stop it; and it is killed if
/// the test ends before it does.
pub struct Process {
    child: Child,
    stdout: File,
    stderr: File,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The exit code.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("killed: {self:?}"))
    }
}

/// Starts a process.
pub fn start(command: &mut Command) -> Process {
    let (stdout, stderr) = (tempfile::tempfile().expect("writable"), tempfile::tempfile().expect("writable"));
    command.stdout(stdout.try_clone().expect("open")).stderr(stderr.try_clone().expect("open"));
    Process { child: command.spawn().expect("a process"), stdout, stderr }
}

/// Runs a process to its end, within the deadline.
#[track_caller]
pub fn said(command: &mut Command) -> Said {
    start(command).wait()
}

impl Process {
    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Its pid.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr until now.
    pub fn stderr(&self) -> String {
        let mut bytes = vec![0; self.stderr.metadata().expect("a file").len() as usize];
        // At a place, not from where the file stands: that is shared with the process.
        let length = self.stderr.read_at(&mut bytes, 0).expect("a file");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("ours");
    }

    /// Waits for the end, within the deadline.
    #[track_caller]
    pub fn wait(mut self) -> Said {
        until("the end of the process", || self.child.try_wait().expect("ours").is_some());
        let status = self.child.wait().expect("ours");
        let text = |mut file: &File| {
            let mut text = String::new();
            file.rewind().expect("a file");
            file.read_to_string(&mut text).expect("text");
            text
        };
        Said { status, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails only where the process has ended, which is what we want.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// Asks again and again, a few milliseconds apart, until `done` or the deadline.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < DEADLINE, "not after {DEADLINE:?}: {what}");
        pause(Duration::from_millis(5));
    }
}

/// A wait on a channel that nobody sends on: for polling processes, and for killing them at random moments.
pub fn pause(duration: Duration) {
    let (_sender, nothing) = bounded::<()>(0);
    assert_eq!(nothing.recv_timeout(duration), Err(RecvTimeoutError::Timeout));
}
