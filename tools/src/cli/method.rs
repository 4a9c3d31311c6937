//! The options that choose a consistency method and its numbers.

use crate::method::{Method, Solver, cd::Cd, ct::Ct, ect::Ect, ict::Ict};
use clap::{Args, ValueEnum};

/// The methods by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    /// Easy consistency tuning from a diffusion start (Geng et al. 2024).
    Ect,
    /// Consistency training in isolation (Song et al. 2023).
    Ct,
    /// Improved consistency training (Song & Dhariwal 2023).
    Ict,
    /// Consistency distillation of the diffusion stage's net (Song et al. 2023).
    Cd,
}

/// Solvers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SolverName {
    /// First order.
    Euler,
    /// Second order.
    Heun,
}

impl From<SolverName> for Solver {
    fn from(name: SolverName) -> Solver {
        match name {
            SolverName::Euler => Solver::Euler,
            SolverName::Heun => Solver::Heun,
        }
    }
}

/// The method and its numbers; each number belongs to the methods it names.
#[derive(Debug, Clone, Copy, Args)]
pub struct MethodOptions {
    /// How the consistency function is trained.
    #[arg(long, value_enum, default_value = "ect")]
    method: MethodName,
    /// ect: fineness, 1 − r/t is about 1/q (default 16).
    #[arg(long)]
    q: Option<f64>,
    /// ect: stages of q, q², … in equal parts (default 1: q is fixed).
    #[arg(long)]
    ect_stages: Option<u32>,
    /// ct, ict: intervals at the start (default 2, 10).
    #[arg(long)]
    s0: Option<u32>,
    /// ct, ict: intervals at the end (default 150, 1280).
    #[arg(long)]
    s1: Option<u32>,
    /// ct: decay of the target's average at the start (default 0.9).
    #[arg(long)]
    mu0: Option<f64>,
    /// cd: points of the noise grid (default 18).
    #[arg(long)]
    points: Option<usize>,
    /// cd: solver of the teacher's ODE (default heun).
    #[arg(long, value_enum)]
    solver: Option<SolverName>,
    /// cd: decay of the target's average (default 0: the student's own weights).
    #[arg(long)]
    mu: Option<f64>,
}

impl MethodOptions {
    /// The method, every number filled in.
    pub fn resolve(&self) -> Method {
        let from = |value: Option<u32>, default| value.unwrap_or(default);
        match self.method {
            MethodName::Ect => {
                Method::Ect(Ect { q: self.q.unwrap_or(16.0), stages: self.ect_stages.unwrap_or(1) })
            }
            MethodName::Ct => Method::Ct(Ct {
                s0: f64::from(from(self.s0, 2)),
                s1: f64::from(from(self.s1, 150)),
                mu0: self.mu0.unwrap_or(0.9),
            }),
            MethodName::Ict => {
                Method::Ict(Ict { s0: from(self.s0, 10) as usize, s1: from(self.s1, 1280) as usize })
            }
            MethodName::Cd => Method::Cd(Cd {
                points: self.points.unwrap_or(18),
                solver: self.solver.map_or(Solver::Heun, Solver::from),
                mu: self.mu.unwrap_or(0.0),
            }),
        }
    }

    /// Options given that the chosen method does not have, as sentences.
    pub fn problems(&self) -> Vec<String> {
        use MethodName::{Cd, Ct, Ect, Ict};
        let given: [(&str, bool, &[MethodName]); 8] = [
            ("--q", self.q.is_some(), &[Ect]),
            ("--ect-stages", self.ect_stages.is_some(), &[Ect]),
            ("--s0", self.s0.is_some(), &[Ct, Ict]),
            ("--s1", self.s1.is_some(), &[Ct, Ict]),
            ("--mu0", self.mu0.is_some(), &[Ct]),
            ("--points", self.points.is_some(), &[Cd]),
            ("--solver", self.solver.is_some(), &[Cd]),
            ("--mu", self.mu.is_some(), &[Cd]),
        ];
        let strange = given.iter().filter(|(_, given, methods)| *given && !methods.contains(&self.method));
        let chosen = self.method.to_possible_value().map(|value| value.get_name().to_owned());
        strange
            .map(|(name, ..)| format!("{name} is no option of --method {}", chosen.as_deref().unwrap_or("")))
            .collect()
    }
}
