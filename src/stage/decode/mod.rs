//! Reading, decoding and cutting: files → tiles, made one at a time, so that a large picture never exists as
//! all its tiles. The one place where a panic costs a picture and not the daemon: decoders meet hostile
//! bytes.

mod mask;

use super::{Finished, Hole, Onward, Opened, Tile};
use crate::edge::clock::since_ns;
use crate::edge::codec::{Effort, Saying, decode};
use crate::edge::digest::sha256;
use crate::edge::scan::{look, open as open_file, stamp_of};
use crate::error::{End, JobError};
use crate::job::{Errand, Job};
use crate::plan::{Limits, Line};
use crate::pulse::Pulse;
use crate::work::canvas::{Canvas, Depth};
use crate::work::crops::{Crop, Cutting, crops};
use crate::work::mark::{Stamp, seed_of};
use crate::work::masking::{MaskFrom, opaque};
use crate::work::pixels::Pixels;
use crate::work::tiling::Tiling;
use crate::work::xmp::SourceType;
use contract::geometry;
use contract::mask::Mask;
use crossbeam_channel::{Receiver, Sender};
use std::any::Any;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A file that changed less than this ago and ends early may still be coming.
const YOUNG: Duration = Duration::from_secs(60);

/// Runs until jobs end or nobody takes tiles any more. A picture of which nothing is to be repaired is
/// finished here, and needs none.
pub fn run(
    (lines, limits): (&[Line], &Limits),
    pulse: &Pulse,
    inbox: Receiver<Arc<Job>>,
    (outbox, onward): (Sender<Tile>, Onward),
) -> End {
    for job in inbox {
        job.begin();
        if job.is_settled() {
            continue;
        }
        // What the closure touches is dropped with the panic; only the job is looked at afterwards.
        let begin = Instant::now();
        // Reading is no work of ours: it may hang with its disk.
        let line = &lines[job.errand.line];
        let files = read(&job.errand)
            .and_then(|bytes| Ok((bytes, mask::read(line.wanted.masking.as_ref(), &job.errand)?)));
        let result = match files {
            Ok(files) => pulse.work(|| catch_unwind(AssertUnwindSafe(|| open(line, limits, &job, files)))),
            Err(error) => Ok(Err(error)),
        };
        job.spent.decoding.add_since(begin);
        match result {
            Ok(Ok((opened, pixels))) if opened.masked.is_some() && opened.mask.is_none() => {
                let copied = if line.steps.len() > 1 { "" } else { ", copied" };
                log::info!("nothing is to be repaired{copied}: {}", opened.job.errand.source.display());
                if !onward.send(line, Finished { opened, canvas: Canvas::over(pixels, 0) }) {
                    break;
                }
            }
            Ok(Ok((opened, pixels))) => {
                let sent = match &line.steps[0].tiling {
                    Tiling::Holes(cutting) => cut_out(&opened, cutting, pulse, pixels, &outbox),
                    _ => cut(&opened, pulse, pixels, &outbox),
                };
                if !sent {
                    break;
                }
            }
            Ok(Err(error)) => job.fail("decode", error),
            Err(panic) => job.fail("decode", JobError::Panicked(words(panic.as_ref()))),
        }
    }
    Ok(())
}

/// What a panic said.
pub(super) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

/// The picture, and what its tiles will share.
fn open(
    line: &Line,
    limits: &Limits,
    job: &Arc<Job>,
    (bytes, mask_bytes): (Vec<u8>, Option<Vec<u8>>),
) -> Result<(Arc<Opened>, Pixels), JobError> {
    let sha256 = sha256(&bytes);
    let format = line.wanted.format.of(job.header.kind);
    let limit_s = limits.max_decode_s;
    let effort = Effort { deep: format.is_deep(), limit_s };
    let decoded = decode(&bytes, &job.header, effort).map_err(|error| aged(error, job.errand.stamp))?;
    drop(bytes);
    let masking = line.wanted.masking.as_ref();
    let marked =
        masking.map(|masking| mask::make(masking, job, &decoded, (mask_bytes, limit_s))).transpose()?;
    let (mask, masked) = marked.unzip();
    let mask = mask.filter(|mask| mask.count() > 0);
    if decoded.reduced {
        log::info!("reduced to 8 bits a sample: {}", job.errand.source.display());
    }
    let pixels = decoded.pixels;
    let wanted = &line.wanted;
    let is_sampled = mask.is_some() || wanted.strength > 0.0 && !job.errand.safe;
    let source_type = if is_sampled { SourceType::Composite } else { SourceType::Enhanced };
    let size = pixels.size().times(line.scale);
    // A copy is what its picture is.
    let is_copy = masking.is_some() && mask.is_none() && line.steps.len() == 1;
    let source_type = (wanted.source_type && !is_copy).then_some(source_type);
    let metadata = decoded.metadata.of_result(&Saying { size, keeping: wanted.keeping, source_type, format });
    for note in &metadata.notes {
        log::info!("{note}: {}", job.errand.source.display());
    }
    let grid = line.last().tiling.grid(pixels.size());
    let seed = line.wanted.seed.or_else(|| seed_of(&sha256)).expect("a SHA-256 has eight bytes");
    let told = line.wanted.telling.of(job.header.kind.is_lossy());
    let depth = Depth { grey: pixels.channels() < 3, deep: pixels.is_deep() };
    let mut alpha = pixels.alpha();
    // What was transparent and is repaired is to be seen.
    let shown = mask.as_ref().filter(|_| masking.is_some_and(|masking| masking.from == MaskFrom::Alpha));
    if let Some((alpha, mask)) = alpha.as_mut().zip(shown) {
        opaque(alpha, mask);
    }
    let (job, canvas) = (Arc::clone(job), Mutex::new(None));
    let opened = Opened { job, grid, depth, alpha, metadata, sha256, seed, told, mask, masked, canvas };
    Ok((Arc::new(opened), pixels))
}

