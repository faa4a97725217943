//! Raises [`FileWrite`] for the open family of system calls.

use plimsoll_ebpf::{
    events::file_write::{FileWrite, op},
    layer::code,
    orders::open,
    record::{Header, Wire, flags},
    rules::{self, Class, outcome},
};

use super::{
    file_change::{Given, given_path},
    syscall::Call,
};
use crate::{
    emit::{Draft, Ring},
    enforce::{self, Guard, Means},
    file::File,
    filter::{self, Act},
    scratch::Slot,
    task,
};

/// `include/uapi/asm-generic/fcntl.h`
const O_WRONLY: u64 = 0o1;
const O_ACCMODE: u64 = 0o3;
const O_CREAT: u64 = 0o100;
pub const O_TRUNC: u64 = 0o1000;
/// Of these flags one at least is given by who may write.
pub const WRITING: u64 = O_ACCMODE | O_CREAT | O_TRUNC;

/// `include/linux/fs.h`
const FMODE_WRITE: u32 = 1 << 1;
const FMODE_CREATED: u32 = 1 << 20;

/// `include/uapi/linux/stat.h`
pub const S_IFMT: u32 = 0o170_000;
pub const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;

/// The flags that a call was given; those of a call without any say that it writes.
#[inline(always)]
fn given_flags(call: &Call) -> u64 {
    let argument = call.argument(call.entry.number);
    match call.entry.op {
        open::ALWAYS_WRITES => O_WRONLY | O_CREAT | O_TRUNC,
        // `struct open_how` begins with them.
        open::FLAGS_IN_STRUCT => crate::read::user(argument),
        _ => argument,
    }
}

/// Whether the flags alone say that nothing can be written: the way out for most opens. Not those that
/// lie in memory, where another thread may have changed them since the kernel looked.
#[inline(always)]
pub fn is_read_only(call: &Call) -> bool {
    call.entry.op != open::FLAGS_IN_STRUCT && given_flags(call) & WRITING == 0
}

#[inline(always)]
pub fn on_open(call: &Call, container: u64) {
    let address = task::file_of(call.task, call.result as u64);
    if address == 0 {
        on_gone(call, container);
        return;
    }
    // To empty a file needs no descriptor that can write.
    let is_emptied = given_flags(call) & O_TRUNC != 0;
    let Some(opened) = Opened::at(address, is_emptied) else { return };
    let bits = if call.is_compat { flags::COMPAT } else { 0 };
    let outcome = match enforce::guard(container, Means::Kill, Class::File) {
        Some(guard) if opened.is_stopped(guard) => {
            enforce::kill();
            outcome::KILLED
        }
        _ => outcome::DONE,
    };
    opened.tell(container, call.task, outcome, bits);
}

/// A regular file or block device that was opened by who may write it.
pub struct Opened {
    /// Address of its `struct file`.
    address: usize,
    file: File,
    mode: u32,
    is_created: bool,
}

impl Opened {
    /// Reads a `struct file`; `None` where nothing can be written through it.
    #[inline(always)]
    pub fn at(address: usize, is_emptied: bool) -> Option<Self> {
        let access = member!(address, file_mode, u32);
        if access & (FMODE_WRITE | FMODE_CREATED) == 0 && !is_emptied {
            return None;
        }
        let file = File::at(address);
        let mode = file.mode();
        if mode & S_IFMT != S_IFREG && mode & S_IFMT != S_IFBLK {
            return None;
        }
        Some(Self { address, file, mode, is_created: access & FMODE_CREATED != 0 })
    }

    /// Whether opening it is stopped.
    #[inline(always)]
    pub fn is_stopped(&self, guard: Guard) -> bool {
        let mut bits = 0;
        let layer = self.file.layer(&mut bits);
        let layer = if guard.is_for_every_layer() { code::UPPER } else { layer };
        let Some(rule) = rules::of_write(layer, self.mode) else { return false };
        let slot = Slot::claim();
        guard.stops(rule, &self.file, bits, slot.as_ref())
    }

    /// Tells of it, once a window unless it was created.
    #[inline(always)]
    pub fn tell(&self, container: u64, task: usize, outcome: u8, mut bits: u32) {
        let file = &self.file;
        let header = if self.is_created && outcome == outcome::DONE {
            task::header(container)
        } else {
            let act = act(container, task, file, FileWrite::KIND, u32::from(outcome), 0);
            let Some(report) = filter::report(&act) else { return };
            Header { outcome, ..report.header(task::header(container)) }
        };
        let Some(draft) = Draft::<FileWrite>::new(header) else { return };
        let layer = file.layer(&mut bits);
        if layer == code::IMAGE || layer == code::COPIED_UP {
            file.mark_written();
        }
        let path = draft.path(file.dentry, file.mount, &mut bits);
        let body = FileWrite {
            ino: file.ino(),
            dev: file.dev(),
            mode: self.mode,
            open_flags: member!(self.address, file_flags, u32),
            flags: bits,
            op: if self.is_created { op::CREATE } else { op::WRITE },
            path,
            layer,
            reserved: [0; 7],
        };
        draft.send(ring(outcome), body);
    }
}

/// What was stopped must not be lost.
#[inline(always)]
pub fn ring(outcome: u8) -> Ring {
    if outcome == outcome::DONE { Ring::Bulk } else { Ring::Priority { urgent: true } }
}

/// Another thread has closed the descriptor by now: what is left is the path that was given.
#[inline(always)]
fn on_gone(call: &Call, container: u64) {
    let directory = call.directory(call.entry.dir);
    let given = Given::User(call.argument(call.entry.path));
    let bits = if call.is_compat { flags::COMPAT } else { 0 };
    on_name(container, call.task, directory, given, given_flags(call), bits);
}

/// An open of which only the name is known.
#[inline(always)]
pub fn on_name(
    container: u64,
    task: usize,
    directory: i32,
    given: Given,
    open_flags: u64,
    bits: u32,
) {
    let Some(draft) = Draft::<FileWrite>::new(task::header(container)) else { return };
    let mut bits = bits | flags::PATH_AS_GIVEN;
    let path = given_path(&draft, task, directory, given, &mut bits);
    let body = FileWrite {
        ino: 0,
        dev: 0,
        mode: 0,
        open_flags: open_flags as u32,
        flags: bits,
        op: if open_flags & O_CREAT != 0 { op::CREATE } else { op::WRITE },
        path,
        layer: code::BY_PATH,
        reserved: [0; 7],
    };
    draft.send(Ring::Bulk, body);
}

/// An act on a file: who, by which program, on which name of which file. `more` tells apart what
/// the same call does with other numbers.
#[inline(always)]
pub fn act(container: u64, task: usize, file: &File, kind: u16, detail: u32, more: u64) -> Act {
    let exe = task::program(task);
    Act {
        container,
        exe_ino: exe.ino,
        exe_dev: exe.dev,
        kind,
        detail,
        // A rename keeps the directory entry and changes what it is called.
        object: [
            file.ino(),
            u64::from(file.dev()) << 32 | u64::from(member!(file.dentry, dentry_hash, u32)),
            member!(file.dentry, dentry_parent, u64),
            more,
        ],
    }
}
