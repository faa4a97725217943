//! What the agent refused itself, told as the kernel side tells of its own.

use plimsoll_ebpf::{record::Header, rules::outcome};

use crate::attribution::{attributor::Attributor, procfs::Procfs};

/// The header of what a container's process was refused at a moment since boot.
pub(super) fn header(
    cgroup_id: u64,
    pid: u32,
    boot_ns: u64,
    attributor: &Attributor,
    procfs: &Procfs,
) -> Header {
    let told = attributor.processes.start_of(pid);
    // 0 where the process is gone.
    let start_ns = told.or_else(|| Some(procfs.process(pid)?.process.start_ns)).unwrap_or_default();
    let outcome = outcome::DENIED;
    Header { boot_ns, cgroup_id, start_ns, pid, tid: pid, outcome, ..Header::default() }
}
