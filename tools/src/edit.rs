//! `tools edit`: zero-shot editing of small pictures with a generator (Song et al. 2023, algorithm 4). Writes
//! the pictures, what was known of them, and what the generator made of it, column by column.

use crate::gallery::{read_pictures, to_pictures, write_sheet};
use crate::generator::Generator;
use crate::method::editing::{Known, edit};
use crate::method::{levels_tensor, sampling};
use crate::sample::SampleError;
use clap::ValueEnum;
use std::path::PathBuf;
use tch::{Kind, Tensor};

/// Pictures between the two ends of an interpolation, both included.
const BETWEEN: usize = 8;
/// Levels of stroke-guided generation (the settings of Song et al. 2023).
const STROKE_LEVELS: [f64; 2] = [5.38, 2.24];

/// What is done to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// The middle quarter is a hole.
    Inpaint,
    /// Only means of 4×4 pixels are known.
    SuperResolution,
    /// Only luma is known.
    Colourise,
    /// The picture blurred and in few colours is a sketch; the generator paints on top.
    Strokes,
    /// Noise of --sigma is removed.
    Denoise,
    /// Between the noises of two seeds; needs no picture.
    Interpolate,
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct EditChoices {
    /// The generator.
    pub model: PathBuf,
    /// What to do.
    pub task: Task,
    /// A sheet of pictures of the generator's size, or a folder; interpolation needs none.
    pub pictures: Option<PathBuf>,
    /// The sheet to write.
    pub out: PathBuf,
    /// Pictures.
    pub count: usize,
    /// Steps of the algorithm.
    pub steps: usize,
    /// Noise that denoising removes.
    pub sigma: f64,
    /// Seed of the noise.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// Edits and writes.
///
/// # Errors
/// If the generator or the pictures cannot be read, or the sheet not be written.
pub fn edit_pictures(choices: &EditChoices) -> Result<(), SampleError> {
    let generator = Generator::open(&choices.model, choices.threads, tch::Device::Cpu)?;
    let (sigma, max) = (choices.sigma, generator.levels.sigma_max);
    if choices.task == Task::Denoise && !(sigma > 0.0 && sigma <= max) {
        return Err(SampleError::Sigma { sigma, max });
    }
    let columns = if choices.task == Task::Interpolate {
        interpolate(&generator, choices)
    } else {
        let path = choices.pictures.as_ref();
        let path =
            path.ok_or_else(|| SampleError::file(&choices.out, "--pictures is needed for this task"))?;
        let y = read_pictures(path, generator.side, choices.count.max(1));
        restore(&generator, choices, &y.map_err(|problem| SampleError::file(path, problem))?)
    };
    // One row per picture, one column per state.
    let columns: Vec<_> = columns.iter().map(to_pictures).collect();
    let row = |index: usize| columns.iter().map(|column| column[index].clone()).collect();
    let rows: Vec<Vec<_>> = (0..columns[0].len()).map(row).collect();
    write_sheet(&choices.out, &rows).map_err(|e| SampleError::file(&choices.out, e))
}

/// The truth, what is known, the result.
fn restore(generator: &Generator, choices: &EditChoices, y: &Tensor) -> Vec<Tensor> {
    let _guard = tch::no_grad_guard();
    let count = y.size()[0] as usize;
    let f = |x: &Tensor, sigma: &Tensor| generator.denoise(x, sigma);
    let noise = |step: usize| generator.noise(choices.seed, 0, count, step);
    let steps = choices.steps.max(1);
    let mut levels = generator.levels.karras(steps + 1);
    levels.reverse();
    levels.truncate(steps);
    let run = |known: &Known, y: &Tensor, levels: &[f64]| edit(&f, y, known, levels, &noise);
    let (shown, result) = match choices.task {
        Task::Inpaint => {
            let known = Known::Outside(middle_hole(y));
            (known.put_back(&y.zeros_like(), y), run(&known, y, &levels))
        }
        Task::SuperResolution => {
            let known = Known::CellMeans(4);
            (known.put_back(&y.zeros_like(), y), run(&known, y, &levels))
        }
        Task::Colourise => {
            let weights = Tensor::from_slice(&[0.2989f32, 0.5870, 0.1140]).view([1, 3, 1, 1]);
            let grey = (y * weights).sum_dim_intlist(&[1i64][..], true, Kind::Float).expand_as(y);
            (grey.shallow_clone(), run(&Known::Luma, y, &levels))
        }
        Task::Strokes => {
            let sketch = strokes(y);
            let result = run(&Known::Nothing, &sketch, &STROKE_LEVELS);
            (sketch, result)
        }
        Task::Denoise | Task::Interpolate => {
            let noisy = y + noise(0) * choices.sigma;
            let result = generator.denoise(&noisy, &levels_tensor(&vec![choices.sigma; count], y.device()));
            (noisy, result)
        }
    };
    vec![y.shallow_clone(), shown, result]
}

/// Columns from one noise to another.
fn interpolate(generator: &Generator, choices: &EditChoices) -> Vec<Tensor> {
    let _guard = tch::no_grad_guard();
    let count = choices.count.max(1);
    let (a, b) = (
        generator.noise(choices.seed, 0, count, 0),
        generator.noise(choices.seed.wrapping_add(1), 0, count, 0),
    );
    let f = |x: &Tensor, sigma: &Tensor| generator.denoise(x, sigma);
    let at = |column: usize| {
        let mixed = sampling::slerp(&a, &b, column as f64 / (BETWEEN - 1) as f64);
        sampling::multistep(&f, &|_| mixed.shallow_clone(), &[generator.levels.sigma_max])
    };
    (0..BETWEEN).map(at).collect()
}

/// 1 in the middle half of rows and columns.
fn middle_hole(y: &Tensor) -> Tensor {
    let side = y.size()[2];
    let hole = Tensor::zeros([1, 1, side, side], (Kind::Float, y.device()));
    // In place; the result is the same tensor.
    drop(hole.narrow(2, side / 4, side / 2).narrow(3, side / 4, side / 2).fill_(1.0));
    hole
}

/// Four levels per channel after a blur: what a broad brush would leave.
fn strokes(y: &Tensor) -> Tensor {
    let blurred = y.avg_pool2d([5, 5], [1, 1], [2, 2], false, false, None);
    ((blurred * 1.5).round() / 1.5).clamp(-1.0, 1.0)
}
