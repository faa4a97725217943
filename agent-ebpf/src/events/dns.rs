//! `dns`: a name server answered a container.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Built by the agent from a [`crate::signals::DnsAnswer`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Dns {
    /// Address of the server, IPv4 mapped into IPv6.
    pub server: [u8; 16],
    /// The name that was asked for, without the final dot.
    pub name: Span,
    /// Addresses and aliases in the answer, NUL between them.
    pub answers: Span,
    /// Type of the question.
    pub query_type: u16,
    /// Response code.
    pub response: u16,
    /// Zero.
    pub reserved: u32,
}

impl Wire for Dns {
    const KIND: u16 = 10;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Dns;
    use crate::{
        catalog::{CgroupHook, EventType, Field, Hook, Probe},
        value::{Value, ValueType, address},
    };

    const fn type_name(number: u16) -> &'static str {
        match number {
            1 => "A",
            2 => "NS",
            5 => "CNAME",
            6 => "SOA",
            12 => "PTR",
            15 => "MX",
            16 => "TXT",
            28 => "AAAA",
            33 => "SRV",
            65 => "HTTPS",
            255 => "ANY",
            _ => "other",
        }
    }

    const fn response_name(number: u16) -> &'static str {
        match number {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            _ => "other",
        }
    }

    impl EventType for Dns {
        const NAME: &'static str = "dns";
        const SUMMARY: &'static str = "A name server answered a container.";
        const PROBES: &'static [Probe] = &[
            Probe::required("on_egress", Hook::Cgroup(CgroupHook::Egress)),
            Probe::required("on_ingress", Hook::Cgroup(CgroupHook::Ingress)),
        ];
        const FIELDS: &'static [Field<Self>] = &[
            Field::learned("dns.name", ValueType::Text, "The name asked for.", |e, tail| {
                Some(Value::Text(tail.get(e.name)))
            }),
            Field::learned("dns.type", ValueType::Label, "Type of the question.", |e, _| {
                Some(Value::Label(type_name(e.query_type)))
            }),
            Field::noted(
                "dns.response",
                ValueType::Label,
                "Response code of the server.",
                |e, _| Some(Value::Label(response_name(e.response))),
            ),
            Field::noted(
                "dns.answers",
                ValueType::List,
                "Addresses and aliases in the answer.",
                |e, tail| (e.answers.len > 0).then(|| Value::List(tail.get(e.answers))),
            ),
            Field::noted("dns.server", ValueType::Address, "The server's address.", |e, _| {
                Some(Value::Address(address(e.server)))
            }),
        ];
    }
}
