//! `exec_map`: a file that is not the image's was mapped for execution.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Raised when a mapping of a file that does not lie in an image layer became executable: by `mmap`,
/// `mprotect`, `shmat`, or as the loader of a program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ExecMap {
    /// Inode of the file.
    pub ino: u64,
    /// Device of the file, as the kernel counts (major << 20 | minor).
    pub dev: u32,
    /// Bits of [`crate::record::flags`].
    pub flags: u32,
    /// The file's path.
    pub path: Span,
    /// Code of [`crate::layer::code`].
    pub layer: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

impl Wire for ExecMap {
    const KIND: u16 = 6;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::ExecMap;
    use crate::{
        catalog::{EventType, Field, Hook, Probe, SYS_EXIT},
        orders::follow_up,
        record::flags,
        value::{Value, ValueType},
    };

    impl EventType for ExecMap {
        const NAME: &'static str = "exec_map";
        const SUMMARY: &'static str = "A file that is not the image's was mapped for execution.";
        const PROBES: &'static [Probe] = &[
            SYS_EXIT,
            Probe::optional("on_map", Hook::FollowUp("sys_exit", follow_up::MAP)),
            Probe::optional("on_exec_loader", Hook::Tracepoint("sched_process_exec")),
        ];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned(
                "file.path",
                ValueType::Path,
                "The file's path as the container sees it.",
                |e, tail| Some(Value::Path(tail.get(e.path))),
            ),
            Field::learned(
                "file.layer",
                ValueType::Label,
                "Where the file lies: upper, copied_up, tmpfs, memfd, volume, bind, rootfs or mount.",
                |e, tail| Some(Value::Layer(e.layer, tail.get(e.path))),
            ),
            Field::noted("file.ino", ValueType::Number, "Inode of the file.", |e, _| {
                Some(Value::Number(e.ino))
            }),
            Field::noted(
                "file.unlinked",
                ValueType::Flag,
                "Whether the file has no name any more; absent where it has one.",
                |e, _| (e.flags & flags::UNLINKED != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "file.changed",
                ValueType::Flag,
                "Whether the file is an image file with another content now; absent where it is not.",
                |e, _| (e.flags & flags::CONTENT_CHANGED != 0).then_some(Value::Flag(true)),
            ),
        ];
    }
}
