//! What is let through: watched containers only, and each repeated act once per window.

use aya_ebpf::helpers::{bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns};
use plimsoll_ebpf::orders::{Seen, SeenKey};

use crate::{
    maps::{CGROUPS, MERGED, SEEN},
    read::settings,
};

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

/// How many occurrences a report now stands for; `None` while the act is merely counted.
#[inline(always)]
pub fn report(key: &SeenKey) -> Option<u32> {
    // SAFETY: the helper takes no pointers.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let Some(seen) = SEEN.get_ptr_mut(key) else {
        let _ = SEEN.insert(key, Seen { reported_ns: now, held_back: 0 }, 0);
        return Some(1);
    };
    // SAFETY: the map returned a valid pointer. Two processors may race here: at worst an act is
    // reported twice.
    unsafe {
        if now.wrapping_sub((*seen).reported_ns) < settings().window_ns {
            add(&raw mut (*seen).held_back, 1);
            if let Some(merged) = MERGED.get_ptr_mut(0) {
                *merged += 1;
            }
            return None;
        }
        let count = (*seen).held_back.wrapping_add(1);
        (*seen).held_back = 0;
        (*seen).reported_ns = now;
        Some(count as u32)
    }
}
