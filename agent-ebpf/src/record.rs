//! The frame in which every observation travels from the kernel to the agent.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Who did it, when and in which container. Filled alike for every event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Header {
    /// When it happened, in nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub boot_ns: u64,
    /// Id of the container's own cgroup, whatever cgroup below it the process sits in.
    pub cgroup_id: u64,
    /// When the process started, in nanoseconds since boot; with `pid` its identity in this boot.
    pub start_ns: u64,
    /// Process id (thread group) in the host's namespace; 0 where the kernel does not say.
    pub pid: u32,
    /// Thread id in the host's namespace.
    pub tid: u32,
    /// Real user id in the host's namespace.
    pub uid: u32,
    /// How many occurrences this record stands for; at least 1.
    pub count: u32,
    /// [`Wire::KIND`] of the body that follows.
    pub kind: u16,
    /// What became of it: a code of [`crate::rules::outcome`].
    pub outcome: u8,
    /// 1 where the container runtime did it, before it ran a program of the container.
    pub setup: u8,
    /// Bytes of the whole record: header, body and tail.
    pub size: u32,
    /// What is counted together with this: the same act by the same program on the same object, for
    /// as long as the agent runs. 0 for what is never merged.
    pub act: u64,
}

/// Bytes of a [`Header`].
pub const HEADER_BYTES: usize = size_of::<Header>();

/// A body that may follow a [`Header`].
///
/// `IntoBytes` refuses implicit padding and `FromBytes` refuses enums, bools and pointers: a type
/// that compiles here can neither leak kernel memory nor decode to an invalid value.
pub trait Wire: FromBytes + IntoBytes + KnownLayout + Immutable + Copy + 'static {
    /// Number of the event or signal. The number of a retired one is never used again.
    const KIND: u16;
}

/// Where a text of variable length stands in the tail, the bytes that follow the body.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Span {
    /// First byte, counted from the end of the body.
    pub offset: u16,
    /// Bytes.
    pub len: u16,
}

/// The bytes after a body, in which its [`Span`]s lie.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a>(pub &'a [u8]);

impl<'a> Tail<'a> {
    /// The text of a span; what lies outside the record is cut off.
    pub fn get(self, span: Span) -> &'a [u8] {
        let start = usize::from(span.offset).min(self.0.len());
        let end = (start + usize::from(span.len)).min(self.0.len());
        &self.0[start..end]
    }
}

/// Bits of the `flags` that bodies with paths carry.
pub mod flags {
    /// The path has more components or bytes than are kept: only its end is there.
    pub const PATH_TRUNCATED: u32 = 1;
    /// The file lies in no mount of the process's mount namespace.
    pub const DETACHED: u32 = 1 << 1;
    /// The file has no name any more (link count zero).
    pub const UNLINKED: u32 = 1 << 2;
    /// The arguments are longer than what is kept.
    pub const ARGS_TRUNCATED: u32 = 1 << 3;
    /// The arguments could not be read.
    pub const ARGS_UNREADABLE: u32 = 1 << 4;
    /// The path comes from the caller's memory: symbolic links are not resolved.
    pub const PATH_AS_GIVEN: u32 = 1 << 5;
    /// The act came through `io_uring`.
    pub const IO_URING: u32 = 1 << 6;
    /// The act came through the 32-bit system call table.
    pub const COMPAT: u32 = 1 << 7;
    /// A path could not be read.
    pub const PATH_UNREADABLE: u32 = 1 << 8;
    /// A file of the image was copied up and has another content, size or time of change of content
    /// than the image's.
    pub const CONTENT_CHANGED: u32 = 1 << 9;

    /// The program is a script, whose interpreter was not looked for yet.
    pub const SCRIPT: u32 = 1 << 10;
    /// The program does not run: it was refused.
    pub const REFUSED: u32 = 1 << 12;
    /// Like [`CONTENT_CHANGED`], of the script.
    pub const SCRIPT_CHANGED: u32 = 1 << 11;

    /// What a program reads from is a connection, or a port: an IPv4 or IPv6 socket.
    pub const INPUT_SOCKET: u32 = 1 << 13;

    /// The file is a directory.
    pub const DIRECTORY: u32 = 1 << 14;

    /// With any of these a path is not known well enough to be compared with an exception's.
    pub const PATH_UNSURE: u32 = PATH_TRUNCATED | DETACHED | PATH_AS_GIVEN | PATH_UNREADABLE;
}
