//! `tools sample`: pictures from noise by a generator, as a sheet of PNG.

use crate::gallery::{to_pictures, write_sheet};
use crate::generator::{Generator, OpenError};
use crate::method::{Solver, integrate, sampling};
use std::path::{Path, PathBuf};
use tch::Tensor;

/// How noise becomes pictures.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampler {
    /// f at these descending levels, the first σ_max; fresh noise at each (algorithm 1).
    Consistency(Vec<f64>),
    /// The ODE on Karras' grid of so many levels, then to 0.
    Ode(Solver, usize),
}

impl Sampler {
    /// Network evaluations of one picture.
    pub fn evaluations(&self) -> usize {
        match self {
            Sampler::Consistency(levels) => levels.len(),
            Sampler::Ode(Solver::Euler, points) => *points,
            Sampler::Ode(Solver::Heun, points) => 2 * points - 1,
        }
    }

    /// Pictures `first`… of `seed`, N×3×S×S in about [−1, 1].
    pub fn draw(&self, generator: &Generator, seed: u64, first: usize, count: usize) -> Tensor {
        let f = |x: &Tensor, sigma: &Tensor| generator.denoise(x, sigma);
        let noise = |step: usize| generator.noise(seed, first, count, step);
        match self {
            Sampler::Consistency(levels) => sampling::multistep(&f, &noise, levels),
            Sampler::Ode(solver, points) => {
                let mut levels = generator.levels.karras(*points);
                levels.reverse();
                levels.push(0.0);
                integrate(*solver, &f, &(noise(0) * levels[0]), &levels)
            }
        }
    }
}

impl std::fmt::Display for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sampler::Consistency(levels) if levels.len() == 1 => write!(f, "one step"),
            Sampler::Consistency(levels) => {
                let rest: Vec<String> = levels[1..].iter().map(|level| format!("{level:.2}")).collect();
                write!(f, "{} steps (σ {})", levels.len(), rest.join(", "))
            }
            Sampler::Ode(solver, points) => write!(f, "{solver:?} on {points} levels"),
        }
    }
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct SampleChoices {
    /// The generator.
    pub model: PathBuf,
    /// The sheet to write.
    pub out: PathBuf,
    /// Pictures.
    pub count: usize,
    /// Levels after σ_max; none is one step.
    pub levels: Vec<f64>,
    /// The ODE instead, with so many levels.
    pub ode: Option<(Solver, usize)>,
    /// Seed of the noise.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The generator.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The levels.
    #[error("levels must descend from below {max} to above 0, not {levels:?}")]
    Levels {
        /// σ_max.
        max: f64,
        /// What was asked for.
        levels: Vec<f64>,
    },
    /// The noise to remove.
    #[error("--sigma {sigma} is not between 0 and {max}, the noise the generator was trained on")]
    Sigma {
        /// What was asked for.
        sigma: f64,
        /// σ_max.
        max: f64,
    },
    /// A file.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl SampleError {
    /// A file's problem.
    pub fn file(path: &Path, problem: impl std::fmt::Display) -> SampleError {
        SampleError::File { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// Draws and writes.
///
/// # Errors
/// See [`SampleError`].
pub fn sample(choices: &SampleChoices) -> Result<Sampler, SampleError> {
    let generator = Generator::open(&choices.model, choices.threads, tch::Device::Cpu)?;
    let sampler = match choices.ode {
        Some((solver, points)) => Sampler::Ode(solver, points.max(2)),
        None => Sampler::Consistency(descending(&generator, &choices.levels)?),
    };
    let pictures = to_pictures(&sampler.draw(&generator, choices.seed, 0, choices.count.max(1)));
    let columns = (pictures.len() as f64).sqrt().ceil() as usize;
    let rows: Vec<_> = pictures.chunks(columns).map(<[_]>::to_vec).collect();
    write_sheet(&choices.out, &rows).map_err(|e| SampleError::file(&choices.out, e))?;
    Ok(sampler)
}

/// σ_max and then `levels`.
///
/// # Errors
/// If they do not descend.
pub fn descending(generator: &Generator, levels: &[f64]) -> Result<Vec<f64>, SampleError> {
    let max = generator.levels.sigma_max;
    let all: Vec<f64> = std::iter::once(max).chain(levels.iter().copied()).collect();
    let falls = all.windows(2).all(|pair| pair[1] < pair[0]) && all.iter().all(|&level| level > 0.0);
    if falls { Ok(all) } else { Err(SampleError::Levels { max, levels: levels.to_vec() }) }
}
