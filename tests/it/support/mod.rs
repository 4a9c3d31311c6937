//! What tests stand on: temp worlds, fake networks, small pictures, real model files of a few hundred bytes,
//! processes with deadlines. Nothing here sleeps.

pub mod fake;
pub mod onnx;
pub mod pictures;
pub mod process;

use crossbeam_channel::bounded;
use fake::Fake;
use onestep::edge::ledger::{Ledger, NoReceipts};
use onestep::edge::machine;
use onestep::edge::model::{Facts, Model, Serving};
use onestep::edge::scan::scan;
use onestep::error::End;
use onestep::job::{Outcome, Settled, Sighting};
use onestep::pipeline::{Edges, Intake, run};
use onestep::plan::{Choice, Computing, Limits, Plan, Supervision, Wish};
use onestep::pulse::Trap;
use onestep::stage::record::Summary;
use onestep::stop::{Stop, StopHandle, stop_pair};
use onestep::work::device::{Device, Devices};
use onestep::work::known::State;
use onestep::work::naming::RECEIPTS;
use onestep::work::tiling::Tiling;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Far beyond what any test takes, also on a busy machine: whatever is not done by then hangs.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// An input and an output folder that vanish with it.
pub struct World {
    pub root: TempDir,
    pub input: PathBuf,
    pub output: PathBuf,
}

impl World {
    pub fn new() -> World {
        let root = tempfile::tempdir().expect("a temp folder");
        let (input, output) = (root.path().join("in"), root.path().join("out"));
        fs::create_dir(&input).expect("writable");
        fs::create_dir(&output).expect("writable");
        World { root, input, output }
    }

    /// Puts a file into the input folder.
    pub fn put(&self, place: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.input.join(place);
        fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
        fs::write(&path, bytes).expect("writable");
        path
    }

    /// Every picture and reason below the output folder, in order.
    pub fn outputs(&self) -> Vec<String> {
        let mut files = files_below(&self.output);
        files.retain(|name| name != RECEIPTS);
        files
    }

    /// The state folder of in-process runs.
    pub fn state(&self) -> PathBuf {
        let path = self.root.path().join("state");
        fs::create_dir_all(&path).expect("writable");
        path
    }

    /// All that is in the input folder now.
    pub fn scan(&self) -> Vec<Sighting> {
        scan(&self.input.as_path().into(), &self.input)
    }

