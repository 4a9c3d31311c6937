//! The words for where networks run: what may be asked for, and what it came to. Knows no runtime.

use std::fmt;
use std::str::FromStr;

/// What a device may be called, for messages.
const WORDS: &str = "a device is auto, cpu, cuda, cuda:N, tensorrt or tensorrt:N, where N is a number or \
                     GPU-UUID as nvidia-smi -L tells them; several GPUs with commas between them";

/// Where a network really runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The CUDA device of this number, by ONNX Runtime's CUDA provider.
    Cuda(u16),
    /// The same by its TensorRT provider.
    TensorRt(u16),
}

impl Device {
    /// Whether it is no processor.
    pub fn is_gpu(self) -> bool {
        self != Device::Cpu
    }

    /// Number of the GPU.
    pub fn number(self) -> Option<u16> {
        match self {
            Device::Cpu => None,
            Device::Cuda(number) | Device::TensorRt(number) => Some(number),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
            Device::TensorRt(number) => write!(f, "tensorrt:{number}"),
        }
    }
}

/// Several devices as one word, for marks and messages.
pub fn joined(devices: &[Device]) -> String {
    let words: Vec<String> = devices.iter().map(Device::to_string).collect();
    words.join("+")
}

/// Where networks are to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// CUDA where it works, else the CPU, and it says so.
    Auto,
    /// The processor.
    Cpu,
    /// All of these GPUs, each with a network of its own, or nothing.
    Gpus {
        /// Which provider of ONNX Runtime serves them.
        provider: Provider,
        /// Which, at least one and none twice.
        gpus: Vec<Gpu>,
    },
}

/// How a GPU is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Kernel by kernel.
    Cuda,
    /// As an engine that is built for the GPU, with CUDA for what it leaves out.
    TensorRt,
}

impl Provider {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Provider::Cuda => "cuda",
            Provider::TensorRt => "tensorrt",
        }
    }

    /// This GPU, served so.
    pub fn on(self, number: u16) -> Device {
        match self {
            Provider::Cuda => Device::Cuda(number),
            Provider::TensorRt => Device::TensorRt(number),
        }
    }
}

/// A GPU as it may be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpu {
    /// By its place among those that CUDA shows us, counted from 0 in the order of their bus.
    Number(u16),
    /// By what it is called for life, or the beginning of that.
    Uuid(String),
}

impl Devices {
    /// One word or several that go together.
    ///
    /// # Errors
    /// A sentence.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Devices, String> {
        let mut devices: Option<Devices> = None;
        for word in words {
            devices = Some(match (devices, one(word.trim())?) {
                (None, first) => first,
                (
                    Some(Devices::Gpus { provider, mut gpus }),
                    Devices::Gpus { provider: other, gpus: more },
                ) if provider == other => {
                    if more.iter().any(|gpu| gpus.contains(gpu)) {
                        return Err(format!("{} is named twice", word.trim()));
                    }
                    gpus.extend(more);
                    Devices::Gpus { provider, gpus }
                }
                // Results are the same on one kind of device, so which one a tile meets may not decide.
                (Some(before), _) => {
                    return Err(format!(
                        "{before} and {} do not go together: GPUs of one kind do",
                        word.trim()
                    ));
                }
            });
        }
        devices.ok_or_else(|| WORDS.to_owned())
    }
}

fn one(word: &str) -> Result<Devices, String> {
    let (name, which) = word.split_once(':').map_or((word, None), |(name, which)| (name, Some(which)));
    let provider = match (name, which) {
        ("auto", None) => return Ok(Devices::Auto),
        ("cpu", None) => return Ok(Devices::Cpu),
        ("cuda", _) => Provider::Cuda,
        ("tensorrt", _) => Provider::TensorRt,
        _ => return Err(WORDS.to_owned()),
    };
    let gpu = match which {
        None => Gpu::Number(0),
        Some(uuid) if uuid.len() > 4 && uuid.starts_with("GPU-") => Gpu::Uuid(uuid.to_owned()),
        Some(number) => Gpu::Number(number.parse().ok().ok_or_else(|| WORDS.to_owned())?),
    };
    Ok(Devices::Gpus { provider, gpus: vec![gpu] })
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gpu::Number(number) => write!(f, "{number}"),
            Gpu::Uuid(uuid) => f.write_str(uuid),
        }
    }
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Devices, String> {
        Devices::from_words(text.split(','))
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Devices::Auto => f.write_str("auto"),
            Devices::Cpu => f.write_str("cpu"),
            Devices::Gpus { provider, gpus } => {
                for (n, gpu) in gpus.iter().enumerate() {
                    let comma = if n > 0 { "," } else { "" };
                    write!(f, "{comma}{}:{gpu}", provider.word())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_shown() {
        for text in ["auto", "cpu", "cuda:3", "tensorrt:0", "cuda:0,cuda:1", "cuda:GPU-8f6d"] {
            assert_eq!(text.parse::<Devices>().map(|devices| devices.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("cuda".parse::<Devices>(), "cuda:0".parse());
        assert_eq!(Devices::from_words(["tensorrt", "tensorrt:1"]), "tensorrt:0, tensorrt:1".parse());
        assert_eq!(joined(&[Device::Cuda(0), Device::Cuda(2)]), "cuda:0+cuda:2");
    }

    #[test]
    fn nonsense_and_devices_of_several_kinds_are_refused() {
        for text in ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA", "auto:1", "cuda:GPU-", "cuda,,"] {
            assert!(text.parse::<Devices>().is_err(), "{text}");
        }
        let refusal = |text: &str| text.parse::<Devices>().expect_err("refused");
        assert_eq!(refusal("cuda:1,cuda:1"), "cuda:1 is named twice");
        for text in ["cpu,cuda", "cuda:0,tensorrt:1", "auto,cpu", "cuda,auto"] {
            assert!(refusal(text).contains("do not go together"), "{text}");
        }
        assert!(Devices::from_words([]).is_err());
    }
}
