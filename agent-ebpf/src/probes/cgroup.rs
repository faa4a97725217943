//! Containers come and go: cgroups that are made, entered and removed.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::{
    orders::{ID_BYTES, Watched, reason},
    signals::{CgroupEntered, CgroupMade, CgroupRemoved},
};

use crate::{
    emit::{Draft, Ring, emit, lose},
    maps::{CGROUPS, PENDING, POLICIES},
    setup, task,
};

const NOW: Ring = Ring::Priority { urgent: true };

/// Only the unified hierarchy counts: on hybrid hosts the tracepoints fire for each of them.
#[inline(always)]
fn is_unified(cgroup: usize) -> bool {
    member!(member!(cgroup, cgroup_root, usize), cgroup_root_hierarchy, u32) == 0
}

#[inline(always)]
fn parent_of(cgroup: usize) -> usize {
    let state = member!(cgroup, cgroup_self_parent, usize);
    if state == 0 { 0 } else { state.wrapping_sub(offset!(cgroup_self)) }
}

// match-proto:v5.10: (struct cgroup *cgrp, const char *path)
/// A cgroup below a known container belongs to it. Any other is held until the agent decides.
#[btf_tracepoint(function = "cgroup_mkdir")]
fn on_cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    let cgroup = ctx.arg::<*const u8>(0) as usize;
    if !is_unified(cgroup) {
        return 0;
    }
    let id = task::cgroup_id_of(cgroup);
    let parent = parent_of(cgroup);
    if parent != 0 {
        let parent_id = task::cgroup_id_of(parent);
        if let Some(above) = CGROUPS.get_ptr(parent_id) {
            // SAFETY: the map returned a valid pointer.
            let above = unsafe { *above };
            if above.confirmed != 0 {
                watch(id, above);
                return 0;
            }
        }
    }
    // Where its policy is known it is one, and cgroups below it are its own.
    let confirmed = u32::from(stop_from_the_start(cgroup, id));
    watch(id, Watched { container: id, confirmed, reserved: 0 });
    let Some(draft) = Draft::<CgroupMade>::new(task::header(id)) else { return 0 };
    let path = draft.kernel_text(ctx.arg::<*const u8>(1) as usize).unwrap_or_default();
    draft.send(NOW, CgroupMade { path });
    0
}

/// A container whose policy is known already has it before its first process; whether it is one.
#[inline(always)]
fn stop_from_the_start(cgroup: usize, id: u64) -> bool {
    let mut name = [0u8; 80];
    let address = member!(member!(cgroup, cgroup_kn, usize), kernfs_name, usize);
    // SAFETY: the array is valid memory; the helper checks the address.
    let read = unsafe {
        aya_ebpf::helpers::generated::bpf_probe_read_kernel_str(
            name.as_mut_ptr().cast(),
            name.len() as u32,
            address as *const _,
        )
    };
    // The id alone, or `docker-ID.scope` where systemd makes the cgroups; and a NUL.
    let first = match read {
        65 => 0,
        78 => 7,
        _ => return false,
    };
    let mut key = [0u8; ID_BYTES];
    let mut index = 0;
    while index < ID_BYTES {
        key[index] = name[first + index];
        index += 1;
    }
    let Some(policy) = PENDING.get_ptr(key) else { return false };
    // SAFETY: the map returned a valid pointer.
    let _ = POLICIES.insert(id, unsafe { *policy }, 0);
    true
}

#[inline(always)]
fn watch(id: u64, watched: Watched) {
    if CGROUPS.insert(id, watched, 0).is_err() {
        lose(&task::header_of_nobody(watched.container), reason::MAP_FULL);
    }
}

// match-proto:v5.10: (struct cgroup *cgrp, const char *path)
#[btf_tracepoint(function = "cgroup_rmdir")]
fn on_cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    let cgroup = ctx.arg::<*const u8>(0) as usize;
    if !is_unified(cgroup) {
        return 0;
    }
    let cgroup_id = task::cgroup_id_of(cgroup);
    if let Some(container) = crate::filter::container_of(cgroup_id) {
        let _ = CGROUPS.remove(cgroup_id);
        if container == cgroup_id {
            let _ = POLICIES.remove(container);
        }
        emit(NOW, task::header_of_nobody(container), CgroupRemoved { cgroup_id });
    }
    0
}

// match-proto:v5.10: (struct cgroup *dst_cgrp, const char *path, struct task_struct *task, bool threadgroup)
#[btf_tracepoint(function = "cgroup_attach_task")]
fn on_cgroup_attach(ctx: BtfTracePointContext) -> i32 {
    let cgroup = ctx.arg::<*const u8>(0) as usize;
    if !is_unified(cgroup) {
        return 0;
    }
    let Some(container) = crate::filter::container_of(task::cgroup_id_of(cgroup)) else {
        return 0;
    };
    let task = ctx.arg::<*const u8>(2) as usize;
    // Not its own mounts: a session's process has entered the container's before it is moved.
    let parent = typed_member!(task, task_real_parent, usize);
    // A container that moves its own processes about sets nothing up, nor who moves them for it.
    if crate::filter::current_container() != Some(container) && setup::is_from_outside(task) {
        setup::begin(member!(task, task_tgid, u32), task::start_ns(task));
    }
    let body =
        CgroupEntered { mnt_ns: task::mnt_ns(parent), ppid: member!(parent, task_tgid, u32) };
    emit(NOW, task::header_of(task, container), body);
    0
}
