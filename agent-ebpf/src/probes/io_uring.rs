//! Raises [`FileChange`] and, by [`on_name`], `FileWrite` for requests submitted to an `io_uring`.
//!
//! At submission: a completion is not always told, and a direct descriptor never shows. The names
//! are the kernel's own copies.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::{
    events::file_change::{FileChange, op},
    layer::code,
    record::{Span, flags},
};

use super::{
    file_change::{Given, given_path},
    file_write::{WRITING, on_name},
};
use crate::{
    emit::{Draft, Ring},
    filter, task,
};

/// `enum io_uring_op` of `include/uapi/linux/io_uring.h`
const OPENAT: u8 = 18;
const OPENAT2: u8 = 28;
const RENAMEAT: u8 = 35;
const UNLINKAT: u8 = 36;
const MKDIRAT: u8 = 37;
const SYMLINKAT: u8 = 38;
const LINKAT: u8 = 39;

const BITS: u32 = flags::IO_URING | flags::PATH_AS_GIVEN;

// match-proto:v6.0: (struct io_kiocb *req)
#[btf_tracepoint(function = "io_uring_submit_req")]
fn on_io_uring_submit(ctx: BtfTracePointContext) -> i32 {
    let request = ctx.arg::<*const u8>(0) as usize;
    let opcode = member!(request, io_req_opcode, u8);
    let is_open = opcode == OPENAT || opcode == OPENAT2;
    let is_change = (RENAMEAT..=LINKAT).contains(&opcode);
    // Kernels that keep the request's operands elsewhere are told apart by the missing members.
    if !has!(io_req_cmd)
        || !(is_open && has!(io_open_filename) || is_change && has!(io_link_newpath))
    {
        return 0;
    }
    let Some(container) = filter::current_container() else { return 0 };
    let command = request.wrapping_add(offset!(io_req_cmd));
    if is_open {
        on_open(command, container);
    } else {
        on_change(command, opcode, container);
    }
    0
}

#[inline(always)]
fn name(filename: usize) -> Given {
    Given::Kernel(member!(filename, filename_name, usize))
}

#[inline(always)]
fn on_open(command: usize, container: u64) {
    let open_flags = member!(command, io_open_flags, u64);
    if open_flags & WRITING == 0 {
        return;
    }
    let directory = member!(command, io_open_dfd, i32);
    let given = name(member!(command, io_open_filename, usize));
    on_name(container, task::current(), directory, given, open_flags, flags::IO_URING);
}

/// Directory and name of what changes, and of what it becomes; an address of 0 means absent.
#[inline(always)]
fn operands(command: usize, opcode: u8) -> (u8, i32, usize, i32, usize) {
    match opcode {
        RENAMEAT => (
            op::RENAME,
            member!(command, io_rename_old_dfd, i32),
            member!(command, io_rename_oldpath, usize),
            member!(command, io_rename_new_dfd, i32),
            member!(command, io_rename_newpath, usize),
        ),
        UNLINKAT => (
            op::UNLINK,
            member!(command, io_unlink_dfd, i32),
            member!(command, io_unlink_filename, usize),
            0,
            0,
        ),
        MKDIRAT => (
            op::MKDIR,
            member!(command, io_mkdir_dfd, i32),
            member!(command, io_mkdir_filename, usize),
            0,
            0,
        ),
        // The text of a symbolic link stands where the old name of a link does.
        SYMLINKAT => (
            op::SYMLINK,
            member!(command, io_link_new_dfd, i32),
            member!(command, io_link_newpath, usize),
            0,
            member!(command, io_link_oldpath, usize),
        ),
        _ => (
            op::LINK,
            member!(command, io_link_old_dfd, i32),
            member!(command, io_link_oldpath, usize),
            member!(command, io_link_new_dfd, i32),
            member!(command, io_link_newpath, usize),
        ),
    }
}

#[inline(always)]
fn on_change(command: usize, opcode: u8, container: u64) {
    let Some(draft) = Draft::<FileChange>::new(task::header(container)) else { return };
    let (op, directory, filename, to_directory, to_filename) = operands(command, opcode);
    let task = task::current();
    let mut bits = BITS;
    let path = given_path(&draft, task, directory, name(filename), &mut bits);
    let mut to = Span::default();
    if to_filename != 0 {
        if op == op::SYMLINK {
            let text = member!(to_filename, filename_name, usize);
            to = draft.kernel_text(text).unwrap_or_default();
        } else {
            to = given_path(&draft, task, to_directory, name(to_filename), &mut bits);
        }
    }
    let body = FileChange {
        number: 0,
        ino: 0,
        flags: bits,
        path,
        to,
        op,
        layer: code::BY_PATH,
        reserved: [0; 2],
    };
    draft.send(Ring::Bulk, body);
}
