//! What NVIDIA's driver says of its GPUs, through NVML. The only file that names `nvml_wrapper`. Where there
//! is no driver, or no NVML as on Jetson, that is an answer and no error of ours.

use crate::work::device::Gpu;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::ffi::OsStr;

/// The variable that says how CUDA counts GPUs, and its value for the order that NVML has.
const ORDER: &str = "CUDA_DEVICE_ORDER";
const BY_BUS: &str = "PCI_BUS_ID";
/// The name that drivers install; the one without a number comes with development files.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The driver and its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    /// Version of the driver.
    pub driver: String,
    /// The newest CUDA that the driver serves, such as 13.0.
    pub cuda: String,
    /// In the order of their bus.
    pub list: Vec<GpuFacts>,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// As CUDA counts it; `None` where CUDA_VISIBLE_DEVICES hides it.
    pub number: Option<u16>,
    /// Its trade name, or why it does not answer.
    pub name: String,
    /// `GPU-…`, its own for life; empty where it does not answer.
    pub uuid: String,
    /// Compute capability, such as 9.0.
    pub compute: String,
    /// Its memory; `None` where the driver does not tell, as of what a GPU shares with the processor.
    pub memory: Option<GpuMemory>,
}

/// The memory of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuMemory {
    /// All of it.
    pub all_bytes: u64,
    /// What nobody has.
    pub free_bytes: u64,
}

/// Asks the driver.
///
/// # Errors
/// A sentence: there is no driver, or no NVML.
pub fn look() -> Result<Gpus, String> {
    let nvml = open()?;
    let told = |error: NvmlError| error.to_string();
    let count = nvml.device_count().map_err(told)?;
    let mut list: Vec<GpuFacts> = (0..count).map(|n| facts(&nvml, n)).collect();
    let variable = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let uuids: Vec<String> = list.iter().map(|gpu| gpu.uuid.clone()).collect();
    for (number, at) in visible(&uuids, variable.as_deref()).into_iter().enumerate() {
        list[at].number = u16::try_from(number).ok();
    }
    let cuda = nvml.sys_cuda_driver_version().map_err(told)?;
    Ok(Gpus {
        driver: nvml.sys_driver_version().map_err(told)?,
        cuda: format!("{}.{}", cuda / 1000, cuda % 1000 / 10),
        list,
    })
}

impl Gpus {
    /// The number of a GPU that was named.
    ///
    /// # Errors
    /// A sentence, where no GPU or more than one is called so.
    pub fn number(&self, uuid: &str) -> Result<u16, String> {
        let mut called = self.list.iter().filter(|gpu| gpu.uuid.starts_with(uuid));
        match (called.next(), called.next()) {
            (Some(gpu), None) => gpu.number.ok_or_else(|| format!("CUDA_VISIBLE_DEVICES hides {uuid}")),
            (Some(_), Some(_)) => Err(format!("several GPUs are called {uuid}…")),
            (None, _) => Err(format!("no GPU is called {uuid}")),
        }
    }

    /// Of this number.
    pub fn of(&self, number: u16) -> Option<&GpuFacts> {
        self.list.iter().find(|gpu| gpu.number == Some(number))
    }
}

/// The number of a GPU however it is named; only a name needs the driver's word.
///
/// # Errors
/// A sentence.
pub fn number(gpu: &Gpu, known: &Result<Gpus, String>) -> Result<u16, String> {
    match gpu {
        Gpu::Number(number) => Ok(*number),
        Gpu::Uuid(uuid) => match std::env::var(ORDER) {
            Ok(order) if order != BY_BUS => {
                Err(format!("{ORDER} is {order}, so names say nothing about numbers: unset it"))
            }
            _ => known.as_ref().map_err(Clone::clone)?.number(uuid),
        },
    }
}

