//! onestep: every picture that lands in a folder comes back enlarged, in one network evaluation.
//!
//! The program in one sentence: a picture is sighted, admitted, decoded, cut into tiles, batched, inferred,
//! blended, encoded, committed and recorded; each of these is a thread joined to the next by a bounded
//! channel ([`pipeline`]), and the one [`job::Job`] that travels all the way is settled exactly once.

pub mod board;
pub mod budget;
pub mod cli;
pub mod command;
pub mod config;
pub mod crew;
pub mod edge;
pub mod error;
pub mod flight;
pub mod job;
pub mod pipeline;
pub mod plan;
pub mod pulse;
pub mod stage;
pub mod stop;
pub mod work;
