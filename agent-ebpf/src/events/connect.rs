//! `connect`: a process addressed a peer over TCP or UDP.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Wire;

/// Raised before the kernel connects or sends; once per container, program, peer and window.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Connect {
    /// The peer's address, IPv4 mapped into IPv6.
    pub address: [u8; 16],
    /// The peer's port, in host order.
    pub port: u16,
    /// Protocol number of the Internet assigned numbers.
    pub protocol: u8,
    /// 1 if the peer was named in a `sendto` or `sendmsg` rather than a `connect`.
    pub datagram: u8,
    /// Zero.
    pub reserved: u32,
}

impl Wire for Connect {
    const KIND: u16 = 7;
}

/// The name of a protocol number.
#[cfg(not(target_arch = "bpf"))]
pub(super) const fn protocol(number: u8) -> &'static str {
    match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "icmp6",
        132 => "sctp",
        136 => "udplite",
        _ => "other",
    }
}

#[cfg(not(target_arch = "bpf"))]
impl Connect {
    /// The number of a protocol by its name in output.
    pub fn protocol_by_name(name: &str) -> Option<u8> {
        [1, 6, 17, 58, 132, 136].into_iter().find(|number| protocol(*number) == name)
    }
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{Connect, protocol};
    use crate::{
        catalog::{CgroupHook, EventType, Field, Hook, Probe},
        value::{Value, ValueType, address},
    };

    impl EventType for Connect {
        const NAME: &'static str = "connect";
        const SUMMARY: &'static str = "A process addressed a peer over TCP or UDP.";
        const PROBES: &'static [Probe] = &[
            Probe::required("on_connect4", Hook::Cgroup(CgroupHook::SockAddr)),
            Probe::required("on_connect6", Hook::Cgroup(CgroupHook::SockAddr)),
            Probe::required("on_sendmsg4", Hook::Cgroup(CgroupHook::SockAddr)),
            Probe::required("on_sendmsg6", Hook::Cgroup(CgroupHook::SockAddr)),
        ];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted("net.dir", ValueType::Label, "Direction: out or in.", |_, _| {
                Some(Value::Label("out"))
            }),
            Field::learned("net.proto", ValueType::Label, "Transport protocol.", |e, _| {
                Some(Value::Label(protocol(e.protocol)))
            }),
            Field::learned("net.raddr", ValueType::Address, "The peer's address.", |e, _| {
                Some(Value::Address(address(e.address)))
            }),
            Field::learned("net.rport", ValueType::Port, "The peer's port.", |e, _| {
                Some(Value::Port(e.port))
            }),
            Field::noted(
                "net.call",
                ValueType::Label,
                "How the peer was named: connect or send.",
                |e, _| Some(Value::Label(if e.datagram == 0 { "connect" } else { "send" })),
            ),
        ];
    }
}
