//! The processes of watched containers: who runs what, made by whom.
//!
//! Pure: records and moments in, processes out. A process is kept for a while after its end, since
//! the bulk ring may still hold its acts.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use plimsoll_ebpf::{
    events::{exec::Exec, fork::Fork},
    record::{Header, Tail},
    signals::CgroupEntered,
};

use super::process::{Ancestor, Lineage, Origin, Process};

/// How long an ended process is kept, in nanoseconds.
const GRACE_NS: u64 = 5_000_000_000;

/// What a process found in `/proc` is known by there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The process; its start is rounded to clock ticks.
    pub process: Process,
    /// Length of a clock tick, in nanoseconds.
    pub tick_ns: u64,
}

impl Found {
    /// Whether this is the process that started then: its number may be another's by now. It takes
    /// on the exact start.
    pub fn is_of(&mut self, start_ns: u64) -> bool {
        let tick_ns = self.tick_ns.max(1);
        let is_same = self.process.start_ns / tick_ns == start_ns / tick_ns;
        if is_same {
            self.process.start_ns = start_ns;
            self.tick_ns = 0;
        }
        is_same
    }
}

struct Entry {
    process: Arc<Process>,
    /// What it was before each of its latest execs, and when those were, oldest first.
    before: Vec<(u64, Arc<Process>)>,
    /// Lineage of its children, made with the first child.
    lineage: Option<Lineage>,
    /// Mount namespace of the container runtime, while it is the runtime's.
    runtime_mnt_ns: u32,
    /// The start is rounded to ticks of this length; 0 where it is exact.
    tick_ns: u64,
    /// The entrant's session has not yet run a program of the container.
    is_fresh: bool,
    /// The container whose room it takes.
    cgroup_id: u64,
    has_exited: bool,
}

/// Execs of a process that are remembered, for acts whose records come after them.
const MOST_BEFORE: usize = 8;

/// A table that is half full grants a container this part of it.
const SHARE: usize = 8;

/// See the module.
pub struct ProcessTable {
    entries: HashMap<u32, Entry>,
    ended: VecDeque<(u64, u32, u64)>,
    /// Containers whose first process has been seen.
    started: HashSet<u64>,
    /// How many entries each container has.
    held: HashMap<u64, usize>,
    capacity: usize,
    serial: u64,
    /// Processes that found no room, by container.
    refused: HashMap<u64, u64>,
}

