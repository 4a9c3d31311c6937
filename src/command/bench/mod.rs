//! `onestep bench`: the network alone on all its threads, then a whole run over pictures, and what one comes
//! to beside the other. Works in a temporary folder that is gone afterwards.

mod made_up;

use super::books::Books;
use super::{Order, Ordered, once, plan, under_signals};
use crate::cli;
use crate::config::{DEFAULT_MODEL, default_memory_mb};
use crate::crew::Crew;
use crate::edge::codec::probe;
use crate::edge::gpu::energy_mj;
use crate::edge::model::{Model, seconds};
use crate::edge::record::pretty;
use crate::error::{CommandError, Exit, Fatal, StartError};
use crate::job::{Outcome, Settled, Sighting, Times};
use crate::pipeline::{self, Edges, Intake};
use crate::plan::{Choice, Computing, Limits, Supervision, Wish, default_threads};
use crate::stop::{Stop, StopHandle, is_stopped, stop_pair};
use crate::work::device::joined;
use crate::work::format::Writing;
use crate::work::tiling::Tiling;
use contract::geometry::Size;
use crossbeam_channel::bounded;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the network runs alone.
const ALONE: Duration = Duration::from_secs(2);
/// Room that is left on the disk.
const RESERVE_MB: u64 = 16;

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    model: String,
    strength: f32,
    precision: &'static str,
    device: String,
    threads: usize,
    /// Threads that own networks.
    workers: usize,
    /// Tiles of an evaluation.
    batch: usize,
    /// Sides of the usual window in pixels, halo included.
    window: [usize; 2],
    pictures: usize,
    megapixels: f64,
    tiles: usize,
    seconds: f64,
    pictures_per_s: f64,
    megapixels_per_s: f64,
    tiles_per_s: f64,
    /// Of the network alone: no pictures, no noise, nothing is done with what comes out.
    bare_tiles_per_s: f64,
    /// Tiles a second of the whole run over those of the network alone.
    overhead_ratio: f64,
    /// Share of each stage in the seconds of all threads together.
    stages: BTreeMap<&'static str, f64>,
    /// What the GPUs used in the run, where they count it.
    joules_per_picture: Option<f64>,
}

pub(super) fn main(words: cli::Bench) -> Result<Exit, CommandError> {
    let folder = tempfile::Builder::new().prefix("onestep-bench.").tempdir().map_err(|error| {
        StartError::usage(format!("no temporary folder can be made (TMPDIR names its place): {error}"))
    })?;
    let (input, output, state) = ["in", "out", "state"].map(|name| folder.path().join(name)).into();
    let inputs = if words.inputs.is_empty() {
        let side = Size::new(usize::from(words.side), usize::from(words.side));
        made_up::write(&input, usize::from(words.pictures), side)
            .map_err(|error| StartError::usage(format!("{error}: {}", input.display())))?;
        vec![input]
    } else {
        words.inputs.clone()
    };
    let sightings = once::gather(&inputs, None);
    if sightings.is_empty() {
        return Err(StartError::usage("there is no picture in what was given").into());
    }
    let order = order(&words, &output, &state)?;
    let (handle, stop) = stop_pair();
    let mut measured = None;
    let end = under_signals(&handle, || measured = Some(measure(&order, sightings, &handle, &stop)));
    let report = measured.transpose()?;
    end?;
    let Some(report) = report.flatten() else { return Ok(Exit::SomeFailed) };
    let text = if words.json { pretty(&report) } else { told(&report) };
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(Exit::AllDone)
}

fn order<'a>(words: &'a cli::Bench, output: &Path, state: &'a Path) -> Result<Order<'a>, StartError> {
    let format = Writing::new(words.format.word(), None).map_err(StartError::usage)?;
    let computing = Computing {
        devices: words.device.clone(),
        precision: words.precision,
        threads: words.threads.map_or_else(default_threads, usize::from),
        window_px: words.window.map(usize::from),
        batch: words.batch.map(usize::from),
        ..Computing::default()
    };
    Ok(Order {
        library: words.ort_lib.as_deref(),
        lines: vec![Ordered {
            model: words.model.as_deref().unwrap_or(DEFAULT_MODEL),
            repair_model: None,
            strength: words.strength,
            wish: Wish { format, ..Wish::new(output.to_owned()) },
        }],
        model_folder: None,
        elsewhere: &[],
        state: Some(state),
        choice: Choice {
            computing,
            limits: Limits { memory_mb: default_memory_mb(), ..Limits::default() },
            reserve_mb: RESERVE_MB,
            force: false,
            once: true,
            supervision: Supervision::default(),
        },
    })
}

