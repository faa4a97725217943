//! The kernel object in, records out, orders down.

pub mod armed;
pub mod btf;
pub mod counters;
pub mod knock;
pub mod load;
pub mod lsm;
pub mod orders;
pub mod pins;
pub mod plain;
pub mod policies;
pub mod ring;
pub mod selftest;
pub mod stopping;
pub mod support;
pub mod waker;

/// The kernel programs, built beforehand and carried in the agent.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("PLIMSOLL_EBPF_OBJECT"));
