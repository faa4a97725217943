//! Raises [`Privilege`] for system calls that need or give privileges, and for capabilities.

use aya_ebpf::{
    helpers::bpf_get_current_cgroup_id, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use plimsoll_ebpf::{
    events::privilege::{Privilege, op},
    orders::{KNOCK, knocked},
    record::{Span, Wire},
    signals::Heartbeat,
};

use super::syscall::Call;
use crate::{
    emit::{Draft, Ring, emit},
    filter::{self, Act},
    maps::KNOCKED,
    task,
};

/// The agent knocks with a `bpf` command that does not exist; the echo proves hook and ring.
#[inline(always)]
pub fn answers_knock(call: &Call) -> bool {
    if call.entry.op != op::BPF || call.argument(1) as u32 != KNOCK {
        return false;
    }
    let header = task::header(0);
    if header.pid != setting!(agent_pid) {
        return false;
    }
    if let (Some(cgroup), Some(at_ns)) =
        (KNOCKED.get_ptr_mut(knocked::CGROUP), KNOCKED.get_ptr_mut(knocked::AT_NS))
    {
        // SAFETY: the map returned valid pointers, and the helper takes none.
        unsafe {
            *cgroup = bpf_get_current_cgroup_id();
            *at_ns = header.boot_ns;
        }
    }
    let number = call.argument(3);
    emit(Ring::Priority { urgent: true }, header, Heartbeat { number });
    true
}

/// `include/linux/socket.h`, `include/linux/net.h`, `include/uapi/linux/in.h`
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_PACKET: u32 = 17;
const SOCK_RAW: u32 = 3;
const SOCK_PACKET: u32 = 10;
const TYPE_BITS: u32 = 0xf;
/// Any, TCP, UDP, MPTCP: those whose peers the cgroup hooks see.
const SEEN_PROTOCOLS: [u32; 4] = [0, 6, 17, 262];

/// `include/uapi/linux/sched.h`: the flags for namespaces.
const CLONE_NEW: u64 = 0x7e02_0000 | 0x80;

/// Whether a call is none of ours after all: most sockets carry data to peers that are seen, and
/// most clones make no namespaces.
#[inline(always)]
pub fn is_everyday(call: &Call) -> bool {
    match call.entry.op {
        op::RAW_SOCKET => {
            let family = call.argument(1) as u32;
            let kind = call.argument(2) as u32 & TYPE_BITS;
            let is_packet = family == AF_PACKET || kind == SOCK_PACKET;
            let is_odd = kind == SOCK_RAW || !SEEN_PROTOCOLS.contains(&(call.argument(3) as u32));
            !(is_packet || is_odd && (family == AF_INET || family == AF_INET6))
        }
        // Both sides come by here; the child's result is 0.
        // A signal that is sent comes by `on_signal`, however it was.
        op::SIGNAL_AGENT => {
            !(means_agent(call.argument(1)) && (call.result < 0 || number(call) == 0))
        }
        op::CLONE | op::CLONE3 => call.result == 0 || number(call) & CLONE_NEW == 0,
        _ => false,
    }
}

/// Whether a process id that a call was given is the agent's. Only who shares the host's processes
/// can name it; elsewhere the same number is another process.
#[inline(always)]
fn means_agent(pid: u64) -> bool {
    let (pid, agent) = (pid as i32, setting!(agent_pid) as i32);
    (pid == agent || pid == -agent) && task::sees_host_processes(task::current())
}

/// The number worth keeping.
#[inline(always)]
fn number(call: &Call) -> u64 {
    if call.entry.op == op::CLONE3 {
        // The flags come first in `struct clone_args`.
        return crate::read::user(call.argument(1));
    }
    call.argument(call.entry.number)
}

/// Every call is told: a harmless one before it must not hide one with other arguments.
#[inline(always)]
pub fn on_call(call: &Call, container: u64) {
    let entry = call.entry;
    let Some(draft) = Draft::<Privilege>::new(task::header(container)) else { return };
    let text = |place: u8| {
        if place == 0 {
            return Span::default();
        }
        draft.user_text(call.argument(place)).unwrap_or_default()
    };
    let body = Privilege {
        result: call.result,
        number: number(call),
        path: text(entry.path),
        to: text(entry.to_path),
        op: if entry.op == op::PTRACE && means_agent(call.argument(2)) {
            op::PTRACE_AGENT
        } else {
            entry.op
        },
        capability: 0,
        reserved: [0; 6],
    };
    draft.send(Ring::Priority { urgent: true }, body);
}

/// A process may execute what it has written into its memory: once a window and program.
#[inline(always)]
pub fn on_executable_memory(container: u64) {
    let task = task::current();
    let act = act(container, task, 0, u32::from(op::EXECUTABLE_MEMORY));
    let Some(report) = filter::report(&act) else { return };
    let body = Privilege {
        result: 0,
        number: 0,
        path: Span::default(),
        to: Span::default(),
        op: op::EXECUTABLE_MEMORY,
        capability: 0,
        reserved: [0; 6],
    };
    emit(Ring::Priority { urgent: false }, report.header(task::header(container)), body);
}

/// `include/linux/sched/signal.h`: the kernel sends it, whoever runs just then.
const SEND_SIG_PRIV: usize = 1;

// match-proto:v5.10: (int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)
#[btf_tracepoint(function = "signal_generate")]
fn on_signal(ctx: BtfTracePointContext) -> i32 {
    let target = ctx.arg::<*const u8>(2) as usize;
    if member!(target, task_tgid, u32) != setting!(agent_pid) {
        return 0;
    }
    let Some(container) = filter::current_container() else { return 0 };
    if ctx.arg::<*const u8>(1) as usize == SEND_SIG_PRIV {
        return 0;
    }
    let body = Privilege {
        result: 0,
        number: u64::from(ctx.arg::<u32>(0)),
        path: Span::default(),
        to: Span::default(),
        op: op::SIGNAL_AGENT,
        capability: 0,
        reserved: [0; 6],
    };
    emit(Ring::Priority { urgent: true }, task::header(container), body);
    0
}

#[inline(always)]
fn act(container: u64, task: usize, object: u64, detail: u32) -> Act {
    let exe = task::program(task);
    Act {
        container,
        exe_ino: exe.ino,
        exe_dev: exe.dev,
        kind: Privilege::KIND,
        detail,
        object: [object, 0, 0, 0],
    }
}

/// `include/uapi/linux/capability.h`
const CAP_SYS_ADMIN: u32 = 21;

// match-proto:v6.14: (const struct cred *cred, struct user_namespace *target_ns, const struct user_namespace *capable_ns, int cap, int ret)
#[btf_tracepoint(function = "cap_capable")]
fn on_capability(ctx: BtfTracePointContext) -> i32 {
    let Some(container) = filter::current_container() else { return 0 };
    let task = task::current();
    // Overlayfs acts with the credentials of whoever mounted it: not the container's doing.
    if ctx.arg::<*const u8>(0) as usize != member!(task, task_real_cred, usize) {
        return 0;
    }
    let capability = ctx.arg::<u32>(3);
    let result = i64::from(ctx.arg::<i32>(4));
    // The kernel asks for CAP_SYS_ADMIN on every brk and mmap, to set memory aside for
    // administrators (`__vm_enough_memory`), and only the call would tell that from a use. What
    // needs it in earnest is told by its system call.
    if capability == CAP_SYS_ADMIN {
        return 0;
    }
    let outcome = u32::from(result < 0) << 8 | u32::from(op::CAPABILITY);
    let act = act(container, task, u64::from(capability), outcome);
    let Some(report) = filter::report(&act) else { return 0 };
    let header = report.header(task::header(container));
    let body = Privilege {
        result,
        number: 0,
        path: Span::default(),
        to: Span::default(),
        op: op::CAPABILITY,
        capability: capability as u8,
        reserved: [0; 6],
    };
    emit(Ring::Priority { urgent: false }, header, body);
    0
}
