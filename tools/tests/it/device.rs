//! A named device is a promise.

use std::process::Command;

/// `--device cuda` on a machine without CUDA is an error that says so, and nothing is trained.
#[test]
fn cuda_that_is_not_there_is_an_error_and_never_a_cpu_run() {
    if tch::Cuda::is_available() || std::path::Path::new("/dev/nvidiactl").exists() {
        return; // The promise can be kept here; training on it is tested where it is used.
    }
    let runs = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_tools"))
        .args(["train-export", "sr-x4", "--device", "cuda", "--budget", "5s", "--data"])
        .arg(crate::support::samples())
        .arg("--out")
        .arg(runs.path().join("models"))
        .arg("--runs")
        .arg(runs.path().join("runs"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("--device cuda was asked for, but"), "{said}");
    assert!(said.contains("libtorch_cuda.so"), "{said}");
    assert!(!runs.path().join("models").exists());
}
