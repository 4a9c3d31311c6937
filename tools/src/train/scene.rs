//! Training one consistency net on one batch: diffusion, the run's consistency method, one-step samples.
//! Knows the truth, where losses count and a network as a closure; nothing of what it is conditioned on.

use super::loss;
use super::student::Student;
use crate::data::Random;
use crate::method::precondition::preconditioned;
use crate::method::{self, Denoiser, Distance, Functions, diffusion, levels_tensor};
use crate::net::Params;
use crate::recipe::RunPlan;
use std::fmt;
use tch::{Kind, Tensor};

/// Residuals, and consistency targets' distance from them, are kept within this many local RMS. The networks
/// have no normalisation layers, and where the scale head expects nothing the truth may lie far outside. A
/// bound on what they see, not the cure of the blow-ups: that was the noise floor (`recipe::LEVELS`).
pub const RESIDUAL_LIMIT: f64 = 8.0;

/// Where losses count.
#[derive(Debug, Clone, Copy)]
pub enum Region<'a> {
    /// All but so many LR pixels at the border.
    Inside(i64),
    /// Where this is 1: holes, folded as the residual is, N×12×H×W.
    Holes(&'a Tensor),
}

impl Region<'_> {
    /// The distance of each sample's `difference` from nothing, N values. Of holes it is told in units of the
    /// holes' own: what is off by one in every hole is one away, however small they are.
    pub fn distance(self, distance: Distance, difference: &Tensor) -> Tensor {
        match self {
            Region::Inside(border) => distance.of(&loss::inner(difference, border)),
            Region::Holes(holes) => distance.of(&(difference * holes)) / distance.of(holes),
        }
    }

    /// Unit noise where there is something to make of it.
    fn noise(self, like: &Tensor) -> Tensor {
        match self {
            Region::Inside(_) => like.randn_like(),
            Region::Holes(holes) => like.randn_like() * holes,
        }
    }
}

/// F(params, c_in·x, σ) under all that a batch tells it.
pub type Network<'a> = &'a dyn Fn(&Params, &Tensor, &Tensor) -> Tensor;

/// What the diffusion and consistency stages see of one batch.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The truth's residual, normalised and folded: what is to be generated.
    pub e: &'a Tensor,
    /// Where losses count.
    pub region: Region<'a>,
    /// The consistency net's body.
    pub network: Network<'a>,
}

impl fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").field("e", &self.e.size()).finish_non_exhaustive()
    }
}

