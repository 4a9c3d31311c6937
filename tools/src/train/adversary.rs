//! The adversarial stage: the energy score of one-step samples, and the critic, which learns to tell them
//! from the truth while the consistency net learns to be taken for it. Knows what a batch's residuals look
//! like (`Sight`), not which network made them.

use super::loss;
use super::optimiser::{AdamOptions, Trainee, take_back};
use super::parts::Calibration;
use super::schedule;
use crate::data::Random;
use crate::net::{CRITIC_PLANES, Critic};
use tch::{Device, Kind, Tensor};

/// What the critic's opinion counts beside the energy score.
const OPINION: f64 = 1.0;
/// The critic's numbers for Adam. Both sides' first moments are short, since each is the other's moving aim.
const ADAM: AdamOptions = AdamOptions {
    learning_rate: 4e-4,
    beta1: 0.5,
    beta2: 0.99,
    clip: 10.0,
    ema: [0.999, 0.999],
    rectified: false,
};
/// Steps over which the critic's rate rises.
const WARMUP: u64 = 50;
/// The critic's loss where it knows nothing: softplus(0) at each of three sizes.
const IGNORANCE: f64 = 3.0 * std::f64::consts::LN_2;
/// The critic's loss from which on it learns at its full rate, and at which it waits for the sampler: one
/// that is far ahead pushes samples to extremes, one that knows nothing teaches noise. Best was what samplers
/// became at 1.3 to 1.5 (models/HISTORY.md).
const PACE: (f64, f64) = (1.5, 1.1);
/// What of the recent loss's average stays at a step, and steps between two looks at it, since looking waits
/// for the device.
const RECENT: f64 = 0.9;
const PACED_EVERY: u64 = 8;
/// Standard deviation of what the critic's verdict must not change for, in units of the planes it sees, and
/// the weight of that change's square. In the limit the penalty of R1 (Mescheder et al. 2018) on the
/// gradient's square, at the truth and at samples, without second derivatives (Lin et al. 2025, *Diffusion
/// Adversarial Post-Training*, section 3.3).
const TREMOR: f64 = 0.1;
const STEADINESS: f64 = 50.0;
/// Steps of which one looks at that, for all of them: it costs as much as the rest.
const STEADIED_EVERY: u64 = 4;
/// Standard deviation, in shares of the range of pictures, of noise that hides from the critic that the truth
/// was rounded to 8 bits.
const ROUNDING: f64 = 0.5 / 255.0;

/// One look at the residuals of a batch, which are normalised and folded, N×3s²×H×W.
#[derive(Debug)]
pub struct Sight<'a> {
    /// What was measured of residuals.
    pub calibration: &'a Calibration,
    /// What residuals are added to, folded.
    pub mean: Tensor,
    /// The local scale of each opponent plane, folded.
    pub scale: &'a Tensor,
    /// 1 where there is something to be made, for each plane, folded.
    pub holes: Tensor,
    /// s.
    pub factor: i64,
    /// Folded pixels at the border that are not looked at.
    pub border: i64,
    /// Pixels (down, right) by which pictures begin later: were it always the same, samples would learn the
    /// raster of folding.
    pub offset: [i64; 2],
    /// Precision of the critic's body.
    pub bf16: bool,
}

