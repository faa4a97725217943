//! What the kernel side tells the agent for its own use: these are no events and are not stored.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// A cgroup was made outside any known container. It is held until the agent decides.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CgroupMade {
    /// Path from the root of the cgroup hierarchy.
    pub path: Span,
}

impl Wire for CgroupMade {
    const KIND: u16 = 1001;
}

/// A watched cgroup was removed.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CgroupRemoved {
    /// Id of the removed cgroup; the header names the container it belonged to.
    pub cgroup_id: u64,
}

impl Wire for CgroupRemoved {
    const KIND: u16 = 1002;
}

/// A process was moved into a watched cgroup from outside; the header describes that process.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CgroupEntered {
    /// Inode of its parent's mount namespace: the container runtime's.
    pub mnt_ns: u32,
    /// Its parent's process id.
    pub ppid: u32,
}

impl Wire for CgroupEntered {
    const KIND: u16 = 1003;
}

/// The agent's own knock came back: kernel programs run and the ring is read.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Heartbeat {
    /// Number the agent knocked with.
    pub number: u64,
}

impl Wire for Heartbeat {
    const KIND: u16 = 1004;
}

/// Most bytes of a DNS message that are passed on.
pub const DNS_BYTES: usize = 512;

/// A DNS answer reached a container; its bytes follow in the tail.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct DnsAnswer {
    /// Address of the server, IPv4 mapped into IPv6.
    pub server: [u8; 16],
    /// The DNS message.
    pub message: Span,
}

impl Wire for DnsAnswer {
    const KIND: u16 = 1005;
}
