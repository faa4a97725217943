//! Who made whom: processes, what they ran and what they did, from stored observations.
//!
//! A process is known by boot, process id and start time, so that two of one id are two. A child is
//! never observed before its parent, so one pass in order of time finds all descendants.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{
    moment,
    story::happened,
    table::{command, find, text},
};

/// Processes that are kept.
const MAX_PROCESSES: usize = 20_000;
/// Different acts that are kept of a process.
const MAX_ACTS: usize = 200;
/// Different acts that are kept of all processes together.
const MAX_ALL_ACTS: usize = 100_000;
/// Programs that are kept of a process.
const MAX_PROGRAMS: usize = 20;

/// What makes a process one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Identity {
    /// The kernel's boot id.
    pub boot_id: String,
    /// Process id on the host.
    pub pid: u64,
    /// When it started, in nanoseconds since boot.
    pub start: u64,
}

impl Identity {
    /// The process that an observation is of.
    pub fn of(object: &Map<String, Json>) -> Option<Self> {
        Self::at(object, "proc.pid", "proc.start")
    }

    /// The parent of that process, where it is in the container.
    pub fn of_parent(object: &Map<String, Json>) -> Option<Self> {
        Self::at(object, "proc.parent.pid", "proc.parent.start")
    }

    fn at(object: &Map<String, Json>, pid: &str, start: &str) -> Option<Self> {
        let number = |name| find(object, name)?.as_u64();
        let boot_id = text(object, "node.boot_id");
        Some(Self { boot_id, pid: number(pid)?, start: number(start)? })
    }
}

/// Why a process is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It made, directly or not, one that was asked for.
    Ancestor,
    /// It was asked for.
    Asked,
    /// One that was asked for made it, directly or not.
    #[default]
    Descendant,
}

/// One thing that a process did, with its repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    /// When it did so first.
    pub ts: String,
    /// The event.
    pub kind: String,
    /// What it did.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// A program that a process ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// When it began; of the first, when it was first observed.
    pub ts: String,
    /// Its command line, else its path.
    pub command: String,
    /// Its path.
    pub exe: String,
}

/// What is known of a process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Process {
    /// Which it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Its parent, where that is in the container.
    pub parent: Option<Identity>,
    /// Why it is told of.
    pub role: Role,
    /// When it was first observed.
    pub ts: String,
    /// When it ended; empty where that was not observed.
    pub ended: String,
    /// How it ended.
    pub end: String,
    /// Name of its container.
    pub container: String,
    /// How it came into the container.
    pub origin: String,
    /// User id on the host.
    pub uid: Option<u64>,
    /// What it ran, in order of time.
    pub programs: Vec<Program>,
    /// What it did, in order of time.
    pub acts: Vec<Act>,
    /// Acts beyond those that are kept.
    pub more_acts: u64,
    /// Its children, by their place among all.
    #[serde(skip)]
    pub children: Vec<usize>,
}

/// Processes that belong together.
#[derive(Debug, Default)]
pub struct Family {
    /// All of them, parents before children.
    pub processes: Vec<Process>,
    places: HashMap<Identity, usize>,
    /// Whether any process is wanted, rather than descendants of those that were asked for.
    is_open: bool,
    acts: usize,
    /// Processes that were left out, since there are too many.
    pub left_out: u64,
}

impl Family {
    /// All processes that are observed.
    pub fn of_all() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    /// The processes that were asked for, with their ancestors and descendants.
    pub fn of(asked: &[Identity], ancestors: &[Identity]) -> Self {
        let mut family = Self::default();
        for (identities, role) in [(ancestors, Role::Ancestor), (asked, Role::Asked)] {
            for identity in identities {
                family.place(identity, role);
            }
        }
        family
    }

    /// The place of a process, which is made if there is none and if there is room.
    fn place(&mut self, identity: &Identity, role: Role) -> Option<usize> {
        if let Some(place) = self.places.get(identity) {
            return Some(*place);
        }
        if self.processes.len() >= MAX_PROCESSES {
            self.left_out += 1;
            return None;
        }
        let place = self.processes.len();
        self.places.insert(identity.clone(), place);
        self.processes.push(Process { identity: identity.clone(), role, ..Process::default() });
        Some(place)
    }

    /// Adds an observation; those of strangers are passed over.
    pub fn add(&mut self, object: &Map<String, Json>) {
        let Some(identity) = Identity::of(object) else { return };
        let parent = Identity::of_parent(object);
        let is_wanted = self.is_open
            || self.places.contains_key(&identity)
            || parent.as_ref().and_then(|it| self.places.get(it)).is_some_and(|place| {
                self.processes.get(*place).is_some_and(|it| it.role != Role::Ancestor)
            });
        if !is_wanted {
            return;
        }
        let Some(place) = self.place(&identity, Role::Descendant) else { return };
        let process = &mut self.processes[place];
        if process.ts.is_empty() {
            process.ts = text(object, "ts");
            process.container = text(object, "ctr.name");
            process.origin = text(object, "proc.origin");
            process.parent = parent;
        }
        process.uid = find(object, "proc.uid").and_then(Json::as_u64).or(process.uid);
        let before = process.acts.len();
        process.note(object, self.acts < MAX_ALL_ACTS);
        self.acts += process.acts.len() - before;
    }

