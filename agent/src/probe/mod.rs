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

/// The kernel programs, built beforehand and carried in the agent, packed to a tenth.
pub static PACKED_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plimsoll-ebpf.o.zst"));

/// The kernel programs as they are loaded.
///
/// # Panics
/// Where the build did not pack them.
pub fn object() -> Vec<u8> {
    zstd::decode_all(PACKED_OBJECT).expect("the build packed it")
}