/// Millijoules that each GPU has used since the driver was loaded, by UUID; those that do not count are left
/// out.
pub fn energy_mj() -> Vec<(String, u64)> {
    let Ok(nvml) = open() else { return Vec::new() };
    let of = |n| {
        let gpu = nvml.device_by_index(n).ok()?;
        Some((gpu.uuid().ok()?, gpu.total_energy_consumption().ok()?))
    };
    (0..nvml.device_count().unwrap_or(0)).filter_map(of).collect()
}

fn open() -> Result<Nvml, String> {
    Nvml::builder().lib_path(OsStr::new(LIBRARY)).init().map_err(|error| match error {
        NvmlError::LibloadingError(_) => format!("there is no NVIDIA driver ({LIBRARY} is not found)"),
        other => format!("the NVIDIA driver does not answer: {other}"),
    })
}

/// One that does not answer keeps its place, and hides no other.
fn facts(nvml: &Nvml, n: u32) -> GpuFacts {
    let asked = nvml.device_by_index(n).and_then(|gpu| {
        let compute = gpu.cuda_compute_capability()?;
        let memory = gpu.memory_info().ok();
        Ok(GpuFacts {
            number: None,
            name: gpu.name()?,
            uuid: gpu.uuid()?,
            compute: format!("{}.{}", compute.major, compute.minor),
            memory: memory.map(|told| GpuMemory { all_bytes: told.total, free_bytes: told.free }),
        })
    });
    asked.unwrap_or_else(|error| GpuFacts {
        number: None,
        name: format!("does not answer: {error}"),
        uuid: String::new(),
        compute: String::new(),
        memory: None,
    })
}

/// Which GPUs CUDA shows a process, in its order, by their places in the order of their bus: all of them, or
/// those that `CUDA_VISIBLE_DEVICES` lists (numbers, or beginnings of UUIDs) up to the first that is none.
fn visible(uuids: &[String], variable: Option<&str>) -> Vec<usize> {
    let Some(listed) = variable else { return (0..uuids.len()).collect() };
    let place = |word: &str| match word.trim() {
        number if number.parse::<usize>().is_ok_and(|n| n < uuids.len()) => number.parse().ok(),
        uuid if uuid.starts_with("GPU-") => uuids.iter().position(|one| one.starts_with(uuid)),
        _ => None,
    };
    listed.split(',').map_while(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus() -> Gpus {
        let gpu = |number, uuid: &str| GpuFacts {
            number,
            name: "one".into(),
            uuid: uuid.into(),
            compute: "9.0".into(),
            memory: None,
        };
        let list = vec![gpu(Some(1), "GPU-aa1"), gpu(None, "GPU-ab2"), gpu(Some(0), "GPU-cc3")];
        Gpus { driver: "580".into(), cuda: "13.0".into(), list }
    }

    #[test]
    fn numbers_are_those_that_cuda_shows() {
        let uuids: Vec<String> = gpus().list.into_iter().map(|gpu| gpu.uuid).collect();
        assert_eq!(visible(&uuids, None), [0, 1, 2]);
        assert_eq!(visible(&uuids, Some("2,0")), [2, 0]);
        assert_eq!(visible(&uuids, Some("GPU-cc, 1")), [2, 1]);
        assert_eq!(visible(&uuids, Some("1,-1,0")), [1]);
        assert_eq!(visible(&uuids, Some("")), [0usize; 0]);
    }

    #[test]
    fn a_gpu_is_found_by_the_name_it_has_for_life() {
        let known = Ok(gpus());
        let number = |uuid: &str| number(&Gpu::Uuid(uuid.into()), &known);
        assert_eq!((number("GPU-cc3"), number("GPU-aa")), (Ok(0), Ok(1)));
        assert_eq!(number("GPU-ab2"), Err("CUDA_VISIBLE_DEVICES hides GPU-ab2".into()));
        assert_eq!(number("GPU-a"), Err("several GPUs are called GPU-a…".into()));
        assert_eq!(number("GPU-dd"), Err("no GPU is called GPU-dd".into()));
        assert_eq!(super::number(&Gpu::Number(7), &Err("no driver".into())), Ok(7));
    }
}
