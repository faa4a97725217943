//! A process in a container, and where it came from.

use std::sync::Arc;

use plimsoll_ebpf::value::{Value, ValueType};

use crate::fields::{Attribute, Attributed};

/// How a process came to be in its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Descends from the container's first process.
    Init,
    /// Descends from a `docker exec` session.
    Exec,
    /// Descends from a run of the image's health check.
    Health,
    /// Was there before the agent and its ancestry is not known.
    #[default]
    Unknown,
}

impl Origin {
    /// The name in output and queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Exec => "exec",
            Self::Health => "health",
            Self::Unknown => "unknown",
        }
    }
}

/// An ancestor of a process, as it was when the process was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    /// Process id in the host's namespace.
    pub pid: u32,
    /// When it started, in nanoseconds since boot.
    pub start_ns: u64,
    /// Path of its program.
    pub exe: Arc<[u8]>,
}

/// Ancestors within the container, as they were when the process was made; shared by siblings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Parent first, at most [`MAX_ANCESTORS`].
    pub ancestors: Arc<[Ancestor]>,
    /// Their programs' paths, NUL between them.
    pub paths: Arc<[u8]>,
}

impl Lineage {
    /// The lineage of these, parent first.
    pub fn of(ancestors: impl IntoIterator<Item = Ancestor>) -> Self {
        let ancestors: Arc<[Ancestor]> = ancestors.into_iter().take(MAX_ANCESTORS).collect();
        let paths: Vec<&[u8]> = ancestors.iter().map(|it| &*it.exe).collect();
        let paths = paths.join(&0).into();
        Self { ancestors, paths }
    }

    /// The parent.
    pub fn parent(&self) -> Option<&Ancestor> {
        self.ancestors.first()
    }
}

/// A process while it runs one program. It does not change: an exec makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Number of this value within the agent's run; equal numbers mean equal contents.
    pub serial: u64,
    /// Process id in the host's namespace.
    pub pid: u32,
    /// When it started, in nanoseconds since boot.
    pub start_ns: u64,
    /// The parent's process id.
    pub ppid: u32,
    /// Path of its program as the container sees it.
    pub exe: Arc<[u8]>,
    /// Its arguments, NUL between them.
    pub args: Arc<[u8]>,
    /// Its working directory when the program began.
    pub cwd: Arc<[u8]>,
    /// How it came to be in the container.
    pub origin: Origin,
    /// Where it came from.
    pub lineage: Lineage,
    /// Whether it is the container runtime's, still before the container's first program.
    pub is_runtime: bool,
    /// Whether it, or one that it descends from, was found at work with a program that is not the image's.
    pub is_foreign: bool,
}

/// How many ancestors are kept.
pub const MAX_ANCESTORS: usize = 8;

/// The fields of a process.
pub static ATTRIBUTES: &[Attribute<Process>] = &[
    Attribute::noted("proc.pid", ValueType::Number, "Process id on the host.", |it| {
        Some(Value::Number(u64::from(it.pid)))
    }),
    Attribute::noted(
        "proc.start",
        ValueType::Number,
        "When the process started, in nanoseconds since boot; with boot id and pid its identity.",
        |it| Some(Value::Number(it.start_ns)),
    ),
    Attribute::learned(
        "proc.exe",
        ValueType::Path,
        "Path of the program as the container sees it.",
        |it| (!it.exe.is_empty()).then_some(Value::Path(&it.exe)),
    ),
    Attribute::learned(
        "proc.args",
        ValueType::List,
        "Arguments, the program's name first.",
        |it| (!it.args.is_empty()).then_some(Value::List(&it.args)),
    ),
    Attribute::noted(
        "proc.cwd",
        ValueType::Path,
        "Working directory when the program began.",
        |it| (!it.cwd.is_empty()).then_some(Value::Path(&it.cwd)),
    ),
    Attribute::noted(
        "proc.origin",
        ValueType::Label,
        "How the process came into the container: init, exec (a docker exec session), health (a health check) or unknown.",
        |it| Some(Value::Label(it.origin.name())),
    ),
    Attribute::noted(
        "proc.ppid",
        ValueType::Number,
        "The parent's process id on the host.",
        |it| Some(Value::Number(u64::from(it.ppid))),
    ),
    Attribute::noted(
        "proc.parent.pid",
        ValueType::Number,
        "Process id of the parent, where it is in the container.",
        |it| it.lineage.parent().map(|parent| Value::Number(u64::from(parent.pid))),
    ),
    Attribute::noted(
        "proc.parent.start",
        ValueType::Number,
        "When the parent started, in nanoseconds since boot.",
        |it| it.lineage.parent().map(|parent| Value::Number(parent.start_ns)),
    ),
    Attribute::learned("proc.parent.exe", ValueType::Path, "Program of the parent.", |it| {
        it.lineage.parent().map(|parent| Value::Path(&parent.exe))
    }),
    Attribute::noted(
        "proc.ancestors",
        ValueType::List,
        "Programs of the ancestors in the container, parent first.",
        |it| (!it.lineage.paths.is_empty()).then_some(Value::List(&it.lineage.paths)),
    ),
];

impl Attributed for Process {
    const ATTRIBUTES: &'static [Attribute<Self>] = ATTRIBUTES;
}
