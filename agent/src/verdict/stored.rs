//! Judges stored observations by the rules as they stand.
//!
//! An observation is put back into the record it came from, and judged as that was.

use std::sync::Arc;

use plimsoll_ebpf::{
    catalog::Record,
    record::Header,
    rules::{Class, Rule},
};

use super::{act, own::Own};
use crate::{
    attribution::{
        node::Node,
        observation::Observation,
        restored::{Get, record, text},
    },
    policy::{peers::Endpoint, place::Object},
};

/// The events that can break a rule of a class and be stopped for it.
pub const fn kinds(class: Class) -> &'static [&'static str] {
    match class {
        Class::Exec => &["exec", "exec_map"],
        Class::File => &["file_write", "file_change"],
        Class::Network => &["connect", "listen", "privilege"],
    }
}

/// Rules of these events that are told and never stopped, which are no dry run's matter: a shell that
/// reads from a connection, settings of the kernel, memory of a process.
const ONLY_TOLD: [Rule; 3] =
    [Rule::ReverseShell, Rule::KernelSettingWritten, Rule::ProcessMemoryWritten];

/// A rule that a stored observation breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// The program, script or file; empty where it is about a peer.
    pub path: Vec<u8>,
    /// The peer, where it is about one.
    pub peer: Option<Endpoint>,
}

impl Breach {
    /// With what the rule was broken.
    pub fn object(&self) -> Object<'_> {
        self.peer.map_or(Object::Path(&self.path), Object::Peer)
    }
}

