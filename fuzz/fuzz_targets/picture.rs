//! See `properties::picture`.

#![no_main]
#![allow(dead_code, reason = "each target looks at one property")]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(
    // The usual hook ends the process also where a panic is caught; one that is not caught ends it anyway.
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| properties::picture(bytes)
);
