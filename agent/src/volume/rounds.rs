//! What each container used since the round before: differences of counters that only grow.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv6Addr},
};

use plimsoll_ebpf::orders::Traffic;

use super::{
    cgroup_files::{Controllers, Directories},
    processes::{Processes, Times},
    usage::{PeerUsage, Target, Usage},
};
use crate::probe::counters::Counted;

/// How long what was counted of a container stays after it was not among those looked at, in
/// nanoseconds: it may be one that Docker has not named yet.
const LEAVE_NS: u64 = 60_000_000_000;
/// A container that takes this part of a processor or more has its processes looked at.
const BUSY: u64 = 4;
/// Peers told of one container in one round; of more, those with most bytes.
const MOST_PEERS: usize = 256;

/// See the module.
pub struct Rounds {
    controllers: Controllers,
    processes: Processes,
    last: HashMap<u64, Last>,
}

/// A container as it was in the round before.
#[derive(Default)]
struct Last {
    boot_ns: u64,
    directories: Directories,
    cpu_ns: Option<u64>,
    counted: Counted,
    times: Times,
    /// Since when it is not among those looked at.
    absent_ns: Option<u64>,
}

/// What a round has found.
#[derive(Debug, Default)]
pub struct Found {
    /// What containers used; none of one that was not there in the round before.
    pub usages: Vec<Usage>,
    /// Containers that are gone, with the peers of which something was counted.
    pub gone: Vec<(u64, Vec<[u32; 4]>)>,
}

impl Rounds {
    /// None yet.
    pub fn new(controllers: Controllers, processes: Processes) -> Self {
        Self { controllers, processes, last: HashMap::new() }
    }

    /// Looks at these containers, of which that was counted, at a moment since boot. Memory and
    /// processes are read where `is_whole`.
    pub fn take(
        &mut self,
        targets: &[Target],
        mut counted: HashMap<u64, Counted>,
        now_ns: u64,
        is_whole: bool,
    ) -> Found {
        let mut found = Found::default();
        let wanted: HashSet<u64> = targets.iter().map(|it| it.cgroup_id).collect();
        for target in targets {
            let counted = counted.remove(&target.cgroup_id).unwrap_or_default();
            found.usages.extend(self.look_at(target, counted, now_ns, is_whole));
        }
        for (cgroup_id, counted) in counted {
            found.usages.extend(self.leave(cgroup_id, counted, now_ns));
        }
        self.last.retain(|cgroup_id, last| {
            let absent_ns = *last.absent_ns.get_or_insert(now_ns);
            let is_kept = wanted.contains(cgroup_id) || now_ns - absent_ns.min(now_ns) < LEAVE_NS;
            if !is_kept {
                let peers = last.counted.peers.keys().copied().collect();
                found.gone.push((*cgroup_id, peers));
            }
            is_kept
        });
        found
    }

    fn look_at(
        &mut self,
        target: &Target,
        counted: Counted,
        now_ns: u64,
        is_whole: bool,
    ) -> Option<Usage> {
        let Self { controllers, processes, last } = self;
        let is_new = !last.contains_key(&target.cgroup_id);
        let last = last.entry(target.cgroup_id).or_default();
        last.absent_ns = None;
        if is_new || is_whole && !last.directories.are_there() {
            last.directories = controllers.directories(&target.id, &target.path);
        }
        let cpu_ns = last.directories.cpu_ns();
        let before_ns = std::mem::replace(&mut last.boot_ns, now_ns);
        let before_cpu_ns = std::mem::replace(&mut last.cpu_ns, cpu_ns);
        if is_new {
            // Bytes are counted from its beginning on: the next round tells of them.
            return None;
        }
        let mut usage = traffic_usage(target.cgroup_id, &last.counted, &counted);
        last.counted = counted;
        usage.boot_ns = now_ns;
        usage.span_ms = (now_ns.saturating_sub(before_ns) / 1_000_000).max(1);
        usage.cpu_ns = cpu_ns.zip(before_cpu_ns).map(|(now, before)| now.saturating_sub(before));
        if is_whole {
            usage.memory_bytes = last.directories.memory_bytes();
            usage.pids = last.directories.pids();
        }
        let is_busy = usage.cpu_ns.is_some_and(|ns| ns / 1_000_000 * BUSY >= usage.span_ms);
        if let Some(cgroup) = last.directories.unified.as_ref().filter(|_| is_busy) {
            let times = processes.times(cgroup);
            usage.busiest = processes.busiest(&last.times, &times);
            last.times = times;
        } else {
            last.times.clear();
        }
        Some(usage)
    }

    /// What was counted of a container that is not there any more, or not known yet.
    fn leave(&mut self, cgroup_id: u64, counted: Counted, now_ns: u64) -> Option<Usage> {
        let last = self.last.entry(cgroup_id).or_default();
        let mut usage = traffic_usage(cgroup_id, &last.counted, &counted);
        usage.boot_ns = now_ns;
        let before_ns = std::mem::replace(&mut last.boot_ns, now_ns);
        let is_new = before_ns == 0;
        usage.span_ms =
            if is_new { 1 } else { (now_ns.saturating_sub(before_ns) / 1_000_000).max(1) };
        last.counted = counted;
        (usage.sent_bytes + usage.received_bytes > 0).then_some(usage)
    }
}

