//! A generation session: one U-Net that is first a denoiser, then a consistency function. The loop that moves
//! it on is in `walk`.

use super::checkpoint::{Place, Saved, save};
use super::course::{Course, Standing};
use super::optimiser::{Trainee, take_back};
use super::student::Student;
use super::walk::TrainError;
use crate::data::{Random, SmallPictures, cifar_tensor};
use crate::method::precondition::preconditioned;
use crate::method::{self, Denoiser, Functions, diffusion, levels_tensor};
use crate::net::{Params, UNet};
use crate::recipe::{GeneratorRecipe, RunPlan, Stage, StagePlan};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The network and everything that changes while it trains.
#[derive(Debug)]
pub struct GeneratorSession {
    /// What is to be done.
    pub recipe: GeneratorRecipe,
    /// Where tensors live.
    pub device: Device,
    /// The layers.
    pub net: UNet,
    /// The weights.
    pub student: Student,
    standing: Standing,
}

/// Seed, stage and size of batches.
#[derive(Debug, Clone, Copy)]
pub struct DrawPlan {
    seed: u64,
    stage: u64,
    batch: usize,
}

impl GeneratorSession {
    /// Fresh weights for a recipe.
    pub fn new(recipe: GeneratorRecipe, device: Device) -> GeneratorSession {
        let (net, layout) = UNet::new(recipe.net.clone());
        let student = Student::new(&layout, recipe.run.seed, device);
        GeneratorSession { recipe, device, net, student, standing: Standing::default() }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> i64 {
        self.student.trainee.params.flat().numel() as i64
    }

    /// Seconds of training so far, all stages together.
    pub fn total_seconds(&self) -> f64 {
        self.standing.place.total_seconds
    }

    /// D(x; σ), or f(x, σ) after the consistency stage, with the averaged weights and without gradient: x
    /// N×3×S×S, σ of N values.
    pub fn denoise(&self, x: &Tensor, sigma: &Tensor, bf16: bool) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.evaluate(&self.student.trainee.average, x, sigma, bf16)
    }

    /// Starts from the averaged weights of another run (its weights.safetensors, or an ONNX file's), with
    /// fresh moments.
    ///
    /// # Errors
    /// If they belong to another network.
    pub fn init_from(&mut self, saved: &Saved, path: &Path) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let trainee = &self.student.trainee;
        let fits = saved.find("net").filter(|t| t.size() == trainee.params.flat().size());
        let Some(weights) = fits else {
            let problem = format!("{}: no weights of this size under \"net\"", path.display());
            return Err(TrainError::Checkpoint(problem));
        };
        for params in [&trainee.params, &trainee.average, &trainee.slow_average] {
            params.flat().copy_(&weights);
        }
        Ok(())
    }

    /// The averaged weights as one file to sample from or to start from.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn save_weights(&self, path: &Path) -> std::io::Result<()> {
        let trainee = &self.student.trainee;
        let [net, slow] = [&trainee.average, &trainee.slow_average].map(Params::flat);
        save(path, &[("net".into(), net), ("slow".into(), slow)])
    }

    /// Goes on where a finished run stood that took so many seconds, from what
    /// [`GeneratorSession::save_weights`] wrote.
    ///
    /// # Errors
    /// If it is of another network.
    pub fn take_finished(&mut self, path: &Path, seconds: f64) -> Result<(), TrainError> {
        let saved = Saved::load(path).map_err(TrainError::Checkpoint)?;
        self.init_from(&saved, path)?;
        let slow = self.student.trainee.slow_average.flat();
        let lacks = |problem: String| TrainError::Checkpoint(format!("{}: {problem}", path.display()));
        take_back("slow", slow, &|name| saved.find(name)).map_err(lacks)?;
        self.standing.place = Place::end(&self.recipe.run, seconds);
        Ok(())
    }

    fn evaluate(&self, params: &Params, x: &Tensor, sigma: &Tensor, bf16: bool) -> Tensor {
        let network = |x: &Tensor, sigma: &Tensor| self.net.forward(params, x, sigma, bf16);
        preconditioned(&network, x, sigma, self.recipe.run.consistency.sigma_data)
    }

    fn diffusion_loss(&self, clean: &Tensor, bf16: bool, random: &mut Random) -> Tensor {
        let levels = &self.recipe.run.diffusion;
        let drawn = levels.lognormal(clean.size()[0] as usize, random);
        let sigma = levels_tensor(&drawn, self.device);
        let params = &self.student.trainee.params;
        let network = |x: &Tensor, sigma: &Tensor| self.net.forward(params, x, sigma, bf16);
        let noise = clean.randn_like();
        let difference = diffusion::difference(&network, clean, &noise, &sigma, levels.sigma_data);
        difference.square().mean(Kind::Float)
    }

    fn consistency_loss(
        &self,
        clean: &Tensor,
        plan: StagePlan,
        progress: f64,
        random: &mut Random,
    ) -> Tensor {
        let run = &self.recipe.run;
        let pairs = run.method.pairs(&run.consistency, progress, clean.size()[0] as usize, random);
        let of = |params: &Params, x: &Tensor, sigma: &Tensor| self.evaluate(params, x, sigma, plan.bf16);
        let student = |x: &Tensor, sigma: &Tensor| of(&self.student.trainee.params, x, sigma);
        let target = |x: &Tensor, sigma: &Tensor| of(self.student.target(&run.method, progress), x, sigma);
        let teacher = |x: &Tensor, sigma: &Tensor| of(self.student.teacher(), x, sigma);
        let functions = Functions {
            student: &student,
            target: &target,
            teacher: run.method.solver().map(|solver| (&teacher as Denoiser<'_>, solver)),
        };
        let difference = method::difference(functions, clean, &clean.randn_like(), &pairs);
        let weight = levels_tensor(&pairs.weight, self.device);
        (run.distance.of(&difference) * weight).mean(Kind::Float)
    }
}

impl Course for GeneratorSession {
    type Data = SmallPictures;
    type BatchPlan = DrawPlan;
    type Batch = Tensor;

    fn run(&self) -> &RunPlan {
        &self.recipe.run
    }

    fn standing(&mut self) -> &mut Standing {
        &mut self.standing
    }

    fn batch_plan(&self, stage: u64) -> DrawPlan {
        DrawPlan { seed: self.recipe.run.seed, stage, batch: self.recipe.run.batch }
    }

    fn device(&self) -> Device {
        self.device
    }

    fn make_batch(data: &SmallPictures, plan: DrawPlan, device: Device, step: u64) -> Tensor {
        cifar_tensor(&data.draw(plan.batch, &mut Random::new(&[plan.seed, plan.stage, step])), device)
    }

    fn begin(&mut self, _data: &SmallPictures, _stage: Stage) {
        self.student.begin_stage();
    }

    fn loss(&mut self, plan: StagePlan, progress: f64, clean: &Tensor, random: &mut Random) -> Tensor {
        match plan.stage {
            Stage::Consistency => self.consistency_loss(clean, plan, progress, random),
            _ => self.diffusion_loss(clean, plan.bf16, random),
        }
    }

    fn trainee(&mut self, _stage: Stage) -> &mut Trainee {
        &mut self.student.trainee
    }

    fn after_step(&mut self, stage: Stage, progress: f64) {
        if stage == Stage::Consistency {
            self.student.follow(&self.recipe.run.method, progress);
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.student.state("net")
    }

    fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.student.restore("net", find)
    }
}