impl Scene<'_> {
    /// Stage B: the mean square of F's error (see [`method::diffusion`]).
    pub fn diffusion_loss(&self, run: &RunPlan, params: &Params, random: &mut Random) -> Tensor {
        let drawn = run.diffusion.lognormal(self.e.size()[0] as usize, random);
        let sigma = levels_tensor(&drawn, self.e.device());
        let noise = self.region.noise(self.e);
        let network = |x: &Tensor, sigma: &Tensor| (self.network)(params, x, sigma);
        let difference = diffusion::difference(&network, self.e, &noise, &sigma, run.diffusion.sigma_data);
        self.region.distance(Distance::MeanSquare, &difference).mean(Kind::Float)
    }

    /// One-step samples of all residuals from fresh noise.
    pub fn one_step(&self, run: &RunPlan, params: &Params) -> Tensor {
        let levels = &run.consistency;
        let sigma = Tensor::full([self.e.size()[0]], levels.sigma_max, (Kind::Float, self.e.device()));
        let network = |x: &Tensor, sigma: &Tensor| (self.network)(params, x, sigma);
        preconditioned(&network, &(self.region.noise(self.e) * levels.sigma_max), &sigma, levels.sigma_data)
    }

    /// Stage C: the run's method. The same noise at t and r, or the teacher's ODE between them.
    pub fn consistency_loss(
        &self,
        run: &RunPlan,
        sampler: &Student,
        progress: f64,
        random: &mut Random,
    ) -> Tensor {
        let pairs = run.method.pairs(&run.consistency, progress, self.e.size()[0] as usize, random);
        let noise = self.region.noise(self.e);
        let data = run.consistency.sigma_data;
        let f = |params: &Params, x: &Tensor, sigma: &Tensor| {
            preconditioned(&|x, sigma| (self.network)(params, x, sigma), x, sigma, data)
        };
        let student = |x: &Tensor, sigma: &Tensor| f(&sampler.trainee.params, x, sigma);
        // The net is its own teacher: an overshoot that becomes a target feeds itself. A posterior sample
        // lies within a few standard deviations of the truth, so targets are kept there.
        let target = |x: &Tensor, sigma: &Tensor| {
            let asked = f(sampler.target(&run.method, progress), x, sigma);
            self.e + (asked - self.e).clamp(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)
        };
        let teacher = |x: &Tensor, sigma: &Tensor| f(sampler.teacher(), x, sigma);
        let functions = Functions {
            student: &student,
            target: &target,
            teacher: run.method.solver().map(|solver| (&teacher as Denoiser<'_>, solver)),
        };
        let difference = method::difference(functions, self.e, &noise, &pairs);
        let weight = levels_tensor(&pairs.weight, self.e.device());
        (self.region.distance(run.distance, &difference) * weight).mean(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Layout;
    use crate::recipe::{InpaintChoices, InpaintRecipe};
    use tch::Device;

    /// Holes of any size weigh the same, and what lies outside of them is not looked at.
    #[test]
    fn a_distance_in_holes_is_that_of_the_holes_alone() {
        let zeros = || Tensor::zeros([2, 12, 14, 14], (Kind::Float, Device::Cpu));
        let holes = zeros();
        drop(holes.narrow(0, 0, 1).narrow(2, 3, 2).fill_(1.0));
        drop(holes.narrow(0, 1, 1).narrow(3, 0, 9).fill_(1.0));
        // Off by a half in holes, by a hundred elsewhere.
        let off = &holes * -99.5 + 100.0;
        for (distance, expected) in
            [(Distance::MeanSquare, 0.25), (Distance::PseudoHuber, 0.5), (Distance::BlockHuber, 0.5)]
        {
            let of =
                Vec::<f64>::try_from(Region::Holes(&holes).distance(distance, &off).to_kind(Kind::Double));
            assert!(of.unwrap().iter().all(|v| (v - expected).abs() < 2e-3), "{distance:?}");
        }
    }

    /// Nothing in a loss depends on what the network says of known pixels.
    #[test]
    fn known_pixels_do_not_matter() {
        let holes = Tensor::zeros([2, 12, 14, 14], (Kind::Float, Device::Cpu));
        drop(holes.narrow(2, 4, 5).fill_(1.0));
        let mut layout = Layout::default();
        layout.linear("unused", 1, 1, 1.0);
        let student = Student::new(&layout, 1, Device::Cpu);
        let choices = InpaintChoices::new("x".into());
        let run = InpaintRecipe::resolve(&choices).run;
        tch::manual_seed(1);
        let e = Tensor::randn([2, 12, 14, 14], (Kind::Float, Device::Cpu)) * &holes;
        let losses = |outside: f64| {
            let network = |_: &Params, x: &Tensor, _: &Tensor| x * 0.3 + (1.0 - &holes) * outside;
            let scene = Scene { e: &e, region: Region::Holes(&holes), network: &network };
            tch::manual_seed(2);
            let diffusion = scene.diffusion_loss(&run, &student.trainee.params, &mut Random::new(&[1]));
            tch::manual_seed(2);
            let consistency = scene.consistency_loss(&run, &student, 0.5, &mut Random::new(&[1]));
            [diffusion, consistency].map(|loss| loss.double_value(&[]))
        };
        let [quiet, loud] = [losses(0.0), losses(50.0)];
        assert_eq!(quiet, loud);
        assert!(quiet.iter().all(|loss| *loss > 0.0));
    }
}
