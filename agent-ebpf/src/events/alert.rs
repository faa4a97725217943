//! `alert`: something happened that must not happen in this container.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{Span, Wire};

/// Built by the agent for an observation that breaks a rule.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Alert {
    /// [`Wire::KIND`] of the observation.
    pub of: u16,
    /// Number of the rule, a [`crate::rules::Rule`].
    pub rule: u8,
    /// How the rule's class is treated in the container, a [`crate::rules::Mode`].
    pub mode: u8,
    /// What it was done with or to: a program, a script, a file.
    pub path: Span,
    /// The peer or the local address that it is about.
    pub peer: Span,
    /// Where that lies, as a word.
    pub layer: Span,
    /// Why this is an alert, in one sentence or two.
    pub reason: Span,
    /// The command that allows it.
    pub allow: Span,
    /// The incident that it is part of, as 16 hexadecimal digits.
    pub incident: Span,
    /// How likely the incident means something, with this alert, in percent.
    pub score: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

impl Wire for Alert {
    const KIND: u16 = 14;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Alert;
    use crate::{
        catalog::{EventType, Field, Kind, Probe},
        rules::{Mode, Rule, RuleInfo},
        value::{Value, ValueType},
    };

    fn rule(alert: &Alert) -> Option<&'static RuleInfo> {
        Rule::by_number(alert.rule).map(Rule::info)
    }

    impl EventType for Alert {
        const NAME: &'static str = "alert";
        const SUMMARY: &'static str = "An observation broke a rule.";
        const PROBES: &'static [Probe] = &[];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted("rule", ValueType::Label, "The rule that was broken.", |e, _| {
                rule(e).map(|it| Value::Label(it.name))
            }),
            Field::noted(
                "severity",
                ValueType::Label,
                "How bad that is: info, low, medium, high or critical.",
                |e, _| rule(e).map(|it| Value::Label(it.severity.name())),
            ),
            Field::noted("reason", ValueType::Text, "Why this is an alert.", |e, tail| {
                Some(Value::Text(tail.get(e.reason)))
            }),
            Field::noted(
                "alert.of",
                ValueType::Label,
                "The event of the observation that broke the rule.",
                |e, _| Kind::by_number(e.of).map(|kind| Value::Label(kind.name)),
            ),
            Field::noted(
                "alert.path",
                ValueType::Path,
                "The program, script or file that it is about.",
                |e, tail| (e.path.len > 0).then(|| Value::Path(tail.get(e.path))),
            ),
            Field::noted(
                "alert.peer",
                ValueType::Text,
                "The peer that it is about, or the address at which peers are waited for.",
                |e, tail| (e.peer.len > 0).then(|| Value::Text(tail.get(e.peer))),
            ),
            Field::noted(
                "alert.layer",
                ValueType::Text,
                "Where that lies: image, upper, copied_up, tmpfs, memfd, volume, bind, rootfs or mount.",
                |e, tail| (e.layer.len > 0).then(|| Value::Text(tail.get(e.layer))),
            ),
            Field::noted(
                "alert.mode",
                ValueType::Label,
                "How the rule's class was treated in the container: learn, monitor or enforce.",
                |e, _| {
                    let mode = Mode::ALL.into_iter().find(|mode| *mode as u8 == e.mode)?;
                    Some(Value::Label(mode.name()))
                },
            ),
            Field::noted(
                "alert.allow",
                ValueType::Text,
                "The command that allows it from now on.",
                |e, tail| (e.allow.len > 0).then(|| Value::Text(tail.get(e.allow))),
            ),
            Field::noted(
                "alert.incident",
                ValueType::Text,
                "The incident that it is part of: alerts of one subtree of processes, each within five minutes of another.",
                |e, tail| (e.incident.len > 0).then(|| Value::Text(tail.get(e.incident))),
            ),
            Field::noted(
                "alert.score",
                ValueType::Number,
                "How likely it is that the incident means something, with this alert, in percent.",
                |e, _| (e.score > 0).then_some(Value::Number(u64::from(e.score))),
            ),
            Field::noted(
                "attack.technique",
                ValueType::Label,
                "Technique of MITRE ATT&CK.",
                |e, _| rule(e).map(|it| Value::Label(it.technique)),
            ),
            Field::noted("attack.tactic", ValueType::Label, "Tactic of MITRE ATT&CK.", |e, _| {
                rule(e).map(|it| Value::Label(it.tactic))
            }),
        ];
    }
}
