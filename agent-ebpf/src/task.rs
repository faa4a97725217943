//! What is read of a task.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns, generated,
};
use plimsoll_ebpf::{record::Header, rules::outcome};

use crate::read::mask;

/// The running task's `task_struct`, with its type where the kernel gives it.
#[inline(always)]
pub fn current() -> usize {
    // SAFETY: the helpers take no pointers.
    unsafe {
        if setting!(has_typed_task) != 0 {
            generated::bpf_get_current_task_btf() as usize
        } else {
            generated::bpf_get_current_task() as usize
        }
    }
}

/// The header of a record about the running task.
#[inline(always)]
pub fn header(container: u64) -> Header {
    let id = bpf_get_current_pid_tgid();
    Header {
        // SAFETY: the helper takes no pointers.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        cgroup_id: container,
        start_ns: start_ns(current()),
        pid: (id >> 32) as u32,
        tid: id as u32,
        uid: bpf_get_current_uid_gid() as u32,
        count: 1,
        kind: 0,
        outcome: outcome::DONE,
        setup: u8::from(crate::setup::is_running()),
        size: 0,
        act: 0,
    }
}

/// The header of a record about another task.
#[inline(always)]
pub fn header_of(task: usize, container: u64) -> Header {
    let tgid = member!(task, task_tgid, u32);
    Header {
        // SAFETY: the helper takes no pointers.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        cgroup_id: container,
        start_ns: start_ns(task),
        pid: tgid,
        tid: tgid,
        uid: member!(member!(task, task_cred, usize), cred_uid, u32),
        count: 1,
        kind: 0,
        outcome: outcome::DONE,
        setup: 0,
        size: 0,
        act: 0,
    }
}

/// The header of a record that no task can be named for.
#[inline(always)]
pub fn header_of_nobody(container: u64) -> Header {
    Header {
        // SAFETY: the helper takes no pointers.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        cgroup_id: container,
        count: 1,
        start_ns: 0,
        pid: 0,
        tid: 0,
        uid: 0,
        kind: 0,
        outcome: outcome::DONE,
        setup: 0,
        size: 0,
        act: 0,
    }
}

/// When the task's process started, in nanoseconds since boot.
#[inline(always)]
pub fn start_ns(task: usize) -> u64 {
    typed_member!(typed_member!(task, task_group_leader, usize), task_start_boottime, u64)
}

/// Id of the task's cgroup in the unified hierarchy.
#[inline(always)]
pub fn cgroup_id(task: usize) -> u64 {
    let set = typed_member!(task, task_cgroups, usize);
    let node = typed_member!(typed_member!(set, css_set_dfl_cgrp, usize), cgroup_kn, usize);
    typed_member!(node, kernfs_id, u64)
}

/// Id of a cgroup, given its `struct cgroup`.
#[inline(always)]
pub fn cgroup_id_of(cgroup: usize) -> u64 {
    member!(member!(cgroup, cgroup_kn, usize), kernfs_id, u64)
}

/// Inode of the task's mount namespace; 0 for a task that is going.
#[inline(always)]
pub fn mnt_ns(task: usize) -> u32 {
    let namespace = mnt_ns_address(task);
    if namespace == 0 { 0 } else { typed_member!(namespace, mnt_ns_inum, u32) }
}

/// Address of the task's mount namespace; 0 for a task that is going.
#[inline(always)]
pub fn mnt_ns_address(task: usize) -> usize {
    let proxy = typed_member!(task, task_nsproxy, usize);
    if proxy == 0 { 0 } else { typed_member!(proxy, nsproxy_mnt, usize) }
}

/// Whether a task names processes as the host does.
#[inline(always)]
pub fn sees_host_processes(task: usize) -> bool {
    let pid = typed_member!(task, task_thread_pid, usize);
    pid != 0 && member!(pid, pid_level, u32) == 0
}

/// The `struct file` behind a descriptor of the task; 0 if there is none.
#[inline(always)]
pub fn file_of(task: usize, descriptor: u64) -> usize {
    let files = typed_member!(task, task_files, usize);
    let table = typed_member!(files, files_fdt, usize);
    let descriptor = mask(descriptor, 0xffff_ffff);
    if files == 0 || descriptor >= u64::from(typed_member!(table, fdt_max, u32)) {
        return 0;
    }
    let slots = typed_member!(table, fdt_fd, usize);
    crate::read::kernel::<usize>(slots.wrapping_add(descriptor as usize * size_of::<usize>()))
}

/// When the running task's process started, in nanoseconds since boot, by its process id.
#[inline(always)]
pub fn identity() -> (u32, u64) {
    ((bpf_get_current_pid_tgid() >> 32) as u32, start_ns(current()))
}

/// Identity of the file that a task runs; zero for kernel threads.
#[derive(Clone, Copy)]
pub struct Program {
    /// Inode number.
    pub ino: u64,
    /// Device, major << 20 | minor.
    pub dev: u32,
}

/// The program the task runs.
#[inline(always)]
pub fn program(task: usize) -> Program {
    let memory = typed_member!(task, task_mm, usize);
    if memory == 0 {
        return Program { ino: 0, dev: 0 };
    }
    let inode = typed_member!(typed_member!(memory, mm_exe_file, usize), file_inode, usize);
    Program {
        ino: typed_member!(inode, inode_ino, u64),
        dev: typed_member!(typed_member!(inode, inode_sb, usize), sb_dev, u32),
    }
}
