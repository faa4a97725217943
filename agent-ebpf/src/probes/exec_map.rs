//! Raises [`ExecMap`].

use aya_ebpf::{helpers::generated, macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::{
    events::exec_map::ExecMap,
    layer::code,
    orders::map,
    record::{Header, Wire, flags},
    rules::outcome,
};

use super::{file_write::act, privilege, syscall::Call};
use crate::{
    emit::{Draft, Ring},
    enforce::{self, Means},
    file::File,
    filter,
    mapped::{Code, executable_at},
    scratch::Slot,
    task,
};

/// `include/uapi/asm-generic/mman-common.h`
pub const PROT_EXEC: u64 = 4;
const MAP_ANONYMOUS: u64 = 0x20;
/// `include/uapi/linux/shm.h`
const SHM_EXEC: u64 = 0o100_000;

/// What a call asks for: protection, flags, descriptor.
#[inline(always)]
fn asked(call: &Call) -> [u64; 3] {
    if has_words_in_memory(call) {
        // The old call of the 32-bit table: address, length, protection, flags, descriptor, offset.
        let words: [u32; 6] = crate::read::user(call.argument(1));
        return [words[2], words[3], words[4]].map(u64::from);
    }
    [call.argument(call.entry.number), call.argument(4), call.argument(call.entry.fd)]
}

/// Whether the call was given its numbers in memory, where another thread, or the mapping itself, may have
/// changed them since the kernel looked.
#[inline(always)]
fn has_words_in_memory(call: &Call) -> bool {
    call.entry.op == map::FILE && call.entry.fd == 0
}

/// Whether the call maps what may run: the way out for most.
#[inline(always)]
pub fn maps_code(call: &Call) -> bool {
    if has_words_in_memory(call) {
        return true;
    }
    match call.entry.op {
        map::PROTECT => call.argument(call.entry.number) & PROT_EXEC != 0,
        map::ATTACH => call.argument(call.entry.number) & SHM_EXEC != 0,
        _ => {
            let [protection, ..] = asked(call);
            protection & PROT_EXEC != 0
        }
    }
}

/// Whether the call asks for memory that no file is behind. Shared, it would look like a file that
/// was removed.
#[inline(always)]
fn is_anonymous(call: &Call) -> bool {
    call.entry.op == map::FILE && !has_words_in_memory(call) && asked(call)[1] & MAP_ANONYMOUS != 0
}

/// Judges by what the call was given, as far as no other thread has changed it meanwhile: where the kernel
/// does not tell what lies at an address.
#[inline(always)]
pub fn on_map(call: &Call, container: u64) {
    if call.entry.op != map::FILE {
        return;
    }
    let [protection, flags, descriptor] = asked(call);
    if protection & PROT_EXEC == 0 {
        return;
    }
    if flags & MAP_ANONYMOUS != 0 {
        privilege::on_executable_memory(container);
        return;
    }
    let address = task::file_of(call.task, descriptor);
    if address != 0 {
        judge(File::at(address), container, call.is_compat);
    }
}

/// What lies at both ends of the mapping is judged.
#[inline(always)]
pub fn on_mapping(call: &Call, container: u64) {
    if is_anonymous(call) {
        privilege::on_executable_memory(container);
        return;
    }
    let is_protect = call.entry.op == map::PROTECT;
    let start = if is_protect { call.argument(1) } else { call.result as u64 };
    match executable_at(start) {
        Some(Code::File(file)) => judge(file, container, call.is_compat),
        Some(Code::Memory) => privilege::on_executable_memory(container),
        // Another thread may be at the mappings, or have removed this one.
        None => on_map(call, container),
    }
    if is_protect
        && let Some(Code::File(file)) =
            executable_at(start.wrapping_add(call.argument(2)).wrapping_sub(1))
    {
        judge(file, container, call.is_compat);
    }
}

// match-proto:v5.10: (struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
/// The program that a program names as its loader runs first, and no call maps it.
#[btf_tracepoint(function = "sched_process_exec")]
fn on_exec_loader(_ctx: BtfTracePointContext) -> i32 {
    let Some(container) = filter::current_container() else { return 0 };
    // SAFETY: the verifier knows the task's type.
    let registers = unsafe { generated::bpf_task_pt_regs(task::current() as *mut _) };
    if let Some(Code::File(file)) = executable_at(member!(registers, regs_ip, u64)) {
        judge(file, container, false);
    }
    0
}

#[inline(always)]
fn judge(file: File, container: u64, is_compat: bool) {
    let task = task::current();
    let mut bits = if is_compat { flags::COMPAT } else { 0 };
    let layer = file.layer(&mut bits);
    let program = task::program(task);
    if layer == code::IMAGE || program.ino == file.ino() && program.dev == file.dev() {
        return;
    }
    let slot = Slot::claim();
    let outcome = match enforce::of_library(container, Means::Kill, layer, bits) {
        Some((rule, guard)) if guard.stops(rule, &file, bits, slot.as_ref()) => {
            enforce::kill();
            outcome::KILLED
        }
        _ => outcome::DONE,
    };
    tell(container, task, &file, slot, outcome, (layer, bits));
}

/// Tells of a mapping that was made, or refused.
#[inline(always)]
pub fn tell(
    container: u64,
    task: usize,
    file: &File,
    slot: Option<Slot>,
    outcome: u8,
    (layer, mut bits): (u8, u32),
) {
    let act = act(container, task, file, ExecMap::KIND, u32::from(outcome), 0);
    let Some(report) = filter::report(&act) else { return };
    let header = Header { outcome, ..report.header(task::header(container)) };
    let Some(draft) = Draft::<ExecMap>::within(slot, header) else { return };
    let path = draft.path(file.dentry, file.mount, &mut bits);
    let body =
        ExecMap { ino: file.ino(), dev: file.dev(), flags: bits, path, layer, reserved: [0; 3] };
    draft.send(Ring::Priority { urgent: true }, body);
}
