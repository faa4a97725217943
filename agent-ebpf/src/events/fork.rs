//! `fork`: a process was made; threads are not reported.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Wire;

/// Raised at `sched_process_fork`; the header describes the child.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Fork {
    /// When the parent started, in nanoseconds since boot.
    pub parent_start_ns: u64,
    /// The parent's process id.
    pub ppid: u32,
    /// Inode of the parent's mount namespace.
    pub mnt_ns: u32,
    /// 1 if the parent is outside the container: the child was made straight into its cgroup.
    pub entered: u32,
    /// Zero.
    pub reserved: u32,
}

impl Wire for Fork {
    const KIND: u16 = 2;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Fork;
    use crate::{
        catalog::{EventType, Field, Hook, Probe},
        value::{Value, ValueType},
    };

    impl EventType for Fork {
        const NAME: &'static str = "fork";
        const SUMMARY: &'static str = "A process was made by fork, vfork or clone.";
        const PROBES: &'static [Probe] =
            &[Probe::required("on_fork", Hook::Tracepoint("sched_process_fork"))];
        const FIELDS: &'static [Field<Self>] = &[Field::noted(
            "fork.entered",
            ValueType::Flag,
            "Whether the parent is outside the container; absent where it is inside.",
            |e, _| (e.entered != 0).then_some(Value::Flag(true)),
        )];
    }
}
