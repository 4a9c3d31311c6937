//! Pure work: no threads, channels, files, clock or log. Time and bytes are arguments. Imports nothing of
//! `edge` and nothing of `stage`.

pub mod backoff;
pub mod batch;
pub mod batch_size;
pub mod canvas;
pub mod crops;
pub mod death;
pub mod device;
pub mod engine;
pub mod exif;
pub mod file_name;
pub mod footprint;
pub mod format;
pub mod gate;
pub mod ignore;
pub mod iptc;
pub mod jpeg;
pub mod keeping;
pub mod known;
pub mod lacking;
pub mod mark;
pub mod masking;
pub mod naming;
pub mod notice;
pub mod order;
pub mod pixels;
pub mod polled;
pub mod precision;
pub mod repeats;
pub mod settle;
pub mod spread;
pub mod stall;
pub mod tiling;
pub mod told;
pub mod webp;
pub mod xmp;
