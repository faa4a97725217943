//! What the agent itself uses, from `/proc/self` (man 5 proc).

use std::{fs, sync::OnceLock};

use crate::clock;

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    /// Resident memory.
    pub(super) resident_bytes: u64,
    /// Processor time in user space and kernel.
    pub(super) cpu_seconds: f64,
    /// When it started, since 1970.
    pub(super) start_seconds: f64,
    /// Open file descriptors.
    pub(super) open_fds: u64,
}

/// When this process started, computed once: two clocks are read one after the other for it, and whoever
/// sees the moment change counts a restart.
static START: OnceLock<f64> = OnceLock::new();

/// What this process uses; `None` where `/proc` cannot be read.
pub(super) fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (ticks, started, pages) = parse(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let began = || clock::boot_to_epoch_ns() as f64 / 1e9 + started as f64 / per_second;
    Some(Usage {
        resident_bytes: pages * rustix::param::page_size() as u64,
        cpu_seconds: ticks as f64 / per_second,
        start_seconds: *START.get_or_init(began),
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
    })
}

/// Ticks used, tick of the start since boot, and resident pages.
fn parse(stat: &str) -> Option<(u64, u64, u64)> {
    // The name, second in line, may hold spaces and brackets: what follows the last one counts.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((number(11)? + number(12)?, number(19)?, number(21)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_one_moment() {
        let start = || usage().expect("there is /proc").start_seconds.to_bits();
        let first = start();
        assert!((0..1000).all(|_| start() == first));
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 12 30 0 0 20 0 4 0 555 1000 77 18";
        assert_eq!(parse(stat), Some((42, 555, 77)));
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