/// The rules that an observation with these fields breaks, whatever is decided about them: the worst first.
pub fn breaches(get: &Get<'_, '_>) -> Vec<Breach> {
    let kind = text(get, "kind");
    if !Class::ALL.iter().flat_map(|it| kinds(*it)).any(|it| it.as_bytes() == kind) {
        return Vec::new();
    }
    let entry = record(get, Header::default());
    let record = entry.as_ref().and_then(|it| Record::decode(it).ok());
    let Some(record) = record else { return Vec::new() };
    let observation = Observation {
        ts_ns: 0,
        record,
        node: &Arc::new(Node::default()),
        container: None,
        process: None,
        peer_name: None,
        former_name: None,
    };
    let stored = |it: act::Breach<'_>| {
        let peer = match it.object {
            Object::Peer(endpoint) => Some(endpoint),
            Object::Path(_) => None,
        };
        Breach { rule: it.rule, path: it.path().to_vec(), peer }
    };
    let all = act::breaches(&observation, &Own::default());
    all.filter(|it| !ONLY_TOLD.contains(&it.rule)).map(stored).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::{
        catalog::{TailBuilder, encode},
        events::{
            connect::Connect,
            exec::Exec,
            exec_map::ExecMap,
            file_change::{self, FileChange},
            file_write::{self, FileWrite},
            listen::Listen,
            privilege::{self, Privilege},
        },
        layer::code,
        record::flags,
        value::Value,
    };

    use super::*;
    use crate::{
        attribution::{container::Container, restored},
        fields::Fields,
    };

    /// The rules that an entry breaks, and with what: as it comes, and once it was stored.
    fn judged(entry: &[u8]) -> [Vec<(Rule, String)>; 2] {
        let container = Arc::new(Container::default());
        let node = Arc::new(Node::default());
        let observation = Observation {
            ts_ns: 1,
            record: Record::decode(entry).expect("decodes"),
            node: &node,
            container: Some(&container),
            process: None,
            peer_name: None,
            former_name: None,
        };
        let told = |it: act::Breach<'_>| (it.rule, format!("{:?}", it.object));
        let as_it_comes = act::breaches(&observation, &Own::default()).map(told).collect();
        let stored = breaches(&|name| match observation.get(name) {
            // The path of what runs is its process's, which these have not.
            None if name == "proc.exe" => Some(Value::Path(b"/x/program")),
            told => told,
        });
        let stored = stored.iter().map(|it| (it.rule, format!("{:?}", it.object())));
        [as_it_comes, stored.collect()]
    }

    fn exec(layer: u8, bits: u32, script: (&[u8], u8)) -> Vec<u8> {
        let mut texts = TailBuilder::default();
        let path = texts.push(b"/x/program");
        let body = Exec {
            path,
            layer,
            flags: bits,
            script: texts.push(script.0),
            script_layer: script.1,
            ..Exec::default()
        };
        encode(Header::default(), body, texts.bytes())
    }

    fn write(layer: u8, mode: u32, op: u32) -> Vec<u8> {
        let mut texts = TailBuilder::default();
        let path = texts.push(b"/usr/bin/program");
        encode(Header::default(), FileWrite { path, layer, mode, op, ..FileWrite::default() }, {
            texts.bytes()
        })
    }

    fn change(op: u8, layer: u8, number: u64, names: [&[u8]; 2]) -> Vec<u8> {
        let mut texts = TailBuilder::default();
        let [path, to] = names.map(|name| texts.push(name));
        let body = FileChange { path, to, op, layer, number, ..FileChange::default() };
        encode(Header::default(), body, texts.bytes())
    }

    fn map(layer: u8, bits: u32) -> Vec<u8> {
        let mut texts = TailBuilder::default();
        let path = texts.push(b"/opt/x.so");
        let body = ExecMap { path, layer, flags: bits, ..ExecMap::default() };
        encode(Header::default(), body, texts.bytes())
    }

    #[test]
    fn what_was_stored_is_judged_as_it_was_when_it_came() {
        use file_change::op;
        let mut entries = Vec::new();
        for layer in 0..=code::BY_PATH {
            for bits in [0, flags::UNLINKED, flags::CONTENT_CHANGED] {
                entries.push(exec(layer, bits, (b"", 0)));
                entries.push(exec(code::IMAGE, bits, (b"/x/script", layer)));
            }
            entries.push(exec(code::IMAGE, flags::SCRIPT_CHANGED, (b"/x/script", layer)));
            for mode in [0, 0o100_644, 0o100_755, 0o104_755] {
                entries.push(write(layer, mode, file_write::op::WRITE));
                entries.push(write(layer, mode, file_write::op::CREATE));
            }
            for op in op::RENAME..=op::REMOVE_XATTR {
                entries.push(change(op, layer, 0o4755, [b"/usr/bin/a", b"/opt/b"]));
                entries.push(change(op, layer, 0, [b"/opt/a", b""]));
            }
            entries.push(map(layer, flags::CONTENT_CHANGED));
            entries.push(map(layer, 0));
        }
        for address in ["10.1.2.3", "127.0.0.1", "169.254.169.254", "fd00::1", "::1"] {
            let address = restored::address(&|_| Some(Value::Text(address.as_bytes())), "");
            for (port, protocol) in [(53, 17), (443, 6)] {
                let peer = Connect { address, port, protocol, ..Connect::default() };
                entries.push(encode(Header::default(), peer, b""));
                let local = Listen { address, port, protocol, ..Listen::default() };
                entries.push(encode(Header::default(), local, b""));
            }
        }
        for op in 0..=privilege::op::AGENT_SOCKET {
            for result in [3, -1] {
                let body = Privilege { op, result, ..Privilege::default() };
                entries.push(encode(Header::default(), body, b""));
            }
        }
        let mut broken = 0;
        for entry in entries {
            let [as_it_comes, stored] = judged(&entry);
            assert_eq!(as_it_comes, stored, "{:?}", Record::decode(&entry).map(|it| it.kind.name));
            broken += stored.len();
        }
        assert!(broken > 100, "{broken}");
    }

    #[test]
    fn dockers_own_init_may_run() {
        for init in crate::attribution::inspect::DOCKER_INIT {
            let fields = |name: &str| match name {
                "kind" => Some(Value::Text(b"exec")),
                "exec.layer" => Some(Value::Text(b"mount")),
                "proc.exe" => Some(Value::Text(init)),
                _ => None,
            };
            assert_eq!(breaches(&fields), []);
        }
    }

    #[test]
    fn what_is_no_act_breaks_nothing() {
        assert_eq!(breaches(&|_| None), []);
        assert_eq!(breaches(&|_| Some(Value::Text(b"fork"))), []);
    }
}
