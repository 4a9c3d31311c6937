//! What TensorRT is told, and what makes an engine fit: shapes, options and the key of the cache. Texts only;
//! files are the edge's.

use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::Size;

/// The shapes of all inputs for so many windows, as TensorRT's profiles want them: `image:8x3x192x192,…`.
/// Engines are built for these alone, so the least, the usual and the most are the same.
pub fn profile(card: &ModelCard, tiles: usize, window: Size) -> String {
    let large = window.times(card.scale);
    let mut inputs = vec![("image", 3, window)];
    if card.task == Task::Inpainting {
        inputs.push(("mask", 1, window));
    }
    let one = Size::new(1, 1);
    if card.role == Role::Sample {
        inputs.extend([("noise", 3, large), ("strength", 1, one)]);
    }
    if !card.sources.is_empty() {
        inputs.push(("source", 1, one));
    }
    let shapes = inputs
        .into_iter()
        .map(|(name, c, Size { width, height })| format!("{name}:{tiles}x{c}x{height}x{width}"));
    shapes.collect::<Vec<_>>().join(",")
}

/// Everything that an engine depends on. One that was built for anything else is never loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineKey {
    /// SHA-256 of the model file.
    pub model_sha256: String,
    /// Name and compute capability of the GPU.
    pub gpu: String,
    /// Version of its driver.
    pub driver: String,
    /// Version of TensorRT, as its library's file tells.
    pub tensorrt: String,
    /// As [`profile`] has it.
    pub profile: String,
    /// Whether it computes in 16 bits.
    pub f16: bool,
}

impl EngineKey {
    /// As text, a line for each part; its digest names the folder.
    pub fn to_text(&self) -> String {
        let EngineKey { model_sha256, gpu, driver, tensorrt, profile, f16 } = self;
        format!(
            "model {model_sha256}\ngpu {gpu}\ndriver {driver}\ntensorrt {tensorrt}\nprofile {profile}\n\
             precision {}\n",
            if *f16 { "f16" } else { "f32" }
        )
    }
}

/// Options of the CUDA provider. Convolutions are chosen by heuristics, since a search for each shape takes
/// long and may end otherwise the next time; f32 is f32, not TF32's ten bits. Without TF32 the provider
/// leaves out whatever needs tensor cores, f16 too, so a file in f16 is not told so: there
/// NVIDIA_TF32_OVERRIDE, which `main` sets, keeps what is in f32 exact.
pub fn cuda_options(
    number: u16,
    memory_bytes: Option<u64>,
    precision: Precision,
) -> Vec<(&'static str, String)> {
    let mut options = vec![
        ("device_id", number.to_string()),
        ("arena_extend_strategy", "kSameAsRequested".into()),
        ("cudnn_conv_algo_search", "HEURISTIC".into()),
        ("cudnn_conv_use_max_workspace", "1".into()),
    ];
    if precision != Precision::F16 {
        options.push(("use_tf32", "0".into()));
    }
    // An empty value is refused, so what is not set is left out.
    options.extend(memory_bytes.map(|bytes| ("gpu_mem_limit", bytes.to_string())));
    options
}

/// Options of the TensorRT provider; `folder` keeps engines and timings of one key.
pub fn tensorrt_options(
    number: u16,
    memory_bytes: Option<u64>,
    folder: &str,
    key: &EngineKey,
) -> Vec<(&'static str, String)> {
    let mut options = vec![
        ("device_id", number.to_string()),
        ("trt_engine_cache_enable", "1".into()),
        ("trt_engine_cache_path", folder.to_owned()),
        ("trt_engine_cache_prefix", "onestep".into()),
        ("trt_timing_cache_enable", "1".into()),
        ("trt_timing_cache_path", folder.to_owned()),
        ("trt_fp16_enable", u8::from(key.f16).to_string()),
        ("trt_profile_min_shapes", key.profile.clone()),
        ("trt_profile_opt_shapes", key.profile.clone()),
        ("trt_profile_max_shapes", key.profile.clone()),
    ];
    options.extend(memory_bytes.map(|bytes| ("trt_max_workspace_size", bytes.to_string())));
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tiling::card;
    use contract::source::Source;

    fn key() -> EngineKey {
        EngineKey {
            model_sha256: "feed".into(),
            gpu: "NVIDIA H200 (9.0)".into(),
            driver: "580.95.05".into(),
            tensorrt: "libnvinfer.so.10.16.1".into(),
            profile: "image:8x3x192x192".into(),
            f16: true,
        }
    }

    #[test]
    fn every_input_has_its_shape_in_the_profile() {
        let mean = card(12, 1);
        assert_eq!(profile(&mean, 8, Size::new(192, 160)), "image:8x3x160x192");
        let sample = ModelCard { role: Role::Sample, sources: vec![Source::Clean], ..mean.clone() };
        assert_eq!(
            profile(&sample, 2, Size::new(96, 96)),
            "image:2x3x96x96,noise:2x3x384x384,strength:2x1x1x1,source:2x1x1x1"
        );
        let repair = ModelCard { task: Task::Inpainting, scale: 1, ..mean };
        assert_eq!(profile(&repair, 1, Size::new(64, 64)), "image:1x3x64x64,mask:1x1x64x64");
    }

    #[test]
    fn whatever_an_engine_depends_on_changes_its_key() {
        let text = key().to_text();
        let others = [
            EngineKey { model_sha256: "f00d".into(), ..key() },
            EngineKey { gpu: "NVIDIA L4 (8.9)".into(), ..key() },
            EngineKey { driver: "570.10".into(), ..key() },
            EngineKey { tensorrt: "libnvinfer.so.10.9.0".into(), ..key() },
            EngineKey { profile: "image:4x3x192x192".into(), ..key() },
            EngineKey { f16: false, ..key() },
        ];
        for other in others {
            assert_ne!(other.to_text(), text);
        }
    }

    #[test]
    fn options_are_what_the_providers_read() {
        let cuda = cuda_options(1, Some(1 << 30), Precision::F32);
        assert!(cuda.contains(&("device_id", "1".into())) && cuda.contains(&("use_tf32", "0".into())));
        assert!(cuda.contains(&("gpu_mem_limit", "1073741824".into())));
        assert!(
            cuda_options(0, None, Precision::F32)
                .iter()
                .all(|(key, value)| *key != "gpu_mem_limit" && !value.is_empty())
        );
        assert!(cuda_options(0, None, Precision::F16).iter().all(|(key, _)| *key != "use_tf32"));
        let tensorrt = tensorrt_options(2, None, "/cache/ab", &key());
        for (name, value) in [
            ("device_id", "2"),
            ("trt_engine_cache_path", "/cache/ab"),
            ("trt_timing_cache_path", "/cache/ab"),
            ("trt_fp16_enable", "1"),
            ("trt_profile_min_shapes", "image:8x3x192x192"),
            ("trt_profile_opt_shapes", "image:8x3x192x192"),
            ("trt_profile_max_shapes", "image:8x3x192x192"),
        ] {
            assert!(tensorrt.contains(&(name, value.into())), "{name}");
        }
    }
}
