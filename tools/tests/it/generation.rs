//! A generator from a tiny pack to sheets of pictures: resuming is exact, the file computes what the network
//! computes, the same seed gives the same bytes, and bad input is refused by name.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tch::Device;
use tools::data::{SmallPictures, Split};
use tools::edit::{EditChoices, Task, edit_pictures};
use tools::export::generator::{facts, generator_graph};
use tools::export::read::generator_weights;
use tools::generator::Generator;
use tools::inspect::inspect;
use tools::method::{Method, Solver, cd::Cd, ct::Ct, ect::Ect, ict::Ict};
use tools::net::UNetConfig;
use tools::progress::Progress;
use tools::recipe::{GeneratorChoices, GeneratorRecipe, RunRecipe};
use tools::run_folder::RunFolder;
use tools::sample::{SampleChoices, sample};
use tools::start::Start;
use tools::train::{self, GeneratorSession, Interrupted};
use tools::train_generator::{Generated, GeneratorExport, train_generator};

/// Two sheets of four pictures each, with labels.
pub fn pack(folder: &Path) -> PathBuf {
    let pack = folder.join("pack");
    std::fs::create_dir_all(&pack).unwrap();
    for (index, name) in ["train_00.png", "test_00.png"].iter().enumerate() {
        let bytes: Vec<u8> =
            (0..64 * 64 * 3).map(|i| ((i * 7 + i / 64 * 13 + index * 50) % 251) as u8).collect();
        image::save_buffer(pack.join(name), &bytes, 64, 64, image::ExtendedColorType::Rgb8).unwrap();
    }
    for name in ["train_labels.u8", "test_labels.u8"] {
        let mut file = std::fs::File::create(pack.join(name)).unwrap();
        std::io::Write::write_all(&mut file, &[0, 1, 2, 3]).unwrap();
    }
    pack
}

fn recipe(data: PathBuf, method: Method, steps: [u64; 2]) -> GeneratorRecipe {
    tch::set_num_threads(1); // tests run beside each other; threads would only wait for one another
    let choices = GeneratorChoices {
        data,
        init_from: None,
        device: "cpu".into(),
        method,
        budget: std::time::Duration::from_secs(1),
        steps: Some(steps),
        micro_batches: 1,
        seed: 3,
    };
    let mut recipe = GeneratorRecipe::resolve(&choices);
    recipe.net =
        UNetConfig { side: 32, fold: 4, widths: vec![16, 16], blocks: 1, attention: 4, embedding: 8 };
    (recipe.run.batch, recipe.run.log_every) = (2, 1);
    recipe
}

const ECT: Method = Method::Ect(Ect { q: 4.0, stages: 2 });

/// A finished run of two steps a stage in a run folder.
fn run_of(recipe: &GeneratorRecipe, runs: &Path) -> (GeneratorSession, RunFolder) {
    let pictures = SmallPictures::load(&recipe.run.data, Split::Train).unwrap();
    let mut folder = RunFolder::create(runs, recipe).unwrap();
    let mut session = GeneratorSession::new(recipe.clone(), Device::Cpu);
    let stop = AtomicBool::new(false);
    let end = train::run(&mut session, &pictures, &mut folder, &Progress::new(), &stop);
    assert_eq!(end.unwrap(), Interrupted::No);
    session.save_weights(&folder.file("weights.safetensors")).unwrap();
    (session, folder)
}

fn losses(folder: &RunFolder) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.file("log.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap())
        .collect()
}

