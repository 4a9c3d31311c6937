//! The trainer's promises: what may be trained on, that a resumed run is the same run, that what is exported
//! is what was trained, and that a device is a promise.
#![expect(clippy::unwrap_used, reason = "a test may end on what it did not expect")]

mod corpus;
mod device;
mod evaluate;
mod export;
mod generation;
mod inpaint;
mod inspect;
mod killed;
mod quantize;
mod resume;
mod support;
