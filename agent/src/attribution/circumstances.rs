//! What a container was started as and given, written into the event of its start and read back:
//! what was recorded can then be judged without Docker.

use plimsoll_ebpf::{
    catalog::TailBuilder, events::container::Container as Lifecycle, rules::Rule, value::Value,
};

use super::{
    container::{Container, Mount, MountKind},
    posture::Grant,
};
use crate::fields::Fields;

const KINDS: [(MountKind, &str); 3] =
    [(MountKind::Bind, "bind"), (MountKind::Volume, "volume"), (MountKind::Tmpfs, "tmpfs")];
const PROTOCOLS: [(u8, &str); 2] = [(6, "tcp"), (17, "udp")];

/// The event of a start, with the circumstances of its container.
pub(super) fn with(body: Lifecycle, of: &Container, texts: &mut TailBuilder) -> Lifecycle {
    let ports = of.announced.iter().filter_map(|(port, number)| {
        let (_, protocol) = PROTOCOLS.iter().find(|(it, _)| it == number)?;
        Some(format!("{port}/{protocol}"))
    });
    let mounts = of.mounts.iter().filter_map(|it| {
        let (_, kind) = KINDS.iter().find(|(kind, _)| *kind == it.kind)?;
        Some(format!("{kind} {}", it.destination))
    });
    let grants = of.grants.iter().map(|it| format!("{} {}", it.rule.info().name, it.object));
    let mut list = |all: Vec<String>| texts.push(all.join("\0").as_bytes());
    Lifecycle {
        ports: list(ports.collect()),
        mounts: list(mounts.collect()),
        grants: list(grants.collect()),
        entrypoint: texts.push(of.entrypoint.as_bytes()),
        arguments: texts.push(of.arguments.as_bytes()),
        user: texts.push(of.user.as_bytes()),
        ..body
    }
}

/// A container as the event of its start tells it: its own fields stay empty. `None` for any other
/// event, and for one of an agent that did not write them down.
pub fn of_start(recorded: &dyn Fields) -> Option<Container> {
    let entrypoint = text(recorded, "container.entrypoint");
    let is_start = recorded.get("container.op") == Some(Value::Text(b"start"));
    if !is_start || entrypoint.is_empty() {
        return None;
    }
    Some(Container {
        entrypoint,
        arguments: text(recorded, "container.arguments"),
        user: text(recorded, "container.user"),
        announced: list(recorded, "container.ports").iter().filter_map(|it| port(it)).collect(),
        mounts: list(recorded, "container.mounts").iter().filter_map(|it| mount(it)).collect(),
        grants: list(recorded, "container.grants").iter().filter_map(|it| grant(it)).collect(),
        ..Container::default()
    })
}

fn text(recorded: &dyn Fields, name: &str) -> String {
    let Some(Value::Text(text)) = recorded.get(name) else { return String::new() };
    String::from_utf8_lossy(text).into_owned()
}

fn list(recorded: &dyn Fields, name: &str) -> Vec<String> {
    let value = recorded.get(name);
    let parts = value.iter().flat_map(Value::parts);
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn port(text: &str) -> Option<(u16, u8)> {
    let (port, name) = text.split_once('/')?;
    let (protocol, _) = PROTOCOLS.iter().find(|(_, it)| *it == name)?;
    Some((port.parse().ok()?, *protocol))
}

fn mount(text: &str) -> Option<Mount> {
    let (name, destination) = text.split_once(' ')?;
    let (kind, _) = KINDS.iter().find(|(_, it)| *it == name)?;
    Some(Mount { destination: destination.to_owned(), source: String::new(), kind: *kind })
}

fn grant(text: &str) -> Option<Grant> {
    let (name, object) = text.split_once(' ')?;
    Some(Grant { rule: Rule::by_name(name)?, object: object.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_ebpf::{
        catalog::{Record, encode},
        record::Header,
    };

    use super::*;
    use crate::attribution::{node::Node, observation::Observation};

    fn read_back(container: &Container, op: &str) -> Option<Container> {
        let mut texts = TailBuilder::default();
        let body = Lifecycle { op: texts.push(op.as_bytes()), ..Lifecycle::default() };
        let body = with(body, container, &mut texts);
        let entry = encode(Header::default(), body, texts.bytes());
        let node = Arc::new(Node::default());
        of_start(&Observation {
            ts_ns: 1,
            record: Record::decode(&entry).expect("decodes"),
            node: &node,
            container: None,
            process: None,
            peer_name: None,
            former_name: None,
        })
    }

    #[test]
    fn what_a_container_was_started_as_and_given_is_read_back() {
        let mount = |destination: &str, kind| Mount {
            destination: destination.to_owned(),
            source: String::new(),
            kind,
        };
        let container = Container {
            entrypoint: "/entry.sh web".to_owned(),
            arguments: "web --port 80".to_owned(),
            user: "33".to_owned(),
            announced: vec![(53, 17), (80, 6)],
            mounts: vec![
                mount("/var/lib/a b", MountKind::Volume),
                mount("/cache", MountKind::Tmpfs),
                mount("/etc/hosts", MountKind::Bind),
            ],
            grants: vec![Grant { rule: Rule::HostPath, object: "/etc".to_owned() }],
            ..Container::default()
        };
        assert_eq!(read_back(&container, "start"), Some(container.clone()));
        assert_eq!(read_back(&container, "die"), None);
        let nothing = Container::default();
        assert_eq!(read_back(&nothing, "start"), None);
    }
}