/// Every method, interrupted after each step, gives the losses of an uninterrupted run: targets, teachers,
/// moments and averages are all in the checkpoint. Micro-batches do not change that.
#[test]
fn every_method_resumes_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let data = pack(folder.path());
    let methods = [
        ECT,
        Method::Ct(Ct { s0: 2.0, s1: 8.0, mu0: 0.9 }),
        Method::Ict(Ict { s0: 2, s1: 8 }),
        Method::Cd(Cd { points: 5, solver: Solver::Heun, mu: 0.5 }),
    ];
    for (index, method) in methods.into_iter().enumerate() {
        let mut recipe = recipe(data.clone(), method, [2, 4]);
        recipe.run.micro_batches = 1 + index % 2;
        let (_, whole) = run_of(&recipe, folder.path());

        let pictures = SmallPictures::load(&data, Split::Train).unwrap();
        let mut folder = RunFolder::create(folder.path(), &recipe).unwrap();
        let checkpoint = folder.file("checkpoint.safetensors");
        for steps in 1..=6 {
            let mut session = GeneratorSession::new(recipe.clone(), Device::Cpu);
            if checkpoint.is_file() {
                train::resume(&mut session, &checkpoint).unwrap();
            }
            // Stopped as soon as the log has one more line.
            let (stop, log) = (AtomicBool::new(false), folder.file("log.jsonl"));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let lines = || std::fs::read_to_string(&log).unwrap().lines().count();
                    while lines() < steps {
                        std::thread::yield_now();
                    }
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                });
                train::run(&mut session, &pictures, &mut folder, &Progress::new(), &stop).unwrap();
            });
        }
        assert_eq!(losses(&folder), losses(&whole), "{method:?}");
    }
}

/// The ONNX file is the network, and the same seed writes the same file twice, from either.
#[test]
fn a_generator_is_exported_sampled_and_edited() {
    let folder = tempfile::tempdir().unwrap();
    let data = pack(folder.path());
    let (session, run) = run_of(&recipe(data.clone(), ECT, [2, 2]), folder.path());
    let export = GeneratorExport { out: folder.path().join("out"), threads: 2, slow_average: false };
    // A finished run is only exported; parity is checked on the way.
    let start = Start::Resume(run.path().to_owned());
    let checkpoint = run.file("checkpoint.safetensors");
    assert!(checkpoint.is_file());
    let file = match train_generator(&start, &export, &AtomicBool::new(false)).unwrap() {
        Generated::Exported(file) => file,
        Generated::Interrupted(_) => panic!("nobody interrupted"),
    };
    assert!(run.file("loss.svg").is_file() && run.file("samples.png").is_file());
    let bytes = |model: &Path, levels: &[f64], name: &str| {
        let out = folder.path().join(name);
        let choices = SampleChoices {
            model: model.to_owned(),
            out: out.clone(),
            count: 5,
            levels: levels.to_vec(),
            ode: None,
            seed: 9,
            threads: 2,
        };
        sample(&choices).unwrap();
        std::fs::read(out).unwrap()
    };
    assert_eq!(bytes(&file, &[], "a.png"), bytes(&file, &[], "b.png"));
    assert_ne!(bytes(&file, &[0.8], "c.png"), bytes(&file, &[], "d.png"));

    // The file is a start: it gives the very weights back.
    let mut next = GeneratorSession::new(recipe(data.clone(), ECT, [1, 1]), Device::Cpu);
    let saved = generator_weights(&file, &next).unwrap();
    next.init_from(&saved, &file).unwrap();
    let flat =
        |session: &GeneratorSession| Vec::<f32>::try_from(session.student.trainee.average.flat()).unwrap();
    let apart = flat(&next).iter().zip(flat(&session)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-6, "the queries' √C is divided and multiplied again: {apart}");

    // The same picture of the same seed, whatever is drawn beside it.
    let generator = Generator::open(&file, 1, Device::Cpu).unwrap();
    let many = generator.noise(4, 0, 3, 0);
    assert_eq!(many.narrow(0, 2, 1), generator.noise(4, 2, 1, 0));

    for task in [
        Task::Inpaint,
        Task::SuperResolution,
        Task::Colourise,
        Task::Strokes,
        Task::Denoise,
        Task::Interpolate,
    ] {
        let out = folder.path().join("edited.png");
        let choices = EditChoices {
            model: run.path().to_owned(),
            task,
            pictures: Some(data.join("test_00.png")),
            out: out.clone(),
            count: 2,
            steps: 3,
            sigma: 0.4,
            seed: 1,
            threads: 1,
        };
        edit_pictures(&choices).unwrap();
        let sheet = image::open(&out).unwrap();
        let columns = if task == Task::Interpolate { 8 } else { 3 };
        assert_eq!((sheet.width(), sheet.height()), (columns * 66 - 2, 2 * 66 - 2), "{task:?}");
        std::fs::remove_file(out).unwrap();
    }
}

