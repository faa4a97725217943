//! The dimensions in which behaviour is learned, and the contexts that are kept apart.

use plimsoll_ebpf::rules::Rule;
use serde::{Deserialize, Serialize};

/// What a behaviour is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// A program that runs.
    Process,
    /// A program that starts another.
    Lineage,
    /// What a program is given by the one that starts it.
    Arguments,
    /// A place that a program writes.
    Write,
    /// A port that a program listens on.
    Listener,
    /// A peer that is connected to.
    Peer,
    /// A privilege that a program uses.
    Privilege,
    /// How much is used of processor, memory and network. Amounts are known instead of behaviours.
    Volume,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 8] = [
        Self::Process,
        Self::Lineage,
        Self::Arguments,
        Self::Write,
        Self::Listener,
        Self::Peer,
        Self::Privilege,
        Self::Volume,
    ];

    /// The name in output, metrics and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Lineage => "lineage",
            Self::Arguments => "arguments",
            Self::Write => "write",
            Self::Listener => "listener",
            Self::Peer => "peer",
            Self::Privilege => "privilege",
            Self::Volume => "volume",
        }
    }

    /// The contexts whose convergence is weighed. How much a container uses while it starts is not
    /// known.
    pub const fn contexts(self) -> &'static [Context] {
        if matches!(self, Self::Volume) {
            &[Context::Steady]
        } else {
            &[Context::Steady, Context::Start]
        }
    }

    /// The context in which a behaviour must be known to be known in this one. When a program is
    /// started is judged by itself: of its arguments it does not matter when they were seen. What a
    /// service holds open from its start on it opens again whenever that breaks.
    #[must_use]
    pub const fn asked_in(self, context: Context) -> Context {
        match (self, context) {
            (Self::Arguments, _) => Context::Health,
            (Self::Listener | Self::Peer | Self::Privilege, Context::Steady) => Context::Start,
            _ => context,
        }
    }

    /// Whether it belongs to the deployment rather than to the image.
    pub const fn is_of_service(self) -> bool {
        matches!(self, Self::Peer | Self::Volume)
    }

    /// The rule that a departure in it breaks; of volumes, the gravest.
    pub const fn rule(self) -> Rule {
        match self {
            Self::Process => Rule::NewProcess,
            Self::Lineage => Rule::NewLineage,
            Self::Arguments => Rule::NewArguments,
            Self::Write => Rule::NewWrite,
            Self::Listener => Rule::NewListener,
            Self::Peer => Rule::NewPeer,
            Self::Privilege => Rule::NewPrivilege,
            Self::Volume => Rule::VolumeOut,
        }
    }
}

/// In what course of a container's life something is done, and by whose doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// By the container itself while it starts.
    Start,
    /// By the container itself once it has started.
    Steady,
    /// By its health check.
    Health,
    /// By somebody who entered with `docker exec`.
    Session,
}

impl Context {
    /// Every context.
    pub const ALL: [Self; 4] = [Self::Start, Self::Steady, Self::Health, Self::Session];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The name in output and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Steady => "steady",
            Self::Health => "health",
            Self::Session => "session",
        }
    }

    /// The context whose convergence decides whether a departure in this one is told.
    #[must_use]
    pub const fn judged_by(self) -> Self {
        match self {
            Self::Start => Self::Start,
            Self::Steady | Self::Health | Self::Session => Self::Steady,
        }
    }

    /// Contexts in which a behaviour must have been seen to be known in this one.
    pub const fn vouched_by(self) -> &'static [Self] {
        match self {
            Self::Start => &[Self::Start, Self::Steady],
            Self::Steady => &[Self::Steady],
            Self::Health => &[Self::Health, Self::Steady, Self::Start],
            Self::Session => &Self::ALL,
        }
    }
}
