//! The agreement between onestep's trainer and its daemon, and nothing else.
//!
//! It answers six questions: how is a picture cut into tiles ([`geometry`]), what numbers does a pixel
//! become ([`pixels`], [`resample`]), where does the noise of a pixel come from ([`noise`]), what is a model
//! told of a picture ([`source`]), how is a hole repaired ([`mask`], [`repair`]), and what does a model file
//! say about itself ([`card`], [`golden`])? Both sides compute these with this code, so they cannot drift
//! apart.
//!
//! No I/O, no threads, no clock, no knowledge of ONNX, of configuration or of training.

pub mod card;
pub mod geometry;
pub mod golden;
pub mod mask;
pub mod noise;
pub mod pixels;
pub mod repair;
pub mod resample;
pub mod source;