/// `None` where it was stopped, or a picture was not done.
fn measure(
    order: &Order<'_>,
    sightings: Vec<Sighting>,
    handle: &StopHandle,
    stop: &Stop,
) -> Result<Option<Report>, CommandError> {
    let (plan, mut opened) = plan(order)?;
    super::clear(&order.lines[0].wish.output)?;
    let (line, tiles) = (&plan.lines[0], plan.batching.tiles);
    let grids = grids(&line.last().tiling, &sightings);
    let Some(window) = usual_window(&grids) else {
        return Err(
            StartError::usage("there is no picture in what was given that can be cut into tiles").into()
        );
    };
    // In pixels of windows, since small pictures have small windows.
    let bare_px_per_s = alone(&mut opened.workers, (tiles, window), handle, stop)? * window.area() as f64;
    if is_stopped(stop) {
        return Ok(None);
    }
    let books = Books::open(order.state, &order.outputs())?;
    let mut seen = Seen::default();
    let edges = Edges {
        workers: opened.workers,
        second: opened.second,
        intake: Intake::List(Box::new(sightings.into_iter())),
        ledgers: books.ledgers()?,
        observe: Box::new(|settled| seen.add(&grids, settled)),
        trap: None,
    };
    let (energy, begin) = (energy_mj(), Instant::now());
    let (summary, end) = pipeline::run(&plan, edges, handle, stop);
    let seconds = begin.elapsed().as_secs_f64();
    end?;
    if summary.failed > 0 || seen.pictures == 0 || is_stopped(stop) {
        log::warn!("not every picture was done, so nothing can be said: {summary}");
        return Ok(None);
    }
    let tiles_per_s = seen.tiles as f64 / seconds;
    let bare_tiles_per_s = bare_px_per_s / (seen.evaluated_px as f64 / seen.tiles as f64);
    Ok(Some(Report {
        version: env!("CARGO_PKG_VERSION"),
        model: line.model_name.clone(),
        strength: line.wanted.strength,
        precision: line.precision.word(),
        device: joined(&opened.serving.devices),
        threads: order.choice.computing.threads,
        workers: opened.serving.workers,
        batch: tiles,
        window: [window.width, window.height],
        pictures: seen.pictures,
        megapixels: seen.pixels as f64 / 1e6,
        tiles: seen.tiles,
        seconds,
        pictures_per_s: seen.pictures as f64 / seconds,
        megapixels_per_s: seen.pixels as f64 / 1e6 / seconds,
        tiles_per_s,
        bare_tiles_per_s,
        overhead_ratio: tiles_per_s / bare_tiles_per_s,
        stages: shares(&seen.times),
        joules_per_picture: joules(&energy, &energy_mj()).map(|all| all / seen.pictures as f64),
    }))
}

/// How pictures are cut, and their pixels, by their paths.
type Grids = HashMap<PathBuf, (usize, Size, u64)>;

/// Number and size of the windows of each picture whose header can be read.
fn grids(tiling: &Tiling, sightings: &[Sighting]) -> Grids {
    let of = |sighting: &Sighting| {
        let header = probe(&mut BufReader::new(File::open(&sighting.source).ok()?)).ok()?;
        let grid = tiling.grid(header.size)?;
        Some((sighting.source.clone(), (grid.len(), grid.window(), header.size.area() as u64)))
    };
    sightings.iter().filter_map(of).collect()
}

/// The window that most pixels are evaluated in.
fn usual_window(grids: &Grids) -> Option<Size> {
    let mut pixels: HashMap<(usize, usize), usize> = HashMap::new();
    for (count, window, _) in grids.values() {
        *pixels.entry((window.width, window.height)).or_default() += count * window.area();
    }
    let most = pixels.into_iter().max_by_key(|(window, pixels)| (*pixels, *window));
    most.map(|((width, height), _)| Size::new(width, height))
}