impl Sight<'_> {
    /// An offset for pictures folded by `factor`.
    pub fn offset(factor: i64, random: &mut Random) -> [i64; 2] {
        [(); 2].map(|()| random.below(factor as usize) as i64)
    }

    /// Energy score of two samples against the truth e. Residuals count in RGB units, as they will be seen:
    /// the colour basis is orthonormal, so norms need only each plane's own size.
    fn energy_score(&self, [a, b]: [&Tensor; 2], e: &Tensor) -> Tensor {
        let opponent = &self.calibration.opponent;
        let planes = self.planes(opponent.rms.map(|rms| rms / opponent.residual_rms()));
        let sizes = self.scale * planes;
        let seen = |folded: &Tensor| loss::moved(&loss::inner(folded, self.border), self.factor, self.offset);
        let weight = seen(&self.holes).mean_dim(&[1i64][..], true, Kind::Float);
        let [a, b, e] = [a, b, e].map(|normalised| seen(&(normalised * &sizes)));
        loss::energy_score(&a, &b, &e, self.factor, &weight)
    }

    /// What the critic is shown, N×10×rows×columns at the large size: the residual of the picture that comes
    /// of it, the mean, the residual in units of the local scale, where flat surfaces are as loud as edges,
    /// and where there is one.
    fn shown(&self, normalised: &Tensor) -> Tensor {
        let (factor, opponent) = (self.factor, &self.calibration.opponent);
        let added = opponent.restore(&(normalised * self.scale), factor) * &self.holes;
        let picture = (&self.mean + added).clamp(0.0, 1.0) + self.mean.randn_like() * ROUNDING;
        let residual = (picture - &self.mean) * &self.holes;
        let planes = self.planes(opponent.rms);
        // Where nothing is expected, rounding would be loudest.
        let sizes = self.scale * &planes + 2.0 * ROUNDING;
        let local = opponent.normalise(&residual, factor) * planes / sizes;
        let hole = self.holes.narrow(1, 0, factor * factor).shallow_clone();
        let all = [residual / opponent.residual_rms(), &self.mean - 0.5, local, hole]
            .map(|planes| loss::inner(&planes, self.border).pixel_shuffle(factor));
        let large = Tensor::cat(&all, 1);
        let (size, [down, right]) = (large.size(), self.offset);
        large.narrow(2, down, size[2] - factor).narrow(3, right, size[3] - factor)
    }

    /// One value for each of the three planes, as folded planes.
    fn planes(&self, values: [f64; 3]) -> Tensor {
        let planes = Tensor::from_slice(&values).to_kind(Kind::Float).to_device(self.mean.device());
        planes.repeat_interleave_self_int(self.factor * self.factor, 0, None::<i64>).view([1, -1, 1, 1])
    }
}

/// The critic in training.
#[derive(Debug)]
pub struct Adversary {
    critic: Critic,
    trainee: Trainee,
    step: u64,
    /// Running average of its loss.
    recent: Tensor,
    /// Share of its rate at which it learns, by [`PACE`].
    pace: f64,
    /// Of its latest step, without the penalty.
    preference: Option<Tensor>,
}

impl Adversary {
    /// One that knows nothing.
    pub fn new(seed: u64, device: Device) -> Adversary {
        let (critic, layout) = Critic::new();
        let trainee = Trainee::new(layout.init(seed, device));
        let recent = Tensor::full([1], IGNORANCE, (Kind::Float, device));
        Adversary { critic, trainee, step: 0, recent, pace: 1.0, preference: None }
    }

    /// What two one-step samples of the same pictures are short of: their energy score against the truth, and
    /// what the critic, which learns from one of them, has against that.
    pub fn loss(&mut self, sight: &Sight<'_>, e: &Tensor, [a, b]: [&Tensor; 2]) -> Tensor {
        self.learn(sight, e, &a.detach());
        sight.energy_score([a, b], e) + self.opinion(sight, e, a) * OPINION
    }

    /// The critic's own step, after it learned from so many batches.
    pub fn step(&mut self, batches: usize, progress: f64) {
        let gradient = self.trainee.take_gradient(batches);
        if let Some(preference) = &self.preference {
            self.recent = &self.recent * RECENT + preference * (1.0 - RECENT);
        }
        if self.step.is_multiple_of(PACED_EVERY) {
            self.pace = pace(self.recent.double_value(&[0]));
        }
        let rate = ADAM.learning_rate * schedule::learning_rate(progress, self.step, WARMUP, 0.0) * self.pace;
        self.trainee.step(&ADAM, rate, self.step, gradient, false);
        self.step += 1;
    }

    /// The critic's loss on the latest batch, 2.08 where it knows nothing. Reading it waits for the
    /// device.
    pub fn preference(&self) -> Option<f64> {
        self.preference.as_ref().map(|loss| loss.double_value(&[]))
    }

