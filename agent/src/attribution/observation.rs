//! One occurrence of an event, attributed: the form in which every later stage sees it.

use std::sync::Arc;

use plimsoll_ebpf::{
    catalog::{FieldInfo, Record},
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

const fn noted(name: &'static str, value: ValueType, doc: &'static str) -> FieldInfo {
    FieldInfo { name, value, learned: false, doc }
}

static TS: FieldInfo = noted("ts", ValueType::Time, "When it happened.");
static KIND: FieldInfo = noted("kind", ValueType::Label, "The event.");
static COUNT: FieldInfo =
    noted("count", ValueType::Number, "How many occurrences this one stands for.");
static OUTCOME: FieldInfo = noted(
    "outcome",
    ValueType::Label,
    "What became of it: denied (it had no effect) or killed (who did it was killed for it); absent where it went through.",
);
static UID: FieldInfo = noted("proc.uid", ValueType::Number, "User id on the host.");
static TID: FieldInfo = noted(
    "proc.tid",
    ValueType::Number,
    "Thread id on the host; absent for a process's first thread.",
);
static PEER_NAME: FieldInfo = FieldInfo {
    name: "net.dns",
    value: ValueType::Text,
    learned: true,
    doc: "Name of the peer: the one by which this container last resolved its address, else the \
          service or container of this host that has it.",
};

/// The fields of the observation itself, whatever its event, in the order of `visit_row`.
pub static FIELDS: [&FieldInfo; 7] = [&TS, &KIND, &COUNT, &UID, &TID, &PEER_NAME, &OUTCOME];

/// Receives a column (stable per event and field), the field and its value.
pub type VisitRow<'v, 'a> = dyn FnMut(usize, &'static FieldInfo, Value<'a>) + 'v;

impl<'a> Observation<'a> {
    /// Visits what belongs to this observation alone: [`FIELDS`], then the event's own, but not
    /// the fields of node, container and process, which many observations share.
    pub fn visit_row(&self, visit: &mut VisitRow<'_, 'a>) {
        let header = &self.record.header;
        visit(0, &TS, Value::Time(self.ts_ns));
        visit(1, &KIND, Value::Label(self.record.kind.name));
        visit(2, &COUNT, Value::Number(u64::from(header.count)));
        if header.pid != 0 {
            visit(3, &UID, Value::Number(u64::from(header.uid)));
        }
        if header.tid != header.pid {
            visit(4, &TID, Value::Number(u64::from(header.tid)));
        }
        if let Some(name) = self.peer_name {
            visit(5, &PEER_NAME, Value::Text(name.as_bytes()));
        }
        if let Some(outcome) = outcome::name(header.outcome) {
            visit(6, &OUTCOME, Value::Label(outcome));
        }
        self.record.visit(&mut |index, field, value| {
            visit(FIELDS.len() + index, field, self.refine(value));
        });
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
        let mut own = Vec::with_capacity(16);
        self.visit_row(&mut |_, field, value| own.push((field, value)));
        let common = own.iter().position(|(field, _)| !FIELDS.contains(field));
        let (row, event) = own.split_at(common.unwrap_or(own.len()));
        for &(field, value) in row {
            visit(field, value);
        }
        self.node.visit(visit);
        if let Some(container) = self.container {
            container.visit(visit);
        }
        if let Some(process) = self.process {
            process.visit(visit);
        }
        for &(field, value) in event {
            visit(field, value);
        }
    }
}
