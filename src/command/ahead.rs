//! `onestep plan`: what `run` would do now. Looks at every file's header and at the ledger, and times the
//! network on this machine; writes nothing.

use super::{books, folders, plan, run};
use crate::cli;
use crate::config::{self, Pipeline};
use crate::edge::disk::{free_bytes, open_beneath};
use crate::edge::ledger::{Reader, Said};
use crate::edge::mask_file;
use crate::edge::model::{Model, seconds};
use crate::edge::scan::{look, scan_beating, stamp_of};
use crate::edge::state_folder::holder;
use crate::error::{CommandError, Exit, StartError};
use crate::plan::{Admission, Line};
use crate::stage::admit::{Measured, measure};
use crate::work::known::{Recall, recall, wanted};
use crate::work::masking::with_mask;
use crate::work::naming::text_of;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Refusals that are named.
const NAMED: usize = 5;

/// What lies before one pipeline.
#[derive(Default)]
struct Ahead {
    pictures: usize,
    pixels: u64,
    /// Bytes of the results if nothing of them could be compressed.
    raw_bytes: u64,
    done: usize,
    failed: usize,
    /// Pictures whose mask is not there yet.
    unmasked: usize,
    refused: Vec<(PathBuf, String)>,
}

pub(super) fn main(words: cli::Run) -> Result<Exit, CommandError> {
    let config = config::load(&words.config)?;
    let problems = folders::problems(&words.config, &config);
    if !problems.is_empty() {
        return Err(StartError::Config { file: words.config, problems }.into());
    }
    let library = words.ort_lib.or_else(|| config.library.clone());
    let order = run::order(&config, library.as_deref());
    let (plan, mut opened) = plan(&order)?;
    let state = books::place(config.state.as_deref(), &config.pipelines[0].output)?;
    let refused = |reason| StartError::State { reason, folder: state.clone() };
    let reader = Reader::open(&state, holder(&state).is_some()).map_err(refused)?;
    let workers = opened.workers.len();
    for (pipeline, line) in config.pipelines.iter().zip(&plan.lines) {
        let ahead = ahead(pipeline, line, &plan.admission, reader.as_ref()).map_err(refused)?;
        let networks = if line.steps.len() > 1 { &mut opened.second } else { &mut opened.workers };
        let seconds = seconds_a_megapixel(line, networks[0][line.last().model].as_mut())?;
        let text = told(pipeline, line, &ahead, seconds, workers);
        // Nobody listens on stdout: then the exit code has to do.
        std::io::stdout().write_all(text.as_bytes()).ok();
    }
    Ok(Exit::AllDone)
}

fn ahead(pipeline: &Pipeline, line: &Line, admission: &Admission, reader: Option<&Reader>) -> Said<Ahead> {
    let mut ahead = Ahead::default();
    let root: Arc<Path> = super::absolute(&pipeline.input).into();
    for sighting in scan_beating(&root, &root, &pipeline.ignore, |_| ()) {
        if sighting.named {
            ahead.refused.push((sighting.source, "a folder that cannot be read".into()));
            continue;
        }
        let Ok(metadata) = look(&sighting.source, false) else { continue };
        let masking = line.wanted.masking.as_ref();
        if !metadata.is_file() || masking.is_some_and(|masking| masking.is_mask(&sighting.source)) {
            continue;
        }
        let picture = (sighting.source.as_path(), sighting.relative.as_path());
        let mask = masking.and_then(|masking| mask_file::find(masking, &root, picture, false));
        let mask_stamp = mask.as_ref().map(|mask| mask.stamp);
        let stamp = stamp_of(&metadata);
        let row = reader.map(|reader| reader.picture(&text_of(&root), &text_of(&sighting.relative)));
        let known = row.transpose()?.flatten().map(|row| row.known);
        let known = known.filter(|known| known.is_of(&line.output));
        let done = wanted(known.as_ref(), &line.done, mask_stamp);
        match recall(known.as_ref(), stamp, &done, &with_mask(&line.failed, mask_stamp)) {
            Recall::Done | Recall::Compare(_) => ahead.done += 1,
            Recall::Failed | Recall::Quarantined { .. } => ahead.failed += 1,
            Recall::New | Recall::Interrupted
                if mask.is_none() && masking.is_some_and(|masking| masking.from.is_file()) =>
            {
                ahead.unmasked += 1;
            }
            Recall::New | Recall::Interrupted => {
                let open = || open_beneath(&root, &sighting.relative);
                match measure(admission, line, (stamp.bytes, mask.as_ref()), open) {
                    Ok(Measured { header, .. }) => {
                        let pixels = header.size.area() as u64;
                        ahead.pictures += 1;
                        ahead.pixels += pixels;
                        ahead.raw_bytes += pixels * (line.scale * line.scale * header.channels) as u64;
                    }
                    Err(error) => ahead.refused.push((sighting.source, error.to_string())),
                }
            }
        }
    }
    Ok(ahead)
}