fn traffic_usage(cgroup_id: u64, before: &Counted, now: &Counted) -> Usage {
    let all = since(before.all, now.all);
    let mut peers: Vec<PeerUsage> = (now.peers.iter())
        .map(|(address, traffic)| {
            let before = before.peers.get(address).copied().unwrap_or_default();
            let Traffic { sent_bytes, received_bytes } = since(before, *traffic);
            PeerUsage { address: address_of(*address), sent_bytes, received_bytes }
        })
        .filter(|it| it.sent_bytes + it.received_bytes > 0)
        .collect();
    peers.sort_unstable_by_key(|it| (std::cmp::Reverse(it.sent_bytes), it.address));
    peers.truncate(MOST_PEERS);
    Usage {
        cgroup_id,
        span_ms: 1,
        sent_bytes: all.sent_bytes,
        received_bytes: all.received_bytes,
        peers,
        ..Usage::default()
    }
}

/// A counter that was forgotten meanwhile began again at 0.
fn since(before: Traffic, now: Traffic) -> Traffic {
    let grown = |before: u64, now: u64| if now >= before { now - before } else { now };
    Traffic {
        sent_bytes: grown(before.sent_bytes, now.sent_bytes),
        received_bytes: grown(before.received_bytes, now.received_bytes),
    }
}

fn address_of(words: [u32; 4]) -> IpAddr {
    let mut bytes = [0; 16];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(bytes).to_canonical()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::attribution::cgroup::CgroupRoot;

    const SECOND: u64 = 1_000_000_000;

    fn rounds(root: PathBuf) -> Rounds {
        let controllers = Controllers::find(CgroupRoot { path: root }, "");
        Rounds::new(controllers, Processes::at(PathBuf::from("/proc")))
    }

    fn target() -> Target {
        Target { cgroup_id: 7, id: "aa".to_owned(), path: "/aa".to_owned() }
    }

    fn counted(sent_bytes: u64, to: u64) -> HashMap<u64, Counted> {
        let address = [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes([10, 0, 0, 9])];
        let peers = HashMap::from([(address, Traffic { sent_bytes: to, received_bytes: 0 })]);
        let all = Traffic { sent_bytes, received_bytes: 3 };
        HashMap::from([(7, Counted { all, peers })])
    }

    #[test]
    fn a_round_tells_what_came_since_the_one_before() {
        let host = tempfile::tempdir().expect("a directory");
        let cgroup = host.path().join("aa");
        fs::create_dir(&cgroup).expect("is made");
        let cpu = |usec: u64| {
            fs::write(cgroup.join("cpu.stat"), format!("usage_usec {usec}\n")).expect("is written");
        };
        fs::write(cgroup.join("pids.current"), "2\n").expect("is written");
        let mut rounds = rounds(host.path().to_owned());
        cpu(1000);
        assert!(rounds.take(&[target()], counted(500, 300), SECOND, true).usages.is_empty());
        cpu(1700);
        let found = rounds.take(&[target()], counted(700, 400), 11 * SECOND, true);
        let usage = &found.usages[0];
        assert_eq!((usage.sent_bytes, usage.received_bytes), (700, 3), "from the beginning");
        assert_eq!((usage.span_ms, usage.cpu_ns, usage.pids), (10_000, Some(700_000), Some(2)));
        assert_eq!(usage.peers[0].address, IpAddr::from([10, 0, 0, 9]));
        assert_eq!((usage.peers[0].sent_bytes, usage.busiest), (400, None));
        let found = rounds.take(&[target()], counted(750, 50), 21 * SECOND, false);
        assert_eq!(found.usages[0].sent_bytes, 50);
        assert_eq!(found.usages[0].peers[0].sent_bytes, 50, "it was forgotten and began again");
        assert_eq!((found.usages[0].pids, found.gone.len()), (None, 0));
    }

    #[test]
    fn what_a_container_did_last_is_told_and_then_it_is_forgotten() {
        let mut rounds = rounds(PathBuf::from("/nowhere"));
        rounds.take(&[target()], counted(500, 300), SECOND, true);
        let found = rounds.take(&[], counted(900, 300), 2 * SECOND, true);
        assert_eq!(found.usages[0].sent_bytes, 900);
        let found = rounds.take(&[], counted(900, 300), 3 * SECOND, true);
        assert!(found.usages.is_empty() && found.gone.is_empty());
        let found = rounds.take(&[], counted(900, 300), 90 * SECOND, true);
        assert_eq!(found.gone.len(), 1);
        assert_eq!((found.gone[0].0, found.gone[0].1.len()), (7, 1));
        assert!(rounds.last.is_empty());
    }
}