    /// The gradient of what teaches the critic to prefer the truth to a sample of the same picture,
    /// softplus(D(sample) − D(truth)) at each place (relativistic pairs, Jolicoeur-Martineau 2019; with
    /// penalties on both, Huang et al. 2024), and to be steady.
    fn learn(&mut self, sight: &Sight<'_>, truth: &Tensor, sample: &Tensor) {
        let both = tch::no_grad(|| Tensor::cat(&[sight.shown(truth), sight.shown(sample)], 0));
        let params = &self.trainee.params;
        let verdicts = self.critic.forward(params, &both, sight.bf16);
        let preference = sum(verdicts.iter().map(|verdict| {
            let halves = verdict.chunk(2, 0);
            over_holes(&(&halves[1] - &halves[0]).softplus(), &both.chunk(2, 0)[0])
        }));
        let unsteady = self.step.is_multiple_of(STEADIED_EVERY).then(|| {
            let shaken = self.critic.forward(params, &(&both + tremor(&both)), sight.bf16);
            let pairs = verdicts.iter().zip(&shaken);
            sum(pairs.map(|(calm, shaken)| over_holes(&(calm - shaken).square(), &both)))
        });
        self.preference = Some(preference.detach());
        let loss = match unsteady {
            Some(unsteady) => preference + unsteady * (STEADINESS * STEADIED_EVERY as f64),
            None => preference,
        };
        loss.backward();
    }

    /// What a sample loses by being told from the truth: the critic's loss with the places changed.
    fn opinion(&self, sight: &Sight<'_>, truth: &Tensor, sample: &Tensor) -> Tensor {
        // A copy: gradients go through the critic's weights, not into them.
        let weights = self.trainee.params.duplicate();
        let truth = tch::no_grad(|| self.critic.forward(&weights, &sight.shown(truth), sight.bf16));
        let shown = sight.shown(sample);
        let sample = self.critic.forward(&weights, &shown, sight.bf16);
        let pairs = sample.iter().zip(&truth);
        sum(pairs.map(|(sample, truth)| over_holes(&(truth - sample).softplus(), &shown)))
    }

    /// Everything needed to go on, by name. Its averages are nobody's.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.trainee.state("critic");
        state.retain(|(name, _)| !name.ends_with("average"));
        state.push((STEP.into(), Tensor::from_slice(&[self.step as i64])));
        let standing = [self.recent.double_value(&[0]), self.pace];
        state.push((STANDING.into(), Tensor::from_slice(&standing)));
        state
    }

    /// Takes back what [`Adversary::state`] gave.
    ///
    /// # Errors
    /// Names the tensor that is missing or belongs to another network.
    pub fn restore(&mut self, find: &dyn Fn(&str) -> Option<Tensor>) -> Result<(), String> {
        let (step, standing) = (Tensor::from_slice(&[0i64]), Tensor::from_slice(&[0.0f64; 2]));
        for (name, tensor) in self.state() {
            let into = match name.as_str() {
                STEP => step.shallow_clone(),
                STANDING => standing.shallow_clone(),
                _ => tensor,
            };
            take_back(&name, into, find)?;
        }
        self.step = step.int64_value(&[0]) as u64;
        drop(self.recent.fill_(standing.double_value(&[0])));
        self.pace = standing.double_value(&[1]);
        Ok(())
    }
}

/// The names in checkpoints of its step, and of its recent loss and pace.
const STEP: &str = "critic.step";
const STANDING: &str = "critic.standing";

/// The share of its rate at which a critic learns whose loss was `recent`.
fn pace(recent: f64) -> f64 {
    let (full, none) = PACE;
    ((recent - none) / (full - none)).clamp(0.0, 1.0)
}

/// Noise on the residuals that are shown, where there are any.
fn tremor(shown: &Tensor) -> Tensor {
    let [residual, mean, local, hole] = CRITIC_PLANES;
    let noise = shown.randn_like() * TREMOR * shown.narrow(1, residual + mean + local, hole);
    for (begin, planes) in [(residual, mean), (residual + mean + local, hole)] {
        drop(noise.narrow(1, begin, planes).fill_(0.0));
    }
    noise
}

