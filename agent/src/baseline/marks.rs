//! Processes of a container that are marked, with all that descend from them.

use std::collections::HashMap;

use crate::attribution::process::Process;

/// Processes that are remembered.
pub(super) const MOST_MARKED: usize = 1024;
/// How long one is remembered after its end, in milliseconds: its acts may be told later.
const LINGER_MS: u64 = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// By process id and start.
    processes: HashMap<(u32, u64), Mark>,
}

/// When a process was marked and when it ended, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Mark {
    since_ms: u64,
    ended_ms: Option<u64>,
}

impl Marks {
    /// Marks a process; returns `false` where there are too many.
    pub(super) fn note(&mut self, process: &Process, now_ms: u64) -> bool {
        if self.processes.len() >= MOST_MARKED {
            let goes_on = |ended_ms: u64| now_ms.saturating_sub(ended_ms) < LINGER_MS;
            self.processes.retain(|_, it| it.ended_ms.is_none_or(goes_on));
        }
        let has_room = self.processes.len() < MOST_MARKED;
        if has_room {
            let mark = Mark { since_ms: now_ms, ended_ms: None };
            self.processes.insert((process.pid, process.start_ns), mark);
        }
        has_room
    }

    /// A process is at its end.
    pub(super) fn note_exit(&mut self, process: &Process, now_ms: u64) {
        if let Some(mark) = self.processes.get_mut(&(process.pid, process.start_ns)) {
            mark.ended_ms = Some(now_ms);
        }
    }

    /// Whether a process was marked since a moment, or descends from one that was.
    pub(super) fn cover(&self, process: &Process, from_ms: u64) -> bool {
        if self.processes.is_empty() {
            return false;
        }
        let is_marked = |pid, start_ns| {
            self.processes.get(&(pid, start_ns)).is_some_and(|it| it.since_ms >= from_ms)
        };
        is_marked(process.pid, process.start_ns)
            || process.lineage.ancestors.iter().any(|it| is_marked(it.pid, it.start_ns))
    }
}
