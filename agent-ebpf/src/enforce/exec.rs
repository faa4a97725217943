//! Programs, scripts and libraries that must not run: refused before they are loaded.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use plimsoll_ebpf::{
    layer::code,
    record::{Span, flags},
    rules::{self, Class, outcome},
};

use super::{EPERM, Means, guard_of_all, of_library};
use crate::{
    emit::Draft,
    file::File,
    filter,
    probes::{exec, exec_map},
    scratch::Slot,
    setup, task,
};

/// A script begins with this.
const SHEBANG: u16 = u16::from_le_bytes(*b"#!");

// match-proto:v5.10: (struct linux_binprm *bprm)
/// Asked for the file given to `execve`, and again for each interpreter it leads to.
#[lsm(hook = "bprm_check_security")]
fn guard_exec(ctx: LsmContext) -> i32 {
    let Some(container) = filter::current_container() else { return 0 };
    let Some(guard) = guard_of_all(container, Means::Deny, Class::Exec) else { return 0 };
    let bprm = ctx.arg::<*const u8>(0) as usize;
    let task = task::current();
    let file = File::at(member!(bprm, bprm_file, usize));
    let mut bits = 0;
    let layer = file.layer(&mut bits);
    let is_changed = bits & flags::CONTENT_CHANGED != 0;
    let rule = if member!(bprm, bprm_buf, u16) == SHEBANG {
        bits |= flags::SCRIPT;
        rules::of_script(layer, bits, is_changed)
    } else {
        rules::of_program(layer, bits, is_changed)
    };
    let Some(rule) = rule else {
        // The loader is mapped before the kernel tells that the program runs.
        setup::executes(layer, bits);
        return 0;
    };
    if setup::is_running() && setup::goes_on(layer, bits) {
        return 0;
    }
    let slot = Slot::claim();
    if !guard.stops(rule, &file, bits, slot.as_ref()) {
        setup::executes(layer, bits);
        return 0;
    }
    let mut header = task::header(container);
    header.outcome = outcome::DENIED;
    if let Some(draft) = Draft::within(slot, header) {
        let (args, bits) = (Span::default(), bits | flags::REFUSED);
        exec::tell(draft, &exec::Told { task, bprm, file: &file, layer, bits, args });
    }
    -EPERM
}

// match-proto:v5.10: (struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)
#[lsm(hook = "mmap_file")]
fn guard_map(ctx: LsmContext) -> i32 {
    let file = ctx.arg::<*const u8>(0) as usize;
    if file == 0 || ctx.arg::<u64>(2) & exec_map::PROT_EXEC == 0 {
        return 0;
    }
    map(File::at(file))
}

// match-proto:v5.10: (struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)
#[lsm(hook = "file_mprotect")]
fn guard_protect(ctx: LsmContext) -> i32 {
    if ctx.arg::<u64>(2) & exec_map::PROT_EXEC == 0 {
        return 0;
    }
    let file = member!(ctx.arg::<*const u8>(0) as usize, vma_file, usize);
    if file == 0 { 0 } else { map(File::mapped(file)) }
}

#[inline(always)]
fn map(file: File) -> i32 {
    let Some(container) = filter::current_container() else { return 0 };
    let task = task::current();
    let mut bits = 0;
    let layer = file.layer(&mut bits);
    // What it runs was judged when it began.
    let program = task::program(task);
    if layer == code::IMAGE || program.ino == file.ino() && program.dev == file.dev() {
        return 0;
    }
    // Slots are few: only who may be stopped takes one.
    let Some((rule, guard)) = of_library(container, Means::Deny, layer, bits) else { return 0 };
    let slot = Slot::claim();
    if !guard.stops(rule, &file, bits, slot.as_ref()) {
        return 0;
    }
    exec_map::tell(container, task, &file, slot, outcome::DENIED, (layer, bits));
    -EPERM
}
