//! Alerts that are alike: one is told, those after it are counted, and told as a number ever more seldom.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use plimsoll_ebpf::{
    catalog::{Record, encode},
    events::{alert::Alert, privilege::Privilege},
    record::Header,
    rules::{Class, Rule, Severity},
};

use super::{act::Breach, incidents, judge::Tell};
use crate::{
    attribution::{container::Container, observation::Observation, process::Process},
    policy::place::Object,
};

/// How long alerts that are alike are counted after one was told, in nanoseconds.
const WINDOW_NS: u64 = 10_000_000_000;
/// To how much that grows while it goes on, each time to the double.
const LONGEST_WINDOW_NS: u64 = 300_000_000_000;
/// The same for what containers were given: it is no other after a restart, or in another replica.
const GRANT_WINDOW_NS: u64 = 86_400_000_000_000;

/// Alerts that are counted on at most; beyond it each is told.
const MOST_COUNTED: usize = 4096;

/// Alerts of one rule in one container that are told in a window, each for what it is about. More are
/// alike, whatever they are about: a flood of them would push those of others out of every queue.
const MOST_DIFFERENT: u32 = 2000;
/// The window, in nanoseconds.
const FLOOD_NS: u64 = 600_000_000_000;

/// An alert that can be told again.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    entry: Vec<u8>,
    container: Arc<Container>,
    process: Option<Arc<Process>>,
    /// The incident that it is part of.
    pub(super) incident: incidents::Key,
}

impl Repeat {
    /// One of an observation, which is of a container.
    pub(super) fn of(
        entry: Vec<u8>,
        observation: &Observation<'_>,
        incident: incidents::Key,
    ) -> Self {
        let container = observation.container.cloned().unwrap_or_default();
        Self { entry, container, process: observation.process.cloned(), incident }
    }

    /// Tells it for so many, at this moment since boot.
    pub(super) fn tell(&self, count: u64, now_ns: u64, tell: &mut Tell<'_>) {
        if let Ok(record) = Record::decode(&self.entry)
            && let Some((event, tail)) = record.read::<Alert>()
        {
            let count = count.try_into().unwrap_or(u32::MAX);
            let header = Header { count, boot_ns: now_ns, ..record.header };
            tell(&encode(header, event, tail.0), &self.container, self.process.as_ref());
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    counted: HashMap<u64, Counted>,
    /// By container and rule: since when, and how many that differ were told.
    different: HashMap<(u64, Rule), (u64, u32)>,
    hasher: RandomState,
}

/// One that was told, and how many like it were not.
#[derive(Debug)]
struct Counted {
    until_ns: u64,
    window_ns: u64,
    count: u64,
    repeat: Repeat,
}

impl Repeats {
    /// The key of an alert that is to be told; `None` where it is counted with one that was.
    pub(super) fn take(
        &mut self,
        breach: &Breach<'_>,
        observation: &Observation<'_>,
    ) -> Option<u64> {
        let header = &observation.record.header;
        let mut key = self.key(breach, observation);
        if !self.counted.contains_key(&key) && !breach.rule.is_of_container() {
            let (since_ns, told) =
                self.different.entry((header.cgroup_id, breach.rule)).or_default();
            if header.boot_ns.saturating_sub(*since_ns) >= FLOOD_NS {
                (*since_ns, *told) = (header.boot_ns, 0);
            }
            *told += 1;
            if *told > MOST_DIFFERENT {
                key = self.hasher.hash_one((header.cgroup_id, breach.rule));
            }
        }
        let Some(counted) = self.counted.get_mut(&key) else { return Some(key) };
        counted.count += u64::from(header.count);
        if breach.rule.is_of_container() {
            // Of several containers that were given the same, the newest is the one to look at.
            let Repeat { entry, incident, .. } = &counted.repeat;
            counted.repeat = Repeat::of(entry.clone(), observation, *incident);
        }
        None
    }

    /// One was told, at this moment since boot: those like it are counted from now on.
    pub(super) fn told(&mut self, key: u64, rule: Rule, now_ns: u64, repeat: Repeat) {
        if self.counted.len() < MOST_COUNTED {
            let window_ns = if rule.is_of_container() { GRANT_WINDOW_NS } else { WINDOW_NS };
            let until_ns = now_ns.saturating_add(window_ns);
            self.counted.insert(key, Counted { until_ns, window_ns, count: 0, repeat });
        }
    }

    /// Tells all that is counted: this is the end.
    pub(super) fn end(&mut self, tell: &mut dyn FnMut(&Repeat, u64)) {
        for (_, Counted { count, repeat, .. }) in
            self.counted.drain().filter(|(_, it)| it.count > 0)
        {
            tell(&repeat, count);
        }
    }

    /// Tells those whose window is over at this moment since boot.
    pub(super) fn tick(&mut self, now_ns: u64, tell: &mut dyn FnMut(&Repeat, u64)) {
        self.different.retain(|_, (since_ns, _)| now_ns.saturating_sub(*since_ns) < FLOOD_NS);
        self.counted.retain(|_, counted| {
            if now_ns < counted.until_ns {
                return true;
            }
            if counted.count == 0 {
                return false;
            }
            tell(&counted.repeat, std::mem::take(&mut counted.count));
            let longest_ns = LONGEST_WINDOW_NS.max(counted.window_ns);
            counted.window_ns = counted.window_ns.saturating_mul(2).min(longest_ns);
            counted.until_ns = now_ns.saturating_add(counted.window_ns);
            true
        });
    }

    /// What makes alerts alike: the container, the rule, the program, what became of it, and the
    /// file; of files that are written, their directory. What is severe differs by what was done, too.
    /// What containers were given is alike in all of a service; of one that is of none, by its name.
    fn key(&self, breach: &Breach<'_>, observation: &Observation<'_>) -> u64 {
        let rule = breach.rule;
        if let (Some(container), true) = (observation.container, rule.is_of_container()) {
            let Container { image, service, compose_project, compose_service, name, .. } =
                &**container;
            let is_alone = service.is_empty() && compose_service.is_empty();
            let alone = if is_alone { name.as_str() } else { "" };
            let whose = [image, service, compose_project, compose_service, alone];
            return self.hasher.hash_one((rule, whose, breach.path()));
        }
        let object = match breach.object {
            Object::Path(path)
                if rule.class() == Class::File && rule.info().severity < Severity::High =>
            {
                Ok(directory(path))
            }
            Object::Path(path) => Ok(path),
            Object::Peer(endpoint) => Err(endpoint),
        };
        let header = &observation.record.header;
        let severe = rule.info().severity >= Severity::High;
        let done = severe.then(|| {
            let record = &observation.record;
            (record.header.kind, record.read::<Privilege>().map(|(privilege, _)| privilege.op))
        });
        let exe: &[u8] = observation.process.map_or(b"", |process| &process.exe);
        self.hasher.hash_one((header.cgroup_id, rule, header.outcome, object, exe, done))
    }
}

fn directory(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
    &path[..end]
}
