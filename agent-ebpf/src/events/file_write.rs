//! `file_write`: a file was opened for writing or created.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Codes of `op`.
pub mod op {
    /// An existing file was opened for writing.
    pub const WRITE: u32 = 1;
    /// The file was created by this open.
    pub const CREATE: u32 = 2;

    /// The name of a code.
    #[cfg(not(target_arch = "bpf"))]
    pub const fn name(op: u32) -> &'static str {
        if op == CREATE { "create" } else { "write" }
    }
}

/// Raised once per container, program, file and window, with a count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FileWrite {
    /// Inode of the file; 0 where it is not known.
    pub ino: u64,
    /// Device of the file, as the kernel counts (major << 20 | minor).
    pub dev: u32,
    /// Type and permission bits of the file.
    pub mode: u32,
    /// Flags given to `open`.
    pub open_flags: u32,
    /// Bits of [`crate::record::flags`].
    pub flags: u32,
    /// Code of [`op`].
    pub op: u32,
    /// The file's path; with `flags::PATH_AS_GIVEN` not normalised.
    pub path: Span,
    /// Code of [`crate::layer::code`].
    pub layer: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

impl Wire for FileWrite {
    const KIND: u16 = 4;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{FileWrite, op};
    use crate::{
        catalog::{EventType, Field, IO_URING, Probe, SYS_EXIT},
        record::flags,
        value::{Value, ValueType},
    };

    impl EventType for FileWrite {
        const NAME: &'static str = "file_write";
        const SUMMARY: &'static str = "A file was opened for writing or created.";
        const PROBES: &'static [Probe] = &[SYS_EXIT, IO_URING];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned(
                "file.path",
                ValueType::Path,
                "The file's path as the container sees it.",
                |e, tail| Some(Value::Path(tail.get(e.path))),
            ),
            Field::learned("file.op", ValueType::Label, "What was done to the file.", |e, _| {
                Some(Value::Label(op::name(e.op)))
            }),
            Field::learned(
                "file.layer",
                ValueType::Label,
                "Where the file lies: image, upper, copied_up, tmpfs, memfd, volume, bind, proc, sys, rootfs or mount.",
                |e, tail| Some(Value::Layer(e.layer, tail.get(e.path))),
            ),
            Field::noted("file.flags", ValueType::Number, "Flags given to open.", |e, _| {
                Some(Value::Number(u64::from(e.open_flags)))
            }),
            Field::noted("file.mode", ValueType::Number, "Type and permission bits.", |e, _| {
                (e.mode != 0).then_some(Value::Number(u64::from(e.mode)))
            }),
            Field::noted("file.ino", ValueType::Number, "Inode of the file.", |e, _| {
                (e.ino != 0).then_some(Value::Number(e.ino))
            }),
            Field::noted(
                "file.via",
                ValueType::Label,
                "The way in: io_uring or compat (32-bit); absent for native system calls.",
                |e, _| super::super::file_change::via(e.flags),
            ),
            Field::noted(
                "file.truncated",
                ValueType::Flag,
                "Whether the path is longer than what is kept; absent where it is whole.",
                |e, _| (e.flags & flags::PATH_TRUNCATED != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "file.as_given",
                ValueType::Flag,
                "Whether the path is the caller's, symbolic links unresolved; absent where it is the kernel's.",
                |e, _| (e.flags & flags::PATH_AS_GIVEN != 0).then_some(Value::Flag(true)),
            ),
        ];
    }
}
