//! The loops: receive, call `work` or `edge`, send. The messages below, in order, are the data flow. A stage
//! blocks only inside crossbeam; a closed neighbour is a clean end. Stages never see the configuration.
//!
//! | thread | takes | gives |
//! |---|---|---|
//! | `watch` | a list or a folder | [`Sighting`](crate::job::Sighting) |
//! | `admit` | `Sighting` | `Arc<Job>`, or [`Ended`](crate::job::Ended) where there is nothing to do |
//! | `decode-n` | `Arc<Job>` | [`Tile`], or [`Finished`] where nothing is to be repaired |
//! | `batch` | `Tile` | [`Batch`] |
//! | `infer-n` | `Batch` | [`Inferred`] |
//! | `blend` | `Inferred` | [`Finished`] |
//! | `enlarge` | `Finished` that is yet to be enlarged | [`Tile`], for a second `batch`, `infer`, `blend` |
//! | `encode-n` | `Finished` | – (the job is settled and dropped) |
//! | `record` | `Ended`, from the job's `Drop` | – |
//! | `originals` | [`Errand`](crate::job::Errand) of what is recorded | – |
//! | `supervise` | the pulses of all | – |

pub mod admit;
pub mod batch;
pub mod blend;
pub mod decode;
pub mod encode;
pub mod enlarge;
pub mod infer;
pub mod originals;
pub mod record;
pub mod report;
pub mod supervise;
pub mod watch;

use crate::edge::codec::Metadata;
use crate::job::Job;
use crate::plan::Line;
use crate::work::canvas::{Canvas, Depth, Patch};
use crate::work::crops::Crop;
use crate::work::masking::Masked;
use crate::work::pixels::Pixels;
use crate::work::told::Told;
use contract::geometry::{self, Size, TileGrid};
use contract::mask::Mask;
use crossbeam_channel::Sender;
use std::sync::{Arc, Mutex};

/// What all tiles of a picture share.
#[derive(Debug)]
pub struct Opened {
    /// The job it belongs to.
    pub job: Arc<Job>,
    /// How it is cut to be enlarged; `None` where holes alone are cut out of it.
    pub grid: Option<TileGrid>,
    /// What kind of pixels it has.
    pub depth: Depth,
    /// Its alpha, one sample an input pixel.
    pub alpha: Option<Pixels>,
    /// What its result says of itself.
    pub metadata: Metadata,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Seed of its noise.
    pub seed: u64,
    /// What the model is told of it.
    pub told: Option<Told>,
    /// What is to be repaired of it; `None` where nothing is.
    pub mask: Option<Mask>,
    /// What its result says of that, where the task is to repair.
    pub masked: Option<Masked>,
    /// Its result in the making, from the first tile that comes back to the last. Only `blend` touches it.
    pub canvas: Mutex<Option<Canvas>>,
}

/// One window of a picture.
#[derive(Debug)]
pub struct Tile {
    /// The picture.
    pub opened: Arc<Opened>,
    /// Which part.
    pub place: geometry::Tile,
    /// Its pixels, 3×H×W.
    pub image: Vec<f32>,
    /// What is to be repaired of it, where that is the task.
    pub hole: Option<Hole>,
}

/// What is to be repaired of a crop.
#[derive(Debug)]
pub struct Hole {
    /// Where it lies, and how it is evaluated.
    pub crop: Crop,
    /// Of all that is evaluated, what is to be repaired.
    pub mask: Mask,
    /// Of the crop's box, what is its own.
    pub own: Vec<bool>,
}

impl Tile {
    /// Size of what is evaluated.
    pub fn size(&self) -> Size {
        self.hole.as_ref().map_or(self.place.window.size, |hole| hole.crop.size())
    }

    /// Evaluations after the first.
    pub fn levels(&self) -> usize {
        self.hole.as_ref().map_or(0, |hole| hole.crop.levels)
    }
}

/// Where a tile's output belongs.
#[derive(Debug)]
pub struct Slot {
    /// The picture.
    pub opened: Arc<Opened>,
    /// Which part.
    pub place: geometry::Tile,
    /// What is to be repaired of it, where that is the task.
    pub hole: Option<Hole>,
}

/// Tiles of one line and one window size, for one evaluation.
#[derive(Debug)]
pub struct Batch {
    /// The number of the line.
    pub line: usize,
    /// The size of their windows.
    pub window: Size,
    /// Whose they are.
    pub slots: Vec<Slot>,
    /// N×3×H×W.
    pub image: Vec<f32>,
}

impl Batch {
    /// Two batches of half as many tiles, the earlier ones last.
    pub fn halves(self) -> [Batch; 2] {
        let Batch { line, window, mut slots, mut image } = self;
        let tile = image.len() / slots.len().max(1);
        let half = slots.len() / 2;
        let (later, rest) = (slots.split_off(half), image.split_off(half * tile));
        [Batch { line, window, slots: later, image: rest }, Batch { line, window, slots, image }]
    }
}

/// What the network made of a batch, cut to what is kept and in 8 bits. Tiles whose picture has a verdict by
/// now are left out.
#[derive(Debug)]
pub struct Inferred {
    /// Whose it is, and what.
    pub parts: Vec<(Arc<Opened>, Patch)>,
}

/// A result, still on its canvas.
#[derive(Debug)]
pub struct Finished {
    /// The picture.
    pub opened: Arc<Opened>,
    /// Its pixels, without alpha.
    pub canvas: Canvas,
}

/// Where pictures go that are whole: what is repaired and to be enlarged there, all else to be encoded.
#[derive(Debug, Clone)]
pub struct Onward {
    /// To `encode`.
    pub encode: Sender<Finished>,
    /// To `enlarge`, where that is before us and anything goes there.
    pub enlarge: Option<Sender<Finished>>,
}

impl Onward {
    /// Sends a picture of this line on; `false` where nobody takes it any more.
    pub fn send(&self, line: &Line, finished: Finished) -> bool {
        let next = self.enlarge.as_ref().filter(|_| line.steps.len() > 1);
        next.unwrap_or(&self.encode).send(finished).is_ok()
    }
}
