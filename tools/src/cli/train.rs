//! The options of `train-export`.

use super::method::MethodOptions;
use super::{DeviceName, threads};
use crate::data::Mix;
use crate::net::BodyKind;
use crate::recipe::{
    Choices, GeneratorChoices, InpaintChoices, MeanChoice, ModelSize, Preset, Recipe, Stage, parse_budget,
};
use crate::run_folder::{RunFolder, Told};
use crate::start::Start;
use crate::train_export::{CHROMA, ExportChoices};
use crate::train_generator::GeneratorExport;
use crate::train_inpaint::InpaintExport;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Options of `train-export`.
#[derive(Debug, Args)]
pub struct TrainExport {
    /// What to train.
    preset: PresetName,
    /// Folder of pictures; with a manifest.csv only its files under allowed licences are used. For cifar10
    /// the folder of its sheets.
    #[arg(long, required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// Folder for the finished models.
    #[arg(long)]
    out: PathBuf,
    /// Training time, e.g. 90m or 1h30m; export and evaluation come on top.
    #[arg(long, default_value = "60m", value_parser = parse_budget)]
    budget: Duration,
    /// Stages of super-resolution and repair that run, sharing the budget (default: all). `mean`
    /// alone makes only the mean's file; the others continue from --init-from.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 1, conflicts_with = "steps")]
    stages: Option<Vec<Stage>>,
    /// Steps of the stages instead of a time: exactly repeatable; 0 leaves one out. Super-resolution and
    /// inpaint have five (mean, scale, diffusion, consistency, adversarial), cifar10 two (diffusion,
    /// consistency).
    #[arg(long, value_delimiter = ',', num_args = 1, conflicts_with = "budget")]
    steps: Option<Vec<u64>>,
    /// Where to train.
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
    /// Size of the networks of super-resolution and repair: s (default) or m. cifar10's follows from the
    /// device.
    #[arg(long, value_enum)]
    size: Option<ModelSize>,
    /// What the mean net's body is made of (default: the size's).
    #[arg(long, value_enum)]
    body: Option<BodyKind>,
    /// Width of the mean net (default: the size's).
    #[arg(long)]
    channels: Option<i64>,
    /// Blocks of the mean net (default: the size's).
    #[arg(long)]
    blocks: Option<usize>,
    /// Shares of patches from damaged pictures, PHOTO,HEAVY; the rest is clean (default: 0.3,0.1).
    #[arg(long, value_parser = parse_mix)]
    mix: Option<Mix>,
    /// For inpaint: width in pixels of the widest hole that one evaluation repairs (default: half of a
    /// training patch). Wider ones are repaired coarse to fine, and trained as finer levels meet them.
    #[arg(long)]
    hole_px: Option<usize>,
    #[command(flatten)]
    method: MethodOptions,
    /// File that lists pictures never to train on; they measure the model.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// Folder whose subfolders are evaluation sets.
    #[arg(long)]
    eval: Option<PathBuf>,
    /// Start from the weights of an earlier run (its weights.safetensors), or of an exported ONNX file.
    #[arg(long, conflicts_with = "resume")]
    init_from: Option<PathBuf>,
    /// Go on with this run folder; a finished one is only exported again. Its recipe holds: options that
    /// would change it are refused.
    #[arg(long, conflicts_with_all = [
        "data", "budget", "stages", "steps", "device", "size", "body", "channels", "blocks", "mix", "hole_px",
        "method", "q", "ect_stages", "s0", "s1", "mu0", "points",
        "solver", "mu", "held_out", "seed", "micro_batches",
    ])]
    resume: Option<PathBuf>,
    /// Folder in which new run folders are made.
    #[arg(long, default_value = "runs")]
    runs: PathBuf,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Batches whose gradients are averaged before a step: a larger batch than memory holds.
    #[arg(long, default_value_t = 1)]
    micro_batches: usize,
    /// Which of the two running averages of the weights is exported: of the consistency net, or of a mean net
    /// that is trained alone.
    #[arg(long, value_enum, default_value = "normal")]
    average: AverageName,
    /// Strength that the model's card recommends, 0 to 1.2: choose it by looking at the strip (default 0.25,
    /// inpaint 0.5).
    #[arg(long, value_parser = strength)]
    default_strength: Option<f32>,
    /// Share of their colours that samples keep, above 0 to 1: coloured dots are seen where grey ones pass
    /// (default 0.3).
    #[arg(long, value_parser = share)]
    chroma: Option<f64>,
    /// Licence of the weights, as the card states it.
    #[arg(long)]
    licence: Option<String>,
    /// Threads (default: all).
    #[arg(long)]
    threads: Option<usize>,
    /// Print the recipe, every number resolved, and train nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetName {
    /// Super-resolution ×4.
    SrX4,
    /// Super-resolution ×2.
    SrX2,
    /// Repair of what a mask marks.
    Inpaint,
    /// Unconditional pictures of 32×32, to demonstrate and compare methods; the daemon has no use for them.
    Cifar10,
}