/// Tiles a second of the networks alone, all of them at once.
fn alone(
    workers: &mut [Vec<Box<dyn Model>>],
    (tiles, window): (usize, Size),
    handle: &StopHandle,
    stop: &Stop,
) -> Result<f64, CommandError> {
    let (rates_tx, rates) = bounded(workers.len());
    let ended = std::thread::scope(|scope| {
        let mut crew = Crew::new(scope, handle.clone(), None);
        for (n, networks) in workers.iter_mut().enumerate() {
            let rates = rates_tx.clone();
            crew.spawn(&format!("alone-{n}"), move |_| {
                let mut evaluate = |further: usize| {
                    seconds(networks[0].as_mut(), tiles, window, further)
                        .map_err(|error| Fatal::Device(error.to_string()))
                };
                // The first evaluation takes the memory.
                evaluate(0)?;
                let (mut count, begin) = (0, Instant::now());
                while (begin.elapsed() < ALONE || count == 0) && !is_stopped(stop) {
                    evaluate(1)?;
                    count += 2 * tiles;
                }
                rates.send(count as f64 / begin.elapsed().as_secs_f64()).ok();
                Ok(())
            });
        }
        crew.join()
    });
    ended?;
    Ok(rates.try_iter().sum())
}

/// What the run came to.
#[derive(Debug, Default)]
struct Seen {
    pictures: usize,
    tiles: usize,
    pixels: u64,
    evaluated_px: u64,
    times: Times,
}

impl Seen {
    fn add(&mut self, grids: &Grids, settled: &Settled) {
        let (Outcome::Done(_), Some((tiles, window, pixels))) =
            (&settled.outcome, grids.get(&settled.errand.source))
        else {
            return;
        };
        self.pictures += 1;
        self.tiles += tiles;
        self.pixels += pixels;
        self.evaluated_px += (tiles * window.area()) as u64;
        self.times.decoding += settled.times.decoding;
        self.times.inferring += settled.times.inferring;
        self.times.encoding += settled.times.encoding;
    }
}

fn shares(times: &Times) -> BTreeMap<&'static str, f64> {
    let all = [("decode", times.decoding), ("infer", times.inferring), ("encode", times.encoding)];
    let sum: f64 = all.iter().map(|(_, seconds)| seconds).sum();
    all.into_iter().map(|(stage, seconds)| (stage, seconds / sum.max(f64::MIN_POSITIVE))).collect()
}

/// What all GPUs of the machine used between two looks, where any counts.
fn joules(before: &[(String, u64)], after: &[(String, u64)]) -> Option<f64> {
    let used = after.iter().filter_map(|(gpu, now)| {
        let (_, then) = before.iter().find(|(same, _)| same == gpu)?;
        Some(now.saturating_sub(*then))
    });
    let used: Vec<u64> = used.collect();
    (!used.is_empty()).then(|| used.iter().sum::<u64>() as f64 / 1000.0)
}

fn told(report: &Report) -> String {
    let Report { model, strength, precision, device, threads, workers, batch, window, .. } = report;
    let share = |stage: &str| report.stages.get(stage).map_or(0.0, |share| 100.0 * share);
    let energy = report.joules_per_picture.map_or_else(
        || "energy    not counted here\n".to_owned(),
        |joules| format!("energy    {joules:.1} J a picture, of all GPUs of this machine\n"),
    );
    format!(
        "{model} at strength {strength} in {precision} on {device}: {threads} threads, {workers} networks, \
         windows of {}×{}, {batch} together\n\
         pictures  {} of {:.2} Mpx in {:.2} s: {:.2} a second, {:.3} Mpx a second\n\
         tiles     {:.2} a second, the network alone {:.2}: {:.3} of its speed\n\
         stages    decode {:.1} %, infer {:.1} %, encode {:.1} %\n{energy}",
        window[0],
        window[1],
        report.pictures,
        report.megapixels / report.pictures as f64,
        report.seconds,
        report.pictures_per_s,
        report.megapixels_per_s,
        report.tiles_per_s,
        report.bare_tiles_per_s,
        report.overhead_ratio,
        share("decode"),
        share("infer"),
        share("encode"),
    )
}
