//! One occurrence of an event, attributed: the form in which every later stage sees it.

use std::sync::Arc;

use plimsoll_ebpf::{
    catalog::{self, FieldInfo, Record},
    layer,
    rules::outcome,
    value::{Value, ValueType},
};

use super::{
    container::{Container, MountKind},
    node::Node,
    process::Process,
};
use crate::fields::{Fields, Visit};

/// An attributed observation. It borrows: nothing is copied for one that is merely counted.
#[derive(Clone, Copy)]
pub struct Observation<'a> {
    /// When it happened, in nanoseconds since the Unix epoch.
    pub ts_ns: u64,
    /// The event and its own fields.
    pub record: Record<'a>,
    /// The host.
    pub node: &'a Arc<Node>,
    /// The container; absent for gaps that concern none.
    pub container: Option<&'a Arc<Container>>,
    /// The process; absent where the kernel does not say.
    pub process: Option<&'a Arc<Process>>,
    /// Name of the peer: the one by which this container last resolved its address, else the service
    /// or container of this host that has it.
    pub peer_name: Option<&'a str>,
    /// Name by which this container resolved the address before it passed to who has that name.
    pub former_name: Option<&'a str>,
}

/// A field that every observation may have, whatever its event.
pub struct Common {
    /// Name, type and meaning.
    pub info: FieldInfo,
    /// Reads it; `None` where it has no value.
    pub get: for<'a> fn(&Observation<'a>) -> Option<Value<'a>>,
}

const fn noted(
    name: &'static str,
    value: ValueType,
    doc: &'static str,
    get: for<'a> fn(&Observation<'a>) -> Option<Value<'a>>,
) -> Common {
    Common { info: FieldInfo { name, value, learned: false, doc }, get }
}

/// The fields of the observation itself.
pub static FIELDS: [Common; 7] = [
    noted("ts", ValueType::Time, "When it happened.", |it| Some(Value::Time(it.ts_ns))),
    noted("kind", ValueType::Label, "The event.", |it| Some(Value::Label(it.record.kind.name))),
    noted("count", ValueType::Number, "How many occurrences this one stands for.", |it| {
        Some(Value::Number(u64::from(it.record.header.count)))
    }),
    noted("proc.uid", ValueType::Number, "User id on the host.", |it| {
        let header = &it.record.header;
        (header.pid != 0).then_some(Value::Number(u64::from(header.uid)))
    }),
    noted(
        "proc.tid",
        ValueType::Number,
        "Thread id on the host; absent for a process's first thread.",
        |it| {
            let header = &it.record.header;
            (header.tid != header.pid).then_some(Value::Number(u64::from(header.tid)))
        },
    ),
    Common {
        info: FieldInfo {
            name: "net.dns",
            value: ValueType::Text,
            learned: true,
            doc: "Name of the peer: the one by which this container last resolved its address, else the \
                  service or container of this host that has it.",
        },
        get: |it| it.peer_name.map(|name| Value::Text(name.as_bytes())),
    },
    noted(
        "outcome",
        ValueType::Label,
        "What became of it: denied (it had no effect) or killed (who did it was killed for it); absent where it went through.",
        |it| outcome::name(it.record.header.outcome).map(Value::Label),
    ),
];

impl<'a> Observation<'a> {
    /// Visits the event's own fields, by their index in it.
    pub fn visit_own(&self, visit: &mut catalog::Visit<'_, 'a>) {
        self.record.visit(&mut |index, field, value| visit(index, field, self.refine(value)));
    }

    /// The layer's final name: a mount is told apart as volume or bind mount by the container's
    /// mount table.
    fn refine(&self, value: Value<'a>) -> Value<'a> {
        let Value::Layer(code, path) = value else { return value };
        Value::Label(layer::name(self.layer_of(code, path)))
    }

    /// The final code of the layer in which a path of this observation lies.
    pub fn layer_of(&self, code: u8, path: &[u8]) -> u8 {
        if code != layer::code::MOUNT && code != layer::code::BY_PATH {
            return code;
        }
        let mounted = self.container.and_then(|container| container.mount_of(path));
        match mounted {
            Some(MountKind::Bind) => layer::code::BIND,
            Some(MountKind::Volume) => layer::code::VOLUME,
            Some(MountKind::Tmpfs) => layer::code::TMPFS,
            None if code == layer::code::BY_PATH => layer_by_path(path),
            None => code,
        }
    }
}

/// The layer of a changed name that lies in none of the container's mounts: Docker always mounts
/// `/proc`, `/sys` and `/dev`, and every other change lands in the upper layer.
fn layer_by_path(path: &[u8]) -> u8 {
    let below = |directory: &[u8]| {
        path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    if below(b"/proc") {
        layer::code::PROC
    } else if below(b"/sys") {
        layer::code::SYS
    } else if below(b"/dev") {
        layer::code::TMPFS
    } else {
        layer::code::UPPER
    }
}

impl Fields for Observation<'_> {
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>) {
        for field in &FIELDS {
            if let Some(value) = (field.get)(self) {
                visit(&field.info, value);
            }
        }
        self.node.visit(visit);
        if let Some(container) = self.container {
            container.visit(visit);
        }
        if let Some(process) = self.process {
            process.visit(visit);
        }
        self.visit_own(&mut |_, field, value| visit(field, value));
    }
}
