//! What a process takes: processor time, memory, disk.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::programs::Programs;

/// Reads the processor time of a process from here on.
pub(super) struct Watch<'a> {
    programs: &'a Programs,
    process: u32,
    cpu_ns: u64,
    since: Instant,
}

impl<'a> Watch<'a> {
    pub(super) fn new(programs: &'a Programs, process: u32) -> Result<Self> {
        let cpu_ns = programs.cpu_ns(process)?;
        Ok(Self { programs, process, cpu_ns, since: Instant::now() })
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    pub(super) fn usage(&self) -> Result<Usage> {
        let cpu_ns = self.programs.cpu_ns(self.process)? - self.cpu_ns;
        Ok(Usage { cpu: Duration::from_nanos(cpu_ns), over: self.elapsed() })
    }
}

/// What the agent took for itself over a time.
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) over: Duration,
}

impl Usage {
    /// Milliseconds of one core in a second.
    pub(super) fn per_second(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / self.over.as_secs_f64()
    }
}

/// Resident memory of a process in KiB: at present, and the most there ever was.
pub(super) fn memory_kib(process: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = |name| status_kib(&text, name).with_context(|| format!("{path} tells no {name}"));
    Ok((line("VmRSS")?, line("VmHWM")?))
}

/// Bytes that a file, or all below a directory, takes on disk.
pub(super) fn disk_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        // 512 bytes are a block, whatever the file system's own are.
        return fs::metadata(path).map_or(0, |file| file.blocks() * 512);
    };
    entries.flatten().map(|entry| disk_bytes(&entry.path())).sum()
}

fn status_kib(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_line_of_its_name() {
        let status = "Name:\tplimsoll\nVmHWM:\t   14000 kB\nVmRSS:\t   12345 kB\n";
        assert_eq!(status_kib(status, "VmRSS"), Some(12_345));
        assert_eq!(status_kib(status, "VmR"), None);
    }

    #[test]
    fn usage_is_milliseconds_of_a_core_in_a_second() {
        let usage = Usage { cpu: Duration::from_millis(30), over: Duration::from_secs(10) };
        assert!((usage.per_second() - 3.0).abs() < 1e-9);
    }
}
