//! What is let through: watched containers only, and each repeated act once per window.

use aya_ebpf::helpers::{bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns};
use plimsoll_ebpf::{
    orders::{Seen, merged},
    record::Header,
};

use crate::maps::{CGROUPS, KNOWN, KNOWN_FROM, MERGED, SEEN};

/// The container of a cgroup, if it is watched.
#[inline(always)]
pub fn container_of(cgroup_id: u64) -> Option<u64> {
    let watched = CGROUPS.get_ptr(cgroup_id)?;
    // SAFETY: the map returned a valid pointer; an entry stays readable while the program runs.
    Some(unsafe { (*watched).container })
}

/// The container of the running task, if it is watched.
#[inline(always)]
pub fn current_container() -> Option<u64> {
    // SAFETY: the helper takes no pointers.
    container_of(unsafe { bpf_get_current_cgroup_id() })
}

/// Adds to a counter that other processors write too.
#[inline(always)]
pub fn add(counter: *mut u64, number: u64) {
    // SAFETY: callers pass an aligned field of a map value; one atomic instruction, which Rust's
    // atomics do not offer on this target.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {number}",
            counter = in(reg) counter,
            number = in(reg) number,
        );
    }
}

/// One repeated act, in full: what differs in any part is another act.
#[derive(Clone, Copy)]
pub struct Act {
    /// The container's cgroup.
    pub container: u64,
    /// Inode of the program.
    pub exe_ino: u64,
    /// Device of the program.
    pub exe_dev: u32,
    /// Event kind.
    pub kind: u16,
    /// What else makes a difference.
    pub detail: u32,
    /// What it is done to: identity of a file, address of a peer.
    pub object: [u64; 4],
}

impl Act {
    /// One number for all of it. Its chance to be another act's too is one in 2^64, and as nobody
    /// knows the seed, nobody can raise it.
    #[inline(always)]
    fn name(&self) -> u64 {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let words = [
            self.container,
            self.exe_ino,
            u64::from(self.exe_dev) << 32 | u64::from(self.detail),
            u64::from(self.kind),
            self.object[0],
            self.object[1],
            self.object[2],
            self.object[3],
        ];
        let mut name = setting!(seed);
        let mut index = 0;
        while index < words.len() {
            name = (name ^ words[index]).wrapping_mul(FACTOR);
            name ^= name >> 29;
            index += 1;
        }
        name.wrapping_mul(FACTOR) | 1
    }
}

/// An act that is to be reported.
#[derive(Clone, Copy)]
pub struct Report {
    act: u64,
    count: u32,
}

impl Report {
    /// The header of its record.
    #[inline(always)]
    pub fn header(self, of: Header) -> Header {
        Header { act: self.act, count: self.count, ..of }
    }
}

/// Whether what was learned vouches for an act: the agent said so of its latest report, and has not
/// taken it back.
#[inline(always)]
fn is_known(act: u64, reported_ns: u64) -> bool {
    let (Some(said_ns), Some(from_ns)) = (KNOWN.get_ptr(act), KNOWN_FROM.get_ptr(0)) else {
        return false;
    };
    // SAFETY: the maps returned valid pointers.
    unsafe { *said_ns >= *from_ns && *said_ns >= reported_ns }
}

/// Whether an act is reported; it is merely counted where it was within the window, which is a longer
/// one for what is known.
#[inline(always)]
pub fn report(act: &Act) -> Option<Report> {
    // SAFETY: the helper takes no pointers.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let act = act.name();
    let fresh = Seen { reported_ns: now, window_from_ns: now, held_back: 0, latest_ns: now };
    let Some(seen) = SEEN.get_ptr_mut(act) else {
        let _ = SEEN.insert(act, fresh, 0);
        return Some(Report { act, count: 1 });
    };
    // SAFETY: the map returned a valid pointer. Two processors may race here: at worst an act is
    // reported twice.
    unsafe {
        let since_report = now.wrapping_sub((*seen).reported_ns);
        let is_in_window = now.wrapping_sub((*seen).window_from_ns) < setting!(window_ns);
        if is_in_window || since_report < setting!(known_ns) && is_known(act, (*seen).reported_ns) {
            add(&raw mut (*seen).held_back, 1);
            (*seen).latest_ns = now;
            if !is_in_window {
                (*seen).window_from_ns = now;
            }
            let is_repeated = since_report < setting!(window_ns);
            let why = if is_repeated { merged::REPEATED } else { merged::KNOWN };
            if let Some(count) = MERGED.get_ptr_mut(why) {
                *count += 1;
            }
            return None;
        }
        let count = (*seen).held_back.wrapping_add(1) as u32;
        *seen = fresh;
        Some(Report { act, count })
    }
}