/// Seconds that one thread needs for a megapixel of input, halo included.
fn seconds_a_megapixel(line: &Line, model: &mut dyn Model) -> Result<f64, StartError> {
    let window = line.last().tiling.largest();
    let kept = (window.width - 2 * model.card().halo) * (window.height - 2 * model.card().halo);
    let seconds = seconds(model, 1, window, 1)
        .map_err(|error| StartError::Model { name: line.model_name.clone(), problem: error.to_string() })?;
    let evaluations = 1.0 + f64::from(line.wanted.uncertainty.unwrap_or(0));
    Ok(seconds * evaluations * 1e6 / kept.max(1) as f64)
}

fn told(pipeline: &Pipeline, line: &Line, ahead: &Ahead, seconds: f64, workers: usize) -> String {
    let (mpx, area) = (ahead.pixels as f64 / 1e6, (line.scale * line.scale) as f64);
    let mut lines = vec![
        pipeline.name.clone(),
        format!("  new      {} pictures, {mpx:.1} Mpx, results of {:.1} Mpx", ahead.pictures, mpx * area),
        format!("  known    {} done, {} failed before", ahead.done, ahead.failed),
        time(line, mpx, seconds, workers),
    ];
    let free = free_bytes(existing(&line.output))
        .map_or_else(|_| String::new(), |free| format!(", {} are free", size(free)));
    lines.push(format!("  disk     at most {}{free}", size(ahead.raw_bytes)));
    if ahead.unmasked > 0 {
        lines.push(format!("  waiting  {} pictures for their masks", ahead.unmasked));
    }
    if !ahead.refused.is_empty() {
        lines.push(format!("  refused  {}", ahead.refused.len()));
        let named = ahead.refused.iter().take(NAMED);
        lines.extend(named.map(|(path, why)| format!("    {why}: {}", path.display())));
        if ahead.refused.len() > NAMED {
            lines.push(format!("    and {} more", ahead.refused.len() - NAMED));
        }
    }
    lines.join("\n") + "\n"
}

/// How long it will take. Of a picture that is repaired, only what lies around its holes is evaluated, and
/// how much that is its mask tells when it is decoded.
fn time(line: &Line, mpx: f64, seconds: f64, workers: usize) -> String {
    let each = format!("{seconds:.2} s a Mpx and thread on {}, measured now, {workers} at once", line.device);
    if line.wanted.masking.is_some() && line.steps.len() == 1 {
        return format!("  time     as large as their holes are: {each}");
    }
    let holes = if line.steps.len() > 1 { ", repairing not counted" } else { "" };
    format!("  time     about {}{holes}: {each}", span(mpx * seconds / workers as f64))
}

/// The folder, or the nearest one above that exists: an output folder is made by `run`.
pub(super) fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.0} MB", (bytes as f64 / 1e6).ceil()),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A time span as people say it.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{} s", s.ceil()),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
