//! What makes a recipe impossible: every problem as a sentence, all at once.

use super::{GeneratorRecipe, InpaintRecipe, Recipe, RunPlan, Stage};
use crate::data::Mix;
use crate::method::Method;
use crate::net::MeanConfig;
use crate::net::repair::MULTIPLE;

/// Pairs nearer than this say nothing but rounding in f32.
const FINEST: f64 = 1024.0;
/// What later stages lack.
const NEEDS_START: &str =
    "the later stages need a mean net and a local scale: train them too, or give --init-from";

/// What later stages would build on that is no longer so.
const NEEDS_SCALE: &str =
    "the mean net moves, and the local scale that later stages build on is of the former one: add scale";
/// What distillation lacks.
const NEEDS_DENOISER: &str =
    "consistency distillation (--method cd) follows a denoiser, which no file keeps: add diffusion";

/// Every problem of the stages of super-resolution and repair.
fn of_stages(run: &RunPlan) -> Vec<String> {
    let trains = |stage| run.stages.iter().any(|plan| plan.stage == stage);
    let later = [Stage::Diffusion, Stage::Consistency, Stage::Adversarial].map(trains).contains(&true);
    let distils = matches!(run.method, Method::Cd(_)) && trains(Stage::Consistency);
    let problems = [
        (trains(Stage::Mean) && later && !trains(Stage::Scale), NEEDS_SCALE),
        (distils && !trains(Stage::Diffusion), NEEDS_DENOISER),
    ];
    problems.into_iter().filter(|(is_so, _)| *is_so).map(|(_, problem)| problem.into()).collect()
}

/// Every problem of what all runs have.
fn of_run(run: &RunPlan) -> Vec<String> {
    let mut problems = of_method(&run.method);
    if run.batch == 0 || run.micro_batches == 0 {
        problems.push("a batch needs at least one picture, a step at least one batch".into());
    }
    if run.stages.iter().any(|plan| !(0.0..1.0).contains(&plan.head_start)) {
        problems.push("a head start is a share of its stage: from 0 to below 1".into());
    }
    if run.stages.is_empty() {
        problems.push("no stage has any steps: nothing would be trained".into());
    }
    for levels in [&run.diffusion, &run.consistency] {
        if !(levels.sigma_min > 0.0 && levels.sigma_min < levels.sigma_max && levels.sigma_data > 0.0) {
            problems.push(format!(
                "noise levels from {} to {} with σ_data {} are not 0 < σ_min < σ_max, σ_data > 0",
                levels.sigma_min, levels.sigma_max, levels.sigma_data
            ));
        }
    }
    problems
}

/// Every problem of a method's numbers.
fn of_method(method: &Method) -> Vec<String> {
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    match *method {
        Method::Ect(ect) => {
            let finest = ect.q.powi(i32::try_from(ect.stages).unwrap_or(i32::MAX));
            must(ect.q > 1.0, format!("--q {} is not above 1: r would not come near t", ect.q));
            must(ect.stages > 0, "--ect-stages 0: at least one is needed".into());
            must(
                ect.stages == 0 || finest <= FINEST,
                format!("--q {} in {} stages: 1 − r/t would fall below 1/{FINEST:.0}", ect.q, ect.stages),
            );
        }
        Method::Ct(ct) => {
            must(
                ct.s0 >= 1.0 && ct.s1 > ct.s0,
                format!("--s0 {} --s1 {}: 1 ≤ s0 < s1 must hold", ct.s0, ct.s1),
            );
            must(ct.mu0 > 0.0 && ct.mu0 < 1.0, format!("--mu0 {} is not between 0 and 1", ct.mu0));
        }
        Method::Ict(ict) => {
            must(
                ict.s0 >= 1 && ict.s1 > ict.s0,
                format!("--s0 {} --s1 {}: 1 ≤ s0 < s1 must hold", ict.s0, ict.s1),
            );
        }
        Method::Cd(cd) => {
            must(cd.points > 1, format!("--points {}: a grid has at least two", cd.points));
            must((0.0..1.0).contains(&cd.mu), format!("--mu {} is not in [0, 1)", cd.mu));
        }
    }
    problems
}

impl Recipe {
    /// Every reason why this cannot be trained; none is well.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut problems = of_run(&self.run);
        if self.patch <= 2 * self.border {
            problems.push(format!(
                "patches of {} pixels have nothing left inside a border of {}",
                self.patch, self.border
            ));
        }
        let Mix { photo, heavy } = self.mix;
        if !(photo >= 0.0 && heavy >= 0.0 && photo + heavy <= 1.0) {
            problems.push(format!("--mix {photo},{heavy}: shares of at least 0 that sum to at most 1"));
        }
        let MeanConfig { channels, blocks, .. } = self.mean;
        if channels < 1 || blocks < 1 {
            problems.push(format!("a mean net of {blocks} blocks of {channels} channels computes nothing"));
        }
        let trains = |stage| self.run.stages.iter().any(|plan| plan.stage == stage);
        problems.extend(of_stages(&self.run));
        let lacks_start = self.run.init_from.is_none() && !self.mean_only();
        if lacks_start && !(trains(Stage::Mean) && trains(Stage::Scale)) {
            problems.push(NEEDS_START.into());
        }
        problems
    }
}

