//! Facts about the machine that Linux tells in files: which boot this is, whom it killed for want of memory,
//! and how much memory we may have. What it does not tell is empty or nothing.

use crate::work::death::Present;
use std::path::Path;

/// Which boot this is, and how many processes the kernel has killed for want of memory in it.
pub fn present() -> Present {
    let boot = read(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    let vmstat = read(Path::new("/proc/vmstat")).unwrap_or_default();
    let kills = vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Present { boot, oom_kills: kills.and_then(|number| number.parse().ok()).unwrap_or(0) }
}

/// Whether the processor has instructions that multiply and add bytes: without them int8 is slower than f32,
/// and on some even saturates.
pub fn multiplies_bytes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512vnni")
        || std::arch::is_x86_feature_detected!("avxvnni");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Megabytes that this process may have: the machine's, or its control group's limit where that is less.
pub fn memory_mb() -> Option<u64> {
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&own).into_iter().filter_map(|file| read(Path::new(&file))?.parse::<u64>().ok());
    let meminfo = read(Path::new("/proc/meminfo"))?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(limits.chain([total * 1024]).min().unwrap_or(u64::MAX) / 1_000_000)
}

/// Processors that are at work in this machine, whether or not we may use all of them.
pub fn processors() -> Option<usize> {
    let online = read(Path::new("/sys/devices/system/cpu/online"))?;
    online.split(',').map(count).sum()
}

/// How many there are in a range such as `0-7`, or `3`.
fn count(range: &str) -> Option<usize> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
}

/// How many folders a user may watch, and with how many watchers.
pub fn watch_limits() -> [Option<u64>; 2] {
    let limit = |name: &str| read(Path::new(&format!("/proc/sys/fs/inotify/{name}")))?.parse().ok();
    [limit("max_user_watches"), limit("max_user_instances")]
}

/// The limit files of our control groups and of all above them, from what /proc/self/cgroup says: of cgroup
/// v2, `0::PATH`, and of v1, `N:memory:PATH`, where memory may be one of several. In a container the path may
/// be that of the host, where nothing lies; the root is looked at in any case.
fn limit_files(own: &str) -> Vec<String> {
    let second = own.lines().find_map(|line| line.strip_prefix("0::"));
    let first = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|controller| controller == "memory").then_some(path)
    });
    let upwards = |path: Option<&str>, root: &str, name: &str| -> Vec<String> {
        let all = Path::new(path.unwrap_or("/")).ancestors().map(|group| group.display().to_string());
        all.map(|group| format!("{root}{}/{name}", group.trim_end_matches('/'))).collect()
    };
    let mut files = upwards(second, "/sys/fs/cgroup", "memory.max");
    files.extend(upwards(first, "/sys/fs/cgroup/memory", "memory.limit_in_bytes"));
    files
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_kinds_of_control_groups_are_looked_at() {
        let second = "0::/system.slice/onestep.service";
        assert_eq!(
            limit_files(second),
            [
                "/sys/fs/cgroup/system.slice/onestep.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
        let first = "12:cpu,cpuacct:/other\n5:memory:/slurm/job_7\n1:name=systemd:/x\n0::/";
        assert_eq!(
            limit_files(first),
            [
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
        assert_eq!(limit_files("").len(), 2);
    }

    #[test]
    fn this_machine_has_a_boot_and_memory() {
        assert_eq!(present().boot.len(), 36);
        assert!(memory_mb().is_some_and(|mb| mb > 100));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        assert!(processors().is_some_and(|all| all >= cores));
        assert_eq!((count("0-7"), count("3"), count("")), (Some(8), Some(1), None));
    }
}
