//! `gap`: observations were lost.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Built by the agent whenever a counter of losses has moved.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Gap {
    /// How many observations were lost.
    pub lost: u64,
    /// Earliest moment of the loss, in nanoseconds since the Unix epoch.
    pub from_ns: u64,
    /// Latest moment of the loss, in nanoseconds since the Unix epoch.
    pub to_ns: u64,
    /// Why, as in the metric's label.
    pub reason: Span,
    /// Name of the event that was lost, empty where it is not known.
    pub of: Span,
}

impl Wire for Gap {
    const KIND: u16 = 13;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Gap;
    use crate::{
        catalog::{EventType, Field, Probe},
        value::{Value, ValueType},
    };

    impl EventType for Gap {
        const NAME: &'static str = "gap";
        const SUMMARY: &'static str = "Observations were lost.";
        const PROBES: &'static [Probe] = &[];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted("gap.reason", ValueType::Text, "Why they were lost.", |e, tail| {
                Some(Value::Text(tail.get(e.reason)))
            }),
            Field::noted("gap.of", ValueType::Text, "The event that was lost.", |e, tail| {
                (e.of.len > 0).then(|| Value::Text(tail.get(e.of)))
            }),
            Field::noted("gap.lost", ValueType::Number, "How many were lost.", |e, _| {
                Some(Value::Number(e.lost))
            }),
            Field::noted("gap.from", ValueType::Time, "When the loss began.", |e, _| {
                Some(Value::Time(e.from_ns))
            }),
            Field::noted("gap.to", ValueType::Time, "When the loss ended.", |e, _| {
                Some(Value::Time(e.to_ns))
            }),
        ];
    }
}
