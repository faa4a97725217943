//! Which container a cgroup belongs to, and who still has to be asked.
//!
//! Pure: signals, Docker's notices and moments in; orders and questions out. Records of a container
//! that is not known yet are held, in bounded number, until it is.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::container::{Container, next_serial};

/// How long a container stays known after its cgroup is gone, in nanoseconds.
const REMEMBER_NS: u64 = 600_000_000_000;

/// Bytes of records held at most: each may be as long as a path and the arguments of a program.
const MOST_HELD_BYTES: usize = 16 << 20;

/// A container may hold this part of what may be held.
const SHARE: usize = 2;

/// Containers that are known at most where some do not run; those that do are bounded by the kernel.
const MOST_AT_REST: usize = 16_384;

/// How old a cgroup must be before its directory is missed: it is told of a moment before that
/// can be seen.
const SETTLED_NS: u64 = 1_000_000_000;

/// Cgroups of no container that are remembered, for records that are under way already.
const MOST_DISMISSED: usize = 1024;

/// What the directory wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Watch a cgroup as part of a container's.
    Watch {
        /// The cgroup.
        cgroup_id: u64,
        /// The container's own cgroup.
        container: u64,
    },
    /// Stop watching a cgroup that is no container's.
    Unwatch {
        /// The cgroup.
        cgroup_id: u64,
    },
    /// Ask Docker about a container.
    Ask {
        /// Its id.
        id: String,
    },
    /// Find the cgroup and the processes of a container that was there before.
    Locate {
        /// Its id.
        id: String,
        /// Its first process.
        init_pid: u32,
    },
    /// Forget the kernel's counters of a container that is long gone.
    Forget {
        /// Its cgroup.
        container: u64,
    },
}

/// What is known of a record's cgroup.
pub enum Standing<'a> {
    /// It is this container's.
    Known(&'a Arc<Container>),
    /// It is not known yet.
    Held,
    /// It is no container's.
    Dismissed,
    /// It is none that was ever heard of.
    Unheard,
}

struct Cgroup {
    path: String,
    id: String,
    container: Option<Arc<Container>>,
    held: Held,
    since_ns: u64,
    gone_ns: Option<u64>,
    /// The container's first process when it was removed.
    ended_pid: u32,
}

/// Records that wait.
#[derive(Default)]
struct Held {
    records: VecDeque<Box<[u8]>>,
    bytes: usize,
}

/// See the module.
#[derive(Default)]
pub struct Directory {
    cgroups: HashMap<u64, Cgroup>,
    by_id: HashMap<String, Arc<Container>>,
    /// Those of them that Docker has removed.
    destroyed: HashSet<String>,
    /// Cgroups below a container's own, which they belong to.
    below: HashMap<u64, u64>,
    dismissed: VecDeque<u64>,
    requests: Vec<Request>,
    held: usize,
    held_bytes: usize,
    capacity: usize,
    overflow: HashMap<u64, u64>,
    unresolved: u64,
    serial: u64,
}

impl Directory {
    /// A directory that holds at most this many records.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// What is to be done, since the last call.
    pub fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// Records that found no room, by container cgroup, since the last call.
    pub fn take_overflow(&mut self) -> HashMap<u64, u64> {
        std::mem::take(&mut self.overflow)
    }

    /// Containers that stayed unresolved, since start.
    pub fn unresolved(&self) -> u64 {
        self.unresolved
    }

    /// Records held at the moment.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Containers whose cgroup is there.
    pub fn running(&self) -> usize {
        self.containers().count()
    }

    /// The containers whose cgroup is there.
    pub fn containers(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.there().map(|(_, container)| container)
    }

    /// A cgroup was made outside every known container; `id` is the container id in its path.
    /// Returns whether records of it were released by this.
    pub fn made(&mut self, cgroup_id: u64, path: &str, id: Option<&str>, now_ns: u64) -> bool {
        if self.adopt(cgroup_id, path).is_some() {
            return false;
        }
        let Some(id) = id else {
            if self.dismissed.len() >= MOST_DISMISSED {
                self.dismissed.pop_front();
            }
            self.dismissed.push_back(cgroup_id);
            self.requests.push(Request::Unwatch { cgroup_id });
            return false;
        };
        self.hold(cgroup_id, path, id, now_ns);
        self.bind(cgroup_id)
    }

    /// A container's cgroup at this path: its records wait until Docker has named it.
    pub fn hold(&mut self, cgroup_id: u64, path: &str, id: &str, now_ns: u64) {
        let cgroup = Cgroup {
            path: path.to_owned(),
            id: id.to_owned(),
            container: None,
            held: Held::default(),
            since_ns: now_ns,
            gone_ns: None,
            ended_pid: 0,
        };
        self.cgroups.entry(cgroup_id).or_insert(cgroup);
        if !self.by_id.contains_key(id) {
            self.requests.push(Request::Ask { id: id.to_owned() });
        }
    }

