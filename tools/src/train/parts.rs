//! The three sets of weights behind a one-step sample (mean net, local scale, consistency net) and what was
//! measured between them: how they are saved, resumed and started from shipped ones. Knows no layers.

use super::adversary::Adversary;
use super::checkpoint::{Saved, save};
use super::optimiser::Trainee;
use super::student::Student;
use super::walk::TrainError;
use crate::net::{Layout, Opponent};
use crate::recipe::{RunPlan, Stage};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// A start that gives the mean net less than this share of its weights is another network's.
const LEAST_START: f64 = 0.5;
/// A network of which a start gives this share is there; what has less begins partly anew.
const WHOLE_START: f64 = 0.99;

/// The name in checkpoints of what is known.
const KNOWN: &str = "known";

/// Numbers measured once on the finished mean net, that normalise what the later stages see.
#[derive(Debug)]
pub struct Calibration {
    /// Colour basis and its RMS.
    pub opponent: Opponent,
    /// Mean of each feature channel, 1×C×1×1.
    pub feature_mean: Tensor,
    /// Standard deviation of each feature channel, 1×C×1×1.
    pub feature_std: Tensor,
}

impl Calibration {
    /// (features − mean) / std, f32.
    pub fn standardise(&self, features: &Tensor) -> Tensor {
        (features.to_kind(Kind::Float) - &self.feature_mean) / &self.feature_std
    }

    /// The same for `count` of the channels alone.
    pub fn channels(&self, begin: i64, count: i64) -> Calibration {
        Calibration {
            opponent: self.opponent,
            feature_mean: self.feature_mean.narrow(1, begin, count),
            feature_std: self.feature_std.narrow(1, begin, count),
        }
    }
}

/// Everything that changes while a conditional model trains.
#[derive(Debug)]
pub struct Parts {
    /// The mean net's weights.
    pub mean: Trainee,
    /// The scale head's weights.
    pub scale: Trainee,
    /// The consistency net's weights.
    pub sampler: Student,
    /// The critic, where a stage is adversarial; the session takes it out while it learns.
    pub adversary: Option<Adversary>,
    /// Measured once the mean net is finished.
    pub calibration: Option<Calibration>,
    /// Which of mean net, scale head and consistency net are more than random numbers: trained, or taken over
    /// whole.
    known: [bool; 3],
    device: Device,
}

impl Parts {
    /// Fresh weights for a mean net, a scale head and a consistency net, and what else a run's stages want.
    pub fn new(layouts: [&Layout; 3], run: &RunPlan, device: Device) -> Parts {
        let ([mean, scale, sampler], seed) = (layouts, |salt: u64| run.seed.wrapping_add(salt));
        let adversarial = run.stages.iter().any(|plan| plan.stage == Stage::Adversarial);
        let trainee = |layout: &Layout, salt| Trainee::new(layout.init(seed(salt), device));
        Parts {
            mean: trainee(mean, 0),
            scale: trainee(scale, 1),
            sampler: Student::new(sampler, seed(2), device),
            adversary: adversarial.then(|| Adversary::new(seed(3), device)),
            calibration: None,
            known: [false; 3],
            device,
        }
    }

    /// Number of parameters: mean net, scale head, consistency net.
    pub fn parameters(&self) -> [i64; 3] {
        self.trainees().map(|(_, trainee)| trainee.params.flat().numel() as i64)
    }

    /// Starts a run from shipped weights (a weights.safetensors, or what was read out of an ONNX file)
    /// instead of fresh ones, with fresh moments. What belongs to another scale or is missing stays fresh,
    /// and the log says so.
    ///
    /// # Errors
    /// If the mean net finds less than half of its weights, or a stage not all that it builds on.
    pub fn init_from(&mut self, saved: &Saved, path: &Path, run: &RunPlan) -> Result<(), TrainError> {
        self.adopt(saved, path)?;
        let [mean, scale, sampler] = self.known;
        let has = |wanted: &[Stage]| run.stages.iter().any(|plan| wanted.contains(&plan.stage));
        let later = [Stage::Diffusion, Stage::Consistency, Stage::Adversarial];
        let lacks = if !mean && !has(&[Stage::Mean]) {
            "only parts of the mean net, on which all other stages build: add mean to --stages"
        } else if !scale && has(&later) && !has(&[Stage::Scale]) {
            "no local scale, on which the later stages build: add scale to --stages"
        } else if !sampler && has(&later[2..]) && !has(&later[..2]) {
            "no consistency net for the adversarial stage: add diffusion and consistency to --stages"
        } else {
            return Ok(());
        };
        Err(TrainError::Checkpoint(format!("{} has {lacks}", path.display())))
    }

    /// Takes what there is.
    fn adopt(&mut self, saved: &Saved, path: &Path) -> Result<(), TrainError> {
        let _guard = tch::no_grad_guard();
        let mut shares = Vec::new();
        for (name, trainee) in self.trainees() {
            let named = saved.below(name);
            let share = trainee.params.adopt(&named);
            for params in [&trainee.average, &trainee.slow_average] {
                params.adopt(&named);
            }
            shares.push((name, share));
        }
        let told: Vec<String> =
            shares.iter().map(|(name, share)| format!("{:.0} % of {name}", 100.0 * share)).collect();
        if shares[0].1 < LEAST_START {
            let problem =
                format!("{}: belongs to other networks: it has {}", path.display(), told.join(", "));
            return Err(TrainError::Checkpoint(problem));
        }
        log::info!("starting from {}: {}", path.display(), told.join(", "));
        self.calibration = self.read_calibration(&|name| saved.find(name));
        self.known = [0, 1, 2].map(|network| shares[network].1 >= WHOLE_START);
        Ok(())
    }

