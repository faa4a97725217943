//! The words of an alert: why it is one, and what would allow it.

use std::fmt::Write as _;

use plimsoll_ebpf::{
    layer::code,
    rules::{Class, Rule, outcome},
    value::readable,
};

use super::act::{self, Breach};
use crate::{
    attribution::{container::Container, observation::Observation},
    policy::place::{Object, Place},
};

/// Why something is an alert: what happened, by whom, where that lies, what became of it.
pub(super) fn reason(
    breach: &Breach<'_>,
    observation: &Observation<'_>,
    exe: Option<&[u8]>,
) -> String {
    let (rule, path) = (breach.rule, breach.path());
    let summary = rule.info().summary.trim_end_matches('.');
    let mut text = summary.to_owned();
    // What is no file is written as a path, and lies nowhere; where a busy program lies is not known.
    let is_file = !rule.is_of_container()
        && !is_of_kernel(path)
        && !matches!(
            rule,
            Rule::NewPrivilege | Rule::MountMade | Rule::NamespaceEntered | Rule::CpuLoad
        );
    if !path.is_empty() && is_file {
        let _ = write!(text, ": {} ({})", readable(path), place(breach.layer));
    } else if !path.is_empty() {
        let _ = write!(text, ": {}", readable(path));
    } else if let Object::Peer(endpoint) = breach.object {
        let before = if rule == Rule::VolumeOut {
            ", to "
        } else if rule == Rule::VolumeIn {
            ", from "
        } else {
            ": "
        };
        text.push_str(before);
        let _ = match observation.peer_name {
            Some(name) => write!(text, "{endpoint} ({})", readable(name.as_bytes())),
            None => write!(text, "{endpoint}"),
        };
    }
    // A program that runs is its process's own.
    let is_itself = |exe: &&[u8]| rule.class() == Class::Exec && *exe == path;
    if let Some(exe) = exe.filter(|exe| !exe.is_empty() && !is_itself(exe)) {
        let _ = write!(text, ", by {}", readable(exe));
    }
    text.push('.');
    match observation.record.header.outcome {
        outcome::DENIED => text.push_str(" It was refused."),
        outcome::KILLED if rule.class() == Class::Exec => {
            text.push_str(" The process was killed before it ran.");
        }
        outcome::KILLED => text.push_str(" The process was killed for it."),
        _ => {}
    }
    text
}

/// Whether a path stands for what is the kernel's.
fn is_of_kernel(path: &[u8]) -> bool {
    [act::KERNEL_PROGRAMS, act::KERNEL_MODULES].contains(&path)
}

/// The peer that it is about; empty where there is none.
pub(super) fn peer(breach: &Breach<'_>) -> String {
    match breach.object {
        Object::Peer(endpoint) => endpoint.to_string(),
        Object::Path(_) => String::new(),
    }
}

/// A layer in words.
fn place(layer: u8) -> &'static str {
    match layer {
        code::IMAGE => "of the image",
        code::UPPER => "in the container's writable layer",
        code::COPIED_UP => "of the image, changed in the container's writable layer",
        code::TMPFS => "in a tmpfs",
        code::MEMFD => "in memory, without a name",
        code::BIND => "in a bind mount",
        code::VOLUME => "in a volume",
        code::MOUNT => "in a mount",
        code::ROOTFS => "on the root file system",
        _ => "place unknown",
    }
}

/// The command that allows it from now on; `None` where no exception can be written for it.
pub(super) fn allow(breach: &Breach<'_>, container: &Container) -> Option<String> {
    let is_of_agent = breach.rule == Rule::AgentAttacked && !is_of_kernel(breach.path());
    if breach.is_unsure || is_of_agent {
        return None;
    }
    let place = match breach.object {
        Object::Path(path) => std::str::from_utf8(path).ok()?.to_owned(),
        Object::Peer(endpoint) => endpoint.to_string(),
    };
    let whose = if container.service.is_empty() { &container.image } else { &container.service };
    // What is shown otherwise than it is would not be one word of a shell any more.
    if place.contains('*') || [&place, whose].into_iter().any(|it| is_shown_otherwise(it)) {
        return None;
    }
    let parsed = Place::parse(&place).ok().filter(|it| it.is_for(breach.rule))?;
    let option = match parsed {
        Place::Path(_) => "path",
        Place::Peers(_) => "peer",
    };
    let whom = if !container.service.is_empty() {
        format!("--service {}", quoted(&container.service))
    } else if !container.image.is_empty() {
        format!("--image {}", quoted(&container.image))
    } else {
        return None;
    };
    let rule = breach.rule.info().name;
    Some(format!("plimsoll profile allow {whom} --rule {rule} --{option} {}", quoted(&place)))
}

