//! What a training step costs beside the same step in PyTorch: `cargo bench -p tools --bench step`, with
//! STEP_PYTHON naming a Python that can import torch 2.11. Rounds in turn, so that the machine's drift meets
//! both; prints the ratio of the medians of each round. Without STEP_PYTHON it prints the trainer's time
//! alone.
//!
//!     STEP_PYTHON=venv/bin/python cargo bench -p tools --bench step -- [THREADS] [STEPS] [ROUNDS]

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends on what is amiss")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use tools::data::{Corpus, CorpusOptions, Random};
use tools::recipe::{Choices, Preset, Recipe, StagePlan};
use tools::train::{Course, Session};

/// Steps that are not counted.
const WARM_UP: u64 = 5;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let [threads, steps, rounds] = [(0, 2), (1, 10), (2, 5)].map(|(i, d)| *numbers.get(i).unwrap_or(&d));
    tch::set_num_threads(threads as i32);
    let python = std::env::var_os("STEP_PYTHON");
    let (mut session, batch) = session();
    let plan = session.run().stages[0];
    println!("S mean net, batch 16 of 32×32, {threads} threads, bf16 bodies: {}", plan.bf16);
    println!("{} parameters", session.parts.parameters()[0]);
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let ours = median(ours(&mut session, plan, &batch, steps));
        let Some(python) = &python else {
            println!("round {round}: {ours:.3} s a step");
            continue;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/step.py");
        let mut command = Command::new(python);
        command.arg(script).args(["--threads", &threads.to_string(), "--steps", &steps.to_string()]);
        let output = command.output().expect("STEP_PYTHON can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["parameters"].as_i64(), Some(session.parts.parameters()[0]), "the same net");
        let theirs =
            median(said["seconds"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect());
        println!("round {round}: {ours:.3} s, PyTorch ({}) {theirs:.3} s", said["precision"]);
        ratios.push(ours / theirs);
    }
    if !ratios.is_empty() {
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!("trainer / PyTorch: {:.3} ({least:.3} to {most:.3})", median(ratios));
    }
}

/// The shipped recipe's networks and one batch of the sample pictures.
fn session() -> (Session, <Session as Course>::Batch) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let choices = Choices::new(Preset::SrX4, samples.clone());
    let recipe = Recipe::resolve(&choices);
    let options = CorpusOptions {
        folder: samples,
        held_out: Default::default(),
        only_held_out: false,
        scale: recipe.scale,
        min_side: recipe.patch * recipe.scale,
        seed: 1,
    };
    let corpus = Corpus::load(&options).expect("the samples are pictures");
    let session = Session::new(recipe, tch::Device::Cpu);
    let batch = Session::make_batch(&corpus, session.batch_plan(0), tch::Device::Cpu, 0);
    (session, batch)
}

/// Seconds of each step: loss, gradient, Adam, averages.
fn ours(
    session: &mut Session,
    plan: StagePlan,
    batch: &<Session as Course>::Batch,
    steps: usize,
) -> Vec<f64> {
    let mut random = Random::new(&[1]);
    let mut seconds = Vec::new();
    for step in 0..WARM_UP + steps as u64 {
        let started = Instant::now();
        let loss = session.loss(plan, 0.0, batch, &mut random);
        assert!(loss.double_value(&[]).is_finite());
        loss.backward();
        let trainee = session.trainee(plan.stage);
        let gradient = trainee.take_gradient(1);
        trainee.step(&plan.adam, 1e-4, step, gradient, true);
        if step >= WARM_UP {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