    /// Whether one-step samples can be drawn: the consistency net and the scale it needs are there.
    pub fn has_samples(&self) -> bool {
        self.known == [true; 3]
    }

    /// The averaged weights and the calibration, as one small file to ship, to start from or to export again.
    /// Networks that nobody trained are left out, or they would pass for trained ones.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn save_weights(&self, path: &Path) -> std::io::Result<()> {
        let known = self.trainees().into_iter().zip(self.known).filter(|(_, known)| *known);
        let mut tensors: Vec<(String, Tensor)> =
            known.flat_map(|((name, trainee), _)| trainee.average.tensors(name)).collect();
        tensors.extend(self.calibration_tensors());
        save(path, &tensors)
    }

    /// Takes what [`Parts::save_weights`] wrote at the end of a run.
    ///
    /// # Errors
    /// If it is of other networks, or the `slow` average is asked for, which it lacks.
    pub fn take_finished(&mut self, path: &Path, slow: bool) -> Result<(), TrainError> {
        if slow {
            let problem = "it lacks the slower average, and there is no checkpoint beside it";
            return Err(TrainError::Checkpoint(format!("{}: {problem}", path.display())));
        }
        self.adopt(&Saved::load(path).map_err(TrainError::Checkpoint)?, path)
    }

    /// Makes the slower average the one that is evaluated and exported: of the consistency net, or of a mean
    /// net that is alone. What the consistency net was trained on stays.
    pub fn choose_slow_average(&mut self) {
        let last = if self.has_samples() { &mut self.sampler.trainee } else { &mut self.mean };
        last.choose_slow_average();
    }

    /// What a stage trains.
    pub fn trainee(&mut self, stage: Stage) -> &mut Trainee {
        match stage {
            Stage::Mean => &mut self.mean,
            Stage::Scale => &mut self.scale,
            Stage::Diffusion | Stage::Consistency | Stage::Adversarial => &mut self.sampler.trainee,
        }
    }

    /// After a step of the optimiser: a target's own average follows here, and the critic's step.
    pub fn after_step(&mut self, run: &RunPlan, stage: Stage, progress: f64) {
        self.known[match stage {
            Stage::Mean => 0,
            Stage::Scale => 1,
            Stage::Diffusion | Stage::Consistency | Stage::Adversarial => 2,
        }] = true;
        match (stage, &mut self.adversary) {
            (Stage::Consistency, _) => self.sampler.follow(&run.method, progress),
            (Stage::Adversarial, Some(adversary)) => adversary.step(run.micro_batches, progress),
            _ => {}
        }
    }

    /// Everything needed to go on, by name.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.mean.state("mean");
        tensors.extend(self.scale.state("scale"));
        tensors.extend(self.sampler.state("sampler"));
        tensors.extend(self.adversary.iter().flat_map(Adversary::state));
        tensors.extend(self.calibration_tensors());
        tensors.push((KNOWN.into(), Tensor::from_slice(&self.known.map(i64::from))));
        tensors
    }

    /// Takes back what [`Parts::state`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or belongs to another network.
    pub fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        self.mean.restore("mean", find)?;
        self.scale.restore("scale", find)?;
        self.sampler.restore("sampler", find)?;
        self.adversary.iter_mut().try_for_each(|adversary| adversary.restore(find))?;
        self.calibration = self.read_calibration(find);
        let known = find(KNOWN).and_then(|known| Vec::<i64>::try_from(known).ok());
        self.known = known
            .and_then(|known| known.try_into().ok())
            .map_or([true; 3], |known: [i64; 3]| known.map(|known| known > 0));
        Ok(())
    }

    /// What is trained, by the names it has in files.
    fn trainees(&self) -> [(&'static str, &Trainee); 3] {
        [("mean", &self.mean), ("scale", &self.scale), ("sampler", &self.sampler.trainee)]
    }

    fn calibration_tensors(&self) -> Vec<(String, Tensor)> {
        self.calibration
            .iter()
            .flat_map(|c| {
                [
                    ("opponent".to_owned(), Tensor::from_slice(&c.opponent.rms)),
                    ("feature_mean".to_owned(), c.feature_mean.shallow_clone()),
                    ("feature_std".to_owned(), c.feature_std.shallow_clone()),
                ]
            })
            .collect()
    }

    fn read_calibration(&self, find: &dyn Fn(&str) -> Option<Tensor>) -> Option<Calibration> {
        let rms = Vec::<f64>::try_from(find("opponent")?.to_kind(Kind::Double)).ok()?;
        let rms = <[f64; 3]>::try_from(rms).ok()?;
        let feature_mean = find("feature_mean")?.to_device(self.device);
        let feature_std = find("feature_std")?.to_device(self.device);
        Some(Calibration { opponent: Opponent { rms }, feature_mean, feature_std })
    }
}