    /// Says which are children of which; returns those without a parent among them.
    pub fn link(&mut self) -> Vec<usize> {
        let mut roots = Vec::new();
        for place in 0..self.processes.len() {
            let parent = self.processes[place].parent.as_ref();
            match parent.and_then(|parent| self.places.get(parent)).copied() {
                // Damaged observations could make circles: nobody is older than their parent.
                Some(parent) if self.is_older(parent, place) => {
                    self.processes[parent].children.push(place);
                }
                _ => roots.push(place),
            }
        }
        // Those that were asked for have the first places, whenever they began.
        let starts: Vec<u64> = self.processes.iter().map(|it| it.identity.start).collect();
        let start = |place: &usize| starts.get(*place).copied();
        self.processes.iter_mut().for_each(|it| it.children.sort_by_key(start));
        roots.sort_by_key(start);
        roots
    }

    fn is_older(&self, one: usize, other: usize) -> bool {
        let key = |place: usize| {
            let Identity { start, pid, .. } = self.processes[place].identity;
            (start, pid)
        };
        one != other && key(one).0 <= key(other).0 && (key(one).0 < key(other).0 || one < other)
    }
}

impl Process {
    /// The newest of its programs.
    pub fn command(&self) -> &str {
        self.programs.last().map_or("", |it| it.command.as_str())
    }

    fn note(&mut self, object: &Map<String, Json>, has_room: bool) {
        let kind = text(object, "kind");
        let is_stopped = !text(object, "outcome").is_empty();
        if self.programs.is_empty() || kind == "exec" && !is_stopped {
            self.note_program(object);
        }
        match kind.as_str() {
            "fork" => {}
            "exec" if !is_stopped => {}
            "exit" => {
                self.ended = text(object, "ts");
                self.end = happened(object, &kind);
            }
            _ => self.note_act(object, kind, has_room),
        }
    }

    fn note_program(&mut self, object: &Map<String, Json>) {
        let (exe, command) = (text(object, "proc.exe"), command(object));
        if exe.is_empty() || self.programs.last().is_some_and(|it| it.command == command) {
            return;
        }
        if self.programs.len() < MAX_PROGRAMS {
            self.programs.push(Program { ts: text(object, "ts"), command, exe });
        } else {
            self.more_acts += 1;
        }
    }

    fn note_act(&mut self, object: &Map<String, Json>, kind: String, has_room: bool) {
        let what = happened(object, &kind);
        let count = find(object, "count").and_then(Json::as_u64).unwrap_or(1);
        if let Some(act) = self.acts.iter_mut().find(|it| it.kind == kind && it.what == what) {
            act.count = act.count.saturating_add(count);
        } else if has_room && self.acts.len() < MAX_ACTS {
            self.acts.push(Act { ts: text(object, "ts"), kind, what, count });
        } else {
            self.more_acts = self.more_acts.saturating_add(count);
        }
    }
}

/// Finds the ancestors of processes among observations, in whatever order those come.
#[derive(Debug, Default)]
pub struct Ancestors {
    /// Those that are wanted, with whether they were observed.
    wanted: Vec<(Identity, bool)>,
}

/// Ancestors that are looked for, of all processes together.
const MAX_ANCESTORS: usize = 256;

impl Ancestors {
    /// The process of an observation was asked for: its parent is wanted.
    pub fn begin(&mut self, object: &Map<String, Json>) {
        self.want(Identity::of_parent(object));
    }

    fn want(&mut self, parent: Option<Identity>) {
        let Some(parent) = parent else { return };
        let is_known = self.wanted.iter().any(|(known, _)| *known == parent);
        if !is_known && self.wanted.len() < MAX_ANCESTORS {
            self.wanted.push((parent, false));
        }
    }

    /// Adds an observation.
    pub fn add(&mut self, object: &Map<String, Json>) {
        let Some(identity) = Identity::of(object) else { return };
        let Some((_, is_seen)) = self.wanted.iter_mut().find(|(it, _)| *it == identity) else {
            return;
        };
        if !std::mem::replace(is_seen, true) {
            self.want(Identity::of_parent(object));
        }
    }

    /// Whether all are found.
    pub fn is_whole(&self) -> bool {
        self.wanted.iter().all(|(_, is_seen)| *is_seen)
    }

    /// Those that were found and those that were only named by their children.
    pub fn found(self) -> Vec<Identity> {
        self.wanted.into_iter().map(|(identity, _)| identity).collect()
    }
}

/// When a process was first and last observed, and by what name: to tell processes of one id apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which it is.
    pub identity: Identity,
    /// When it was first observed, in nanoseconds since the Unix epoch.
    pub first_ns: u64,
    /// When it was last observed.
    pub last_ns: u64,
    /// What it ran last.
    pub command: String,
    /// Id of its container.
    pub container_id: String,
    /// An observation of it, which names its parent.
    pub object: Map<String, Json>,
}

/// Processes of one id that are told apart.
const MAX_SIGHTINGS: usize = 1000;

/// Adds an observation to the processes that were seen so far.
pub fn sight(seen: &mut Vec<Sighting>, object: &Map<String, Json>) {
    let Some(identity) = Identity::of(object) else { return };
    let ns = moment::parse(&text(object, "ts")).unwrap_or_default();
    if let Some(sighting) = seen.iter_mut().rev().find(|it| it.identity == identity) {
        sighting.first_ns = sighting.first_ns.min(ns);
        sighting.last_ns = sighting.last_ns.max(ns);
        sighting.command = command(object);
        return;
    }
    if seen.len() >= MAX_SIGHTINGS {
        seen.remove(0);
    }
    seen.push(Sighting {
        identity,
        first_ns: ns,
        last_ns: ns,
        command: command(object),
        container_id: text(object, "ctr.id"),
        object: object.clone(),
    });
}
