//! Networks that need no runtime: each pixel becomes a square of itself. With faults to order.

use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::Size;
use contract::golden::Golden;
use contract::pixels::Picture;
use onestep::edge::model::{BatchInput, Model, ModelError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Enlarges by repeating pixels.
#[derive(Clone)]
pub struct Fake {
    pub card: ModelCard,
    pub fault: Fault,
    /// Evaluations so far, of all copies.
    pub runs: Arc<AtomicUsize>,
    /// How often the device was opened anew.
    pub renewed: Arc<AtomicUsize>,
    /// How many tiles it always evaluates, as on CUDA; 0 where that is as many as it is given.
    pub filled: Arc<AtomicUsize>,
    /// The fewest that it was told to serve.
    pub least: Arc<AtomicUsize>,
}

/// What is said of a device that is gone, and stays gone when it is opened anew.
pub const LOST: &str =
    "the device is gone; opened anew: its golden tile cannot be evaluated: the device is gone";

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// From this evaluation on, nothing works: the device is gone.
    DeviceGone(usize),
    /// This evaluation fails; the next ones work.
    Fails(usize),
    /// Every window of this width fails; all others work.
    Dislikes(usize),
    /// This evaluation gives NaN.
    NotANumber(usize),
    /// Everything is brighter by the strength.
    Brighter,
    /// Everything is black, always.
    Always,
    /// In holes a tenth of the noise is added, as strong as it is asked for.
    Drawn,
    /// From this evaluation on nothing works, until the device is opened anew.
    LostAt(usize),
    /// Works for so many evaluations, and again for so many each time that it is opened anew.
    Flapping(usize),
    /// From this evaluation on everything is grey, without an error, until the device is opened anew.
    GreyFrom(usize),
    /// More tiles than this have no room.
    Room(usize),
    /// This evaluation, and no other, has no room.
    FullAt(usize),
    /// Windows of this width never have room.
    Full(usize),
    /// From this evaluation on windows of this width have no room, until the device is opened anew.
    Pieces(usize, usize),
    /// A batch with a window that begins white fails, in words that nobody knows.
    White,
}

impl Fake {
    pub fn new(scale: usize, halo: usize) -> Fake {
        Fake::of(card(scale, halo))
    }

    fn of(card: ModelCard) -> Fake {
        let [runs, renewed, filled] = [(); 3].map(|()| Arc::default());
        Fake { card, fault: Fault::None, runs, renewed, filled, least: Arc::new(usize::MAX.into()) }
    }

    /// One that repairs, and leaves everything as it is.
    pub fn inpainting() -> Fake {
        let card = ModelCard { name: "as-it-is".into(), task: Task::Inpainting, hole_px: 64, ..card(1, 1) };
        Fake::of(card)
    }

    pub fn with(mut self, fault: Fault) -> Fake {
        self.fault = fault;
        self
    }

    fn is_renewed(&self) -> bool {
        self.renewed.load(Ordering::SeqCst) > 0
    }
}

/// The card of a mean model whose golden tile is black, and stays black.
pub fn card(scale: usize, halo: usize) -> ModelCard {
    let image = Picture::new(Size::new(4, 4), 3);
    ModelCard {
        name: format!("nearest-x{scale}"),
        task: Task::SuperResolution,
        role: Role::Mean,
        scale,
        receptive_field: 0,
        halo,
        multiple: 1,
        window: None,
        hole_px: 0,
        sources: vec![],
        companion: None,
        precision: Precision::F32,
        int8: None,
        f16: None,
        default_strength: 0.0,
        residual_rms: 0.05,
        sigma_max: 20.0,
        licence: "CC0-1.0".into(),
        facts: [].into(),
        golden: Golden { image, seed: 0, middle: 2, expected: vec![0; 3 * 4 * scale * scale] },
    }
}

impl Model for Fake {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn run(&mut self, input: &BatchInput<'_>, see: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::DeviceGone(from) if run >= from => return Err(ModelError("the device is gone".into())),
            Fault::Fails(at) if run == at => return Err(ModelError("not this one".into())),
            Fault::Dislikes(width) if input.window.width == width => {
                return Err(ModelError("not these".into()));
            }
            Fault::LostAt(from) if run >= from && !self.is_renewed() => {
                return Err(ModelError("the device is gone".into()));
            }
            Fault::Flapping(every) if run >= every * (self.renewed.load(Ordering::SeqCst) + 1) => {
                return Err(ModelError("the device is gone".into()));
            }
            Fault::Full(width) if input.window.width == width => {
                return Err(ModelError("CUDA failure 2: out of memory".into()));
            }
            Fault::FullAt(at) if run == at => {
                return Err(ModelError("CUDA failure 2: out of memory".into()));
            }
            Fault::Pieces(from, width)
                if run >= from && input.window.width == width && !self.is_renewed() =>
            {
                return Err(ModelError("BFCArena: available memory is smaller than requested".into()));
            }
            Fault::White
                if input.image.chunks_exact(3 * input.window.area()).any(|tile| tile[..3] == [1.0; 3]) =>
            {
                return Err(ModelError("CUDNN_FE failure 11: NOT_AGAIN".into()));
            }
            Fault::Room(tiles) if self.evaluated(input.tiles) > tiles => {
                return Err(ModelError("CUDA failure 2: out of memory".into()));
            }
            _ => {}
        }
        let mut output = Vec::new();
        let (Size { width, height }, scale) = (input.window, self.card.scale);
        for plane in input.image.chunks_exact(width * height) {
            for y in 0..height * scale {
                let line = &plane[y / scale * width..][..width];
                output.extend(line.iter().flat_map(|&value| std::iter::repeat_n(value, scale)));
            }
        }
        if self.fault == Fault::Brighter {
            output.iter_mut().for_each(|value| *value += input.strength[0]);
        }
        if self.fault == Fault::Always {
            output.fill(0.0);
        }
        if self.fault == Fault::Drawn {
            let area = width * height;
            for (i, value) in output.iter_mut().enumerate() {
                let tile = i / (3 * area);
                if input.mask[tile * area + i % area] > 0.0 {
                    *value += 0.1 * input.noise[i] * input.strength[tile];
                }
            }
        }
        if self.fault == Fault::NotANumber(run) {
            output.fill(f32::NAN);
        }
        if matches!(self.fault, Fault::GreyFrom(from) if run >= from && !self.is_renewed()) {
            output.fill(0.5);
        }
        see(&output);
        Ok(())
    }

    fn evaluated(&self, tiles: usize) -> usize {
        tiles.max(self.filled.load(Ordering::SeqCst))
    }

    fn serve(&mut self, tiles: usize) -> bool {
        if self.filled.load(Ordering::SeqCst) > 0 {
            self.filled.store(tiles, Ordering::SeqCst);
        }
        self.least.fetch_min(tiles, Ordering::SeqCst);
        true
    }

    fn renew(&mut self) -> Result<(), ModelError> {
        self.renewed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