    /// Makes a cgroup that lies below a container's part of that container, whose cgroup is
    /// returned.
    pub fn adopt(&mut self, cgroup_id: u64, path: &str) -> Option<u64> {
        let container = self.cgroup_above(path)?;
        self.below.insert(cgroup_id, container);
        self.requests.push(Request::Watch { cgroup_id, container });
        Some(container)
    }

    /// The container's own cgroup, for one that lies below it.
    pub fn own(&self, cgroup_id: u64) -> u64 {
        self.below.get(&cgroup_id).copied().unwrap_or(cgroup_id)
    }

    fn cgroup_above(&self, path: &str) -> Option<u64> {
        let is_above = |it: &Cgroup| {
            it.gone_ns.is_none()
                && path.strip_prefix(&it.path).is_some_and(|rest| rest.starts_with('/'))
        };
        self.cgroups.iter().find(|(_, it)| is_above(it)).map(|(&cgroup_id, _)| cgroup_id)
    }

    /// Docker told of a container. Returns the cgroups whose records are released by this: each
    /// start of a container makes another.
    pub fn known(&mut self, mut container: Arc<Container>) -> Vec<u64> {
        let id = container.id.clone();
        let its = self.cgroups.iter().filter(|(_, it)| it.id == id);
        // It was looked at before that process ended, and is told of after.
        if its.clone().any(|(_, it)| it.ended_pid == container.init_pid) {
            container = without_process(&container);
        }
        let init_pid = container.init_pid;
        self.by_id.insert(id.clone(), container);
        let is_there = its.clone().any(|(_, it)| it.gone_ns.is_none());
        let its: Vec<u64> = its.map(|(&cgroup_id, _)| cgroup_id).collect();
        if !is_there && init_pid != 0 {
            self.requests.push(Request::Locate { id, init_pid });
        }
        its.into_iter().filter(|&cgroup_id| self.bind(cgroup_id)).collect()
    }

    /// The container's cgroup: the one that is there, else the latest.
    pub fn cgroup_of(&self, id: &str) -> Option<u64> {
        let its = self.cgroups.iter().filter(|(_, it)| it.id == id);
        let latest = its.max_by_key(|(_, it)| (it.gone_ns.is_none(), it.since_ns));
        latest.map(|(&cgroup_id, _)| cgroup_id)
    }

    /// The containers whose cgroup is there, with that cgroup.
    pub fn there(&self) -> impl Iterator<Item = (u64, &Arc<Container>)> {
        self.places().map(|(cgroup_id, _, container)| (cgroup_id, container))
    }

    /// The same, with the path of that cgroup in the unified hierarchy.
    pub fn places(&self) -> impl Iterator<Item = (u64, &str, &Arc<Container>)> {
        let there = self.cgroups.iter().filter(|(_, it)| it.gone_ns.is_none());
        there.filter_map(|(&cgroup_id, it)| Some((cgroup_id, &*it.path, it.container.as_ref()?)))
    }

    /// The cgroups that were ever watched as containers', and since when.
    pub fn watched(&self) -> impl Iterator<Item = (u64, u64)> {
        self.cgroups.iter().map(|(&cgroup_id, it)| (cgroup_id, it.since_ns))
    }

    /// Every container that runs or may be started.
    pub fn expected(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.by_id.values().filter(|it| !self.destroyed.contains(&it.id))
    }

    /// Docker removed a container: it is started no more.
    pub fn destroyed(&mut self, id: &str) {
        if self.cgroups.values().any(|it| it.id == id) {
            self.destroyed.insert(id.to_owned());
        } else {
            self.by_id.remove(id);
        }
    }

