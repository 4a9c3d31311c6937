//! Gives the trainer's binaries and tests a run-time path to the unpacked libtorch: torch-sys sets none for
//! its dependents, so without this `cargo test -p tools` could not load it.

fn main() {
    // From target/release (binaries) and target/release/deps (tests) up to the repository root.
    for depth in ["../..", "../../.."] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/{depth}/.runtime/libtorch/lib");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