/// The running averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AverageName {
    /// The one of the recipe.
    Normal,
    /// Four times as slow.
    Slow,
}

/// What `train-export` was asked for.
#[derive(Debug)]
pub enum Training {
    /// A model that enlarges.
    SuperResolution(Start<Choices>, ExportChoices),
    /// A model that repairs.
    Repair(Start<InpaintChoices>, InpaintExport),
    /// A model that invents.
    Generation(Start<GeneratorChoices>, GeneratorExport),
}

impl TrainExport {
    /// The choices in the library's words.
    ///
    /// # Errors
    /// Every problem of the options as a sentence.
    pub fn into_choices(self) -> Result<Training, Vec<String>> {
        let mut problems = self.method.problems();
        let (wanted, example) = match self.preset {
            PresetName::SrX4 | PresetName::SrX2 | PresetName::Inpaint => {
                (5, "five numbers, e.g. 4000,200,1500,3000,2000")
            }
            PresetName::Cifar10 => (2, "two numbers, e.g. 6000,4000"),
        };
        if self.steps.as_ref().is_some_and(|steps| steps.len() != wanted) {
            problems.push(format!("--steps takes {example}"));
        }
        problems.extend(self.strange().into_iter().map(|name| format!("{name} is for super-resolution")));
        if self.hole_px.is_some() && self.preset != PresetName::Inpaint {
            problems.push("--hole-px is for inpaint".into());
        }
        problems.extend(self.other_preset());
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(match self.preset {
            PresetName::SrX4 => self.super_resolution(Preset::SrX4),
            PresetName::SrX2 => self.super_resolution(Preset::SrX2),
            PresetName::Inpaint => self.repair(),
            PresetName::Cifar10 => self.generation(),
        })
    }

    /// Options that were given and mean nothing to the preset.
    fn strange(&self) -> Vec<&'static str> {
        let stages = [("--stages", self.stages.is_some())];
        let networks = [
            ("--body", self.body.is_some()),
            ("--channels", self.channels.is_some()),
            ("--blocks", self.blocks.is_some()),
            ("--mix", self.mix.is_some()),
            ("--eval", self.eval.is_some()),
        ];
        let photographs = [
            ("--chroma", self.chroma.is_some()),
            ("--held-out", self.held_out.is_some()),
            ("--size", self.size.is_some()),
            ("--licence", self.licence.is_some()),
            ("--default-strength", self.default_strength.is_some()),
        ];
        let options: Vec<(&str, bool)> = match self.preset {
            PresetName::SrX4 | PresetName::SrX2 => Vec::new(),
            PresetName::Inpaint => networks.to_vec(),
            PresetName::Cifar10 => [&stages[..], &networks[..], &photographs[..]].concat(),
        };
        options.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// What the last export of the run to go on with was told.
    fn told_before(&self) -> Option<Told> {
        RunFolder::told(self.resume.as_deref()?)
    }

    /// The super-resolution preset of the run to go on with, where it is another than the one named.
    fn other_preset(&self) -> Option<String> {
        let run = self.resume.as_deref()?;
        let wanted = match self.preset {
            PresetName::SrX4 => Preset::SrX4,
            PresetName::SrX2 => Preset::SrX2,
            PresetName::Inpaint | PresetName::Cifar10 => return None,
        };
        let recipe: Recipe = RunFolder::recipe(run).ok()?;
        let (is, wanted) = (recipe.preset.name(), wanted.name());
        (is != wanted).then(|| format!("--resume {}: is a run of {is}, not of {wanted}", run.display()))
    }

    fn repair(self) -> Training {
        let before = self.told_before();
        let before = before.as_ref();
        let export = InpaintExport {
            out: self.out,
            default_strength: self.default_strength.or(before.map(|b| b.default_strength)).unwrap_or(0.5),
            chroma: self.chroma.or(before.map(|b| b.chroma)).unwrap_or(CHROMA),
            licence: self
                .licence
                .or(before.map(|b| b.licence.clone()))
                .unwrap_or_else(|| "not stated".into()),
            threads: threads(self.threads),
            slow_average: self.average == AverageName::Slow,
        };
        if let Some(run) = self.resume {
            return Training::Repair(Start::Resume(run), export);
        }
        let data = self.data.expect("clap requires --data without --resume");
        let mut choices = InpaintChoices::new(data);
        choices.size = self.size.unwrap_or(choices.size);
        choices.hole_px = self.hole_px;
        choices.held_out = self.held_out;
        choices.init_from = self.init_from;
        choices.device = self.device.word();
        choices.method = self.method.resolve();
        choices.stages = self.stages.unwrap_or(choices.stages);
        choices.budget = self.budget;
        choices.steps = self.steps.and_then(|steps| steps.try_into().ok());
        choices.micro_batches = self.micro_batches;
        choices.seed = self.seed;
        Training::Repair(Start::New(self.runs, Box::new(choices)), export)
    }

