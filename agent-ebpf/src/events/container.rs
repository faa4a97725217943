//! `container`: something happened to a container as a whole.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Built by the agent from Docker's events.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Container {
    /// What happened, in Docker's word.
    pub op: Span,
    /// Command of an exec session or health check.
    pub command: Span,
    /// Exit code, or `u32::MAX` where there is none.
    pub exit_code: u32,
    /// Zero.
    pub reserved: u32,
}

impl Wire for Container {
    const KIND: u16 = 12;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Container;
    use crate::{
        catalog::{EventType, Field, Probe},
        value::{Value, ValueType},
    };

    impl EventType for Container {
        const NAME: &'static str = "container";
        const SUMMARY: &'static str = "Something happened to a container as a whole.";
        const PROBES: &'static [Probe] = &[];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted(
                "container.op",
                ValueType::Text,
                "What happened, in Docker's word: create, start, die, exec_start, health_status; network_connect.",
                |e, tail| Some(Value::Text(tail.get(e.op))),
            ),
            Field::noted(
                "container.command",
                ValueType::Text,
                "Command of an exec session or health check; a network, as `/network/NAME`.",
                |e, tail| (e.command.len > 0).then(|| Value::Text(tail.get(e.command))),
            ),
            Field::noted(
                "container.exit_code",
                ValueType::Number,
                "Exit code of the container or session.",
                |e, _| (e.exit_code != u32::MAX).then_some(Value::Number(u64::from(e.exit_code))),
            ),
        ];
    }
}
