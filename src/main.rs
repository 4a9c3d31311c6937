//! The program: environment, arguments, then the command; its end is an exit code. Knows no meaning of any
//! word.

use onestep::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    // ONNX Runtime reads this when it is loaded, and would otherwise write into $HOME and start an uploader.
    #[expect(
        unsafe_code,
        reason = "the first statement of the program: no other thread can read the environment yet"
    )]
    unsafe {
        std::env::set_var("ORT_DISABLE_TELEMETRY", "1");
        // CUDA would count the fastest GPU first, nvidia-smi the first on the bus.
        if std::env::var_os("CUDA_DEVICE_ORDER").is_none() {
            std::env::set_var("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        }
        // f32 is f32, also where a library is free to round to the ten bits of TF32 (docs/gpu.md).
        if std::env::var_os("NVIDIA_TF32_OVERRIDE").is_none() {
            std::env::set_var("NVIDIA_TF32_OVERRIDE", "0");
        }
    }
    ExitCode::from(onestep::command::main(cli::parse()) as u8)
}
