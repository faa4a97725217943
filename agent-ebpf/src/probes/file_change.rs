//! Raises [`FileChange`] for the rename, link, unlink, chmod, truncate and mknod families.

use plimsoll_ebpf::{
    events::file_change::{FileChange, op},
    layer::code,
    record::{Span, Wire, flags},
};

use super::{file_write::act, syscall::Call};
use crate::{
    emit::{Draft, Ring, UNREADABLE},
    file::File,
    filter, task,
};

/// `include/uapi/linux/fcntl.h`
pub const AT_FDCWD: i32 = -100;
const AT_REMOVEDIR: u64 = 0x200;

/// Where a path that a caller gave begins: as a directory descriptor, or the working directory.
#[inline(always)]
fn directory(task: usize, descriptor: i32) -> (usize, usize) {
    if descriptor == AT_FDCWD {
        let fs = member!(task, task_fs, usize);
        return (member!(fs, fs_pwd_dentry, usize), member!(fs, fs_pwd_mnt, usize));
    }
    let file = task::file_of(task, u64::from(descriptor as u32));
    (member!(file, file_dentry, usize), member!(file, file_mnt, usize))
}

/// A text of the caller, in its memory or already copied by the kernel.
#[derive(Clone, Copy)]
pub enum Given {
    /// Address in the process.
    User(u64),
    /// Address in the kernel.
    Kernel(usize),
}

/// Appends a path that a caller gave. A relative one follows the path of its directory, so that
/// one span covers both.
#[inline(always)]
pub fn given_path<B: Wire>(
    draft: &Draft<B>,
    task: usize,
    descriptor: i32,
    given: Given,
    bits: &mut u32,
) -> Span {
    let mut first = 0u8;
    // SAFETY: the helpers check the address and leave `first` zero where it cannot be read.
    unsafe {
        let to = (&raw mut first).cast();
        match given {
            Given::User(address) => {
                aya_ebpf::helpers::generated::bpf_probe_read_user(to, 1, address as *const _)
            }
            Given::Kernel(address) => {
                aya_ebpf::helpers::generated::bpf_probe_read_kernel(to, 1, address as *const _)
            }
        };
    }
    let mut span = Span::default();
    if first != b'/' {
        let (dentry, mount) = directory(task, descriptor);
        span = draft.path(dentry, mount, bits);
        if first != 0 {
            span.len += draft.slash().len;
        }
    }
    let text = match given {
        Given::User(address) => draft.user_text(address),
        Given::Kernel(address) => draft.kernel_text(address),
    };
    match text {
        Some(text) => {
            if span.len == 0 {
                return text;
            }
            span.len += text.len;
        }
        None => *bits |= UNREADABLE,
    }
    span
}

#[inline(always)]
pub fn on_change(call: &Call, container: u64) {
    let Some(draft) = Draft::<FileChange>::new(task::header(container)) else { return };
    let entry = call.entry;
    let mut bits = flags::PATH_AS_GIVEN;
    if call.is_compat {
        bits |= flags::COMPAT;
    }
    let given = Given::User(call.argument(entry.path));
    let path = given_path(&draft, call.task, call.directory(entry.dir), given, &mut bits);
    let mut to = Span::default();
    if entry.to_path != 0 {
        let given = call.argument(entry.to_path);
        if op::has_text(entry.op) {
            to = draft.user_text(given).unwrap_or_default();
        } else {
            let base = call.directory(entry.to_dir);
            to = given_path(&draft, call.task, base, Given::User(given), &mut bits);
        }
    }
    let number = call.argument(entry.number);
    let op = if entry.op == op::UNLINK && entry.dir != 0 && number & AT_REMOVEDIR != 0 {
        op::RMDIR
    } else {
        entry.op
    };
    let body = FileChange {
        number,
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

#[inline(always)]
pub fn on_change_by_descriptor(call: &Call, container: u64) {
    let address = task::file_of(call.task, call.argument(call.entry.fd));
    if address == 0 {
        return;
    }
    let file = File::at(address);
    // An attribute's name is known too late to tell two of them apart.
    let header = if op::has_text(call.entry.op) {
        task::header(container)
    } else {
        let detail = u32::from(call.entry.op);
        let number = call.argument(call.entry.number);
        let act = act(container, call.task, &file, FileChange::KIND, detail, number);
        let Some(report) = filter::report(&act) else { return };
        report.header(task::header(container))
    };
    let Some(draft) = Draft::<FileChange>::new(header) else { return };
    let mut bits = if call.is_compat { flags::COMPAT } else { 0 };
    let layer = file.layer(&mut bits);
    let path = draft.path(file.dentry, file.mount, &mut bits);
    let mut to = Span::default();
    if call.entry.to_path != 0 {
        to = draft.user_text(call.argument(call.entry.to_path)).unwrap_or_default();
    }
    let body = FileChange {
        number: call.argument(call.entry.number),
        ino: file.ino(),
        flags: bits,
        path,
        to,
        op: call.entry.op,
        layer,
        reserved: [0; 2],
    };
    draft.send(Ring::Bulk, body);
}