#[test]
fn strange_input_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = pack(folder.path());
    let refused = |model: &Path, levels: Vec<f64>| {
        let choices = SampleChoices {
            model: model.to_owned(),
            out: folder.path().join("x.png"),
            count: 1,
            levels,
            ode: None,
            seed: 1,
            threads: 1,
        };
        sample(&choices).unwrap_err().to_string()
    };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sr-x4.onnx");
    assert!(refused(&shipped, vec![]).ends_with("is no generator of tools"));
    assert!(refused(folder.path(), vec![]).contains("a generator is an ONNX file or a run folder"));
    let (session, run) = run_of(&recipe(data.clone(), ECT, [1, 1]), folder.path());
    assert!(refused(run.path(), vec![0.5, 0.9]).starts_with("levels must descend from below 80"));

    // A checkpoint of another network, and one that is none.
    let mut larger = session.recipe.clone();
    larger.net.widths = vec![16, 32];
    let mut other = GeneratorSession::new(larger, Device::Cpu);
    let problem = train::resume(&mut other, &run.file("checkpoint.safetensors")).unwrap_err().to_string();
    assert!(problem.ends_with("it belongs to another network"), "{problem}");
    let problem = train::resume(&mut other, &run.file("weights.safetensors")).unwrap_err().to_string();
    assert!(problem.ends_with("it is not a checkpoint"), "{problem}");

    // Labels that do not fit the pictures.
    std::fs::remove_file(data.join("test_00.png")).unwrap();
    let problem = SmallPictures::load(&data, Split::Test).unwrap_err().to_string();
    assert!(problem.ends_with("0 pictures but 4 labels"), "{problem}");
    assert!(session.recipe.problems().is_empty());
}

/// `inspect` knows a generator: its facts, that it looks at the whole picture, and that it is no file to
/// tile.
#[test]
fn a_generator_is_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let (session, _) = run_of(&recipe(pack(folder.path()), ECT, [1, 1]), folder.path());
    let file = folder.path().join("generator.onnx");
    let bytes = generator_graph(&session).into_bytes(&facts(&session.recipe, 1.0));
    tools::run_folder::replace(&file, &bytes).unwrap();
    let inspection = inspect(&file).unwrap();
    let text = inspection.to_string();
    assert!(inspection.is_well());
    assert!(text.contains("reach     the whole picture"), "{text}");
    assert!(text.contains("generator.method = {\"name\":\"ect\""), "{text}");
    assert!(text.contains("not counted: MatMul"), "{text}");
}

/// A loss that is not finite is not stepped on, and a hundred in a row end the run with the first one's step.
#[test]
fn a_run_whose_loss_is_not_finite_ends_and_its_weights_are_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let data = pack(folder.path());
    let mut recipe = recipe(data.clone(), ECT, [500, 0]);
    recipe.run.diffusion.sigma_data = f64::NAN;
    let pictures = SmallPictures::load(&data, Split::Train).unwrap();
    let mut run = RunFolder::create(folder.path(), &recipe).unwrap();
    let mut session = GeneratorSession::new(recipe, Device::Cpu);
    let flat =
        |session: &GeneratorSession| Vec::<f32>::try_from(session.student.trainee.params.flat()).unwrap();
    let before = flat(&session);
    let stop = AtomicBool::new(false);
    let end = train::run(&mut session, &pictures, &mut run, &Progress::new(), &stop);
    let problem = end.unwrap_err().to_string();
    assert!(problem.contains("is not finite since step 0"), "{problem}");
    assert_eq!(flat(&session), before);
    // A log of nothing but such losses is still a log.
    assert!(std::fs::read_to_string(run.file("log.jsonl")).unwrap().lines().count() > 50);
}
