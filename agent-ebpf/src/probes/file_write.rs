//! Raises [`FileWrite`] for the open family of system calls.

use plimsoll_ebpf::{
    events::file_write::{FileWrite, op},
    record::{Wire, flags},
};

use super::syscall::Call;
use crate::{
    emit::{Draft, Ring},
    file::File,
    filter::{self, Act},
    task,
};

/// `include/uapi/asm-generic/fcntl.h`: access mode, `O_CREAT`, `O_TRUNC`.
const WRITING: u64 = 0o3 | 0o100 | 0o1000;

/// `include/linux/fs.h`
const FMODE_WRITE: u32 = 1 << 1;
const FMODE_CREATED: u32 = 1 << 20;

/// `include/uapi/linux/stat.h`
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;

/// Whether the flags alone say that nothing can be written: the way out for most opens.
#[inline(always)]
pub fn is_read_only(call: &Call) -> bool {
    call.entry.number != 0 && call.argument(call.entry.number) & WRITING == 0
}

#[inline(always)]
pub fn on_open(call: &Call, container: u64) {
    let address = task::file_of(call.task, call.result as u64);
    if address == 0 {
        return;
    }
    let access = member!(address, file_mode, u32);
    if access & (FMODE_WRITE | FMODE_CREATED) == 0 {
        return;
    }
    let file = File::at(address);
    let mode = file.mode();
    if mode & S_IFMT != S_IFREG && mode & S_IFMT != S_IFBLK {
        return;
    }
    let is_created = access & FMODE_CREATED != 0;
    let mut header = task::header(container);
    if !is_created {
        let act = act(container, call.task, &file, FileWrite::KIND, 0);
        let Some(report) = filter::report(&act) else { return };
        header = report.header(header);
    }
    let Some(draft) = Draft::<FileWrite>::new(header) else { return };
    let mut bits = if call.is_compat { flags::COMPAT } else { 0 };
    let layer = file.layer(call.task, &mut bits);
    let path = draft.path(file.dentry, file.mount, &mut bits);
    let body = FileWrite {
        ino: file.ino(),
        dev: file.dev(),
        mode,
        open_flags: member!(address, file_flags, u32),
        flags: bits,
        op: if is_created { op::CREATE } else { op::WRITE },
        path,
        layer,
        reserved: [0; 7],
    };
    draft.send(Ring::Bulk, body);
}

/// An act on a file: who, by which program, on which name of which file.
#[inline(always)]
pub fn act(container: u64, task: usize, file: &File, kind: u16, detail: u32) -> Act {
    let exe = task::program(task);
    Act {
        container,
        exe_ino: exe.ino,
        exe_dev: exe.dev,
        kind,
        detail,
        object: [file.ino(), u64::from(file.dev()), file.dentry as u64],
    }
}