/// The mean of N×1×H×W over what is to be made in each picture, then over pictures: a place counts by the
/// share of holes in what is `shown` there.
fn over_holes(values: &Tensor, shown: &Tensor) -> Tensor {
    let (size, last) = (values.size(), shown.size()[1] - 1);
    let weight = shown.narrow(1, last, 1).adaptive_avg_pool2d([size[2], size[3]]);
    let total = |x: Tensor| x.sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float);
    (total(values * &weight) / total(weight).clamp_min(1e-3)).mean(Kind::Float)
}

fn sum(terms: impl Iterator<Item = Tensor>) -> Tensor {
    terms.reduce(|sum, term| sum + term).expect("the critic gives verdicts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Opponent;

    const SHAPE: [i64; 4] = [4, 12, 24, 24];

    /// Residuals of RMS 0.1 in the left half of grey pictures.
    fn with_sight<T>(offset: [i64; 2], see: impl FnOnce(&Sight<'_>) -> T) -> T {
        let nothing = || Tensor::zeros([1, 1, 1, 1], (Kind::Float, Device::Cpu));
        let opponent = Opponent { rms: [0.1; 3] };
        let calibration = Calibration { opponent, feature_mean: nothing(), feature_std: nothing() };
        let scale = Tensor::ones(SHAPE, (Kind::Float, Device::Cpu));
        let holes = scale.copy();
        drop(holes.narrow(3, 12, 12).fill_(0.0));
        let mean = &scale * 0.5;
        let (calibration, scale) = (&calibration, &scale);
        see(&Sight { calibration, mean, scale, holes, factor: 2, border: 0, offset, bf16: false })
    }

    fn grain() -> Tensor {
        Tensor::randn(SHAPE, (Kind::Float, Device::Cpu))
    }

    /// Against truth that is grain, a sample of nothing comes to be told from it, grain does not; and only
    /// what stands in holes is looked at.
    #[test]
    fn a_critic_comes_to_prefer_the_truth() {
        tch::set_num_threads(1);
        tch::manual_seed(1);
        let mut adversary = Adversary::new(1, Device::Cpu);
        with_sight([0, 1], |sight| {
            let smooth = grain() * 0.0;
            let opinion = |adversary: &Adversary, sample: &Tensor| {
                tch::manual_seed(7);
                adversary.opinion(sight, &grain(), sample).double_value(&[])
            };
            let before = opinion(&adversary, &smooth);
            for step in 0..60 {
                adversary.learn(sight, &grain(), &smooth);
                adversary.step(1, f64::from(step) / 200.0);
            }
            let (of_nothing, of_grain) = (opinion(&adversary, &smooth), opinion(&adversary, &grain()));
            assert!(
                of_nothing > 2.0 * before && of_nothing > 1.5 * of_grain,
                "{before} {of_nothing} {of_grain}"
            );
            assert!(adversary.preference().is_some_and(|loss| loss < 0.5 * before));
            let elsewhere = smooth.copy();
            drop(elsewhere.narrow(3, 12, 12).fill_(9.0));
            assert_eq!(opinion(&adversary, &elsewhere), of_nothing);
        });
    }

    /// Against samples that anyone could tell, a critic learns until it is ahead, and then waits.
    #[test]
    fn a_critic_that_is_ahead_waits() {
        tch::set_num_threads(1);
        tch::manual_seed(1);
        let mut adversary = Adversary::new(1, Device::Cpu);
        with_sight([0, 1], |sight| {
            let mut lessons = |steps: std::ops::Range<u32>| {
                for step in steps {
                    adversary.learn(sight, &grain(), &(grain() * 0.0));
                    adversary.step(1, f64::from(step) / 1000.0);
                }
                adversary.trainee.params.flat().copy()
            };
            let [begun, ahead, later] = [0..1, 1..100, 100..130].map(&mut lessons);
            assert!(begun != ahead, "it learns");
            assert!(ahead == later, "it waits");
            assert!(adversary.preference().is_some_and(|loss| loss < 1.1) && adversary.pace == 0.0);
        });
        assert_eq!(
            [2.08, 1.5, 1.3, 1.1, 0.2].map(|recent| (100.0 * pace(recent)).round()),
            [100.0, 100.0, 50.0, 0.0, 0.0]
        );
    }

    /// Gradients reach both samples by the energy score and one of them by the critic's opinion too, and none
    /// of them the critic's weights.
    #[test]
    fn opinions_reach_samples_and_not_the_critic() {
        tch::set_num_threads(1);
        let mut adversary = Adversary::new(1, Device::Cpu);
        with_sight([1, 0], |sight| {
            let size = |x: &Tensor| x.abs().sum(Kind::Float).double_value(&[]);
            let mut gradients = |heard: bool| {
                tch::manual_seed(3);
                let truth = grain();
                let [a, b] = [grain(), grain()].map(|sample| sample.set_requires_grad(true));
                if heard {
                    adversary.loss(sight, &truth, [&a, &b]).backward();
                } else {
                    adversary.learn(sight, &truth, &a.detach());
                    sight.energy_score([&a, &b], &truth).backward();
                }
                // The critic's own lesson; without it nothing would be left.
                let lesson = adversary.trainee.take_gradient(1).0;
                (lesson, [a, b].map(|sample| sample.grad()))
            };
            let (lesson, [a, b]) = gradients(false);
            let (same, [heard, still]) = gradients(true);
            assert_eq!((lesson, &b), (same, &still));
            // In patches that have to do with holes.
            assert!(size(&b) > 0.0 && size(&b.narrow(3, 16, 8)) == 0.0);
            let (a, b, e) = (size(&a), size(&b), size(&(heard - &a)));
            assert!((a / b - 1.0).abs() < 0.1 && e > 0.0, "{a} {b} {e}");
        });
    }

    /// Pictures tremble where a residual is shown, not in the mean, the holes or what is known.
    #[test]
    fn only_residuals_tremble() {
        tch::manual_seed(4);
        let noise = with_sight([0, 0], |sight| tremor(&sight.shown(&grain())));
        let std = |x: Tensor| x.std(true).double_value(&[]);
        let hole = |begin, planes| noise.narrow(1, begin, planes).narrow(3, 0, 24);
        for begin in [0, 6] {
            let std = std(hole(begin, 3));
            assert!((std / TREMOR - 1.0).abs() < 0.05, "{std}");
        }
        assert_eq!((std(hole(3, 3)), std(hole(9, 1)), std(noise.narrow(3, 24, 22))), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_critic_comes_back_as_it_was() {
        tch::set_num_threads(1);
        tch::manual_seed(5);
        let (mut one, mut other) = (Adversary::new(1, Device::Cpu), Adversary::new(2, Device::Cpu));
        with_sight([1, 1], |sight| {
            let learn = |adversary: &mut Adversary, seed: i64| {
                tch::manual_seed(seed);
                adversary.learn(sight, &grain(), &(grain() * 0.3));
                adversary.step(1, 0.1);
                adversary.preference()
            };
            let lessons: Vec<_> = (0..3).map(|seed| learn(&mut one, seed)).collect();
            assert!(lessons.iter().all(Option::is_some));
            let state: std::collections::BTreeMap<String, Tensor> = one.state().into_iter().collect();
            let state: std::collections::BTreeMap<String, Tensor> =
                state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
            other.restore(&|name| state.get(name).map(Tensor::shallow_clone)).unwrap();
            // Steps 4 and 5, of which the first looks at steadiness.
            assert_eq!([4, 5].map(|seed| learn(&mut one, seed)), [4, 5].map(|seed| learn(&mut other, seed)));
            let refused = other.restore(&|name| state.get(name).filter(|_| name != STEP).map(Tensor::copy));
            assert!(refused.unwrap_err().contains(STEP));
        });
    }
}
