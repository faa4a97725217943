//! Which processes are the container runtime's, at work in a container that does not run yet, or for
//! a session in one. What they do is no doing of the container.

use plimsoll_ebpf::{layer::code, record::flags};

use crate::{maps::SETTING_UP, task};

/// A process of the runtime has entered a container.
#[inline(always)]
pub fn begin(pid: u32, start_ns: u64) {
    let _ = SETTING_UP.insert(pid, start_ns, 0);
}

/// Whether a task that is moved into a container runs a program from outside: the host's mounts are
/// still its own, or its program does not lie in those it has.
#[inline(always)]
pub fn is_from_outside(task: usize) -> bool {
    let own = task::mnt_ns_address(task);
    let program = member!(member!(task, task_mm, usize), mm_exe_file, usize);
    let mount = member!(program, file_mnt, usize).wrapping_sub(offset!(mount_mnt));
    own == task::mnt_ns_address(task::current()) || own != member!(mount, mount_ns, usize)
}

/// A process was forked: what the runtime starts is the runtime's too.
#[inline(always)]
pub fn inherit(pid: u32, start_ns: u64) {
    if is_running() {
        begin(pid, start_ns);
    }
}

/// Whether the running process is the runtime's, still before its first program of the container.
#[inline(always)]
pub fn is_running() -> bool {
    let (pid, start_ns) = task::identity();
    let Some(start) = SETTING_UP.get_ptr(pid) else { return false };
    // SAFETY: the map returned a valid pointer.
    unsafe { *start == start_ns }
}

/// The running process begins a program. It is no longer the runtime's, unless
/// [`goes_on`].
#[inline(always)]
pub fn executes(layer: u8, bits: u32) {
    if is_running() && !goes_on(layer, bits) {
        let _ = SETTING_UP.remove(task::identity().0);
    }
}

/// Whether a program of the runtime's is its own: one that lies outside the container's mounts, and
/// runs before it has entered them. Once there it runs a program for the container, even if that is
/// itself.
#[inline(always)]
pub fn goes_on(layer: u8, bits: u32) -> bool {
    let task = task::current();
    let parent = typed_member!(task, task_real_parent, usize);
    let is_outside = bits & flags::DETACHED != 0 || layer == code::MEMFD || layer == code::UNKNOWN;
    // Elsewhere a program of the host lies in the process's own mounts.
    task::mnt_ns(task) == task::mnt_ns(parent) || is_outside && task::mnt_ns(parent) == 0
}
