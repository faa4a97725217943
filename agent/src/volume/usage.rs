//! What one container used between two rounds.

use std::net::IpAddr;

/// A container that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its own cgroup.
    pub cgroup_id: u64,
    /// Its id.
    pub id: String,
    /// Path of its cgroup from the root of the unified hierarchy.
    pub path: String,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The container's own cgroup.
    pub cgroup_id: u64,
    /// When that was read, in nanoseconds since boot.
    pub boot_ns: u64,
    /// How long it is since it was read before, in milliseconds; at least 1.
    pub span_ms: u64,
    /// Processor time taken since, in nanoseconds; `None` where nobody tells.
    pub cpu_ns: Option<u64>,
    /// Memory in use but for what the kernel keeps of files, in bytes. It is not read each time.
    pub memory_bytes: Option<u64>,
    /// Processes and threads. Likewise.
    pub pids: Option<u64>,
    /// Bytes sent since.
    pub sent_bytes: u64,
    /// Bytes received since.
    pub received_bytes: u64,
    /// Of these, those to and from peers that the container addressed.
    pub peers: Vec<PeerUsage>,
    /// The process that took most processor time, where the container took much.
    pub busiest: Option<Busiest>,
}

/// What was exchanged with one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUsage {
    /// Its address.
    pub address: IpAddr,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
}

/// A process that takes more processor time than the others of its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busiest {
    /// Process id on the host.
    pub pid: u32,
    /// When it started, in nanoseconds since boot, rounded to clock ticks.
    pub start_ns: u64,
    /// Whose it is.
    pub uid: u32,
    /// Its part of what the container took, in hundredths.
    pub percent: u64,
}
