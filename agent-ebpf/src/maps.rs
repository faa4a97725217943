//! Everything the programs share with each other and with the agent.

use aya_ebpf::{
    macros::map,
    maps::{
        Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, ProgramArray, RingBuf, Stack,
        lpm_trie::{Key, LpmTrie},
    },
};
use plimsoll_ebpf::{
    orders::{
        Allowed, AllowedPath, AllowedPeer, ID_BYTES, Lost, LostKey, Policy, Seen, Share, Traffic,
        TrafficKey, Watched, merged,
    },
    record::HEADER_BYTES,
};

/// Records that must not be lost: process life, drifted code, privileges, signals. The agent sets
/// the size.
#[map]
pub static PRIORITY: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// All other records. The agent sets the size.
#[map]
pub static BULK: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// Cgroups whose processes are watched, by cgroup id.
#[map]
pub static CGROUPS: HashMap<u64, Watched> = HashMap::with_max_entries(16384, 0);

/// What is stopped, by container.
#[map]
pub static POLICIES: HashMap<u64, Policy> = HashMap::with_max_entries(16384, 0);

/// What is stopped in containers that may start, by their ids.
#[map]
pub static PENDING: HashMap<[u8; ID_BYTES], Policy> = HashMap::with_max_entries(16384, 0);

/// What is let pass all the same.
#[map]
pub static ALLOWED: LpmTrie<AllowedPath, Allowed> = LpmTrie::with_max_entries(65536, 0);

/// Peers and ports that are let pass all the same.
#[map]
pub static PEERS: LpmTrie<AllowedPeer, Allowed> = LpmTrie::with_max_entries(65536, 0);

/// Processes of the container runtime that have entered a container and do not run a program of it
/// yet, with the time of their start.
#[map]
pub static SETTING_UP: LruHashMap<u32, u64> = LruHashMap::with_max_entries(4096, 0);

/// Image files that were opened for writing, by inode, device and generation of what they were copied to:
/// whoever turns back the time of their last change does not make them the image's again.
#[map]
pub static WRITTEN: LruHashMap<[u64; 3], u64> = LruHashMap::with_max_entries(16384, 0);

/// Programs that go on where another leaves off, by [`plimsoll_ebpf::orders::follow_up`].
#[map]
pub static FOLLOW_UPS: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The agent's last knock, by [`plimsoll_ebpf::orders::knocked`].
#[map]
pub static KNOCKED: Array<u64> = Array::with_max_entries(2, 0);

/// What each container has put on the rings while they were under pressure.
#[map]
pub static SHARES: LruHashMap<u64, Share> = LruHashMap::with_max_entries(4096, 0);

/// Losses by container, event and reason.
#[map]
pub static LOST: HashMap<LostKey, Lost> = HashMap::with_max_entries(8192, 0);

/// Losses that found no room in [`LOST`].
#[map]
pub static LOST_UNNAMED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Acts that were counted instead of reported, by [`merged`].
#[map]
pub static MERGED: PerCpuArray<u64> = PerCpuArray::with_max_entries(merged::PLACES, 0);

/// Acts reported within the running window, by [`Header::act`](plimsoll_ebpf::record::Header::act).
#[map]
pub static SEEN: LruHashMap<u64, Seen> = LruHashMap::with_max_entries(32768, 0);

/// Acts that what was learned vouches for, and when the agent said so, in nanoseconds since boot.
#[map]
pub static KNOWN: LruHashMap<u64, u64> = LruHashMap::with_max_entries(16384, 0);

/// From when on it has to have said so: it took back what it had said before.
#[map]
pub static KNOWN_FROM: Array<u64> = Array::with_max_entries(1, 0);

/// Bytes sent and received by container.
#[map]
pub static TRAFFIC: PerCpuHashMap<u64, Traffic> = PerCpuHashMap::with_max_entries(4096, 0);

/// Bytes sent to and received from each peer that a container has addressed. Whoever addresses a
/// container finds no place here: they may be any number.
#[map]
pub static PEER_TRAFFIC: LruHashMap<TrafficKey, Traffic> = LruHashMap::with_max_entries(16384, 0);

/// Most bytes that waited on each ring, the priority ring first, since the agent last looked.
#[map]
pub static FILL: Array<u64> = Array::with_max_entries(2, 0);

/// When the agent was last woken, in nanoseconds since boot.
#[map]
pub static WOKEN: Array<u64> = Array::with_max_entries(1, 0);

/// Room to build records. The agent sets the number of entries.
///
/// An array rather than a per-processor one, whose values may not exceed 32 KiB. It serves
/// programs in process context only, which do not nest. Where they run with preemption off, each
/// processor has its slot; elsewhere slots are taken from [`FREE_SLOTS`].
#[map]
pub static SCRATCH: Array<Scratch> = Array::with_max_entries(1, 0);

/// Slots of [`SCRATCH`] that nobody uses, where programs may be preempted. Filled by the agent.
#[map]
pub static FREE_SLOTS: Stack<u32> = Stack::with_max_entries(1, 0);

/// Bytes of the path under construction.
pub const PATH_BYTES: usize = 4096;

/// Longest body of an event that is built in scratch.
pub const BODY_BYTES: usize = 128;

/// Positions in the tail are cut to this.
pub const TAIL_MASK: u64 = 0x7fff;

/// Longest text that is appended at once.
pub const TEXT_BYTES: usize = 4096;

/// State of the path walk. It lives in memory, read and written volatile: in registers its ranges
/// would differ in every round, and the verifier of some kernels gives up on that.
#[repr(C)]
pub struct Walk {
    /// Where the path begins in `path`.
    pub position: u64,
    /// The directory entry reached.
    pub dentry: u64,
    /// The mount it lies in (`struct vfsmount`).
    pub mount: u64,
    /// Names written so far.
    pub components: u64,
}

/// See [`SCRATCH`].
#[repr(C)]
pub struct Scratch {
    /// State of the path walk.
    pub walk: Walk,
    /// The path under comparison with exceptions.
    pub allowed: Key<AllowedPath>,
    /// The slot's own number.
    pub number: u32,
    /// The path, built from its end.
    pub path: [u8; PATH_BYTES + 256],
    /// Bytes of the tail so far.
    pub tail_bytes: u64,
    /// Header, body and tail.
    pub record: [u8; HEADER_BYTES + BODY_BYTES + TAIL_MASK as usize + 1 + TEXT_BYTES],
}