    fn super_resolution(self, preset: Preset) -> Training {
        let before = self.told_before();
        let before = before.as_ref();
        let export = ExportChoices {
            out: self.out,
            eval: self.eval.or(before.and_then(|b| b.eval.clone())),
            default_strength: self.default_strength.or(before.map(|b| b.default_strength)).unwrap_or(0.25),
            chroma: self.chroma.or(before.map(|b| b.chroma)).unwrap_or(CHROMA),
            licence: self
                .licence
                .or(before.map(|b| b.licence.clone()))
                .unwrap_or_else(|| "not stated".into()),
            threads: threads(self.threads),
            slow_average: self.average == AverageName::Slow,
        };
        if let Some(run) = self.resume {
            return Training::SuperResolution(Start::Resume(run), export);
        }
        let data = self.data.expect("clap requires --data without --resume");
        let mut choices = Choices::new(preset, data);
        choices.mean = MeanChoice { body: self.body, channels: self.channels, blocks: self.blocks };
        choices.size = self.size.unwrap_or(choices.size);
        choices.mix = self.mix.unwrap_or(choices.mix);
        choices.held_out = self.held_out;
        choices.init_from = self.init_from;
        choices.device = self.device.word();
        choices.stages = self.stages.unwrap_or(choices.stages);
        choices.budget = self.budget;
        choices.steps = self.steps.and_then(|steps| steps.try_into().ok());
        choices.seed = self.seed;
        choices.micro_batches = self.micro_batches;
        choices.method = self.method.resolve();
        Training::SuperResolution(Start::New(self.runs, Box::new(choices)), export)
    }

    fn generation(self) -> Training {
        let export = GeneratorExport {
            out: self.out,
            threads: threads(self.threads),
            slow_average: self.average == AverageName::Slow,
        };
        if let Some(run) = self.resume {
            return Training::Generation(Start::Resume(run), export);
        }
        let choices = GeneratorChoices {
            data: self.data.expect("clap requires --data without --resume"),
            init_from: self.init_from,
            device: self.device.word(),
            method: self.method.resolve(),
            budget: self.budget,
            steps: self.steps.and_then(|steps| steps.try_into().ok()),
            micro_batches: self.micro_batches,
            seed: self.seed,
        };
        Training::Generation(Start::New(self.runs, Box::new(choices)), export)
    }
}

fn strength(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_not_a_number| format!("{text:?} is not a number"))?;
    if (0.0..=1.2).contains(&value) { Ok(value) } else { Err(format!("{value} is not between 0 and 1.2")) }
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_not_a_number| format!("{text:?} is not a number"))?;
    if value > 0.0 && value <= 1.0 { Ok(value) } else { Err(format!("{value} is not above 0, at most 1")) }
}

fn parse_mix(text: &str) -> Result<Mix, String> {
    let parts: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    match parts.as_deref() {
        Some(&[photo, heavy]) => Ok(Mix { photo, heavy }),
        _ => Err(format!("{text:?} is not PHOTO,HEAVY, e.g. 0.3,0.1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::path::Path;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        asked: TrainExport,
    }

    fn asked(words: &[&str], run: &Path) -> Result<Training, Vec<String>> {
        let resume = ["tools", words[0], "--out", "models", "--resume", run.to_str().expect("text")];
        Line::try_parse_from(resume.iter().chain(&words[1..])).expect("known options").asked.into_choices()
    }

    /// What the first call said of the card holds in the next, unless that says something else.
    #[test]
    fn an_export_that_goes_on_need_not_be_told_again() {
        let runs = tempfile::tempdir().expect("a folder");
        let recipe = Recipe::resolve(&Choices::new(Preset::SrX4, "data".into()));
        let folder = RunFolder::create(runs.path(), &recipe).expect("a run");
        let told = |words: &[&str]| match asked(words, folder.path()) {
            Ok(Training::SuperResolution(_, export)) => {
                (export.licence, export.default_strength, export.chroma, export.eval)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&["sr-x4"]), ("not stated".into(), 0.25, CHROMA, None), "a run of an older version");
        let before =
            Told { licence: "CC0-1.0".into(), default_strength: 0.4, chroma: 0.7, eval: Some("sets".into()) };
        folder.tell(&before).expect("writable");
        assert_eq!(told(&["sr-x4"]), ("CC0-1.0".into(), 0.4, 0.7, Some("sets".into())));
        let anew = ["sr-x4", "--licence", "MIT", "--default-strength", "0.1", "--chroma", "1", "--eval", "e"];
        assert_eq!(told(&anew), ("MIT".into(), 0.1, 1.0, Some("e".into())));
        let refused = asked(&["sr-x2"], folder.path()).expect_err("another preset");
        assert!(refused[0].ends_with("is a run of sr-x4, not of sr-x2"), "{refused:?}");
    }
}
