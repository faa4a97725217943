//! Which alerts belong together, and how likely it is that together they mean something.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use plimsoll_ebpf::rules::Rule;

use crate::attribution::{observation::Observation, process::Origin};

/// How old a process may be to have begun the subtree of an incident, in nanoseconds.
const YOUNG_NS: u64 = 300_000_000_000;
/// How long after its last alert an incident goes on, in nanoseconds.
const OPEN_NS: u64 = 300_000_000_000;
/// Incidents that go on at once at most; alerts beyond that stand alone.
const MOST_OPEN: usize = 4096;
/// Pieces of evidence of one incident at most; more would change nothing.
const MOST_EVIDENCE: usize = 256;

/// What makes alerts one incident: the container, and the process that the youngest subtree of
/// processes began with.
pub type Key = (u64, u32, u64);

/// The key of what an observation would begin.
fn key(observation: &Observation<'_>) -> Key {
    let header = &observation.record.header;
    let Some(process) = observation.process else { return (header.cgroup_id, 0, 0) };
    let is_young = |start_ns: u64| header.boot_ns.saturating_sub(start_ns) < YOUNG_NS;
    let ancestors = process.lineage.ancestors.iter().map(|it| (it.pid, it.start_ns));
    let (pid, start_ns) = ancestors
        .take_while(|(_, start_ns)| is_young(*start_ns))
        .last()
        .unwrap_or((process.pid, process.start_ns));
    (header.cgroup_id, pid, start_ns)
}

/// Those that go on.
#[derive(Debug, Default)]
pub struct Incidents {
    open: HashMap<Key, Incident>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Incident {
    id: u64,
    until_ns: u64,
    evidence: HashSet<u64>,
    /// How likely it is that all of it means nothing, were each piece independent of the others.
    doubt: f64,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The incident that it is part of.
    pub id: u64,
    /// How likely it is that the incident means something, with this alert, in percent.
    pub score: u8,
}

impl Incidents {
    /// The key of what an observation is part of: of the incident that one of its ancestors began,
    /// however old that has become, else of its own. All of a container descends from the first
    /// process, which therefore is none of these.
    pub fn key(&self, observation: &Observation<'_>) -> Key {
        let header = &observation.record.header;
        let process = observation.process.filter(|it| !it.lineage.ancestors.is_empty());
        let Some(process) = process else { return key(observation) };
        let ancestors = process.lineage.ancestors.iter();
        let descends_from_first = process.origin != Origin::Exec;
        let ancestors = ancestors.rev().skip(usize::from(descends_from_first)).rev();
        let chain = ancestors.map(|it| (header.cgroup_id, it.pid, it.start_ns));
        let own = (header.cgroup_id, process.pid, process.start_ns);
        let is_open = |it: &Key| self.open.get(it).is_some_and(|it| header.boot_ns <= it.until_ns);
        std::iter::once(own).chain(chain).find(is_open).unwrap_or_else(|| key(observation))
    }

    /// Something more is told of an incident, which says nothing new.
    pub fn touch(&mut self, key: Key, now_ns: u64) {
        if let Some(incident) = self.open.get_mut(&key).filter(|it| now_ns <= it.until_ns) {
            incident.until_ns = now_ns.saturating_add(OPEN_NS);
        }
    }

    /// Adds an alert to its incident; `what` makes it other than the same rule broken again. The
    /// moment counts since boot.
    pub fn add(&mut self, key: Key, rule: Rule, what: &[u8], now_ns: u64) -> Standing {
        if !self.open.contains_key(&key) && self.open.len() >= MOST_OPEN {
            self.tick(now_ns);
        }
        let id = self.hasher.hash_one((key, now_ns));
        if !self.open.contains_key(&key) && self.open.len() >= MOST_OPEN {
            return Standing { id, score: percent(1.0 - weight(rule)) };
        }
        let begin = || Incident { id, until_ns: now_ns, evidence: HashSet::new(), doubt: 1.0 };
        let incident = self.open.entry(key).or_insert_with(begin);
        if incident.until_ns < now_ns {
            *incident = begin();
        }
        incident.until_ns = now_ns.saturating_add(OPEN_NS);
        let evidence = self.hasher.hash_one((rule, what));
        if incident.evidence.len() < MOST_EVIDENCE && incident.evidence.insert(evidence) {
            incident.doubt *= 1.0 - weight(rule);
        }
        Standing { id: incident.id, score: percent(incident.doubt) }
    }

