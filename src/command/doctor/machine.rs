//! The processor, its memory, and the GPUs with the libraries that they need.

use super::{Findings, State, wants_gpu};
use crate::edge::gpu::GpuMemory;
use crate::edge::{gpu, machine, shared_library};
use crate::plan::{Computing, default_threads};
use crate::work::device::{Devices, Provider};
use crate::work::lacking;

/// What the CUDA provider loads, at its start or at the first convolution (ONNX Runtime 1.31 for CUDA 13).
const CUDA: [&str; 7] = [
    "libcuda.so.1",
    "libcudart.so.13",
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libcurand.so.10",
    "libcufft.so.12",
    "libcudnn.so.9",
];
/// What the TensorRT provider loads besides.
const TENSORRT: [&str; 2] = ["libnvinfer.so.10", "libnvonnxparser.so.10"];

/// Looks at all of it; `built` is whether the runtime could use a GPU.
pub(super) fn look(computing: &Computing, built: Option<bool>, findings: &mut Findings) {
    let (threads, all) = (default_threads(), machine::processors());
    let said = match all {
        Some(all) if all > threads => {
            format!("{threads} of {all}: affinity or the control group's quota leaves no more")
        }
        _ => threads.to_string(),
    };
    findings.push("machine", "cores", (State::Ok, said));
    let int8 = if machine::multiplies_bytes() {
        "int8, which this processor multiplies fast"
    } else {
        "f32: this processor has no fast instructions for bytes (VNNI, dotprod)"
    };
    findings.push("machine", "precision auto on the CPU", (State::Ok, int8.into()));
    if let Some(mb) = machine::memory_mb() {
        findings.push("machine", "memory", (State::Ok, format!("{mb} MB for this process")));
    }
    look_at_gpus(computing, built, findings);
}

fn look_at_gpus(computing: &Computing, built: Option<bool>, findings: &mut Findings) {
    let wanted = wants_gpu(&computing.devices);
    // Where what computes works, the driver may keep to itself what it is: on Jetson it does.
    let lacks = if wanted && findings.absent { State::Bad } else { State::Note };
    let known = gpu::look();
    match &known {
        Err(reason) => {
            findings.push("gpu", "driver", (lacks, reason.clone()));
        }
        Ok(gpus) => {
            let said = format!("{}, serves CUDA up to {}", gpus.driver, gpus.cuda);
            findings.push("gpu", "driver", (State::Ok, said));
            for gpu in &gpus.list {
                let number =
                    gpu.number.map_or_else(|| "hidden".to_owned(), |number| format!("cuda:{number}"));
                let memory = gpu.memory.map_or_else(
                    || "memory not told, so without a limit".to_owned(),
                    |GpuMemory { all_bytes, free_bytes }| {
                        format!("{} of {} MB free", free_bytes / 1_000_000, all_bytes / 1_000_000)
                    },
                );
                let told = match gpu.uuid.as_str() {
                    "" => (State::Note, gpu.name.clone()),
                    uuid => (State::Ok, format!("{}, compute {}, {memory}, {uuid}", gpu.name, gpu.compute)),
                };
                findings.push("gpu", number, told);
            }
        }
    }
    if let Devices::Gpus { gpus, .. } = &computing.devices {
        for gpu in gpus {
            if let Err(reason) = gpu::number(gpu, &known) {
                findings.push("gpu", "device", (State::Bad, reason));
                findings.absent = true;
            }
        }
    }
    // Where neither the runtime nor the driver is for GPUs, a list of what else is missing helps nobody.
    if built != Some(true) && known.is_err() && !wanted {
        return;
    }
    let tensorrt = matches!(computing.devices, Devices::Gpus { provider: Provider::TensorRt, .. });
    for (name, needed) in
        CUDA.map(|name| (name, wanted)).into_iter().chain(TENSORRT.map(|name| (name, tensorrt)))
    {
        match shared_library::find(name) {
            Ok(path) => findings.push("gpu", name, (State::Ok, path.display().to_string())),
            Err(reason) => {
                let owner = lacking::library(&reason).map_or("", |(_, owner)| owner);
                let state = if needed { State::Bad } else { State::Note };
                let said = if owner.is_empty() { reason } else { format!("not found ({owner})") };
                findings.push("gpu", name, (state, said));
            }
        }
    }
}