    /// The container with this id.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Container>> {
        self.by_id.get(id)
    }

    /// Gives a cgroup what is known of its container.
    fn bind(&mut self, cgroup_id: u64) -> bool {
        let Some(cgroup) = self.cgroups.get_mut(&cgroup_id) else { return false };
        let Some(container) = self.by_id.get(&cgroup.id) else { return false };
        let is_first = cgroup.container.is_none();
        cgroup.container = Some(container.clone());
        if is_first && cgroup.gone_ns.is_none() {
            self.requests.push(Request::Watch { cgroup_id, container: cgroup_id });
        }
        is_first
    }

    /// What is known of a record's container.
    pub fn standing(&self, cgroup_id: u64) -> Standing<'_> {
        match self.cgroups.get(&cgroup_id) {
            Some(Cgroup { container: Some(container), .. }) => Standing::Known(container),
            Some(_) => Standing::Held,
            None if self.dismissed.contains(&cgroup_id) => Standing::Dismissed,
            None => Standing::Unheard,
        }
    }

    /// Keeps a record until its container is known.
    pub fn keep(&mut self, cgroup_id: u64, entry: &[u8]) {
        let Some(cgroup) = self.cgroups.get_mut(&cgroup_id) else { return };
        let is_full = self.held >= self.capacity || self.held_bytes >= MOST_HELD_BYTES;
        let has_share = cgroup.held.records.len() >= self.capacity / SHARE
            || cgroup.held.bytes >= MOST_HELD_BYTES / SHARE;
        if is_full || has_share {
            *self.overflow.entry(cgroup_id).or_default() += 1;
            return;
        }
        self.held += 1;
        self.held_bytes += entry.len();
        cgroup.held.bytes += entry.len();
        cgroup.held.records.push_back(entry.into());
    }

    /// The records that were kept for a cgroup.
    pub fn release(&mut self, cgroup_id: u64) -> VecDeque<Box<[u8]>> {
        let held = self.cgroups.get_mut(&cgroup_id).map(|it| std::mem::take(&mut it.held));
        let held = held.unwrap_or_default();
        self.held -= held.records.len();
        self.held_bytes -= held.bytes;
        held.records
    }

    /// A cgroup was removed.
    pub fn removed(&mut self, cgroup_id: u64, now_ns: u64) {
        if let Some(cgroup) = self.cgroups.get_mut(&cgroup_id)
            && cgroup.gone_ns.is_none()
        {
            cgroup.gone_ns = Some(now_ns);
            let id = cgroup.id.clone();
            self.ended(cgroup_id, &id);
        }
        // An order to watch it may have come after the kernel had removed it.
        self.requests.push(Request::Unwatch { cgroup_id });
    }

    /// Takes for removed what is not there any more: the signal of that may be lost. Returns how
    /// many cgroups that are.
    pub fn sweep(&mut self, now_ns: u64, is_there: impl Fn(&str, u64) -> bool) -> usize {
        let is_lost = |cgroup_id: u64, it: &Cgroup| {
            it.gone_ns.is_none()
                && now_ns.saturating_sub(it.since_ns) > SETTLED_NS
                && !is_there(&it.path, cgroup_id)
        };
        let all = self.cgroups.iter().filter(|(id, it)| is_lost(**id, it));
        let lost: Vec<u64> = all.map(|(&cgroup_id, _)| cgroup_id).collect();
        for &cgroup_id in &lost {
            self.removed(cgroup_id, now_ns);
        }
        lost.len()
    }

    /// The next start of a container has another first process, and the number of this one may be
    /// anybody's by then. What is still to come of the old cgroup keeps it.
    fn ended(&mut self, cgroup_id: u64, id: &str) {
        if self.cgroups.values().any(|it| it.id == id && it.gone_ns.is_none()) {
            return;
        }
        if let Some(known) = self.by_id.get_mut(id)
            && let Some(cgroup) = self.cgroups.get_mut(&cgroup_id)
        {
            cgroup.ended_pid = known.init_pid;
            *known = without_process(known);
        }
    }

    /// Gives up on containers that nobody could name for `patience_ns`, and forgets those long
    /// gone. Returns the cgroups whose records are released by this.
    pub fn tick(&mut self, now_ns: u64, patience_ns: u64) -> Vec<u64> {
        let mut released = Vec::new();
        for (&cgroup_id, cgroup) in &mut self.cgroups {
            let is_late = now_ns.saturating_sub(cgroup.since_ns) >= patience_ns;
            if cgroup.container.is_none() && is_late {
                self.serial += 1;
                self.unresolved += 1;
                let serial = u64::MAX - self.serial;
                let id = cgroup.id.clone();
                cgroup.container = Some(Arc::new(Container { serial, id, ..Container::default() }));
                if cgroup.gone_ns.is_none() {
                    self.requests.push(Request::Watch { cgroup_id, container: cgroup_id });
                }
                released.push(cgroup_id);
            }
        }
        self.forget(now_ns);
        released
    }

    /// Forgets a container whose last cgroup is forgotten, unless it may be started again.
    fn forget_container(&mut self, id: &str) {
        if self.cgroups.values().any(|it| it.id == id) {
            return;
        }
        if self.destroyed.remove(id) || self.by_id.len() > MOST_AT_REST {
            self.by_id.remove(id);
        }
    }

    fn forget(&mut self, now_ns: u64) {
        let is_over =
            |it: &Cgroup| it.gone_ns.is_some_and(|gone| now_ns.saturating_sub(gone) > REMEMBER_NS);
        let over: Vec<u64> =
            self.cgroups.iter().filter(|(_, it)| is_over(it)).map(|(&id, _)| id).collect();
        for cgroup_id in over {
            self.release(cgroup_id);
            if let Some(cgroup) = self.cgroups.remove(&cgroup_id) {
                self.forget_container(&cgroup.id);
                self.below.retain(|_, container| *container != cgroup_id);
                self.requests.push(Request::Forget { container: cgroup_id });
            }
        }
    }
}

/// The same container where its first process is not known.
fn without_process(container: &Arc<Container>) -> Arc<Container> {
    if container.init_pid == 0 {
        return container.clone();
    }
    Arc::new(Container { serial: next_serial(), init_pid: 0, ..Container::clone(container) })
}
