//! What the machine tells about itself. Where a system does not tell, there is nothing.

use std::fs;
use std::process::Command;

/// What the processor's maker calls it.
pub fn processor() -> Option<String> {
    let told = if cfg!(target_os = "macos") {
        let output = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?
    } else if cfg!(windows) {
        std::env::var("PROCESSOR_IDENTIFIER").ok()?
    } else {
        let table = fs::read_to_string("/proc/cpuinfo").ok()?;
        // Of ARM's processors Linux knows numbers alone.
        ["model name", "Hardware", "CPU part"].iter().find_map(|key| entry(&table, key).map(str::to_string))?
    };
    Some(told.trim().to_string()).filter(|name| !name.is_empty())
}

/// Those of the processor's instruction sets that matter to number crunching.
pub fn processor_features() -> Vec<&'static str> {
    #[cfg(target_arch = "aarch64")]
    use std::arch::is_aarch64_feature_detected as is_detected;
    #[cfg(target_arch = "x86_64")]
    use std::is_x86_feature_detected as is_detected;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    macro_rules! those_of {
        ($($feature:tt)*) => { [$(($feature, is_detected!($feature))),*] };
    }
    #[cfg(target_arch = "x86_64")]
    let known = those_of!(
        "sse4.2" "avx" "f16c" "fma" "avx2" "avxvnni" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni"
        "avx512bf16" "avx512fp16"
    );
    #[cfg(target_arch = "aarch64")]
    let known = those_of!("neon" "fp16" "dotprod" "i8mm" "bf16" "sve" "sve2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    known.into_iter().filter(|(_, there)| *there).map(|(feature, _)| feature).collect()
}

/// The system's own name, with the version of its kernel where it has one.
pub fn name() -> String {
    let release = fs::read_to_string("/etc/os-release").ok();
    let pretty = release.as_deref().and_then(|table| {
        table.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_string())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let known = [pretty, kernel.map(|version| format!("kernel {}", version.trim()))];
    let known: Vec<String> = known.into_iter().flatten().collect();
    let base = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    if known.is_empty() { base } else { format!("{base} ({})", known.join(", ")) }
}

/// The machine's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What programs can still get without swapping.
    pub available: u64,
    pub swap: u64,
}

/// As Linux counts it.
pub fn memory() -> Option<Memory> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |key| Some(1024 * entry(&table, key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?);
    Some(Memory { total: bytes("MemTotal")?, available: bytes("MemAvailable")?, swap: bytes("SwapTotal").unwrap_or(0) })
}

/// The most memory that this process and those beside it in its group may have, in bytes, if there is such a limit: in
/// containers there is.
pub fn memory_limit() -> Option<u64> {
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
        // What the older kind says where there is none.
        .filter(|&limit| limit < 1 << 60)
}

/// The value of the first line `key : value`.
fn entry<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_their_whole_name() {
        let table = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nMemTotal:       24 kB\nmodel name : other\n";
        assert_eq!(entry(table, "model name"), Some("Some CPU @ 2.00GHz"));
        assert_eq!(entry(table, "MemTotal"), Some("24 kB"));
        assert_eq!(entry(table, "model"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells() {
        let memory = memory().unwrap();
        assert!(memory.total > 1 << 28 && memory.available <= memory.total, "{memory:?}");
        assert!(processor().is_some() && name().starts_with("linux"));
    }
}