/// Of a file that ends early the stage knows how young it is.
fn aged(error: JobError, stamp: Stamp) -> JobError {
    match error {
        JobError::EndsEarly { what, .. } => {
            JobError::EndsEarly { what, young: since_ns(stamp.modified_ns) < YOUNG }
        }
        other => other,
    }
}

/// What is gone is looked at once more: perhaps its whole folder is.
fn unreadable(error: io::Error) -> JobError {
    if error.kind() == io::ErrorKind::NotFound { JobError::Gone } else { JobError::Unreadable(error.into()) }
}

/// The picture, if it is still the one that was admitted.
fn read(errand: &Errand) -> Result<Vec<u8>, JobError> {
    read_file(errand.stamp, open_file(errand), (&errand.source, errand.named))
}

/// A file, if it is still as it was; and one byte more than it had, so that growing costs no memory and
/// shows.
fn read_file(
    stamp: Stamp,
    file: io::Result<File>,
    (path, follow): (&Path, bool),
) -> Result<Vec<u8>, JobError> {
    let (length, file) = (stamp.bytes, file.map_err(unreadable)?);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    (&file).take(length + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    // Of the file that was read, and of what has its name now.
    let named = look(path, follow).map_err(unreadable)?;
    let read = file.metadata().map_err(unreadable)?;
    if stamp_of(&read) != stamp || stamp_of(&named) != stamp {
        return Err(JobError::Changed);
    }
    Ok(bytes)
}

/// Sends all tiles, as long as the picture has no verdict; `false` where nobody takes them any more. From the
/// last to the first: a picture can be let go of from its end, while its canvas grows.
pub(super) fn cut(opened: &Arc<Opened>, pulse: &Pulse, mut pixels: Pixels, outbox: &Sender<Tile>) -> bool {
    let pick = channels(opened);
    let Some(grid) = &opened.grid else {
        opened.job.fail("decode", JobError::Inference("no tile has a core".into()));
        return true;
    };
    if let Some(alpha) = &opened.alpha {
        pulse.work(|| pixels.grow_colours(alpha));
    }
    let mut bottom = i64::MAX;
    for place in grid.tiles().rev() {
        if opened.job.is_settled() {
            break;
        }
        let needed = place.window.y + place.window.size.height as i64;
        if needed < bottom {
            bottom = needed;
            pixels.let_go_below(usize::try_from(needed).map_or(0, |rows| rows.min(pixels.size().height)));
        }
        let image = pulse.work(|| {
            let mut image = vec![0.0; 3 * place.window.size.area()];
            pixels.cut_window(pick, place.window, &mut image);
            image
        });
        if outbox.send(Tile { opened: Arc::clone(opened), place, image, hole: None }).is_err() {
            return false;
        }
    }
    true
}

/// The same with the crops of what is to be repaired. All else is on the canvas before.
fn cut_out(
    opened: &Arc<Opened>,
    cutting: &Cutting,
    pulse: &Pulse,
    pixels: Pixels,
    outbox: &Sender<Tile>,
) -> bool {
    let (pick, Some(mask)) = (channels(opened), &opened.mask) else { return true };
    let crops = pulse.work(|| crops(mask, cutting));
    let canvas = Canvas::over(pixels.clone(), crops.len());
    *opened.canvas.lock().unwrap_or_else(PoisonError::into_inner) = Some(canvas);
    for crop in crops {
        if opened.job.is_settled() {
            break;
        }
        let tile = pulse.work(|| {
            let place = geometry::Tile { window: crop.window, keep: crop.keep };
            let image = pixels.shrunk_window(pick, crop.window, crop.shrink).values;
            let (mask, own) = (seen(&pixels, &crop, crop.mask(mask)), crop.own(mask));
            Tile { opened: Arc::clone(opened), place, image, hole: Some(Hole { crop, mask, own }) }
        });
        if outbox.send(tile).is_err() {
            return false;
        }
    }
    true
}

/// What of a crop is not known: its holes, and what nobody sees, since it is transparent: whatever colour
/// lies there says nothing. Unless nothing else is there.
fn seen(pixels: &Pixels, crop: &Crop, holes: Mask) -> Mask {
    let channels = pixels.channels();
    if !channels.is_multiple_of(2) {
        return holes;
    }
    let alpha = pixels.shrunk_window([channels - 1; 3], crop.window, crop.shrink).values;
    // Of several pixels all are to be seen.
    let least = if crop.shrink == 1 { f32::MIN_POSITIVE } else { 0.999 };
    let unknown = holes.holes.iter().zip(&alpha).map(|(hole, alpha)| *hole || *alpha < least);
    let unknown = Mask { size: holes.size, holes: unknown.collect() };
    if unknown.count() < unknown.size.area() { unknown } else { holes }
}

/// Which channels are red, green and blue.
fn channels(opened: &Opened) -> [usize; 3] {
    if opened.depth.grey { [0, 0, 0] } else { [0, 1, 2] }
}
