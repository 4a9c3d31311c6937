//! A tiny recipe on the sample pictures: seconds on two cores, every stage real.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tch::Device;
use tools::data::{Corpus, CorpusOptions};
use tools::net::{BodyKind, MeanConfig, SamplerConfig};
use tools::progress::Progress;
use tools::recipe::{Choices, Preset, Recipe};
use tools::run_folder::RunFolder;
use tools::train::{self, Interrupted, Session};

/// The repository's sample pictures.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples")
}

/// All stages, `steps` steps each, networks of a few thousand parameters.
pub fn recipe(steps: u64) -> Recipe {
    tch::set_num_threads(1); // tests run beside each other; threads would only wait for one another
    let mut choices = Choices::new(Preset::SrX4, samples());
    (choices.steps, choices.seed) = (Some([steps; 5]), 3);
    let mut recipe = Recipe::resolve(&choices);
    recipe.mean = MeanConfig { body: BodyKind::Residual, channels: 8, blocks: 2 };
    recipe.sampler = SamplerConfig { channels: 8, blocks: 2 };
    (recipe.run.batch, recipe.patch, recipe.run.log_every) = (2, 18, 1);
    recipe
}

/// The sample pictures as a corpus for `recipe`.
pub fn corpus(recipe: &Recipe) -> Corpus {
    let options = CorpusOptions {
        folder: recipe.run.data.clone(),
        held_out: Default::default(),
        only_held_out: false,
        scale: recipe.scale,
        min_side: recipe.patch * recipe.scale,
        seed: recipe.run.seed,
    };
    Corpus::load(&options).expect("the samples are pictures")
}

/// Trains `recipe` to its end in a run folder below `runs`.
pub fn trained(recipe: &Recipe, runs: &Path) -> (Session, RunFolder) {
    let mut folder = RunFolder::create(runs, recipe).unwrap();
    let mut session = Session::new(recipe.clone(), Device::Cpu);
    go_on(&mut session, &mut folder);
    (session, folder)
}

/// Runs what is left of a session's recipe.
pub fn go_on(session: &mut Session, folder: &mut RunFolder) {
    let corpus = corpus(&session.recipe);
    let stop = AtomicBool::new(false);
    let end = train::run(session, &corpus, folder, &Progress::new(), &stop);
    assert_eq!(end.unwrap(), Interrupted::No);
}
