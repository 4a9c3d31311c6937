//! Which device trains. One binary serves both: libtorch's CUDA part is loaded at run time where it is
//! installed.

use tch::Device;

/// Why the device cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--device cuda was asked for, but {0}. Nothing was trained; use --device cpu or mend CUDA")]
pub struct DeviceError(String);

/// Registers libtorch's CUDA part, if the loader finds one, and returns the device that was named. `cuda` is
/// a promise: it never becomes `cpu` silently.
///
/// # Errors
/// If `cuda` was named and cannot be used.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let loaded = load_cuda();
    if tch::Cuda::is_available() {
        tch::Cuda::cudnn_set_benchmark(true);
        return Ok(Device::Cuda(0));
    }
    Err(DeviceError(match loaded {
        Err(reason) => format!(
            "libtorch_cuda.so cannot be loaded ({reason}); install torch 2.11 and put its lib folder on \
             LD_LIBRARY_PATH"
        ),
        Ok(()) => {
            "libtorch finds no usable CUDA device (is the driver there? does nvidia-smi answer?)".into()
        }
    }))
}

/// Whether convolutions are faster in bf16: on a GPU always; on a CPU they need avx512_bf16, elsewhere they
/// are emulated and several times slower than f32.
pub fn bf16_pays(device: Device) -> bool {
    #[cfg(target_arch = "x86_64")]
    let native = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let native = false;
    device != Device::Cpu || native
}

/// Loading libtorch_cuda.so makes it register its kernels with the libtorch_cpu.so this program is linked to.
#[expect(unsafe_code, reason = "dlopen has no safe form; the library's constructors only register kernels")]
fn load_cuda() -> Result<(), String> {
    // SAFETY: both arguments are valid for the call, and the library is kept for the life of the process.
    unsafe {
        if !libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        let message = libc::dlerror();
        if message.is_null() {
            return Err("no reason given".into());
        }
        Err(std::ffi::CStr::from_ptr(message).to_string_lossy().into_owned())
    }
}