    /// Ends those whose time is over at this moment since boot.
    pub fn tick(&mut self, now_ns: u64) {
        self.open.retain(|_, it| now_ns <= it.until_ns);
    }
}

/// How likely a broken rule alone means something.
fn weight(rule: Rule) -> f64 {
    f64::from(rule.weight()) / 100.0
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 0 to 100")]
fn percent(doubt: f64) -> u8 {
    (100.0 * (1.0 - doubt)).round().clamp(0.0, 100.0) as u8
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_ebpf::{
        catalog::{Record, encode},
        events::fork::Fork,
        record::Header,
    };

    use super::*;
    use crate::attribution::{
        node::Node,
        process::{Ancestor, Lineage, Process},
    };

    const KEY: Key = (1, 2, 3);

    #[test]
    fn what_an_old_shell_starts_is_of_the_shells_incident_while_that_goes_on() {
        const OLD_NS: u64 = 2 * YOUNG_NS;
        let ancestor = |pid, start_ns| Ancestor { pid, start_ns, ..Ancestor::default() };
        let part_of = |incidents: &Incidents, origin, ancestors: &[(u32, u64)]| {
            let lineage = Lineage::of(ancestors.iter().map(|&(pid, start)| ancestor(pid, start)));
            let process =
                Process { pid: 9, start_ns: OLD_NS, origin, lineage, ..Process::default() };
            let header = Header { cgroup_id: 1, boot_ns: OLD_NS, ..Header::default() };
            let entry = encode(header, Fork::default(), b"");
            incidents.key(&Observation {
                ts_ns: 0,
                record: Record::decode(&entry).expect("decodes"),
                node: &Arc::new(Node::default()),
                container: None,
                process: Some(&Arc::new(process)),
                peer_name: None,
                former_name: None,
            })
        };
        let (own, shell, first) = ((1, 9, OLD_NS), (1, 5, 7), (1, 4, 3));
        let mut incidents = Incidents::default();
        assert_eq!(part_of(&incidents, Origin::Exec, &[(5, 7)]), own, "nothing goes on");
        incidents.add(shell, Rule::NewShell, b"/bin/sh", YOUNG_NS);
        assert_eq!(part_of(&incidents, Origin::Exec, &[(5, 7)]), shell);
        assert_eq!(part_of(&incidents, Origin::Init, &[(5, 7), (4, 3)]), shell);
        let mut incidents = Incidents::default();
        incidents.add(first, Rule::NewWrite, b"/x", YOUNG_NS);
        assert_eq!(
            part_of(&incidents, Origin::Init, &[(5, 7), (4, 3)]),
            own,
            "all descends from it"
        );
    }

    #[test]
    fn what_is_told_again_has_an_incident_go_on() {
        let mut incidents = Incidents::default();
        let first = incidents.add(KEY, Rule::NewWrite, b"/x", 0);
        incidents.touch(KEY, OPEN_NS);
        let later = incidents.add(KEY, Rule::NewProcess, b"/bin/id", 2 * OPEN_NS);
        assert_eq!(later.id, first.id);
        incidents.touch(KEY, 4 * OPEN_NS);
        assert_ne!(incidents.add(KEY, Rule::NewWrite, b"/x", 4 * OPEN_NS).id, first.id);
    }

    #[test]
    fn evidence_adds_up_and_repeats_do_not() {
        let mut incidents = Incidents::default();
        let first = incidents.add(KEY, Rule::NewLineage, b"/bin/sh", 10);
        let again = incidents.add(KEY, Rule::NewLineage, b"/bin/sh", 20);
        assert_eq!(first, again, "the same again says no more");
        let more = incidents.add(KEY, Rule::NewProcess, b"/bin/id", 30);
        assert_eq!(more.id, first.id);
        assert!(more.score > first.score, "{more:?} {first:?}");
        let sure = incidents.add(KEY, Rule::NewExecutable, b"/tmp/x", 40);
        assert!((90..=100).contains(&sure.score), "{sure:?}");
    }

    #[test]
    fn another_subtree_and_a_later_time_are_other_incidents() {
        let mut incidents = Incidents::default();
        let add =
            |incidents: &mut Incidents, key, now| incidents.add(key, Rule::NewWrite, b"/x", now);
        let first = add(&mut incidents, KEY, 0);
        assert_ne!(add(&mut incidents, (1, 2, 4), 0).id, first.id);
        // It goes on as long as something happens.
        assert_eq!(add(&mut incidents, KEY, OPEN_NS).id, first.id);
        assert_eq!(add(&mut incidents, KEY, 2 * OPEN_NS).id, first.id);
        let later = add(&mut incidents, KEY, 3 * OPEN_NS + 1);
        assert_ne!(later.id, first.id);
        assert_eq!(later.score, first.score);
        incidents.tick(5 * OPEN_NS);
        assert!(incidents.open.is_empty());
    }

    #[test]
    fn a_flood_of_incidents_and_evidence_is_bounded_and_told_all_the_same() {
        let mut incidents = Incidents::default();
        for it in 0..MOST_OPEN as u64 + 100 {
            let told = incidents.add((it, 0, 0), Rule::NewExecutable, b"/x", 0);
            assert_eq!(told.score, 90);
        }
        assert_eq!(incidents.open.len(), MOST_OPEN);
        for it in 0..MOST_EVIDENCE as u64 + 100 {
            incidents.add((0, 0, 0), Rule::NewWrite, &it.to_le_bytes(), 1);
        }
        assert_eq!(incidents.open[&(0, 0, 0)].evidence.len(), MOST_EVIDENCE);
    }
}
