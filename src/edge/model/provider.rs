//! ONNX Runtime's GPU providers, with their options: all that names one. CUDA is on its way out of ONNX
//! Runtime into a library of its own (`register_ep_library`); then this file changes, and no other.

use crate::work::device::Provider;
use ort::ep::{
    ArbitrarilyConfigurableExecutionProvider, CUDA, ExecutionProvider, ExecutionProviderDispatch, TensorRT,
};

/// Options as keys and values ([`crate::work::engine`]).
pub(super) type Options = Vec<(&'static str, String)>;

/// CUDA, or an error.
pub(super) fn cuda(options: &Options) -> ExecutionProviderDispatch {
    // Without `error_on_failure` a session is silently made on the processor.
    with(CUDA::default(), options).build().error_on_failure()
}

/// TensorRT, or an error.
pub(super) fn tensorrt(options: &Options) -> ExecutionProviderDispatch {
    with(TensorRT::default(), options).build().error_on_failure()
}

/// What profiles call it.
pub(super) fn name(provider: Provider) -> &'static str {
    match provider {
        Provider::Cuda => CUDA::NAME,
        Provider::TensorRt => TensorRT::NAME,
    }
}

fn with<P: ArbitrarilyConfigurableExecutionProvider>(provider: P, options: &Options) -> P {
    options.iter().fold(provider, |provider, (key, value)| provider.with_arbitrary_config(key, value))
}

/// Whether this ONNX Runtime was built with CUDA and with TensorRT: not whether they work.
pub(super) fn compiled_in() -> [(Provider, bool); 2] {
    let has = |is: ort::Result<bool>| is.unwrap_or(false);
    [(Provider::Cuda, has(CUDA::is_available())), (Provider::TensorRt, has(TensorRT::is_available()))]
}