impl InpaintRecipe {
    /// Every reason why this cannot be trained; none is well.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut problems = of_run(&self.run);
        if self.patch == 0 || !self.patch.is_multiple_of(MULTIPLE) {
            problems.push(format!("patches of {} pixels are no multiple of {MULTIPLE}", self.patch));
        }
        if self.hole_px == 0 || self.hole_px > self.patch {
            problems.push(format!(
                "holes of {} pixels in one evaluation, where patches have {}: 1 to that",
                self.hole_px, self.patch
            ));
        }
        let trains = |stage| self.run.stages.iter().any(|plan| plan.stage == stage);
        problems.extend(of_stages(&self.run));
        let later = !self.mean_only() && self.run.init_from.is_none();
        if later && !(trains(Stage::Mean) && trains(Stage::Scale)) {
            problems.push(NEEDS_START.into());
        }
        problems
    }
}

impl GeneratorRecipe {
    /// Every reason why this cannot be trained; none is well.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut problems = of_run(&self.run);
        let diffusion = self.run.stages.iter().any(|plan| plan.stage == Stage::Diffusion);
        if self.run.method.solver().is_some() && !diffusion && self.run.init_from.is_none() {
            problems.push(
                "--method cd follows a teacher, but there is no diffusion stage and no --init-from".into(),
            );
        }
        let smallest = self.net.sides().last().copied().unwrap_or(0);
        if self.net.side % self.net.fold != 0 || smallest < 1 {
            problems.push(format!(
                "pictures of {} pixels cannot be folded by {} and halved {} times",
                self.net.side,
                self.net.fold,
                self.net.widths.len().saturating_sub(1)
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Choices, GeneratorChoices, Preset, RunRecipe};
    use super::*;
    use crate::method::{cd::Cd, ct::Ct, solver::Solver};
    use std::time::Duration;

    #[test]
    fn all_problems_are_told_at_once() {
        let mut choices = Choices::new(Preset::SrX4, "data".into());
        assert_eq!(Recipe::resolve(&choices).problems(), Vec::<String>::new());
        choices.method = Method::Ct(Ct { s0: 9.0, s1: 3.0, mu0: 1.5 });
        choices.micro_batches = 0;
        let mut recipe = Recipe::resolve(&choices);
        (recipe.patch, recipe.border) = (4, 2);
        recipe.run.stages[4].head_start = 1.0;
        assert_eq!(recipe.problems().len(), 5, "{:?}", recipe.problems());
    }

    #[test]
    fn stages_that_build_on_what_is_gone_are_refused() {
        let mut choices = Choices::new(Preset::SrX4, "data".into());
        choices.init_from = Some("weights.safetensors".into());
        let mut problems = |stages: &[Stage], method: Method| {
            (choices.stages, choices.method) = (stages.to_vec(), method);
            Recipe::resolve(&choices).problems()
        };
        let (ect, cd) = (super::super::METHOD, Method::Cd(Cd { points: 18, solver: Solver::Heun, mu: 0.0 }));
        assert_eq!(problems(&[Stage::Mean], ect), Vec::<String>::new());
        assert_eq!(problems(&[Stage::Mean, Stage::Consistency], ect), [NEEDS_SCALE]);
        assert_eq!(problems(&[Stage::Mean, Stage::Scale, Stage::Consistency], ect), Vec::<String>::new());
        assert_eq!(problems(&[Stage::Consistency], cd), [NEEDS_DENOISER]);
        assert_eq!(problems(&[Stage::Diffusion, Stage::Consistency], cd), Vec::<String>::new());
    }

    #[test]
    fn distillation_without_a_teacher_is_refused() {
        let cd = Method::Cd(Cd { points: 18, solver: Solver::Heun, mu: 0.0 });
        let mut choices = GeneratorChoices {
            data: "cifar10".into(),
            init_from: None,
            device: "cpu".into(),
            method: cd,
            budget: Duration::from_secs(60),
            steps: Some([0, 100]),
            micro_batches: 1,
            seed: 1,
        };
        let problems = GeneratorRecipe::resolve(&choices).problems();
        assert!(problems[0].contains("follows a teacher"), "{problems:?}");
        choices.init_from = Some("teacher/weights.safetensors".into());
        assert!(GeneratorRecipe::resolve(&choices).problems().is_empty());
    }
}
