//! The closed sets that labels take their values from.

use super::family::Row;
use crate::config::sink::SinkTable;
use plimsoll_ebpf::{
    catalog::{CATALOG, GUARDS, SHARED_PROBES},
    orders::{merged, reason},
    rules::{Class, Rule, Severity, outcome},
};

/// The one label value for what nobody foresaw.
pub(super) const UNKNOWN: &str = "unknown";

/// The values of one label, each as a row.
pub(super) fn rows(label: &'static str, values: Vec<&'static str>) -> Vec<Row> {
    values.into_iter().map(|value| vec![(label, value)]).collect()
}

/// Events, in the order of the catalogue.
pub(super) fn kinds() -> Vec<&'static str> {
    CATALOG.iter().map(|kind| kind.name).collect()
}

/// Why an act can be counted instead of reported.
pub(super) fn merged() -> Vec<&'static str> {
    merged::NAMES.to_vec()
}

/// Why an observation can be lost.
pub(super) fn losses() -> Vec<&'static str> {
    let in_kernel = [reason::RING_FULL, reason::OVER_SHARE, reason::MAP_FULL, reason::NO_SLOT]
        .map(reason::name);
    let in_agent = [
        "truncated",
        "unknown_kind",
        "probe_missed",
        "hold_overflow",
        "unattributed",
        "not_looked_at",
        "process_table_full",
        "docker_queue_full",
        "gate_queue_full",
        "other_version",
        "store_queue_full",
        "disk_full",
        "store_error",
        UNKNOWN,
    ];
    in_kernel.into_iter().chain(in_agent).collect()
}

/// Why a ring entry is no record.
pub(super) fn decode_errors() -> Vec<&'static str> {
    vec!["truncated", "unknown_kind"]
}

/// The rules, with what holds of each.
pub(super) fn rules() -> Vec<Row> {
    let row = |rule: &Rule| {
        let info = rule.info();
        vec![("rule", info.name), ("severity", info.severity.name()), ("class", info.class.name())]
    };
    Rule::ALL.iter().map(row).collect()
}

/// How bad a broken rule is, mildest first.
pub(super) fn severities() -> Vec<&'static str> {
    Severity::ALL.iter().map(|it| it.name()).collect()
}

/// What can become of an act besides that it takes place.
pub(super) fn outcomes() -> Vec<&'static str> {
    [outcome::DENIED, outcome::KILLED].into_iter().filter_map(outcome::name).collect()
}

/// What the gate counts.
pub(super) fn gate() -> Vec<&'static str> {
    vec!["asked", "denied", "untold", "overflowed", "unanswered", "unread"]
}

/// The classes of rules.
pub(super) fn classes() -> Vec<&'static str> {
    Class::ALL.map(Class::name).into()
}

/// How far the dimensions of profiles are.
pub(super) fn profile_states() -> Vec<&'static str> {
    vec!["learning", "monitor", "unmodelled"]
}

/// The dimensions in which behaviour is learned.
pub(super) fn dimensions() -> Vec<&'static str> {
    vec!["process", "lineage", "arguments", "write", "listener", "peer", "privilege", "volume"]
}

/// Why an act is not learned.
pub(super) fn refusals() -> Vec<&'static str> {
    vec!["never_learned", "no_room", "flood", "too_many_profiles"]
}

/// Why a departure is not told by itself.
pub(super) fn held_back() -> Vec<&'static str> {
    vec!["repeated", "budget", "alike", "own_data"]
}

/// What can become of a round in which containers are measured.
pub(super) fn volume_rounds() -> Vec<&'static str> {
    vec!["taken", "skipped"]
}

/// The rings.
pub(super) fn rings() -> Vec<&'static str> {
    vec!["priority", "bulk"]
}

/// The configured sinks, by name and type.
pub(super) fn sinks(sinks: &[SinkTable]) -> Vec<[String; 2]> {
    sinks.iter().map(|it| [it.name.clone(), it.target.type_name().to_owned()]).collect()
}

/// What can become of an alert at a sink.
pub(super) fn sink_results() -> Vec<&'static str> {
    vec!["delivered", "refused", "sink_queue_full", "over_bound", "unwritten", "unreadable"]
}

/// Why a segment of the store is removed.
pub(super) fn removals() -> Vec<&'static str> {
    vec!["age", "size"]
}

/// The bounded queues of the agent.
pub(super) fn queues() -> Vec<&'static str> {
    vec!["docker", "store"]
}

/// Programs in the kernel, each once, in the order of the catalogue.
pub(super) fn probes() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let of_events = CATALOG.iter().flat_map(|kind| kind.probes);
    let guards = GUARDS.iter().map(|(_, probe)| probe);
    for probe in SHARED_PROBES.iter().chain(of_events).chain(guards) {
        if !names.contains(&probe.program) {
            names.push(probe.program);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::catalog::DecodeError;

    use super::*;

    #[test]
    fn every_reason_of_the_kernel_and_the_decoder_is_foreseen() {
        for code in 1..20 {
            assert!(losses().contains(&reason::name(code)), "{code}");
        }
        for error in [DecodeError::Truncated, DecodeError::UnknownKind(7)] {
            assert!(losses().contains(&error.reason()));
            assert!(decode_errors().contains(&error.reason()));
        }
    }
}
