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
    /// Of a start: the program and its first argument.
    pub entrypoint: Span,
    /// Of a start: all arguments, space between them.
    pub arguments: Span,
    /// Of a start: the user; empty for the image's default.
    pub user: Span,
    /// Of a start: announced ports, NUL between them.
    pub ports: Span,
    /// Of a start: kinds and places of mounts, NUL between them.
    pub mounts: Span,
    /// Of a start: rules broken by what it was given, and with what, NUL between them.
    pub grants: Span,
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
        record::{Span, Tail},
        value::{Value, ValueType},
    };

    fn text(span: Span, tail: Tail<'_>) -> Option<Value<'_>> {
        (span.len > 0).then(|| Value::Text(tail.get(span)))
    }

    fn list(span: Span, tail: Tail<'_>) -> Option<Value<'_>> {
        (span.len > 0).then(|| Value::List(tail.get(span)))
    }

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
                |e, tail| text(e.command, tail),
            ),
            Field::noted(
                "container.exit_code",
                ValueType::Number,
                "Exit code of the container or session.",
                |e, _| (e.exit_code != u32::MAX).then_some(Value::Number(u64::from(e.exit_code))),
            ),
            Field::noted(
                "container.entrypoint",
                ValueType::Text,
                "Of a start: the program, and the first of its arguments.",
                |e, tail| text(e.entrypoint, tail),
            ),
            Field::noted(
                "container.arguments",
                ValueType::Text,
                "Of a start: all arguments of the program, space between them, cut where they are long.",
                |e, tail| text(e.arguments, tail),
            ),
            Field::noted(
                "container.user",
                ValueType::Text,
                "Of a start: the user it is started as; absent for the image's default.",
                |e, tail| text(e.user, tail),
            ),
            Field::noted(
                "container.ports",
                ValueType::List,
                "Of a start: the ports that image or operator announce, as `80/tcp`.",
                |e, tail| list(e.ports, tail),
            ),
            Field::noted(
                "container.mounts",
                ValueType::List,
                "Of a start: what is mounted into it, as `volume /data`: bind, volume or tmpfs.",
                |e, tail| list(e.mounts, tail),
            ),
            Field::noted(
                "container.grants",
                ValueType::List,
                "Of a start: what it was given that leads out of it, as rule and object.",
                |e, tail| list(e.grants, tail),
            ),
        ];
    }
}
