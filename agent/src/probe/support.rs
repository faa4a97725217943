//! What became of each kernel program: degradation is data, not a line in a log.

use plimsoll_ebpf::catalog::Hook;

/// How loading and attaching a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Attached,
    /// This kernel has no such hook; what would be lost is documented with the event.
    Unsupported(String),
    /// The kernel has the hook and refused the program.
    Broken(String),
}

/// One program and what became of it.
#[derive(Clone, Debug)]
pub struct ProbeStatus {
    /// Name of the program.
    pub program: &'static str,
    /// Where it belongs.
    pub hook: Hook,
    /// Whether the agent refuses to start without it.
    pub required: bool,
    /// What became of it.
    pub outcome: Outcome,
}

impl ProbeStatus {
    /// Whether the agent can go on with this.
    pub fn is_acceptable(&self) -> bool {
        !self.required || self.outcome == Outcome::Attached
    }
}
