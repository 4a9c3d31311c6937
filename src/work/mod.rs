//! Pure work: no threads, channels, files, clock or log. Time and bytes are arguments. Imports nothing of
//! `edge` and nothing of `stage`.

pub mod batch;
pub mod canvas;
pub mod jpeg;
pub mod mark;
pub mod naming;
pub mod settle;
