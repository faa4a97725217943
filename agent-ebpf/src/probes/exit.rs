//! Raises [`Exit`].

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::events::exit::Exit;

use crate::{
    emit::{Ring, emit},
    filter, task,
};

// match-proto:v5.10: (struct task_struct *p)
#[btf_tracepoint(function = "sched_process_exit")]
fn on_exit(ctx: BtfTracePointContext) -> i32 {
    let Some(container) = filter::current_container() else { return 0 };
    let task = ctx.arg::<*const u8>(0) as usize;
    let signal = member!(task, task_signal, usize);
    if member!(signal, signal_live, u32) != 0 {
        return 0;
    }
    let body = Exit {
        user_ns: member!(signal, signal_utime, u64).wrapping_add(member!(task, task_utime, u64)),
        system_ns: member!(signal, signal_stime, u64).wrapping_add(member!(task, task_stime, u64)),
        max_rss_pages: member!(signal, signal_maxrss, u64),
        status: member!(task, task_exit_code, u32),
        reserved: 0,
    };
    emit(Ring::Priority { urgent: false }, task::header(container), body);
    0
}
