//! The promises, a module each. One binary, so that a bare machine links once.
#![expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]

mod answers;
mod bench;
mod chain;
mod choices;
mod cli;
mod config;
mod crash;
mod device;
mod doctor;
mod elsewhere;
mod features;
mod ground;
mod holes;
mod home;
mod hostile;
mod inpaint;
mod ledger;
mod masks;
mod metadata;
mod mirror;
mod model;
mod operating;
mod originals;
mod pipeline;
#[path = "../../fuzz/properties.rs"]
mod properties;
mod run;
mod service;
mod stopping;
mod support;
mod telling;
mod tidy;
mod watching;
