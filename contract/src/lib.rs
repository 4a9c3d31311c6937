//! The agreement between onestep's trainer and its daemon, and nothing else.
//!
//! It answers four questions: how is a picture cut into tiles ([`geometry`]), what numbers does a pixel
//! become ([`pixels`], [`resample`], [`source`]), where does the noise of a pixel come from ([`noise`]), and
//! what does a model file say about itself ([`card`])? Both sides compute these with this code, so they
//! cannot drift apart.
//!
//! No I/O, no threads, no clock, no knowledge of ONNX, of configuration or of training.

pub mod card;
pub mod geometry;
pub mod golden;
pub mod noise;
pub mod pixels;
pub mod resample;
pub mod source;
