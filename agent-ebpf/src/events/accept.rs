//! `accept`: a peer's TCP connection reached a listening socket.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Wire;

/// Raised when the kernel completes an inbound connection, which no process need be running for:
/// the agent names the process that listens. Once per container, peer, port and window.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Accept {
    /// The peer's address, IPv4 mapped into IPv6.
    pub peer: [u8; 16],
    /// The local address, IPv4 mapped into IPv6.
    pub address: [u8; 16],
    /// The peer's port, in host order.
    pub peer_port: u16,
    /// The local port, in host order.
    pub port: u16,
    /// Zero.
    pub reserved: u32,
}

impl Wire for Accept {
    const KIND: u16 = 9;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{super::listen::SOCKET_STATE, Accept};
    use crate::{
        catalog::{EventType, Field, Probe},
        value::{Value, ValueType, address},
    };

    impl EventType for Accept {
        const NAME: &'static str = "accept";
        const SUMMARY: &'static str = "A peer's TCP connection reached a listening socket.";
        const PROBES: &'static [Probe] = &[SOCKET_STATE];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted("net.dir", ValueType::Label, "Direction: out or in.", |_, _| {
                Some(Value::Label("in"))
            }),
            Field::learned("net.proto", ValueType::Label, "Transport protocol.", |_, _| {
                Some(Value::Label("tcp"))
            }),
            Field::learned("net.raddr", ValueType::Address, "The peer's address.", |e, _| {
                Some(Value::Address(address(e.peer)))
            }),
            Field::noted("net.rport", ValueType::Port, "The peer's port.", |e, _| {
                Some(Value::Port(e.peer_port))
            }),
            Field::noted("net.laddr", ValueType::Address, "The local address.", |e, _| {
                Some(Value::Address(address(e.address)))
            }),
            Field::learned("net.lport", ValueType::Port, "The local port.", |e, _| {
                Some(Value::Port(e.port))
            }),
        ];
    }
}
