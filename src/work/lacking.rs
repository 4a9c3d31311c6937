//! What is missing where a GPU does not work, from the words of ONNX Runtime and of the system's loader: a
//! cause that people can do something about. Knows texts only.

const DRIVER: &str = "the NVIDIA driver";
/// Libraries by the beginning of their names, and what they belong to.
pub const LIBRARIES: [(&str, &str); 9] = [
    ("libcuda.so", DRIVER),
    ("libcudart.so", "CUDA"),
    ("libcublas", "cuBLAS, part of CUDA"),
    ("libcurand.so", "cuRAND, part of CUDA"),
    ("libcufft.so", "cuFFT, part of CUDA"),
    ("libcudnn", "cuDNN 9"),
    ("libnvinfer", "TensorRT 10"),
    ("libnvonnxparser", "TensorRT 10"),
    ("libnvrtc", "NVRTC, part of CUDA"),
];

/// The library that a loader's words call missing, and what it belongs to.
pub fn library(reason: &str) -> Option<(&str, &'static str)> {
    // "libcublasLt.so.13: cannot open shared object file: No such file or directory"
    let before =
        reason.split(": cannot open shared object file").next().filter(|b| b.len() < reason.len())?;
    let name = before.rsplit(|c: char| c.is_whitespace() || c == '/').next()?;
    let owner = LIBRARIES.iter().find(|(begin, _)| name.starts_with(begin));
    Some((name, owner.map_or("the system", |(_, owner)| owner)))
}

/// What ONNX Runtime says, without the place in its source and its full stop: it becomes part of a sentence.
pub fn plain(said: &str) -> String {
    let behind = said.rsplit(" : FAIL : ").next().unwrap_or(said);
    behind.trim().trim_end_matches('.').to_owned()
}

/// What to do about a GPU that does not work.
pub fn remedy(reason: &str) -> String {
    let rest = "device cpu runs without a GPU";
    if reason.contains("not enabled in this build") {
        return format!(
            "this ONNX Runtime is built for the processor alone: scripts/fetch-runtime --gpu fetches one for \
             CUDA, and ORT_DYLIB_PATH or [runtime] library names it; {rest}"
        );
    }
    if let Some((name, owner)) = library(reason) {
        if owner == DRIVER {
            return format!("there is no NVIDIA driver here ({name} comes with it): install it; {rest}");
        }
        return format!(
            "{name} ({owner}) was not found in LD_LIBRARY_PATH nor in the system's folders: install it, or \
             name its folder in LD_LIBRARY_PATH before the start; {rest}"
        );
    }
    let words = reason.to_ascii_lowercase();
    let causes = [
        (
            &["no cuda-capable device", "cuda error 100", "invalid device ordinal", "cuda failure 101"][..],
            "CUDA sees no such GPU: nvidia-smi -L lists them, and CUDA_VISIBLE_DEVICES may hide some",
        ),
        (
            &["driver version is insufficient", "cuda failure 35"][..],
            "the driver is older than this CUDA: nvidia-smi tells its version",
        ),
        (
            &["out of memory", "failed to allocate"][..],
            "the GPU has too little free memory: nvidia-smi tells who has it; gpu_memory, batch and \
             window_px in [device] make ours smaller",
        ),
        (
            &["golden tile"][..],
            "the GPU computes something else than the model's maker did: a driver, its memory or a precision \
             is wrong; --precision f32 rules out the last",
        ),
    ];
    let known = causes.iter().find(|(signs, _)| signs.iter().any(|sign| words.contains(sign)));
    let cause = known.map_or("`onestep doctor` tells what is there and what is missing", |(_, cause)| cause);
    format!("{cause}; {rest}")
}

/// Whether an evaluation failed for want of the GPU's memory.
pub fn is_out_of_memory(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    let signs = [
        "out of memory",
        "failed to allocate memory",
        "alloc_failed",
        "allocation_failed",
        "bfcarena",
        "cuda failure 2:",
    ];
    signs.iter().any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADER: &str = "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: \
                          libcublasLt.so.13: cannot open shared object file: No such file or directory";

    #[test]
    fn a_missing_library_is_named_with_what_it_belongs_to() {
        assert_eq!(library(LOADER), Some(("libcublasLt.so.13", "cuBLAS, part of CUDA")));
        let other = "libfoo.so.1: cannot open shared object file: No such file or directory";
        assert_eq!(library(other), Some(("libfoo.so.1", "the system")));
        assert_eq!(library("CUDA failure 100: no CUDA-capable device is detected"), None);
    }

    #[test]
    fn each_cause_has_its_remedy() {
        for (reason, told) in [
            ("CUDA execution provider is not enabled in this build.", "fetch-runtime --gpu"),
            (LOADER, "libcublasLt.so.13 (cuBLAS, part of CUDA) was not found in LD_LIBRARY_PATH"),
            ("libcuda.so.1: cannot open shared object file: No such file", "there is no NVIDIA driver here"),
            ("CUDA failure 100: no CUDA-capable device is detected ; GPU=-1", "nvidia-smi -L"),
            ("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version", "older than"),
            ("its golden tile differs by 2e-1, at most 1e-3 is arithmetic", "--precision f32"),
            ("something else", "onestep doctor"),
        ] {
            let remedy = remedy(reason);
            assert!(remedy.contains(told) && remedy.ends_with("device cpu runs without a GPU"), "{remedy}");
        }
    }

    #[test]
    fn places_in_the_source_are_left_out() {
        let said = "/onnxruntime_src/core/provider_bridge_ort.cc:2043 Get() [ONNXRuntimeError] : 1 : FAIL : \
                    Failed to load library x.so.";
        assert_eq!(plain(said), "Failed to load library x.so");
        assert_eq!(plain("is not enabled in this build."), "is not enabled in this build");
    }

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        for said in [
            "Failed to allocate memory for requested buffer of size 1073741824",
            "CUDA failure 2: out of memory ; GPU=0",
            "CUDNN_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        ] {
            assert!(is_out_of_memory(said), "{said}");
        }
        assert!(!is_out_of_memory("CUDA failure 700: an illegal memory access was encountered"));
    }
}
