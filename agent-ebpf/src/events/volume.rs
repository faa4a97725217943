//! `volume`: a container used far more of something than its service usually does.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Built by the agent from counters of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Volume {
    /// How much it was: bytes, thousandths of a processor, or processes.
    pub value: u64,
    /// The median of what is known, or 0 where no single one is.
    pub usual: u64,
    /// What is seldom exceeded: the quantile 99.5 % of what is known, or the most.
    pub high: u64,
    /// The time in which it was used, in milliseconds.
    pub span_ms: u64,
    /// How long the service has been known, in seconds.
    pub known_s: u64,
    /// The address of the peer that most of the bytes went to or came from; IPv4 mapped into IPv6,
    /// zero where there is none.
    pub address: [u8; 16],
    /// That peer as it is known to the baseline; may be empty.
    pub peer: Span,
    /// The port at which it was addressed last, in host order; 0 where that is not known.
    pub port: u16,
    /// The protocol by which that was.
    pub protocol: u8,
    /// One of [`what`].
    pub what: u8,
}

impl Wire for Volume {
    const KIND: u16 = 15;
}

/// What is measured.
pub mod what {
    /// Bytes sent.
    pub const OUT: u8 = 1;
    /// Bytes received.
    pub const IN: u8 = 2;
    /// Processor time.
    pub const CPU: u8 = 3;
    /// Memory, without what the kernel keeps of files.
    pub const MEMORY: u8 = 4;
    /// Processes and threads.
    pub const PIDS: u8 = 5;

    /// The name in output and queries.
    pub const fn name(code: u8) -> Option<&'static str> {
        match code {
            OUT => Some("out"),
            IN => Some("in"),
            CPU => Some("cpu"),
            MEMORY => Some("memory"),
            PIDS => Some("pids"),
            _ => None,
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::{Volume, what};
    use crate::{
        catalog::{EventType, Field, Probe},
        events::connect::protocol,
        value::{Value, ValueType, address},
    };

    impl EventType for Volume {
        const NAME: &'static str = "volume";
        const SUMMARY: &'static str =
            "A container used far more of something than its service usually does.";
        const PROBES: &'static [Probe] = &[];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted(
                "volume.of",
                ValueType::Label,
                "What was used: out and in (bytes sent and received), cpu, memory or pids.",
                |e, _| what::name(e.what).map(Value::Label),
            ),
            Field::noted(
                "volume.value",
                ValueType::Number,
                "How much it was: bytes, of cpu thousandths of a processor.",
                |e, _| Some(Value::Number(e.value)),
            ),
            Field::noted(
                "volume.usual",
                ValueType::Number,
                "The median of what is known of as long a time.",
                |e, _| Some(Value::Number(e.usual)),
            ),
            Field::noted(
                "volume.high",
                ValueType::Number,
                "What was exceeded in one of two hundred of such times, or never.",
                |e, _| Some(Value::Number(e.high)),
            ),
            Field::noted(
                "volume.span_ms",
                ValueType::Number,
                "The time in which it was used, in milliseconds.",
                |e, _| Some(Value::Number(e.span_ms)),
            ),
            Field::noted(
                "volume.known_s",
                ValueType::Number,
                "How long the service has been known, in seconds.",
                |e, _| Some(Value::Number(e.known_s)),
            ),
            Field::noted(
                "volume.peer",
                ValueType::Text,
                "The peer that most of the bytes went to or came from.",
                |e, tail| (e.peer.len > 0).then(|| Value::Text(tail.get(e.peer))),
            ),
            Field::noted("net.proto", ValueType::Label, "Transport protocol.", |e, _| {
                (e.port != 0).then(|| Value::Label(protocol(e.protocol)))
            }),
            Field::noted("net.raddr", ValueType::Address, "That peer's address.", |e, _| {
                (e.address != [0; 16]).then(|| Value::Address(address(e.address)))
            }),
            Field::noted(
                "net.rport",
                ValueType::Port,
                "The port at which it was addressed last.",
                |e, _| (e.port != 0).then_some(Value::Port(e.port)),
            ),
        ];
    }
}