    /// A reason file's class and message.
    pub fn reason(&self, place: &str) -> (String, String) {
        let path = self.output.join("failed").join(format!("{place}.reason.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let word = |key: &str| json[key].as_str().expect("a string").to_owned();
        (word("class"), word("message"))
    }
}

/// Every file below a folder, in order, as places in it.
pub fn files_below(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a kind").is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let place = path.strip_prefix(root).expect("below the root");
                found.push(place.to_str().expect("text").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A pipeline with fake networks. Change the fields, then `run`.
pub struct Bench {
    pub ledger: Ledger,
    pub plan: Plan,
    pub workers: Vec<Vec<Box<dyn Model>>>,
    pub second: Vec<Vec<Box<dyn Model>>>,
    pub intake: Intake,
    pub observe: Box<dyn FnMut(&Settled) + Send>,
    pub stop: (StopHandle, Stop),
    pub trap: Option<Trap>,
}

/// How a run ended, and what became of each picture.
#[derive(Debug)]
pub struct Ran {
    pub summary: Summary,
    pub end: End,
    pub settled: Vec<Settled>,
    /// Pictures that the ledger has as begun and not ended.
    pub started: usize,
}

impl Bench {
    /// Everything below the world's input folder, through `workers` copies of a fake network on the "CPU".
    pub fn new(world: &World, fake: &Fake, workers: usize) -> Bench {
        Bench::of(world, fake, workers, Wish::new(world.output.clone()))
    }

    /// The same, as this wish has it.
    pub fn of(world: &World, fake: &Fake, workers: usize, wish: Wish) -> Bench {
        Bench::in_steps(world, &[fake], workers, wish)
    }

    /// The same through these networks, one after the other.
    pub fn in_steps(world: &World, fakes: &[&Fake], workers: usize, wish: Wish) -> Bench {
        let choice = Choice {
            computing: Computing { devices: Devices::Cpu, threads: workers, ..Computing::default() },
            limits: Limits::default(),
            reserve_mb: 0,
            force: false,
            once: true,
            supervision: Supervision::default(),
        };
        let facts = |fake: &&Fake| Facts {
            card: fake.card.clone(),
            sha256: "feed".repeat(16),
            terms: None,
            strength: fake.card.default_strength,
            tiling: Tiling::new(&fake.card, Device::Cpu, None),
            model: 0,
        };
        let networks = |fake: &Fake| -> Vec<Vec<Box<dyn Model>>> {
            (0..workers).map(|_| vec![Box::new(fake.clone()) as Box<dyn Model>]).collect()
        };
        let sightings = world.scan();
        let (ledger, _) =
            Ledger::open(&world.state(), &machine::present(), None, &NoReceipts).expect("a ledger");
        let mut plan =
            Plan::new(&choice, &Serving::on_cpu(workers), &[(wish, fakes.iter().map(facts).collect())])
                .expect("enough memory");
        plan.admission.backoff.first = Duration::from_millis(1);
        Bench {
            ledger,
            plan,
            workers: networks(fakes[0]),
            second: fakes.get(1).map(|fake| networks(fake)).unwrap_or_default(),
            intake: Intake::List(Box::new(sightings.into_iter())),
            observe: Box::new(|_| ()),
            stop: stop_pair(),
            trap: None,
        }
    }

    /// With a fixed seed.
    pub fn with_seed(mut self, seed: u64) -> Bench {
        let line = &mut self.plan.lines[0];
        line.wanted.seed = Some(seed);
        line.done = line.wanted.to_text();
        self
    }

    /// With this strength, evaluated and marked.
    pub fn set_strength(&mut self, strength: f32) {
        let line = &mut self.plan.lines[0];
        line.wanted.strength = strength;
        line.steps[0].strength = strength;
    }

    /// Also these, by name, after all others.
    pub fn with_named(mut self, sightings: Vec<Sighting>) -> Bench {
        if let Intake::List(list) = self.intake {
            self.intake = Intake::List(Box::new(list.chain(sightings)));
        }
        self
    }

    /// Runs to the end; a run that hangs aborts the process, since its threads cannot be joined.
    pub fn run(self) -> Ran {
        let Bench { ledger, plan, workers, second, intake, mut observe, stop: (handle, stop), trap } = self;
        let ledgers = [(); 3].map(|()| ledger.second().expect("a connection"));
        let (settled_sender, settled) = bounded(100_000);
        let observe = Box::new(move |end: &Settled| {
            settled_sender.send(end.clone()).expect("the test listens");
            observe(end);
        });
        let (summary, end) = within(DEADLINE, || {
            run(&plan, Edges { workers, second, intake, ledgers, observe, trap }, &handle, &stop)
        });
        ledger.end("ended").expect("written");
        let started = ledger.count(State::Started).expect("read");
        Ran { summary, end, settled: settled.try_iter().collect(), started }
    }
}

/// Runs `body`; aborts the process if it does not return in time.
pub fn within<T>(deadline: Duration, body: impl FnOnce() -> T) -> T {
    let (done, waiting) = bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(deadline) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                // A panic here would wait for the very threads that hang.
                writeln!(stderr(), "not done after {deadline:?}: it hangs").ok();
                std::process::abort();
            }
        });
        let result = body();
        drop(done);
        result
    })
}

impl Ran {
    /// The outcome of each picture by its place.
    pub fn outcomes(&self) -> BTreeMap<&str, &Outcome> {
        self.settled.iter().map(|s| (s.errand.relative.to_str().expect("text"), &s.outcome)).collect()
    }
}
