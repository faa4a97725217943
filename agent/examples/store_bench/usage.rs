//! Time and memory of this process and its threads, as the kernel tells.

use std::{fs, os::fd::AsFd, path::Path};

use anyhow::{Context, Result};

/// Nanoseconds of processor time of the calling thread.
pub(super) fn thread_cpu_ns() -> Result<u64> {
    cpu_ns(Path::new("/proc/thread-self/schedstat"))
}

/// Nanoseconds of processor time of the thread of this name.
pub(super) fn cpu_ns_of(name: &str) -> Result<u64> {
    for task in fs::read_dir("/proc/self/task")?.flatten() {
        let path = task.path();
        if fs::read_to_string(path.join("comm")).is_ok_and(|it| it.trim() == name) {
            return cpu_ns(&path.join("schedstat"));
        }
    }
    anyhow::bail!("there is no thread {name}")
}

fn cpu_ns(schedstat: &Path) -> Result<u64> {
    let text = fs::read_to_string(schedstat)?;
    text.split_whitespace().next().and_then(|it| it.parse().ok()).context("reading schedstat")
}

pub(super) fn resident_bytes() -> Result<u64> {
    status("VmRSS:")
}

pub(super) fn peak_bytes() -> Result<u64> {
    status("VmHWM:")
}

/// Bytes that this process had written to disk.
pub(super) fn disk_written_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|it| it.parse().ok()).context("reading /proc/self/io")
}

fn status(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("reading status")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

/// Takes the files of a store out of the kernel's memory.
pub(super) fn forget_pages(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            forget_pages(&path)?;
        } else if let Ok(file) = fs::File::open(&path) {
            let advice = rustix::fs::Advice::DontNeed;
            rustix::fs::fadvise(file.as_fd(), 0, None, advice)?;
        }
    }
    Ok(())
}
