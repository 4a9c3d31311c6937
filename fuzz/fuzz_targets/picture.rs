//! See `properties::picture`.

#![no_main]
#![allow(dead_code, reason = "each target looks at one property")]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::picture(bytes));
