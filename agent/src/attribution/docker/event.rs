//! Docker's events, read and told apart from repetitions.

use std::collections::{HashMap, HashSet, VecDeque};

use bollard::models::{EventMessage, EventMessageTypeEnum};

use super::Notice;

/// Docker itself repeats at most 256 events.
const REMEMBERED: usize = 4096;

/// Docker stamps events before it puts them in order.
const DISORDER_NS: u64 = 1_000_000_000;

/// What is told of; other actions (`attach`, `resize`, `top`, `archive-path`) change nothing.
const TOLD: [&str; 14] = [
    "create",
    "start",
    "die",
    "destroy",
    "kill",
    "oom",
    "pause",
    "unpause",
    "restart",
    "rename",
    "exec_create",
    "exec_start",
    "exec_die",
    "health_status",
];

/// A container was connected to a network, which is an event of the network.
pub(super) const JOINED: &str = "network_connect";

/// An event of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) op: String,
    pub(super) command: String,
    pub(super) exit_code: Option<u32>,
    pub(super) time_ns: u64,
    /// Labels, with the container's name and image among them.
    pub(super) attributes: HashMap<String, String>,
}

impl Event {
    /// Reads a message; `None` for what is not told of.
    pub(super) fn read(message: EventMessage) -> Option<Self> {
        let actor = message.actor?;
        if message.typ == Some(EventMessageTypeEnum::NETWORK) {
            let attributes = actor.attributes.unwrap_or_default();
            let get = |key: &str| attributes.get(key).cloned();
            return (message.action.as_deref() == Some("connect")).then_some(Self {
                id: get("container")?,
                op: JOINED.to_owned(),
                command: format!("/network/{}", get("name")?),
                exit_code: None,
                time_ns: message.time_nano?.try_into().ok()?,
                attributes: HashMap::new(),
            });
        }
        let action = message.action?;
        let (op, command) = action.split_once(": ").unwrap_or((&action, ""));
        if !TOLD.contains(&op) {
            return None;
        }
        let attributes = actor.attributes.unwrap_or_default();
        Some(Self {
            id: actor.id?,
            op: op.to_owned(),
            command: command.trim_end().to_owned(),
            exit_code: attributes.get("exitCode").and_then(|code| code.parse().ok()),
            time_ns: message.time_nano?.try_into().ok()?,
            attributes,
        })
    }

    /// Whether what an inspection says may be different after this.
    pub(super) fn is_change(&self) -> bool {
        matches!(self.op.as_str(), "create" | "start" | "restart" | "rename" | JOINED)
    }

    /// Whether the container does not run after this.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.op.as_str(), "die" | "destroy")
    }

    pub(super) fn into_notice(self) -> Notice {
        let Self { id, op, command, exit_code, time_ns, .. } = self;
        Notice::Lifecycle { id, op, command, exit_code, time_ns }
    }
}

/// Which events were seen, across connections.
#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: HashSet<(u64, String, String)>,
    order: VecDeque<(u64, String, String)>,
    latest_ns: u64,
}

impl Seen {
    /// Takes note of an event; returns whether it is new.
    pub(super) fn is_new(&mut self, event: &Event) -> bool {
        // Two commands may start in the same nanosecond only if they differ.
        let what = format!("{} {}", event.op, event.command);
        let key = (event.time_ns, event.id.clone(), what);
        if !self.keys.insert(key.clone()) {
            return false;
        }
        self.latest_ns = self.latest_ns.max(event.time_ns);
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }

    /// From when on events are asked for: a little before the latest, or before `now_ns` at first.
    /// As Docker reads it: seconds, a dot and nine digits.
    pub(super) fn since(&self, now_ns: u64) -> String {
        let latest_ns = if self.latest_ns == 0 { now_ns } else { self.latest_ns };
        let from_ns = latest_ns.saturating_sub(DISORDER_NS);
        format!("{}.{:09}", from_ns / 1_000_000_000, from_ns % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Event> {
        Event::read(serde_json::from_str(json).expect("a sample is valid"))
    }

    #[test]
    fn an_exec_session_is_split_into_word_and_command() {
        let event = read(
            r#"{"Type":"container","Action":"exec_start: sh -c echo a: b","Actor":{"ID":"ab",
            "Attributes":{"execID":"x","image":"i","name":"n"}},"scope":"local",
            "time":1795537142,"timeNano":1795537142859837095}"#,
        )
        .expect("is told of");
        assert_eq!((event.op.as_str(), event.command.as_str()), ("exec_start", "sh -c echo a: b"));
        assert_eq!(event.time_ns, 1_795_537_142_859_837_095);
        assert!(!event.is_change());
    }

    #[test]
    fn an_end_has_its_exit_code_and_health_its_state() {
        let die = read(
            r#"{"Action":"die","Actor":{"ID":"ab","Attributes":{"exitCode":"137"}},"timeNano":1}"#,
        );
        assert_eq!(die.expect("is told of").exit_code, Some(137));
        let health =
            read(r#"{"Action":"health_status: healthy","Actor":{"ID":"ab"},"timeNano":1}"#);
        assert_eq!(health.expect("is told of").command, "healthy");
        assert_eq!(read(r#"{"Action":"resize","Actor":{"ID":"ab"},"timeNano":1}"#), None);
    }

    #[test]
    fn a_repeated_event_is_old_and_its_moment_is_asked_from() {
        let mut seen = Seen::default();
        assert_eq!(seen.since(5_000_000_001), "4.000000001");
        let event = Event { id: "ab".into(), op: "start".into(), ..Event::default() };
        let event = Event { time_ns: 7_000_000_020, ..event };
        assert!(seen.is_new(&event) && !seen.is_new(&event));
        assert!(seen.is_new(&Event { op: "die".into(), ..event }));
        assert_eq!(seen.since(0), "6.000000020");
    }

    #[test]
    fn memory_of_events_is_bounded() {
        let mut seen = Seen::default();
        for time_ns in 0..2 * REMEMBERED as u64 {
            seen.is_new(&Event { time_ns, ..Event::default() });
        }
        assert_eq!((seen.keys.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
    }
}
