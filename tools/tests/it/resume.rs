//! A run that is interrupted and resumed continues the same sequence of losses.

use crate::support::{corpus, go_on, recipe, trained};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Tensor};
use tools::export::read::super_resolution_weights;
use tools::method::{Method, Solver, cd::Cd, ct::Ct, ict::Ict};
use tools::progress::Progress;
use tools::recipe::{Preset, Stage};
use tools::run_folder::RunFolder;
use tools::start::Start;
use tools::train::{self, Interrupted, Saved, Session};
use tools::train_export::{Ended, ExportChoices, train_export};

fn losses(folder: &RunFolder) -> Vec<(String, u64, f64)> {
    let text = std::fs::read_to_string(folder.file("log.jsonl")).unwrap();
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let stage = value["stage"].as_str().unwrap().to_owned();
        (stage, value["step"].as_u64().unwrap(), value["loss"].as_f64().unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
fn a_resumed_run_continues_the_loss_sequence() {
    let runs = tempfile::tempdir().unwrap();
    let recipe = recipe(6);
    let (whole, whole_folder) = trained(&recipe, runs.path());

    // Interrupted at some moment of its own, at least once per stage on average, and gone on with each time.
    let mut folder = RunFolder::create(runs.path(), &recipe).unwrap();
    let corpus = corpus(&recipe);
    let mut interruptions = 0;
    let resumed = loop {
        let mut session = Session::new(recipe.clone(), Device::Cpu);
        let checkpoint = folder.file("checkpoint.safetensors");
        if checkpoint.is_file() {
            train::resume(&mut session, &checkpoint).unwrap();
        }
        let stop = AtomicBool::new(false);
        let log = folder.file("log.jsonl");
        let before = std::fs::read_to_string(&log).unwrap().lines().count();
        let ended = AtomicBool::new(false);
        let end = std::thread::scope(|scope| {
            scope.spawn(|| {
                let lines = || std::fs::read_to_string(&log).unwrap().lines().count();
                while lines() < before + 4 && !ended.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                stop.store(true, Ordering::Relaxed);
            });
            let end = train::run(&mut session, &corpus, &mut folder, &Progress::new(), &stop);
            ended.store(true, Ordering::Relaxed);
            end.unwrap()
        });
        if end == Interrupted::No {
            break session;
        }
        interruptions += 1;
    };
    assert!(interruptions >= 2, "{interruptions}");
    assert_eq!(losses(&folder), losses(&whole_folder));
    let weights =
        |session: &Session| Vec::<f32>::try_from(session.parts.sampler.trainee.average.flat()).unwrap();
    assert_eq!(weights(&resumed), weights(&whole));
}

#[test]
fn weights_of_an_earlier_run_are_a_start_and_strange_ones_are_refused() {
    let runs = tempfile::tempdir().unwrap();
    let (session, folder) = trained(&recipe(2), runs.path());
    let path = folder.file("weights.safetensors");
    session.parts.save_weights(&path).unwrap();

    let mut next = Session::new(recipe(1), Device::Cpu);
    next.init_from(&Saved::load(&path).unwrap(), &path).unwrap();
    let flat = |session: &Session| Vec::<f32>::try_from(session.parts.mean.average.flat()).unwrap();
    assert_eq!(flat(&next), flat(&session));
    let mut folder = RunFolder::create(runs.path(), &next.recipe).unwrap();
    go_on(&mut next, &mut folder);

    let mut larger = recipe(1);
    larger.mean.channels = 16;
    let saved = Saved::load(&path).unwrap();
    let refused = Session::new(larger, Device::Cpu).init_from(&saved, &path).unwrap_err().to_string();
    assert!(refused.contains("belongs to other networks: it has "), "{refused}");

    // A stage that finds nothing to build on is told at the start.
    let lacking = |part: &str, stages: &[Stage]| {
        let tensors: Vec<(String, Tensor)> =
            saved.below("mean").into_iter().map(|(name, tensor)| (format!("mean.{name}"), tensor)).collect();
        let scale = saved.below("scale").into_iter().map(|(name, tensor)| (format!("scale.{name}"), tensor));
        let tensors = if part == "scale" { tensors } else { tensors.into_iter().chain(scale).collect() };
        let path = runs.path().join("part.safetensors");
        train::save(&path, &tensors).unwrap();
        let mut chosen = recipe(1);
        chosen.run.stages.retain(|plan| stages.contains(&plan.stage));
        Session::new(chosen, Device::Cpu).init_from(&Saved::load(&path).unwrap(), &path)
    };
    for (part, stages, told) in [
        ("scale", &[Stage::Consistency][..], "add scale to --stages"),
        ("sampler", &[Stage::Adversarial], "add diffusion and consistency to --stages"),
    ] {
        let refused = lacking(part, stages).unwrap_err().to_string();
        assert!(refused.ends_with(told), "{refused}");
    }
    assert!(lacking("sampler", &[Stage::Diffusion, Stage::Adversarial]).is_ok());

    // What nobody trained is not handed on, as if it had been.
    let alone = |stages: &[Stage]| {
        let mut chosen = recipe(1);
        chosen.run.stages.retain(|plan| stages.contains(&plan.stage));
        let (session, folder) = trained(&chosen, runs.path());
        let path = folder.file("weights.safetensors");
        session.parts.save_weights(&path).unwrap();
        (Saved::load(&path).unwrap(), session.has_samples())
    };
    for (stages, parts) in [
        (&[Stage::Mean][..], [true, false, false]),
        (&[Stage::Mean, Stage::Scale], [true, true, false]),
        (&[Stage::Mean, Stage::Scale, Stage::Consistency], [true; 3]),
    ] {
        let (saved, has_samples) = alone(stages);
        assert_eq!(["mean", "scale", "sampler"].map(|name| !saved.below(name).is_empty()), parts);
        assert_eq!(has_samples, parts[2]);
    }

    // Another scale shares the body, not the ends, on which nothing can be built.
    let mut half = recipe(1);
    (half.preset, half.scale) = (Preset::SrX2, 2);
    half.run.stages.retain(|plan| plan.stage != Stage::Mean);
    let refused = Session::new(half, Device::Cpu).init_from(&saved, &path).unwrap_err().to_string();
    assert!(refused.ends_with("add mean to --stages"), "{refused}");
    let mut half = recipe(1);
    (half.preset, half.scale) = (Preset::SrX2, 2);
    let mut next = Session::new(half, Device::Cpu);
    let ends = |session: &Session| session.parts.mean.params.named()["output.weight"].values.clone();
    let body = |session: &Session| session.parts.mean.params.named()["block1.second.weight"].values.clone();
    let fresh = ends(&next);
    next.init_from(&saved, &path).unwrap();
    assert_eq!(
        (ends(&next), body(&next)),
        (fresh, session.parts.mean.average.named()["block1.second.weight"].values.clone())
    );
}

/// What a run on a GPU box came to is three files; they are exported anywhere.
#[test]
fn a_finished_run_is_exported_from_its_weights_without_its_device() {
    let runs = tempfile::tempdir().unwrap();
    let mut recipe = recipe(2);
    recipe.run.device = "cuda".into();
    let (session, folder) = trained(&recipe, runs.path());
    let weights = folder.file("weights.safetensors");
    session.parts.save_weights(&weights).unwrap();
    let export = |slow_average: bool, out: &str| {
        let choices = ExportChoices {
            out: runs.path().join(out),
            eval: None,
            default_strength: 0.25,
            chroma: 0.5,
            licence: "not stated".into(),
            threads: 1,
            slow_average,
        };
        train_export(&Start::Resume(folder.path().into()), &choices, &AtomicBool::new(false))
    };
    // With a checkpoint beside it the run may go on, on the device that it was begun on.
    let refused = export(false, "gpu").unwrap_err().to_string();
    assert!(refused.contains("--device cuda was asked for"), "{refused}");

    std::fs::remove_file(folder.file("checkpoint.safetensors")).unwrap();
    let refused = export(true, "slow").unwrap_err().to_string();
    assert!(
        refused.contains("it lacks the slower average, and there is no checkpoint beside it"),
        "{refused}"
    );
    let Ended::Exported(files, report) = export(false, "files").unwrap() else {
        panic!("it was interrupted")
    };
    assert!(files.mean.is_file() && files.sample.is_file());
    let remembered = RunFolder::told(folder.path()).unwrap();
    assert_eq!((remembered.chroma, remembered.licence.as_str()), (0.5, "not stated"));
    let told = std::fs::read_to_string(report).unwrap();
    let minutes = format!("Trained {:.1} minutes on cuda, seed 3.", session.total_seconds() / 60.0);
    assert!(told.contains(&minutes), "{told}");
    let read = super_resolution_weights(&files.sample).unwrap();
    let mut again = Session::new(recipe, Device::Cpu);
    again.init_from(&read, &files.sample).unwrap();
    let flat = |session: &Session| Vec::<f32>::try_from(session.parts.mean.average.flat()).unwrap();
    assert_eq!(flat(&again), flat(&session));
}

/// The conditional net trains with every method as the unconditional one does, and twice alike.
#[test]
fn every_method_trains_the_conditional_net() {
    let runs = tempfile::tempdir().unwrap();
    let methods = [
        Method::Ct(Ct { s0: 2.0, s1: 6.0, mu0: 0.9 }),
        Method::Ict(Ict { s0: 2, s1: 6 }),
        Method::Cd(Cd { points: 6, solver: Solver::Heun, mu: 0.5 }),
    ];
    for method in methods {
        let mut recipe = recipe(2);
        recipe.run.method = method;
        let (whole, folder) = trained(&recipe, runs.path());
        let flat =
            |session: &Session| Vec::<f32>::try_from(session.parts.sampler.trainee.average.flat()).unwrap();
        assert!(losses(&folder).iter().all(|(_, _, loss)| loss.is_finite()), "{method:?}");
        let (again, _) = trained(&recipe, runs.path());
        assert_eq!(flat(&again), flat(&whole), "{method:?}");
    }
}