/// Whether a text is escaped where it is shown, now or once there is more to escape beside it.
fn is_shown_otherwise(text: &str) -> bool {
    text.contains('\\') || readable(text.as_bytes()) != text
}

/// A text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/._-:@+,".contains(it);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_ebpf::{
        catalog::{Record, encode},
        events::fork::Fork,
        record::Header,
    };

    use super::*;
    use crate::{attribution::node::Node, policy::peers::Endpoint};

    fn container() -> Container {
        Container { image: "shop:1".to_owned(), ..Container::default() }
    }

    fn of_file(rule: Rule, path: &[u8], layer: u8) -> Breach<'_> {
        Breach { rule, object: Object::Path(path), layer, is_unsure: false }
    }

    fn told(breach: &Breach<'_>, outcome: u8, peer_name: Option<&str>, exe: &[u8]) -> String {
        let header = Header { outcome, ..Header::default() };
        let entry = encode(header, Fork::default(), b"");
        let observation = Observation {
            ts_ns: 0,
            record: Record::decode(&entry).expect("decodes"),
            node: &Arc::new(Node::default()),
            container: None,
            process: None,
            peer_name,
            former_name: None,
        };
        reason(breach, &observation, Some(exe))
    }

    #[test]
    fn the_reason_names_the_file_its_place_and_who_did_it() {
        let breach = of_file(Rule::ForeignScript, b"/tmp/x.sh", code::TMPFS);
        assert_eq!(
            told(&breach, outcome::DENIED, None, b"/bin/sh"),
            "A script ran that the image does not contain: /tmp/x.sh (in a tmpfs), by /bin/sh. It was refused."
        );
    }

    #[test]
    fn of_a_peer_address_port_and_name_are_told() {
        let address = std::net::Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().octets();
        let endpoint = Endpoint { address, port: 5432, protocol: 6 };
        let breach =
            Breach { object: Object::Peer(endpoint), ..of_file(Rule::ForeignPeer, b"", 0) };
        assert_eq!(
            told(&breach, outcome::DONE, Some("db"), b"/bin/nc"),
            "A process addressed a peer that is not on its container's list: 10.1.2.3:5432/tcp (db), by /bin/nc."
        );
        assert_eq!(
            allow(&breach, &container()).as_deref(),
            Some(
                "plimsoll profile allow --image shop:1 --rule foreign_peer --peer 10.1.2.3:5432/tcp"
            )
        );
    }

    #[test]
    fn the_command_survives_a_hostile_path() {
        let breach = |path| of_file(Rule::NewExecutable, path, code::UPPER);
        assert_eq!(
            allow(&breach(b"/tmp/a b'$(id)"), &container()).as_deref(),
            Some(
                "plimsoll profile allow --image shop:1 --rule new_executable --path '/tmp/a b'\\''$(id)'"
            )
        );
        assert_eq!(allow(&breach(b"/tmp/\xff"), &container()), None);
        // A backslash is doubled in what is shown: what was quoted would be quoted no more.
        for path in [&br"/tmp/a'$(id)'\x"[..], br"/tmp/a\b", "/tmp/\u{202e}'$(id)".as_bytes()] {
            assert_eq!(allow(&breach(path), &container()), None);
        }
        let hostile = Container { image: r"a'\x".to_owned(), ..Container::default() };
        assert_eq!(allow(&breach(b"/tmp/a"), &hostile), None);
        assert_eq!(allow(&breach(b"/tmp/*"), &container()), None);
        let unsure = Breach { is_unsure: true, ..breach(b"/tmp/a") };
        assert_eq!(allow(&unsure, &container()), None, "no exception would cover it");
    }

    #[test]
    fn every_command_that_is_offered_is_taken() {
        let address = std::net::Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().octets();
        let endpoint = Endpoint { address, port: 5432, protocol: 6 };
        for &rule in Rule::ALL {
            let objects = [Object::Path(act::KERNEL_PROGRAMS), Object::Peer(endpoint)];
            for object in objects {
                let place = Place::parse(match object {
                    Object::Path(_) => "/kernel/bpf",
                    Object::Peer(_) => "10.1.2.3:5432/tcp",
                });
                let place = place.expect("is a place");
                let breach = Breach { object, ..of_file(rule, b"", code::UNKNOWN) };
                assert_eq!(allow(&breach, &container()).is_some(), place.is_for(rule), "{rule:?}");
            }
        }
        let network = of_file(Rule::NetworkJoined, b"/network/shop", code::UNKNOWN);
        assert_eq!(
            allow(&network, &container()).as_deref(),
            Some(
                "plimsoll profile allow --image shop:1 --rule network_joined --path /network/shop"
            )
        );
        let agent = of_file(Rule::AgentAttacked, b"/run/plimsoll.sock", code::UNKNOWN);
        assert_eq!(allow(&agent, &container()), None);
    }
}
