//! Raises [`Fork`].

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::events::fork::Fork;

use crate::{
    emit::{Ring, emit},
    filter, setup, task,
};

// match-proto:v5.10: (struct task_struct *parent, struct task_struct *child)
#[btf_tracepoint(function = "sched_process_fork")]
fn on_fork(ctx: BtfTracePointContext) -> i32 {
    let child = ctx.arg::<*const u8>(1) as usize;
    let Some(container) = filter::container_of(task::cgroup_id(child)) else { return 0 };
    if member!(child, task_pid, u32) != member!(child, task_tgid, u32) {
        return 0;
    }
    let parent = ctx.arg::<*const u8>(0) as usize;
    let has_entered = filter::current_container() != Some(container);
    let (pid, start_ns) = (member!(child, task_tgid, u32), task::start_ns(child));
    if has_entered {
        setup::begin(pid, start_ns);
    } else {
        setup::inherit(pid, start_ns);
    }
    let body = Fork {
        parent_start_ns: task::start_ns(parent),
        ppid: member!(parent, task_tgid, u32),
        mnt_ns: task::mnt_ns(parent),
        entered: u32::from(has_entered),
        reserved: 0,
    };
    emit(Ring::Priority { urgent: false }, task::header_of(child, container), body);
    0
}
