//! `listen`: a process opened a socket to peers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Wire;

/// Raised when a TCP socket listens and when a UDP socket is bound to a port of its choice.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Listen {
    /// The local address, IPv4 mapped into IPv6.
    pub address: [u8; 16],
    /// The local port, in host order.
    pub port: u16,
    /// Protocol number of the Internet assigned numbers.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

impl Wire for Listen {
    const KIND: u16 = 8;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{super::connect::protocol, Listen};
    use crate::{
        catalog::{CgroupHook, EventType, Field, Hook, Probe},
        value::{Value, ValueType, address},
    };

    /// The program that sees TCP states, which raises two events.
    pub(in super::super) const SOCKET_STATE: Probe =
        Probe::required("on_socket_state", Hook::Tracepoint("inet_sock_set_state"));

    impl EventType for Listen {
        const NAME: &'static str = "listen";
        const SUMMARY: &'static str = "A process opened a socket to peers.";
        const PROBES: &'static [Probe] = &[
            SOCKET_STATE,
            Probe::required("on_bind4", Hook::Cgroup(CgroupHook::SockAddr)),
            Probe::required("on_bind6", Hook::Cgroup(CgroupHook::SockAddr)),
        ];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned("net.proto", ValueType::Label, "Transport protocol.", |e, _| {
                Some(Value::Label(protocol(e.protocol)))
            }),
            Field::learned("net.laddr", ValueType::Address, "The local address.", |e, _| {
                Some(Value::Address(address(e.address)))
            }),
            Field::learned("net.lport", ValueType::Port, "The local port.", |e, _| {
                Some(Value::Port(e.port))
            }),
        ];
    }
}

#[cfg(not(target_arch = "bpf"))]
pub(super) use meaning::SOCKET_STATE;
