//! What is stopped, in files by the class of the rule that is broken.
//!
//! Decides first, reports second: nothing depends on room in a ring or a map. Where an exception
//! cannot be looked up, there is none.

mod exec;
mod file;
pub mod network;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns, generated};
use plimsoll_ebpf::{
    orders::{ALLOWED_HEAD_BITS, ALLOWED_PATH_BYTES, Policy, stop},
    record::flags,
    rules::{self, Class, Rule},
};

use crate::{
    file::File,
    maps::{ALLOWED, POLICIES},
    path::{self, Walked},
    read::mask,
    scratch::Slot,
    setup,
};

/// `include/uapi/asm-generic/errno-base.h`
const EPERM: i32 = 1;

/// `include/uapi/asm-generic/signal.h`
const SIGKILL: u32 = 9;

/// What the hook that asks can do about an act.
#[derive(Clone, Copy, PartialEq)]
pub enum Means {
    /// Refuse it.
    Deny,
    /// Kill who did it.
    Kill,
}

/// The policy of a container, where it stops acts of the class asked for.
#[derive(Clone, Copy)]
pub struct Guard {
    policy: Policy,
}

/// The policy under which the running task's acts of a class are stopped; `None` where they are
/// not, and for the container runtime's.
#[inline(always)]
pub fn guard(container: u64, means: Means, class: Class) -> Option<Guard> {
    let guard = guard_of_all(container, means, class)?;
    if setup::is_running() { None } else { Some(guard) }
}

/// Like [`guard`], for the container runtime too.
#[inline(always)]
pub fn guard_of_all(container: u64, means: Means, class: Class) -> Option<Guard> {
    let policy = POLICIES.get_ptr(container)?;
    // SAFETY: the map returned a valid pointer.
    let policy = unsafe { *policy };
    let wanted = if means == Means::Deny { stop::deny(class) } else { stop::kill(class) };
    if policy.stop & wanted == 0 {
        return None;
    }
    let id = bpf_get_current_pid_tgid();
    if policy.only_tid != 0 && policy.only_tid != id as u32 {
        return None;
    }
    Some(Guard { policy })
}

impl Guard {
    /// Whether files of every layer are treated as the image's.
    #[inline(always)]
    pub fn is_for_every_layer(&self) -> bool {
        self.policy.stop & stop::EVERY_LAYER != 0
    }

    /// Whether an act that breaks a rule is stopped: no exception covers the file's path.
    #[inline(always)]
    pub fn stops(&self, rule: Rule, file: &File, bits: u32, slot: Option<&Slot>) -> bool {
        let Some(slot) = slot else { return true };
        let mut bits = bits;
        let walked = path::walk(slot.number(), file.dentry, file.mount, &mut bits);
        !self.allows(rule, slot, walked, bits)
    }

    #[inline(always)]
    fn allows(&self, rule: Rule, slot: &Slot, walked: Walked, bits: u32) -> bool {
        if self.policy.exceptions == 0 || bits & flags::PATH_UNSURE != 0 {
            return false;
        }
        let whole = walked.bytes();
        let most = ALLOWED_PATH_BYTES as u64 - 1;
        let bytes = mask(if whole > most { most } else { whole }, 255);
        // SAFETY: the slot's memory; `bytes` leaves room for the NUL that ends a whole path, and
        // the helper checks the source.
        let key = unsafe {
            let key = &raw mut (*slot.memory()).allowed;
            let to = (&raw mut (*key).data.path).cast::<u8>();
            let from = (&raw const (*slot.memory()).path).cast::<u8>();
            generated::bpf_probe_read_kernel(
                to.cast(),
                bytes as u32,
                from.add(mask(walked.start, 4095) as usize).cast(),
            );
            *to.add(bytes as usize) = 0;
            let text = if whole > most { bytes } else { bytes + 1 };
            (*key).prefix_len = ALLOWED_HEAD_BITS + 8 * text as u32;
            (*key).data.set = self.policy.exceptions;
            (*key).data.rule = rule as u32;
            &*key
        };
        let Some(allowed) = ALLOWED.get(key) else { return false };
        let is_as_deep = allowed.components == 0 || allowed.components == walked.components;
        // SAFETY: the helper takes no pointers.
        is_as_deep && unsafe { bpf_ktime_get_boot_ns() } <= allowed.until_ns
    }
}

/// Ends the running process before it gets back to its own code.
#[inline(always)]
pub fn kill() {
    // SAFETY: the helper takes no pointers. It fails for kernel threads only, which are no
    // container's.
    unsafe { generated::bpf_send_signal(SIGKILL) };
}

/// The rule that mapping a file of this layer as code breaks, and what stops the running task from
/// that, where there is both.
#[inline(always)]
pub fn of_library(container: u64, means: Means, layer: u8, bits: u32) -> Option<(Rule, Guard)> {
    let is_changed = bits & flags::CONTENT_CHANGED != 0;
    let rule = rules::of_library(layer, bits, is_changed)?;
    Some((rule, guard(container, means, Class::Exec)?))
}
