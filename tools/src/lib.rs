//! The trainer: from a folder of pictures to ONNX files the daemon accepts. Reads like the order of work:
//! `recipe` resolves what the user chose, `data` makes batches, `net` holds the networks, `train` runs the
//! stages, `export` writes the files, `measure` judges them, and `train_export` is the list of these steps.
//!
//! It shares `contract` with the daemon and nothing else.

pub mod classify;
pub mod cli;
pub mod data;
pub mod device;
pub mod edit;
pub mod evaluate;
pub mod evaluate_generator;
pub mod export;
pub mod gallery;
pub mod generator;
pub mod inspect;
pub mod measure;
pub mod method;
pub mod net;
pub mod onnx;
pub mod plot;
pub mod progress;
pub mod quantize;
pub mod recipe;
pub mod run_folder;
pub mod sample;
pub mod start;
pub mod train;
pub mod train_classifier;
pub mod train_export;
pub mod train_generator;
pub mod train_inpaint;
