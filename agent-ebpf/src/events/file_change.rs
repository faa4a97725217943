//! `file_change`: a name or the metadata of a file changed.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Codes of `op`.
pub mod op {
    /// `rename`
    pub const RENAME: u8 = 1;
    /// `link`
    pub const LINK: u8 = 2;
    /// `symlink`
    pub const SYMLINK: u8 = 3;
    /// `unlink`
    pub const UNLINK: u8 = 4;
    /// `mkdir`
    pub const MKDIR: u8 = 5;
    /// `rmdir`
    pub const RMDIR: u8 = 6;
    /// `chmod`
    pub const CHMOD: u8 = 7;
    /// `chown`
    pub const CHOWN: u8 = 8;
    /// `truncate`
    pub const TRUNCATE: u8 = 9;
    /// `mknod`
    pub const MKNOD: u8 = 10;

    /// `setxattr`
    pub const SET_XATTR: u8 = 11;
    /// `removexattr`
    pub const REMOVE_XATTR: u8 = 12;

    /// Whether what belongs to the change is a text rather than a second path: where a symbolic
    /// link leads, which attribute it is.
    pub const fn has_text(op: u8) -> bool {
        matches!(op, SYMLINK | SET_XATTR | REMOVE_XATTR)
    }

    /// The name of a code.
    #[cfg(not(target_arch = "bpf"))]
    pub const fn name(op: u8) -> &'static str {
        match op {
            RENAME => "rename",
            LINK => "link",
            SYMLINK => "symlink",
            UNLINK => "unlink",
            MKDIR => "mkdir",
            RMDIR => "rmdir",
            CHMOD => "chmod",
            CHOWN => "chown",
            TRUNCATE => "truncate",
            MKNOD => "mknod",
            SET_XATTR => "set_xattr",
            REMOVE_XATTR => "remove_xattr",
            _ => "unknown",
        }
    }
}

/// Set-user-id and set-group-id, of a mode (`include/uapi/linux/stat.h`).
pub const SETID: u64 = 0o6000;

/// Raised after the system call has succeeded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FileChange {
    /// Mode, flags, size or device: the number the call was given.
    pub number: u64,
    /// Inode of the file where it was named by descriptor, else 0.
    pub ino: u64,
    /// Bits of [`crate::record::flags`].
    pub flags: u32,
    /// The file: the old name of a rename, the existing file of a link, the new symbolic link.
    pub path: Span,
    /// The new name of a rename or link, or the text that [`op::has_text`] tells of.
    pub to: Span,
    /// Code of [`op`].
    pub op: u8,
    /// Code of [`crate::layer::code`].
    pub layer: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

impl Wire for FileChange {
    const KIND: u16 = 5;
}

/// The field `file.via` from a record's flags.
#[cfg(not(target_arch = "bpf"))]
pub(super) fn via(flags: u32) -> Option<crate::value::Value<'static>> {
    use crate::{record::flags as bits, value::Value};
    if flags & bits::IO_URING != 0 {
        Some(Value::Label("io_uring"))
    } else {
        (flags & bits::COMPAT != 0).then_some(Value::Label("compat"))
    }
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{FileChange, op};
    use crate::{
        catalog::{EventType, Field, IO_URING, Probe, SYS_EXIT},
        record::flags,
        value::{Value, ValueType},
    };

    impl EventType for FileChange {
        const NAME: &'static str = "file_change";
        const SUMMARY: &'static str = "A name or the metadata of a file changed.";
        const PROBES: &'static [Probe] = &[SYS_EXIT, IO_URING];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned(
                "file.path",
                ValueType::Path,
                "The file: the old name of a rename, the existing file of a link, the new symbolic link.",
                |e, tail| Some(Value::Path(tail.get(e.path))),
            ),
            Field::learned(
                "file.to",
                ValueType::Path,
                "The new name of a rename or link, where a symbolic link leads, or the name of an extended attribute.",
                |e, tail| (e.to.len > 0).then(|| Value::Path(tail.get(e.to))),
            ),
            Field::learned("file.op", ValueType::Label, "What was done to the file.", |e, _| {
                Some(Value::Label(op::name(e.op)))
            }),
            Field::learned(
                "file.layer",
                ValueType::Label,
                "Where the file, or the new name of a rename or link, lies: image, upper, tmpfs, volume, bind, proc, sys, rootfs or mount.",
                |e, tail| {
                    let has_new_name = matches!(e.op, op::RENAME | op::LINK) && e.to.len > 0;
                    let path = if has_new_name { e.to } else { e.path };
                    Some(Value::Layer(e.layer, tail.get(path)))
                },
            ),
            Field::noted(
                "file.mode",
                ValueType::Number,
                "The mode a chmod, mkdir or mknod was given.",
                |e, _| {
                    matches!(e.op, op::CHMOD | op::MKDIR | op::MKNOD)
                        .then_some(Value::Number(e.number & 0o177_777))
                },
            ),
            Field::noted("file.ino", ValueType::Number, "Inode of the file.", |e, _| {
                (e.ino != 0).then_some(Value::Number(e.ino))
            }),
            Field::noted(
                "file.via",
                ValueType::Label,
                "The way in: io_uring or compat (32-bit); absent for native system calls.",
                |e, _| super::via(e.flags),
            ),
            Field::noted(
                "file.truncated",
                ValueType::Flag,
                "Whether a path is longer than what is kept; absent where it is whole.",
                |e, _| (e.flags & flags::PATH_TRUNCATED != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "file.unreadable",
                ValueType::Flag,
                "Whether a path could not be read; absent where all could.",
                |e, _| (e.flags & flags::PATH_UNREADABLE != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "file.as_given",
                ValueType::Flag,
                "Whether the path is the caller's, symbolic links unresolved; absent where it is the kernel's.",
                |e, _| (e.flags & flags::PATH_AS_GIVEN != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "file.directory",
                ValueType::Flag,
                "Whether it is a directory that was given a set-user-id or set-group-id bit; absent for all else.",
                |e, _| (e.flags & flags::DIRECTORY != 0).then_some(Value::Flag(true)),
            ),
        ];
    }
}
