//! What the agent tells the kernel side, and what it reads back from maps.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of the map `CGROUPS`: a cgroup whose processes are watched.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Watched {
    /// Id of the cgroup that Docker made for the container.
    pub container: u64,
    /// 1 once the agent knows the container; new cgroups below inherit it only then.
    pub confirmed: u32,
    /// Zero.
    pub reserved: u32,
}

/// Value of the map `SHARES`: what a container has put on a ring in the running window.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Share {
    /// When the window began, in nanoseconds since boot.
    pub since_ns: u64,
    /// Bytes put on the bulk ring since then.
    pub bulk_bytes: u64,
    /// Bytes put on the priority ring since then.
    pub priority_bytes: u64,
}

/// Key of the map `LOST`.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct LostKey {
    /// The container's cgroup, 0 where it is not known.
    pub cgroup_id: u64,
    /// Event or signal that was lost.
    pub kind: u16,
    /// One of [`reason`].
    pub reason: u16,
    /// Zero.
    pub reserved: u32,
}

/// Value of the map `LOST`: a running total, never reset.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Lost {
    /// Records lost.
    pub count: u64,
    /// When the latest was lost, in nanoseconds since boot.
    pub last_ns: u64,
}

/// Why the kernel side dropped a record.
pub mod reason {
    /// The ring was full.
    pub const RING_FULL: u16 = 1;
    /// The ring was under pressure and the container had used up its share.
    pub const OVER_SHARE: u16 = 2;
    /// A map had no room.
    pub const MAP_FULL: u16 = 3;
    /// All memory to build records in was in use.
    pub const NO_SLOT: u16 = 4;

    /// The reason as it stands in metrics and gap records.
    pub const fn name(code: u16) -> &'static str {
        match code {
            RING_FULL => "ring_full",
            OVER_SHARE => "over_share",
            MAP_FULL => "map_full",
            NO_SLOT => "no_slot",
            _ => "unknown",
        }
    }
}

/// Value of the map `SEEN`, whose key is the [`crate::record::Header::act`] of an act.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Seen {
    /// When the act was last reported, in nanoseconds since boot.
    pub reported_ns: u64,
    /// When its window began: when it was reported, or found to be known since.
    pub window_from_ns: u64,
    /// Occurrences since it was reported that were not.
    pub held_back: u64,
    /// When the latest of them was, in nanoseconds since boot.
    pub latest_ns: u64,
}

/// Places in the map `MERGED`: why acts were counted instead of reported.
pub mod merged {
    /// They were repeated within their window.
    pub const REPEATED: u32 = 0;
    /// They were known.
    pub const KNOWN: u32 = 1;
    /// How many places there are.
    pub const PLACES: u32 = NAMES.len() as u32;
    /// What they are called, in their order.
    pub const NAMES: [&str; 2] = ["repeated", "known"];
}

/// Bytes a container has sent and received since its cgroup was first seen, or, to and from one peer,
/// since it addressed that. What stays within the container is not counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Traffic {
    /// Bytes sent, IP headers included.
    pub sent_bytes: u64,
    /// Bytes received, IP headers included.
    pub received_bytes: u64,
}

/// Key of the map `PEER_TRAFFIC`: a peer that a container has addressed.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct TrafficKey {
    /// The container's cgroup.
    pub container: u64,
    /// The peer's address as it was addressed, in network order; IPv4 mapped into IPv6.
    pub address: [u32; 4],
}

/// The global `SETTINGS`, set once at load.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Settings {
    /// How long a repeated act is merged before it is reported again.
    pub window_ns: u64,
    /// The same for an act that is known.
    pub known_ns: u64,
    /// A number that nobody else knows, from which the names of acts are made.
    pub seed: u64,
    /// Bytes a container may put on the bulk ring per second while that ring is under pressure.
    pub bulk_share: u64,
    /// The same for the priority ring.
    pub priority_share: u64,
    /// Fill of the bulk ring above which shares hold, in bytes.
    pub bulk_pressure: u64,
    /// Fill of the priority ring above which shares hold, in bytes.
    pub priority_pressure: u64,
    /// The agent is woken at most once in this time, in nanoseconds.
    pub wakeup_ns: u64,
    /// The agent's process id, whose knocks are answered.
    pub agent_pid: u32,
    /// 1 where the kernel hands out the running task with its type (since 5.11).
    pub has_typed_task: u32,
    /// 1 where programs may be preempted, so that a processor's scratch is not theirs alone.
    pub is_preemptible: u32,
    /// Zero.
    pub reserved: u32,
}

/// Value of the map `POLICIES`, by container: what is stopped there. A container without an entry
/// is left alone.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Policy {
    /// Its exceptions: [`AllowedPath::set`].
    pub exceptions: u32,
    /// Bits of [`stop`].
    pub stop: u32,
    /// The one thread of which it holds; 0 for all.
    pub only_tid: u32,
    /// Zero.
    pub reserved: u32,
}

/// Bytes of a container's id, the key of the map `PENDING`: policies of containers whose cgroup is
/// not there yet.
pub const ID_BYTES: usize = 64;

