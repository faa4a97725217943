//! Takes over from an agent that has ended and whose programs were held: first what they saw since,
//! then they are let go. This agent's programs stop the same by then.

use std::collections::{HashMap, HashSet};

use plimsoll_ebpf::{
    catalog::split,
    record::{Header, Wire as _},
    rules::outcome,
    signals::{CgroupMade, CgroupRemoved},
};

use super::{losses::Losses, roll_call::RollCall};
use crate::{
    attribution::{
        attributor::{Attributor, Out},
        directory::Directory,
        procfs::Procfs,
    },
    metrics::names::Metrics,
    probe::{
        load::Loaded,
        pins::{Pins, Predecessor},
    },
};

/// Leaves this agent's programs to the next one, from now on.
pub(super) fn keep(pins: Pins, loaded: &mut Loaded, metrics: &Metrics) {
    if let Err(error) = pins.keep(loaded) {
        metrics.orders_failed.add(1);
        tracing::error!(error = format!("{error:#}"), "nothing will outlive the agent");
    }
}

/// Takes over at the moment since boot from which on this agent sees for itself.
pub(super) fn from(
    predecessor: Predecessor,
    (since_ns, roll_call): (u64, &RollCall),
    attributor: &mut Attributor,
    procfs: &mut Procfs,
    losses: &mut Losses,
    out: &mut Out<'_>,
) {
    let pid = predecessor.pid;
    let mut read = 0_u64;
    match predecessor.left() {
        Ok(Some(mut left)) => {
            let mut seen = Seen::by(&attributor.directory, since_ns, roll_call);
            left.read(|entry| {
                let is_news = split(entry).is_ok_and(|(header, _)| {
                    seen.lacks(&header, attributor.directory.own(header.cgroup_id))
                });
                if is_news && attributor.entry(entry, procfs, out).is_ok() {
                    read += 1;
                }
            });
            left.losses().iter().for_each(|lost| losses.of_kernel(lost));
        }
        Ok(None) => losses.add(0, "", "other_version", 1),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "what was seen since the last agent ended is not known");
            losses.add(0, "", "other_version", 1);
        }
    }
    match predecessor.release() {
        Ok(()) => tracing::info!(agent = pid, records = read, "took over"),
        Err(error) => tracing::warn!(%error, agent = pid, "an earlier agent's programs are left"),
    }
}

/// What this agent has seen itself: of each container, from the moment on at which it was watched.
struct Seen {
    began_ns: u64,
    watched_ns: HashMap<u64, u64>,
    /// From when on it stops what they do.
    stops_ns: HashMap<u64, u64>,
    /// Cgroups that were made since, and that this agent was yet to hear of.
    made: HashSet<u64>,
}

impl Seen {
    fn by(directory: &Directory, began_ns: u64, roll_call: &RollCall) -> Self {
        // As it is before the earlier agent's signals tell of cgroups, too.
        let watched_ns = directory.watched().collect();
        let stops = directory.there().filter_map(|(cgroup_id, container)| {
            Some((cgroup_id, roll_call.stops_since(&container.id)?))
        });
        Self { began_ns, watched_ns, stops_ns: stops.collect(), made: HashSet::new() }
    }

    /// Whether this agent does not have a record of the earlier one; `own` is the container's own
    /// cgroup.
    fn lacks(&mut self, header: &Header, own: u64) -> bool {
        // What it stopped this agent saw pass, if at all: its own had no orders yet. A removal that
        // is told twice is no other one.
        if header.kind == CgroupRemoved::KIND {
            return true;
        }
        if header.outcome != outcome::DONE {
            return self.stops_ns.get(&own).is_none_or(|stops_ns| header.boot_ns < *stops_ns);
        }
        if let Some(watched_ns) = self.watched_ns.get(&own) {
            return header.boot_ns < *watched_ns;
        }
        // This agent's programs saw the making themselves, and all that followed.
        if header.kind == CgroupMade::KIND && header.boot_ns >= self.began_ns {
            self.made.insert(header.cgroup_id);
        }
        !self.made.contains(&header.cgroup_id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_ebpf::events::exec::Exec;

    use super::*;
    use crate::attribution::container::Container;

    fn of(cgroup_id: u64, kind: u16, boot_ns: u64) -> Header {
        Header { cgroup_id, kind, boot_ns, ..Header::default() }
    }

    #[test]
    fn what_both_agents_stopped_is_told_once() {
        let mut directory = Directory::new(8);
        for (cgroup_id, id) in [(5, "aa"), (6, "bb")] {
            directory.made(cgroup_id, &format!("/docker/{id}"), Some(id), 10);
            directory.known(Arc::new(Container { id: id.to_owned(), ..Container::default() }));
        }
        let mut roll_call = RollCall::new();
        roll_call.listed(["aa", "bb"].map(str::to_owned).into());
        roll_call.settled("aa");
        roll_call.late("bb".to_owned());
        let mut seen = Seen::by(&directory, 50, &roll_call);
        let mut lacks = |cgroup_id, boot_ns| {
            let refused = Header { outcome: outcome::DENIED, ..of(cgroup_id, Exec::KIND, boot_ns) };
            seen.lacks(&refused, cgroup_id)
        };
        assert_eq!([lacks(5, 60), lacks(5, u64::MAX)], [true, false]);
        assert!(lacks(6, u64::MAX), "Docker was slow to tell of it");
    }

    #[test]
    fn what_a_container_did_before_it_was_watched_is_taken_over_and_nothing_twice() {
        let mut directory = Directory::new(8);
        directory.made(5, "/docker/aa", Some("aa"), 70);
        let mut seen = Seen::by(&directory, 50, &RollCall::new());
        let mut lacks = |header: Header| seen.lacks(&header, header.cgroup_id);
        let execs = [40, 60, 69, 70].map(|at_ns| lacks(of(5, Exec::KIND, at_ns)));
        assert_eq!(execs, [true, true, true, false]);
        let refused = Header { outcome: outcome::DENIED, ..of(5, Exec::KIND, 80) };
        assert!(lacks(refused) && lacks(of(5, CgroupRemoved::KIND, 80)));
        assert!(lacks(of(6, CgroupMade::KIND, 40)) && lacks(of(6, Exec::KIND, 60)), "it is gone");
        assert!(!lacks(of(7, CgroupMade::KIND, 60)) && !lacks(of(7, Exec::KIND, 61)), "it is new");
    }
}