impl ProcessTable {
    /// A table that holds at most this many processes.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            ended: VecDeque::new(),
            started: HashSet::new(),
            held: HashMap::new(),
            capacity,
            serial: 0,
            refused: HashMap::new(),
        }
    }

    /// How many processes are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Processes for which there was no room, by container, since the last call.
    pub fn take_refused(&mut self) -> HashMap<u64, u64> {
        std::mem::take(&mut self.refused)
    }

    /// A process came into a container from outside: its first one, or a session's.
    pub fn entered(&mut self, header: &Header, signal: CgroupEntered) {
        self.enter(header, signal.ppid, signal.mnt_ns);
    }

    fn enter(&mut self, header: &Header, ppid: u32, mnt_ns: u32) {
        // A process that is known has only been moved, to a cgroup below its container's.
        if self.live(header.pid, header.start_ns).is_some() {
            return;
        }
        let is_first = self.started.insert(header.cgroup_id);
        let process = Process {
            pid: header.pid,
            start_ns: header.start_ns,
            ppid,
            origin: if is_first { Origin::Init } else { Origin::Exec },
            is_runtime: true,
            ..Process::default()
        };
        let entry = Entry {
            runtime_mnt_ns: mnt_ns,
            is_fresh: true,
            ..self.entry(process, header.cgroup_id)
        };
        self.insert(entry);
    }

    /// A process was made.
    pub fn forked(&mut self, header: &Header, fork: Fork) {
        if fork.entered != 0 {
            self.enter(header, fork.ppid, fork.mnt_ns);
            return;
        }
        let Some(parent) = self.live(fork.ppid, fork.parent_start_ns) else {
            let process = Process {
                pid: header.pid,
                start_ns: header.start_ns,
                ppid: fork.ppid,
                ..Process::default()
            };
            let entry = self.entry(process, header.cgroup_id);
            self.insert(entry);
            return;
        };
        let lineage = parent.lineage.get_or_insert_with(|| lineage_below(&parent.process)).clone();
        let process = Process {
            pid: header.pid,
            start_ns: header.start_ns,
            ppid: fork.ppid,
            lineage,
            ..Process::clone(&parent.process)
        };
        let (runtime_mnt_ns, is_fresh) = (parent.runtime_mnt_ns, parent.is_fresh);
        let entry = Entry { runtime_mnt_ns, is_fresh, ..self.entry(process, header.cgroup_id) };
        self.insert(entry);
    }

    /// A process began to run a program. `health` tells whether these arguments are those of the
    /// container's health check. Returns the process even where there is no room for it.
    pub fn executed(
        &mut self,
        header: &Header,
        exec: &Exec,
        tail: Tail<'_>,
        health: impl Fn(&[u8]) -> bool,
    ) -> Arc<Process> {
        let args = trim_nul(tail.get(exec.args));
        let mut before = Vec::new();
        let known = self.live(header.pid, header.start_ns).map(|entry| {
            before = std::mem::take(&mut entry.before);
            before.push((header.boot_ns, entry.process.clone()));
            (entry.process.clone(), entry.runtime_mnt_ns, entry.is_fresh)
        });
        before.retain(|(until, _)| header.boot_ns.saturating_sub(*until) < GRACE_NS);
        before.drain(..before.len().saturating_sub(MOST_BEFORE));
        let (old, runtime_mnt_ns, is_fresh) = known.unwrap_or_default();
        // The runtime may change its own program before it enters the container's mounts.
        let is_runtime = old.is_runtime && exec.mnt_ns == runtime_mnt_ns;
        let is_session_start = is_fresh && !is_runtime;
        let origin = match old.origin {
            Origin::Exec if is_session_start && health(args) => Origin::Health,
            origin @ (Origin::Init | Origin::Exec | Origin::Health | Origin::Unknown) => origin,
        };
        let process = Process {
            pid: header.pid,
            start_ns: header.start_ns,
            ppid: exec.ppid,
            exe: tail.get(exec.path).into(),
            args: args.into(),
            cwd: root_if_empty(tail.get(exec.cwd)).into(),
            origin,
            is_runtime,
            is_foreign: old.is_foreign,
            lineage: old.lineage.clone(),
            serial: 0,
        };
        let is_fresh = is_fresh && is_runtime;
        let entry = self.entry(process, header.cgroup_id);
        self.insert(Entry { before, runtime_mnt_ns, is_fresh, ..entry })
    }

    /// Whether the end of this process was told already; it is taken for told now.
    pub fn has_exited(&mut self, header: &Header) -> bool {
        let entry = self.live(header.pid, header.start_ns);
        entry.is_some_and(|entry| std::mem::replace(&mut entry.has_exited, true))
    }

    /// A process ended.
    pub fn exited(&mut self, header: &Header) {
        self.ended.push_back((header.boot_ns, header.pid, header.start_ns));
    }

    /// A process that was there before the agent. It is returned even where there is no room for
    /// it.
    pub fn found(&mut self, found: Found, cgroup_id: u64) -> Arc<Process> {
        let entry = Entry { tick_ns: found.tick_ns, ..self.entry(found.process, cgroup_id) };
        self.insert(entry)
    }

    /// A process of which nothing is known but its identity.
    pub fn stranger(&mut self, header: &Header) -> Arc<Process> {
        let process = Process { pid: header.pid, start_ns: header.start_ns, ..Process::default() };
        self.entry(process, header.cgroup_id).process
    }

    /// The first process of this container was there before the agent: who enters it now comes
    /// from outside.
    pub fn has_started(&mut self, cgroup_id: u64) {
        self.started.insert(cgroup_id);
    }

    /// A container is gone.
    pub fn forget(&mut self, cgroup_id: u64) {
        self.started.remove(&cgroup_id);
    }

    /// The process of a record, as it was when the record was made.
    pub fn of(&mut self, header: &Header) -> Option<Arc<Process>> {
        self.at(header.pid, header.start_ns, header.boot_ns)
    }

    /// The process with this identity, as it was at a moment since boot.
    pub fn at(&mut self, pid: u32, start_ns: u64, boot_ns: u64) -> Option<Arc<Process>> {
        let entry = self.live(pid, start_ns)?;
        let before = entry.before.iter().find(|(until, _)| boot_ns < *until);
        Some(before.map_or(&entry.process, |(_, before)| before).clone())
    }

    /// When the process of this number started that was the latest to be told of, in nanoseconds
    /// since boot.
    pub fn start_of(&self, pid: u32) -> Option<u64> {
        self.entries.get(&pid).map(|entry| entry.process.start_ns)
    }

    /// Drops processes that ended some time before `now_ns` (since boot).
    pub fn tick(&mut self, now_ns: u64) {
        while let Some(&(ended_ns, pid, start_ns)) = self.ended.front() {
            if now_ns.saturating_sub(ended_ns) < GRACE_NS {
                return;
            }
            self.ended.pop_front();
            if self.entries.get(&pid).is_some_and(|entry| entry.process.start_ns == start_ns) {
                self.remove(pid);
            }
        }
    }

    /// Drops processes that `is_alive` denies: their end was lost.
    pub fn sweep(&mut self, is_alive: impl Fn(u32) -> bool) {
        let ended: HashSet<u32> = self.ended.iter().map(|&(_, pid, _)| pid).collect();
        let pids = self.entries.keys().copied();
        let gone: Vec<u32> = pids.filter(|pid| !ended.contains(pid) && !is_alive(*pid)).collect();
        for pid in gone {
            self.remove(pid);
        }
    }

    fn entry(&mut self, mut process: Process, cgroup_id: u64) -> Entry {
        self.serial += 1;
        process.serial = self.serial;
        Entry {
            process: Arc::new(process),
            before: Vec::new(),
            lineage: None,
            runtime_mnt_ns: 0,
            tick_ns: 0,
            is_fresh: false,
            cgroup_id,
            has_exited: false,
        }
    }

    /// Takes an entry in, or counts it as refused.
    fn insert(&mut self, entry: Entry) -> Arc<Process> {
        let (process, cgroup_id) = (entry.process.clone(), entry.cgroup_id);
        // Who has a place keeps it.
        let had_place = self.entries.contains_key(&process.pid);
        self.remove(process.pid);
        let held = self.held.get(&cgroup_id).copied().unwrap_or_default();
        let is_crowded = self.entries.len() >= self.capacity / 2;
        let is_over_share = is_crowded && held >= self.capacity / SHARE;
        if !had_place && (is_over_share || self.entries.len() >= self.capacity) {
            *self.refused.entry(cgroup_id).or_default() += 1;
        } else {
            self.held.insert(cgroup_id, held + 1);
            self.entries.insert(process.pid, entry);
        }
        process
    }

    fn remove(&mut self, pid: u32) {
        let Some(entry) = self.entries.remove(&pid) else { return };
        if let Some(held) = self.held.get_mut(&entry.cgroup_id) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&entry.cgroup_id);
            }
        }
    }

    /// The entry with this identity. One found in `/proc` takes on the exact start once a record
    /// of the same tick names it.
    fn live(&mut self, pid: u32, start_ns: u64) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&pid)?;
        let known = entry.process.start_ns;
        if known == start_ns {
            return Some(entry);
        }
        if entry.tick_ns == 0 || known / entry.tick_ns != start_ns / entry.tick_ns {
            return None;
        }
        self.serial += 1;
        entry.process =
            Arc::new(Process { start_ns, serial: self.serial, ..Process::clone(&entry.process) });
        entry.tick_ns = 0;
        Some(entry)
    }
}

/// The lineage of a child of `parent`.
fn lineage_below(parent: &Process) -> Lineage {
    if parent.is_runtime {
        return Lineage::default();
    }
    let own = Ancestor { pid: parent.pid, start_ns: parent.start_ns, exe: parent.exe.clone() };
    Lineage::of(std::iter::once(own).chain(parent.lineage.ancestors.iter().cloned()))
}

/// The kernel side writes the names on the way from the root: none for the root itself.
fn root_if_empty(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"/" } else { path }
}

/// Arguments end with NUL in memory; between them it stays.
fn trim_nul(args: &[u8]) -> &[u8] {
    args.strip_suffix(&[0]).unwrap_or(args)
}

#[cfg(test)]
mod tests;
