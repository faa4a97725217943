//! The end of system calls: the one hook on their common path, left as early as possible.

use aya_ebpf::{bindings::pt_regs, macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::orders::{Syscall, class, follow_up};

use super::{
    exec_map,
    file_change::{self, AT_FDCWD},
    file_write, privilege,
};
use crate::{
    filter,
    maps::FOLLOW_UPS,
    read::{mask, syscall},
    task,
};

/// `arch/x86/include/asm/thread_info.h`: the call came through the 32-bit table.
const TS_COMPAT: u32 = 2;

/// First entry of the 32-bit table.
const COMPAT_TABLE: u64 = 512;

/// A system call that has ended, its arguments still in the registers.
pub struct Call {
    /// Registers at its entry.
    registers: *const pt_regs,
    /// The running task.
    pub task: usize,
    /// What it returned.
    pub result: i64,
    /// Whether it came through the 32-bit table.
    pub is_compat: bool,
    /// How it is handled.
    pub entry: Syscall,
}

impl Call {
    /// An argument, counted from 1; 0 for place 0.
    #[inline(always)]
    pub fn argument(&self, place: u8) -> u64 {
        // SAFETY: the verifier knows this pointer as the tracepoint's first argument and checks
        // each load.
        unsafe {
            let read = |field: *const u64| core::ptr::read_volatile(field);
            let it = self.registers;
            if self.is_compat {
                let value = match place {
                    1 => read(&raw const (*it).rbx),
                    2 => read(&raw const (*it).rcx),
                    3 => read(&raw const (*it).rdx),
                    4 => read(&raw const (*it).rsi),
                    5 => read(&raw const (*it).rdi),
                    _ => 0,
                };
                return u64::from(value as u32);
            }
            match place {
                1 => read(&raw const (*it).rdi),
                2 => read(&raw const (*it).rsi),
                3 => read(&raw const (*it).rdx),
                4 => read(&raw const (*it).r10),
                5 => read(&raw const (*it).r8),
                _ => 0,
            }
        }
    }
}

impl Call {
    /// A directory descriptor; place 0 means the working directory.
    #[inline(always)]
    pub fn directory(&self, place: u8) -> i32 {
        if place == 0 { AT_FDCWD } else { self.argument(place) as i32 }
    }
}

// match-proto:v5.10: (struct pt_regs *regs, long ret)
#[btf_tracepoint(function = "sys_exit")]
fn on_sys_exit(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = ended(&ctx) {
        handle(&ctx, &call);
    }
    0
}

/// Goes on with a mapping, where the kernel tells what lies at an address.
#[btf_tracepoint(function = "sys_exit")]
fn on_map(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = ended(&ctx)
        && let Some(container) = filter::current_container()
    {
        exec_map::on_mapping(&call, container);
    }
    0
}

/// The call that has ended, if it is of interest.
#[inline(always)]
fn ended(ctx: &BtfTracePointContext) -> Option<Call> {
    let registers = ctx.arg::<*const pt_regs>(0);
    // SAFETY: as in `Call::argument`.
    let number = unsafe { core::ptr::read_volatile(&raw const (*registers).orig_rax) };
    // The kernel looks at 32 bits of it, whatever a caller puts above them; calls of the x32 table
    // carry bit 30 over the native numbers.
    let number = number & 0xffff_ffff & !(1 << 30);
    if number >= COMPAT_TABLE {
        return None;
    }
    let native = syscall(number);
    let compat = syscall(mask(number, 511) + COMPAT_TABLE);
    if native | compat == 0 {
        return None;
    }
    let task = task::current();
    let is_compat = typed_member!(task, task_status, u32) & TS_COMPAT != 0;
    let entry = if is_compat { compat } else { native };
    if entry == 0 {
        return None;
    }
    let entry: Syscall = zerocopy::transmute!(entry);
    Some(Call { registers, task, result: ctx.arg(1), is_compat, entry })
}

#[inline(always)]
fn handle(ctx: &BtfTracePointContext, call: &Call) {
    let class = call.entry.class;
    if call.result < 0 && class != class::PRIVILEGE {
        return;
    }
    if class == class::OPEN && file_write::is_read_only(call) {
        return;
    }
    if class == class::MAP && !exec_map::maps_code(call) {
        return;
    }
    if class == class::PRIVILEGE && (privilege::is_everyday(call) || privilege::answers_knock(call))
    {
        return;
    }
    let Some(container) = filter::current_container() else { return };
    match class {
        class::OPEN => file_write::on_open(call, container),
        class::CHANGE => file_change::on_change(call, container),
        class::CHANGE_FD => file_change::on_change_by_descriptor(call, container),
        class::MAP => {
            // SAFETY: the map holds programs for this hook alone; where it holds none, this goes on.
            unsafe { FOLLOW_UPS.tail_call(ctx, follow_up::MAP) };
            exec_map::on_map(call, container);
        }
        class::PRIVILEGE => privilege::on_call(call, container),
        _ => {}
    }
}
