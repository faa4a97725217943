//! `exec`: a process began to run a program.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Raised at `sched_process_exec`, when the new program is in place and has not run yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Exec {
    /// Inode of the executable.
    pub ino: u64,
    /// Effective capabilities, bit by number.
    pub caps: u64,
    /// When the parent started, in nanoseconds since boot.
    pub parent_start_ns: u64,
    /// The parent's process id.
    pub ppid: u32,
    /// Inode of the process's mount namespace.
    pub mnt_ns: u32,
    /// Device of the executable, as the kernel counts (major << 20 | minor).
    pub dev: u32,
    /// Type and permission bits of the executable.
    pub mode: u32,
    /// Bits of [`crate::record::flags`].
    pub flags: u32,
    /// The executable's path.
    pub path: Span,
    /// The path that was given to `execve`, where it is not what runs: a script.
    pub script: Span,
    /// The arguments, NUL after each.
    pub args: Span,
    /// The working directory.
    pub cwd: Span,
    /// Code of [`crate::layer::code`].
    pub layer: u8,
    /// The same of the script; the agent looks for it.
    pub script_layer: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

impl Wire for Exec {
    const KIND: u16 = 1;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Exec;
    use crate::{
        catalog::{EventType, Field, Hook, Probe},
        layer::code,
        record::flags,
        value::{Value, ValueType},
    };

    impl EventType for Exec {
        const NAME: &'static str = "exec";
        const SUMMARY: &'static str = "A process began to run a program.";
        const PROBES: &'static [Probe] =
            &[Probe::required("on_exec", Hook::Tracepoint("sched_process_exec"))];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned(
                "exec.layer",
                ValueType::Label,
                "Where the executable comes from: image, upper (written in the container), copied_up (an image file changed in the container), tmpfs, memfd, volume, bind, rootfs or mount.",
                |e, tail| Some(Value::Layer(e.layer, tail.get(e.path))),
            ),
            Field::learned(
                "exec.script",
                ValueType::Path,
                "Path given to execve where it names a script, as given; the program is then its interpreter.",
                |e, tail| (e.script.len > 0).then(|| Value::Path(tail.get(e.script))),
            ),
            Field::noted(
                "exec.script_layer",
                ValueType::Label,
                "Where the script comes from, like exec.layer; absent where it was gone before it could be looked at.",
                |e, tail| {
                    (e.script_layer != code::UNKNOWN)
                        .then(|| Value::Layer(e.script_layer, tail.get(e.script)))
                },
            ),
            Field::noted(
                "exec.path",
                ValueType::Path,
                "The program or script that was refused; absent where it runs, which is proc.exe then.",
                |e, tail| (e.flags & flags::REFUSED != 0).then(|| Value::Path(tail.get(e.path))),
            ),
            Field::noted(
                "exec.caps",
                ValueType::Number,
                "Effective capabilities of the process, bit by number.",
                |e, _| Some(Value::Number(e.caps)),
            ),
            Field::noted(
                "exec.unlinked",
                ValueType::Flag,
                "Whether the executable has no name any more.",
                |e, _| Some(Value::Flag(e.flags & flags::UNLINKED != 0)),
            ),
            Field::noted(
                "exec.detached",
                ValueType::Flag,
                "Whether the executable lies outside the mounts of the process; absent where it does not.",
                |e, _| (e.flags & flags::DETACHED != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "exec.setuid",
                ValueType::Flag,
                "Whether the executable has the set-user-id or set-group-id bit; absent where it has not.",
                |e, _| (e.mode & 0o6000 != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "exec.truncated",
                ValueType::Flag,
                "Whether path or arguments are longer than what is kept; absent where they are whole.",
                |e, _| {
                    (e.flags & (flags::PATH_TRUNCATED | flags::ARGS_TRUNCATED) != 0)
                        .then_some(Value::Flag(true))
                },
            ),
            Field::noted(
                "exec.input_socket",
                ValueType::Flag,
                "Whether its standard input is an IPv4 or IPv6 socket; absent where it is not.",
                |e, _| (e.flags & flags::INPUT_SOCKET != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "exec.args_unreadable",
                ValueType::Flag,
                "Whether the arguments could not be read; absent where they could.",
                |e, _| (e.flags & flags::ARGS_UNREADABLE != 0).then_some(Value::Flag(true)),
            ),
            Field::noted("exec.ino", ValueType::Number, "Inode of the executable.", |e, _| {
                Some(Value::Number(e.ino))
            }),
            Field::noted(
                "exec.changed",
                ValueType::Flag,
                "Whether the executable is an image file with another content now; absent where it is not.",
                |e, _| (e.flags & flags::CONTENT_CHANGED != 0).then_some(Value::Flag(true)),
            ),
            Field::noted(
                "exec.script_changed",
                ValueType::Flag,
                "Whether the script is an image file with another content now; absent where it is not.",
                |e, _| (e.flags & flags::SCRIPT_CHANGED != 0).then_some(Value::Flag(true)),
            ),
        ];
    }
}
