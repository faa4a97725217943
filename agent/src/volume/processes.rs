//! Which process of a container takes most processor time.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::usage::Busiest;
use crate::attribution::cgroup::descendants;

/// Processes looked at of one container; of more, those that are listed first.
const MOST_PROCESSES: usize = 512;

/// The host's processes, as far as their time is asked for.
#[derive(Clone, Debug)]
pub struct Processes {
    proc_root: PathBuf,
    tick_ns: u64,
}

/// Processor time of processes, in clock ticks, by process id and start.
pub type Times = HashMap<(u32, u64), u64>;

impl Processes {
    /// Those of this process file system.
    pub fn at(proc_root: PathBuf) -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        Self { proc_root, tick_ns: 1_000_000_000 / ticks }
    }

    /// Length of a clock tick, in nanoseconds.
    pub fn tick_ns(&self) -> u64 {
        self.tick_ns
    }

    /// Times of the processes in a container's cgroup and below.
    pub fn times(&self, cgroup: &Path) -> Times {
        let below = descendants(cgroup).into_iter().map(|(directory, _)| directory);
        let directories = std::iter::once(cgroup.to_owned()).chain(below);
        let lists = directories.filter_map(|it| fs::read_to_string(it.join("cgroup.procs")).ok());
        let mut times = Times::new();
        for list in lists {
            for pid in list.lines().filter_map(|line| line.parse().ok()) {
                if times.len() >= MOST_PROCESSES {
                    return times;
                }
                if let Some((start, ticks)) = self.time(pid) {
                    times.insert((pid, start), ticks);
                }
            }
        }
        times
    }

    fn time(&self, pid: u32) -> Option<(u64, u64)> {
        parse(&fs::read(self.proc_root.join(pid.to_string()).join("stat")).ok()?)
    }

    /// The one that took most since `before`. Of one that was not looked at then, what it took in
    /// all its life counts.
    pub fn busiest(&self, before: &Times, now: &Times) -> Option<Busiest> {
        let taken = |(key, ticks): (&(u32, u64), &u64)| {
            (ticks.saturating_sub(before.get(key).copied().unwrap_or_default()), *key)
        };
        let all: u64 = now.iter().map(|it| taken(it).0).sum();
        let (most, (pid, start)) = now.iter().map(taken).max()?;
        if most == 0 {
            return None;
        }
        let uid = fs::metadata(self.proc_root.join(pid.to_string())).ok()?.uid();
        let start_ns = start.saturating_mul(self.tick_ns);
        Some(Busiest { pid, start_ns, uid, percent: most.saturating_mul(100) / all.max(1) })
    }
}

/// Start and processor time in clock ticks: fields 22, and 14 and 15 of `proc_pid_stat(5)`. The name
/// in parentheses may hold anything.
fn parse(stat: &[u8]) -> Option<(u64, u64)> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let text = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = text.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let began = fields.nth(6)?.parse().ok()?;
    Some((began, user.saturating_add(system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_a_hostile_name() {
        let stat = b"42 (a) R 1 (b) S 7 42 42 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 12345 0 0";
        assert_eq!(parse(stat), Some((12345, 42)));
        assert_eq!(parse(b"42 (x"), None);
        assert_eq!(parse(b"42 (x) S 1 2"), None);
    }

    #[test]
    fn who_took_most_since_the_last_look_is_the_busiest() {
        let own = std::process::id();
        let processes = Processes::at(PathBuf::from("/proc"));
        let before = Times::from([((1, 5), 1000), ((own, 7), 10)]);
        let now = Times::from([((1, 5), 1001), ((own, 7), 109)]);
        let busiest = processes.busiest(&before, &now).expect("is there");
        assert_eq!((busiest.pid, busiest.percent), (own, 99));
        assert_eq!(busiest.start_ns, 7 * processes.tick_ns());
        assert_eq!(processes.busiest(&now, &now), None);
        assert_eq!(processes.busiest(&now, &Times::new()), None);
    }

    #[test]
    fn this_process_is_found_in_its_cgroup() {
        let cgroup = tempfile::tempdir().expect("a directory");
        let list = format!("{}\n0\nnonsense\n", std::process::id());
        fs::write(cgroup.path().join("cgroup.procs"), list).expect("is written");
        let times = Processes::at(PathBuf::from("/proc")).times(cgroup.path());
        assert_eq!(times.len(), 1);
        assert!(times.keys().all(|(pid, _)| *pid == std::process::id()));
    }
}
