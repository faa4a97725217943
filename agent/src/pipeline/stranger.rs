//! A container's process that asked the agent on its socket: refused there, and told here.

use plimsoll_ebpf::{
    catalog::encode,
    events::privilege::{Privilege, op},
};

use super::refused;
use crate::{
    attribution::{attributor::Attributor, procfs::Procfs},
    clock,
};

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Process id on the host.
    pub pid: u32,
    /// Id of its container.
    pub container: String,
}

/// What is told of it, as a ring entry; `None` where the container is gone.
pub(super) fn entry(
    stranger: &Stranger,
    attributor: &Attributor,
    procfs: &Procfs,
) -> Option<Vec<u8>> {
    let cgroup_id = attributor.directory.cgroup_of(&stranger.container)?;
    let header = refused::header(cgroup_id, stranger.pid, clock::boot_ns(), attributor, procfs);
    let event =
        Privilege { op: op::AGENT_SOCKET, result: -i64::from(libc::EPERM), ..Privilege::default() };
    Some(encode(header, event, b""))
}
