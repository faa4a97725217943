//! Raises [`Exec`].

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::{
    events::exec::Exec,
    layer::code,
    record::{Span, flags},
    rules::{self, Class, outcome},
};

use super::{
    file_write::S_IFMT,
    listen::{AF_INET, AF_INET6},
};
use crate::{
    emit::{Draft, Ring},
    enforce::{self, Means},
    file::File,
    filter,
    maps::TEXT_BYTES,
    scratch::Slot,
    setup, task,
};

/// `include/uapi/linux/stat.h`
const S_IFSOCK: u32 = 0o140_000;

// match-proto:v5.10: (struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_process_exec")]
fn on_exec(ctx: BtfTracePointContext) -> i32 {
    let Some(container) = filter::current_container() else { return 0 };
    let task = ctx.arg::<*const u8>(0) as usize;
    let bprm = ctx.arg::<*const u8>(2) as usize;
    let file = File::at(member!(bprm, bprm_file, usize));
    let mut bits = 0;
    let layer = file.layer(&mut bits);
    setup::executes(layer, bits);
    let slot = Slot::claim();
    let mut header = task::header(container);
    if header.setup == 0
        && let Some(rule) = rules::of_program(layer, bits, bits & flags::CONTENT_CHANGED != 0)
        && let Some(guard) = enforce::guard_of_all(container, Means::Kill, Class::Exec)
        && guard.stops(rule, &file, bits, slot.as_ref())
    {
        enforce::kill();
        header.outcome = outcome::KILLED;
    }
    if reads_from_network(task) {
        bits |= flags::INPUT_SOCKET;
    }
    let Some(draft) = Draft::within(slot, header) else { return 0 };
    let args = arguments(&draft, task, &mut bits);
    tell(draft, &Told { task, bprm, file: &file, layer, bits, args });
    0
}

/// Whether a process's standard input is an IPv4 or IPv6 socket.
#[inline(always)]
fn reads_from_network(task: usize) -> bool {
    let file = task::file_of(task, 0);
    if file == 0 || File::at(file).mode() & S_IFMT != S_IFSOCK {
        return false;
    }
    let socket = member!(member!(file, file_private, usize), socket_sk, usize);
    matches!(member!(socket, sock_family, u16), AF_INET | AF_INET6)
}

/// What is told of a program that runs, or would have.
pub struct Told<'f> {
    pub task: usize,
    pub bprm: usize,
    pub file: &'f File,
    pub layer: u8,
    pub bits: u32,
    pub args: Span,
}

#[inline(always)]
pub fn tell(draft: Draft<Exec>, told: &Told<'_>) {
    let &Told { task, bprm, file, layer, mut bits, args } = told;
    let parent = typed_member!(task, task_real_parent, usize);
    let path = draft.path(file.dentry, file.mount, &mut bits);
    let fs = member!(task, task_fs, usize);
    // A long working directory is no reason to call the program's path truncated.
    let mut ignored = 0;
    let cwd =
        draft.path(member!(fs, fs_pwd_dentry, usize), member!(fs, fs_pwd_mnt, usize), &mut ignored);
    let script = script(&draft, bprm);
    let body = Exec {
        ino: file.ino(),
        caps: member!(member!(task, task_cred, usize), cred_effective, u64),
        parent_start_ns: task::start_ns(parent),
        ppid: member!(parent, task_tgid, u32),
        mnt_ns: task::mnt_ns(task),
        dev: file.dev(),
        mode: file.mode(),
        flags: bits,
        path,
        script,
        args,
        cwd,
        layer,
        script_layer: code::UNKNOWN,
        reserved: [0; 2],
    };
    // The agent looks for the script while the process is there.
    let urgent = layer != code::IMAGE || script.len != 0;
    draft.send(Ring::Priority { urgent }, body);
}

/// The path given to `execve`, where the kernel went on to an interpreter.
#[inline(always)]
fn script(draft: &Draft<Exec>, bprm: usize) -> Span {
    let given = member!(bprm, bprm_filename, usize);
    if given == member!(bprm, bprm_interp, usize) {
        return Span::default();
    }
    draft.kernel_text(given).unwrap_or_default()
}

#[inline(always)]
fn arguments(draft: &Draft<Exec>, task: usize, bits: &mut u32) -> Span {
    let memory = member!(task, task_mm, usize);
    let start = member!(memory, mm_arg_start, u64);
    let bytes = member!(memory, mm_arg_end, u64).wrapping_sub(start);
    if bytes == 0 {
        return Span::default();
    }
    if bytes > TEXT_BYTES as u64 {
        *bits |= flags::ARGS_TRUNCATED;
    }
    draft.user_bytes(start, bytes).unwrap_or_else(|| {
        *bits |= flags::ARGS_UNREADABLE;
        Span::default()
    })
}
