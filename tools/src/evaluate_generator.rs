//! `tools evaluate` for a generator: FD, KID and SWD of its samples beside the floor and beside blur and
//! noise of known strength, as Markdown, JSON and a sheet. Decides what is compared; the figures are
//! `measure`'s.

use crate::data::{DataError, SmallPictures, Split};
use crate::gallery::{to_pictures, write_sheet};
use crate::generator::{Generator, OpenError};
use crate::measure::{Gallery, GeneratedFigures, frechet, generated_figures};
use crate::method::Solver;
use crate::run_folder::replace;
use crate::sample::{SampleError, Sampler, descending};
use crate::train_classifier::{ClassifierError, load_classifier};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Tensor};

/// Standard deviations of the calibration rows' blur, in pixels, and noise, of [−1, 1].
const BLURS: [f64; 3] = [0.5, 0.75, 1.0];
const NOISES: [f64; 3] = [0.05, 0.1, 0.2];
/// Where the second step's level is looked for, how often, and with how many pictures.
const SEARCHED: (f64, f64) = (0.1, 8.0);
const TRIALS: usize = 4;
const TRIAL_PICTURES: usize = 500;
/// Pictures on the sheet.
const SHOWN: usize = 64;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateGeneratorError {
    /// The generator.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The classifier.
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
    /// The real pictures.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Sampling, or a file.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// Too few to measure, or more than there are real ones to measure them by.
    #[error("--count {0} is not between 1000 (fewer say little) and the {1} test pictures")]
    Count(usize, usize),
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct EvaluateGenerator {
    /// The generator.
    pub model: PathBuf,
    /// Folder of the pack.
    pub data: PathBuf,
    /// The classifier's file.
    pub classifier: PathBuf,
    /// Pictures of every row.
    pub count: usize,
    /// Levels of the second step; none: looked for.
    pub levels: Vec<f64>,
    /// Also the ODE with these solvers: what a teacher is for.
    pub ode: bool,
    /// Folder for report.md, report.json and samples-0.png, samples-1.png, … in the order of the rows.
    pub out: PathBuf,
    /// Seed of the noise.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct GeneratedRow {
    /// How the pictures were made.
    pub method: String,
    /// Network evaluations of one picture; 0 for real ones.
    pub evaluations: usize,
    /// The figures.
    pub figures: GeneratedFigures,
    /// Seconds it took to draw them.
    pub seconds: f64,
}

/// Everything measured on one generator.
#[derive(Debug, Clone, Serialize)]
pub struct GeneratedReport {
    /// What was measured.
    pub generator: String,
    /// The classifier's share of right test pictures.
    pub classifier_accuracy: f64,
    /// Pictures of every row, and real ones they are compared with.
    pub pictures: [usize; 2],
    /// Seed of the noise.
    pub seed: u64,
    /// The lines.
    pub rows: Vec<GeneratedRow>,
}

/// Measures and writes the report.
///
/// # Errors
/// See [`EvaluateGeneratorError`].
pub fn evaluate_generator(choices: &EvaluateGenerator) -> Result<GeneratedReport, EvaluateGeneratorError> {
    let generator = Generator::open(&choices.model, choices.threads, Device::Cpu)?;
    let classifier = load_classifier(&choices.classifier, Device::Cpu)?;
    let train = SmallPictures::load(&choices.data, Split::Train)?;
    let test = SmallPictures::load(&choices.data, Split::Test)?;
    if !(1000..=test.len()).contains(&choices.count) {
        return Err(EvaluateGeneratorError::Count(choices.count, test.len()));
    }
    let gallery = |pictures: Tensor| Gallery { features: classifier.features(&pictures), pictures };
    let real = |pack: &SmallPictures, count: usize| {
        let step = (pack.len() / count).max(1);
        let indices: Vec<usize> = (0..count.min(pack.len())).map(|index| index * step).collect();
        pack.tensor(&indices, Device::Cpu).contiguous()
    };
    let all: Vec<usize> = (0..test.len()).collect();
    let features = classifier.features(&test.tensor(&all, Device::Cpu));
    let accuracy = classifier.accuracy(&features, &test.labels(&all, Device::Cpu));
    log::info!("the classifier has {:.2} % of the test pictures right", 100.0 * accuracy);
    let truth = gallery(real(&train, train.len().min(10_000)));
    let held_out = real(&test, choices.count.min(test.len()));

    let mut rows = Vec::new();
    let mut add = |method: String, evaluations: usize, make: &dyn Fn() -> Tensor| {
        let started = Instant::now();
        let pictures = make();
        let seconds = started.elapsed().as_secs_f64();
        let figures = generated_figures(&gallery(pictures), &truth, choices.seed);
        log::info!("{method}: FD {:.2} ({seconds:.0} s)", figures.fd);
        rows.push(GeneratedRow { method, evaluations, figures, seconds });
    };
    add("real test pictures".into(), 0, &|| held_out.shallow_clone());
    for (sigma, blur) in BLURS.iter().map(|&s| (s, true)).chain(NOISES.iter().map(|&s| (s, false))) {
        let word = if blur { "blur" } else { "noise" };
        add(format!("the same with {word} {sigma}"), 0, &|| damaged(&held_out, sigma, blur));
    }
    let max = generator.levels.sigma_max;
    let two = match &choices.levels[..] {
        [] => vec![max, search(&generator, &truth, &classifier, choices)],
        given => descending(&generator, given)?,
    };
    let mut samplers = vec![Sampler::Consistency(vec![max]), Sampler::Consistency(two)];
    if choices.ode {
        samplers.push(Sampler::Ode(Solver::Euler, 18));
        samplers.push(Sampler::Ode(Solver::Heun, 18));
    }
    for sampler in &samplers {
        let draw = || sampler.draw(&generator, choices.seed, 0, choices.count);
        add(sampler.to_string(), sampler.evaluations(), &draw);
    }
    let report = GeneratedReport {
        generator: generator.title.clone(),
        classifier_accuracy: accuracy,
        pictures: [choices.count, truth.pictures.size()[0] as usize],
        seed: choices.seed,
        rows,
    };
    write(&report, &generator, &samplers, choices)?;
    Ok(report)
}

/// The second step's level with the least FD of a few pictures, by ternary search on ln σ.
fn search(
    generator: &Generator,
    truth: &Gallery,
    classifier: &crate::classify::Classifier,
    choices: &EvaluateGenerator,
) -> f64 {
    let score = |log: f64| {
        let sampler = Sampler::Consistency(vec![generator.levels.sigma_max, log.exp()]);
        // Pictures that the table does not use.
        let pictures = sampler.draw(generator, choices.seed, choices.count, TRIAL_PICTURES);
        frechet(&classifier.features(&pictures), &truth.features)
    };
    let (mut low, mut high) = (SEARCHED.0.ln(), SEARCHED.1.ln());
    for _ in 0..TRIALS {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if score(a) < score(b) { high = b } else { low = a }
    }
    f64::midpoint(low, high).exp()
}

fn damaged(x: &Tensor, sigma: f64, blur: bool) -> Tensor {
    if !blur {
        tch::manual_seed(17);
        return (x + x.randn_like() * sigma).clamp(-1.0, 1.0);
    }
    let taps: Vec<f32> = (-3..=3).map(|i| (-f64::from(i * i) / (2.0 * sigma * sigma)).exp() as f32).collect();
    let total: f32 = taps.iter().sum();
    let row = Tensor::from_slice(&taps) / f64::from(total);
    let kernel = row.view([7, 1]).matmul(&row.view([1, 7])).view([1, 1, 7, 7]).repeat([3, 1, 1, 1]);
    x.replication_pad2d([3, 3, 3, 3]).conv2d(&kernel, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 3)
}

fn write(
    report: &GeneratedReport,
    generator: &Generator,
    samplers: &[Sampler],
    choices: &EvaluateGenerator,
) -> Result<(), EvaluateGeneratorError> {
    let file = |name: &str| choices.out.join(name);
    let failed = |name: &str| {
        let path = choices.out.join(name);
        move |e: std::io::Error| SampleError::file(&path, e)
    };
    std::fs::create_dir_all(&choices.out).map_err(failed(""))?;
    replace(&file("report.md"), report.to_markdown().as_bytes()).map_err(failed("report.md"))?;
    let json = serde_json::to_vec_pretty(report).expect("a report has only numbers and strings");
    replace(&file("report.json"), &json).map_err(failed("report.json"))?;
    for (index, sampler) in samplers.iter().enumerate() {
        let name = format!("samples-{index}.png");
        let pictures = to_pictures(&sampler.draw(generator, choices.seed, 0, SHOWN));
        let rows: Vec<_> = pictures.chunks(16).map(<[_]>::to_vec).collect();
        write_sheet(&file(&name), &rows).map_err(failed(&name))?;
    }
    Ok(())
}

impl GeneratedReport {
    /// The report as a page.
    pub fn to_markdown(&self) -> String {
        let [count, real] = self.pictures;
        let mut lines = vec![
            format!("# {}\n", self.generator),
            format!(
                "{count} pictures of each row (seed {}) against {real} training pictures, in the {} \
                 features of a classifier of ours that has {:.2} % of the test pictures right. Lower \
                 is better; not to be compared with published FID.\n",
                self.seed,
                crate::classify::FEATURES,
                100.0 * self.classifier_accuracy
            ),
            "| pictures | evaluations | FD-tools | KID-tools ×10³ | SWD ×10³, full | SWD ×10³, half | s |"
                .into(),
            "|---|---|---|---|---|---|---|".into(),
        ];
        for row in &self.rows {
            let GeneratedFigures { fd, kid_e3, swd_e3: [full, half] } = row.figures;
            lines.push(format!(
                "| {} | {} | {fd:.2} | {kid_e3:.2} | {full:.1} | {half:.1} | {:.0} |",
                row.method, row.evaluations, row.seconds
            ));
        }
        lines.push(
            "\nOne training run, one seed. Drawn on the CPU. Not measured: FID, precision and recall.".into(),
        );
        lines.join("\n") + "\n"
    }
}