/// Bits of [`Policy::stop`].
pub mod stop {
    use crate::rules::Class;

    /// Files of every layer are treated as the image's, and loopback as anybody: for the agent's
    /// test of its own hooks.
    pub const EVERY_LAYER: u32 = 1 << 16;

    /// Acts of a class are refused where a hook can.
    #[inline(always)]
    pub const fn deny(class: Class) -> u32 {
        1 << class as u32
    }

    /// Who does an act of a class is killed, where no hook refuses it.
    #[inline(always)]
    pub const fn kill(class: Class) -> u32 {
        1 << (8 + class as u32)
    }
}

/// Bytes of a path that an exception can tell apart.
pub const ALLOWED_PATH_BYTES: usize = 240;

/// Key of the trie `ALLOWED`, without its length in bits: the beginning of a path, or a whole path
/// with a NUL behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct AllowedPath {
    /// [`Policy::exceptions`]
    pub set: u32,
    /// Number of the rule.
    pub rule: u32,
    /// The path.
    pub path: [u8; ALLOWED_PATH_BYTES],
}

/// Bits of an [`AllowedPath`] before its path.
pub const ALLOWED_HEAD_BITS: u32 = 64;

/// Value of the trie `ALLOWED`: an exception.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Allowed {
    /// When it ends, in nanoseconds since boot.
    pub until_ns: u64,
    /// Components of the paths it covers; 0 for any number.
    pub components: u32,
    /// Zero.
    pub reserved: u32,
}

/// Key of the trie `PEERS`, without its length in bits: whom a container may address, or where it
/// may wait for others. Its value is an [`Allowed`] without components.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct AllowedPeer {
    /// [`Policy::exceptions`]
    pub set: u32,
    /// Number of the rule.
    pub rule: u8,
    /// Protocol number of the Internet assigned numbers, or [`crate::rules::RAW`].
    pub protocol: u8,
    /// Port in host order; 0 for any.
    pub port: u16,
    /// The address, or how it begins; IPv4 mapped into IPv6.
    pub address: [u32; 4],
}

/// Bits of an [`AllowedPeer`] before its address.
pub const PEER_HEAD_BITS: u32 = 64;

/// The container that the agent is to itself while it tests its hooks: the root of the hierarchy,
/// which is nobody's. What is told of it is for nobody.
pub const SELF_TEST: u64 = 1;

/// `cmd` of the `bpf` system call with which the agent knocks; the kernel refuses it (`EINVAL`).
pub const KNOCK: u32 = 0x504c_494d;

/// Indices into the map `KNOCKED`.
pub mod knocked {
    /// The cgroup of the thread that knocked last.
    pub const CGROUP: u32 = 0;
    /// When that was, in nanoseconds since boot.
    pub const AT_NS: u32 = 1;
}

/// What the kernel side does at the end of a system call. One word, so that one load tells that a
/// call is of no interest.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Syscall {
    /// One of [`class`]; 0 for system calls of no interest.
    pub class: u8,
    /// What the event calls the act: one of the codes of its own file.
    pub op: u8,
    /// Argument number, from 1, of the first directory descriptor; 0 means the working directory.
    pub dir: u8,
    /// Argument number, from 1, of the first path.
    pub path: u8,
    /// Like `dir`, for the second path.
    pub to_dir: u8,
    /// Argument number, from 1, of the second path; 0 if there is none.
    pub to_path: u8,
    /// Argument number, from 1, of the number worth keeping (mode, flags, request).
    pub number: u8,
    /// Argument number, from 1, of the file descriptor that is acted on.
    pub fd: u8,
}

/// `op` of a call of [`class::OPEN`].
pub mod open {
    /// Its flags are an argument.
    pub const FLAGS_IN_ARGUMENT: u8 = 0;
    /// It has no flags.
    pub const ALWAYS_WRITES: u8 = 1;
    /// Its flags are the first number of a struct that an argument points to.
    pub const FLAGS_IN_STRUCT: u8 = 2;
}

/// `op` of a call of [`class::MAP`].
pub mod map {
    /// It maps a file.
    pub const FILE: u8 = 0;
    /// It changes what a mapping may be used for.
    pub const PROTECT: u8 = 1;
    /// It attaches shared memory.
    pub const ATTACH: u8 = 2;
}

/// Indices into the map `FOLLOW_UPS`.
pub mod follow_up {
    /// The end of a system call that maps code.
    pub const MAP: u32 = 0;
}

/// Entries of the system call table: 512 native, then 512 of the 32-bit table.
pub const SYSCALLS: usize = 1024;

/// Kinds of handling at system call exit.
pub mod class {
    /// Returns a descriptor of a file that may be open for writing.
    pub const OPEN: u8 = 1;
    /// Changes names or metadata by path.
    pub const CHANGE: u8 = 2;
    /// Changes metadata or size by descriptor.
    pub const CHANGE_FD: u8 = 3;
    /// Maps a file.
    pub const MAP: u8 = 4;
    /// Uses a privilege.
    pub const PRIVILEGE: u8 = 5;
}
