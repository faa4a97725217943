//! Which container a cgroup belongs to, and who still has to be asked.
//!
//! Pure: signals, Docker's notices and moments in; orders and questions out. Records of a container
//! that is not known yet are held, in bounded number, until it is.

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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "aa";
    const SECOND: u64 = 1_000_000_000;

    fn container(init_pid: u32) -> Arc<Container> {
        Arc::new(Container {
            id: ID.to_owned(),
            name: "web".to_owned(),
            init_pid,
            ..Container::default()
        })
    }

    #[test]
    fn a_container_is_expected_until_docker_removes_it() {
        let mut directory = Directory::new(8);
        let expected = |directory: &Directory| directory.expected().count();
        directory.known(container(0));
        assert_eq!(expected(&directory), 1, "it was created");
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.removed(5, SECOND);
        directory.tick(REMEMBER_NS * 2, SECOND);
        assert_eq!(expected(&directory), 1, "it may be started again");
        directory.made(6, "/docker/aa", Some(ID), REMEMBER_NS * 2);
        directory.destroyed(ID);
        assert_eq!(expected(&directory), 0);
        assert!(matches!(directory.standing(6), Standing::Known(_)), "what it did is still its");
        directory.removed(6, REMEMBER_NS * 2);
        directory.tick(REMEMBER_NS * 4, SECOND);
        assert!(directory.by_id(ID).is_none());
        directory.known(container(0));
        directory.destroyed(ID);
        assert!(directory.by_id(ID).is_none(), "it never ran");
    }

    #[test]
    fn records_wait_for_docker_and_come_out_in_order() {
        let mut directory = Directory::new(8);
        assert!(!directory.made(5, "/docker/aa", Some(ID), 0));
        assert_eq!(directory.take_requests(), [Request::Ask { id: ID.to_owned() }]);
        directory.keep(5, b"one");
        directory.keep(5, b"two");
        assert_eq!(directory.known(container(0)), [5]);
        assert_eq!(directory.take_requests(), [Request::Watch { cgroup_id: 5, container: 5 }]);
        let held: Vec<_> = directory.release(5).into_iter().collect();
        assert_eq!(held, [b"one".as_slice().into(), b"two".as_slice().into()]);
        assert!(matches!(directory.standing(5), Standing::Known(it) if it.name == "web"));
    }

    #[test]
    fn a_container_announced_before_its_cgroup_is_known_at_once() {
        let mut directory = Directory::new(10);
        assert!(directory.known(container(0)).is_empty());
        assert!(directory.made(5, "/docker/aa", Some(ID), 0));
        assert_eq!(directory.take_requests(), [Request::Watch { cgroup_id: 5, container: 5 }]);
    }

    #[test]
    fn a_cgroup_below_a_container_is_the_containers_whatever_its_name() {
        let mut directory = Directory::new(10);
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.known(container(0));
        directory.take_requests();
        directory.made(6, "/docker/aa/bb", Some("bb"), 0);
        assert_eq!(directory.take_requests(), [Request::Watch { cgroup_id: 6, container: 5 }]);
        directory.made(7, "/docker/aab", None, 0);
        assert_eq!(directory.take_requests(), [Request::Unwatch { cgroup_id: 7 }]);
        assert_eq!(directory.own(6), 5);
        assert!(matches!(directory.standing(7), Standing::Dismissed));
        assert!(matches!(directory.standing(8), Standing::Unheard));
    }

    #[test]
    fn what_nobody_can_name_is_told_as_unresolved() {
        let mut directory = Directory::new(10);
        directory.made(5, "/docker/aa", Some(ID), 0);
        assert!(directory.tick(9 * SECOND, 10 * SECOND).is_empty());
        assert_eq!(directory.tick(10 * SECOND, 10 * SECOND), [5]);
        assert_eq!(directory.unresolved(), 1);
        assert!(matches!(directory.standing(5), Standing::Known(it) if it.id == ID));
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut directory = Directory::new(2);
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.keep(5, b"one");
        directory.keep(5, b"two");
        assert_eq!(directory.take_overflow(), HashMap::from([(5, 1)]), "beyond its share");
        assert_eq!(directory.held(), 1);
    }

    #[test]
    fn a_dead_container_is_remembered_for_ten_minutes() {
        let mut directory = Directory::new(10);
        directory.known(container(0));
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.removed(5, SECOND);
        directory.destroyed(ID);
        directory.tick(600 * SECOND, SECOND);
        assert!(matches!(directory.standing(5), Standing::Known(_)));
        directory.tick(602 * SECOND, SECOND);
        assert!(matches!(directory.standing(5), Standing::Unheard));
        assert!(directory.by_id(ID).is_none());
    }

    #[test]
    fn a_container_that_is_started_again_is_the_same_in_another_cgroup() {
        let mut directory = Directory::new(10);
        directory.known(container(0));
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.removed(5, SECOND);
        assert!(directory.made(6, "/docker/aa", Some(ID), 2 * SECOND), "it is known already");
        assert_eq!(directory.cgroup_of(ID), Some(6));
        let renamed = Container { name: "shop".to_owned(), ..Container::clone(&container(7)) };
        assert!(directory.known(Arc::new(renamed)).is_empty());
        assert!(matches!(directory.standing(6), Standing::Known(it) if it.name == "shop"));
        directory.tick(700 * SECOND, SECOND);
        assert!(matches!(directory.standing(5), Standing::Unheard));
        assert!(directory.by_id(ID).is_some(), "it still runs");
    }

    #[test]
    fn a_container_that_is_started_again_has_another_first_process() {
        let mut directory = Directory::new(10);
        let pid = |directory: &Directory, cgroup_id| match directory.standing(cgroup_id) {
            Standing::Known(it) => it.init_pid,
            Standing::Held | Standing::Dismissed | Standing::Unheard => panic!("it is known"),
        };
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.known(container(7));
        directory.removed(5, SECOND);
        directory.made(6, "/docker/aa", Some(ID), 2 * SECOND);
        assert_eq!((pid(&directory, 5), pid(&directory, 6)), (7, 0));
        directory.known(container(7));
        assert_eq!(pid(&directory, 6), 0, "it was looked at before the first one ended");
        directory.known(container(8));
        directory.removed(5, 3 * SECOND);
        assert_eq!(pid(&directory, 6), 8, "a removal that is told twice is no other one");
        directory.removed(6, 4 * SECOND);
        directory.tick(700 * SECOND, SECOND);
        directory.made(9, "/docker/aa", Some(ID), 700 * SECOND);
        assert_eq!(pid(&directory, 9), 0, "the old cgroups are forgotten");
    }

    #[test]
    fn a_container_whose_removal_nobody_told_is_swept() {
        let mut directory = Directory::new(10);
        directory.known(container(7));
        directory.made(5, "/docker/aa", Some(ID), 0);
        directory.take_requests();
        assert_eq!(directory.sweep(2 * SECOND, |path, id| (path, id) == ("/docker/aa", 5)), 0);
        assert_eq!(directory.sweep(SECOND, |_, _| false), 0, "it may not be seen yet");
        assert_eq!((directory.running(), directory.take_requests()), (1, Vec::new()));
        assert_eq!(directory.sweep(2 * SECOND, |_, _| false), 1);
        assert_eq!(directory.running(), 0);
        assert_eq!(directory.take_requests(), [Request::Unwatch { cgroup_id: 5 }]);
        assert_eq!(directory.sweep(3 * SECOND, |_, _| false), 0, "it is gone once");
    }

    #[test]
    fn a_container_that_was_there_before_has_to_be_located() {
        let mut directory = Directory::new(10);
        directory.known(container(77));
        let locate = Request::Locate { id: ID.to_owned(), init_pid: 77 };
        assert_eq!(directory.take_requests(), [locate]);
    }
}
