//! Files that must not change: refused before they are opened, made, renamed or removed.

use aya_ebpf::{EbpfContext as _, macros::lsm, programs::LsmContext};
use plimsoll_ebpf::{
    events::file_change::{FileChange, SETID, op},
    layer::code,
    record::{Header, Span, Wire},
    rules::{self, Class, Rule, outcome},
};

use super::{EPERM, Guard, Means, guard};
use crate::{
    emit::{Draft, Ring},
    file::File,
    filter,
    probes::file_write::{O_TRUNC, Opened, S_IFMT, S_IFREG, act},
    scratch::Slot,
    task,
};

/// `include/linux/fs.h`
const FMODE_WRITE: u32 = 1 << 1;

// match-proto:v5.10: (struct file *file)
#[lsm(hook = "file_open")]
fn guard_open(ctx: LsmContext) -> i32 {
    let file = ctx.arg::<*const u8>(0) as usize;
    let is_emptied = u64::from(typed_member!(file, file_flags, u32)) & O_TRUNC != 0;
    if typed_member!(file, file_mode, u32) & FMODE_WRITE == 0 && !is_emptied {
        return 0;
    }
    let Some(container) = filter::current_container() else { return 0 };
    let Some(guard) = guard(container, Means::Deny, Class::File) else { return 0 };
    let Some(opened) = Opened::at(file, is_emptied) else { return 0 };
    let task = task::current();
    if !opened.is_stopped(guard) {
        return 0;
    }
    opened.tell(container, task, outcome::DENIED, 0);
    -EPERM
}

/// An argument as a mere address. The verifier would keep a typed one from the function that walks
/// paths.
#[inline(always)]
fn address(ctx: &LsmContext, place: usize) -> usize {
    crate::read::kernel((ctx.as_ptr() as usize).wrapping_add(place * size_of::<usize>()))
}

/// A change that is about to be made.
struct Change {
    container: u64,
    guard: Guard,
    op: u8,
    number: u64,
}

impl Change {
    /// A change that this container may have to be kept from.
    #[inline(always)]
    fn begin(op: u8, number: u64) -> Option<Self> {
        let container = filter::current_container()?;
        let guard = guard(container, Means::Deny, Class::File)?;
        Some(Self { container, guard, op, number })
    }

    /// Whether it must not be made to this file; if so, that is told. `mode` are the file's
    /// permission bits where its content is at stake.
    #[inline(always)]
    fn is_refused(&self, file: &File, mode: u32, special: Option<Rule>) -> bool {
        let task = task::current();
        let mut bits = 0;
        let layer = file.layer(&mut bits);
        let judged = if self.guard.is_for_every_layer() { code::UPPER } else { layer };
        let rule = match special {
            Some(rule) => rule,
            None => match rules::of_write(judged, mode) {
                Some(rule) => rule,
                None => return false,
            },
        };
        let slot = Slot::claim();
        if !self.guard.stops(rule, file, bits, slot.as_ref()) {
            return false;
        }
        let detail = u32::from(outcome::DENIED) << 8 | u32::from(self.op);
        let act = act(self.container, task, file, FileChange::KIND, detail, self.number);
        let Some(report) = filter::report(&act) else { return true };
        let header =
            Header { outcome: outcome::DENIED, ..report.header(task::header(self.container)) };
        let Some(draft) = Draft::<FileChange>::within(slot, header) else { return true };
        let path = draft.path(file.dentry, file.mount, &mut bits);
        let body = FileChange {
            number: self.number,
            ino: file.ino(),
            flags: bits,
            path,
            to: Span::default(),
            op: self.op,
            layer,
            reserved: [0; 2],
        };
        draft.send(Ring::Priority { urgent: true }, body);
        true
    }
}

/// A name in a directory, whether it leads to a file or not: what is not there yet is judged by
/// where it would be.
#[inline(always)]
fn named(directory: usize, dentry: usize) -> (File, u32) {
    let inode = member!(dentry, dentry_inode, usize);
    let mount = member!(directory, path_mnt, usize);
    if inode != 0 {
        let file = File { dentry, mount, inode };
        return (file, file.mode());
    }
    let above = member!(dentry, dentry_parent, usize);
    (File { dentry, mount, inode: member!(above, dentry_inode, usize) }, 0)
}

/// A change of a name: the arguments at these places are the directory, as `struct path`, and the
/// directory entry.
#[inline(always)]
fn change_name(op: u8, ctx: &LsmContext, directory: usize, dentry: usize) -> i32 {
    make(op, 0, ctx, [directory, dentry], None)
}

/// The same with the number that the call was given.
#[inline(always)]
fn make(op: u8, number: u64, ctx: &LsmContext, name: [usize; 2], special: Option<Rule>) -> i32 {
    let Some(change) = Change::begin(op, number) else { return 0 };
    let [directory, dentry] = name;
    let (file, mode) = named(address(ctx, directory), address(ctx, dentry));
    if change.is_refused(&file, mode, special) { -EPERM } else { 0 }
}

/// A change of the file that the first argument leads to, a `struct path`.
#[inline(always)]
fn change_file(
    op: u8,
    ctx: &LsmContext,
    number: u64,
    is_content: bool,
    special: Option<Rule>,
) -> i32 {
    let Some(change) = Change::begin(op, number) else { return 0 };
    let path = address(ctx, 0);
    let dentry = member!(path, path_dentry, usize);
    let mount = member!(path, path_mnt, usize);
    let file = File { dentry, mount, inode: member!(dentry, dentry_inode, usize) };
    let mode = file.mode();
    // On a directory the bits mean something harmless.
    let special = if mode & S_IFMT == S_IFREG { special } else { None };
    if change.is_refused(&file, if is_content { mode } else { 0 }, special) { -EPERM } else { 0 }
}

// match-proto:v5.10: (const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)
/// Asked for every file that an open makes, too.
#[lsm(hook = "path_mknod")]
fn guard_mknod(ctx: LsmContext) -> i32 {
    let mode = ctx.arg::<u64>(2) & 0xffff;
    let special = if rules::gives_rights(mode) { Some(Rule::SetuidMade) } else { None };
    make(op::MKNOD, mode, &ctx, [0, 1], special)
}

// match-proto:v5.10: (const struct path *dir, struct dentry *dentry, umode_t mode)
#[lsm(hook = "path_mkdir")]
fn guard_mkdir(ctx: LsmContext) -> i32 {
    change_name(op::MKDIR, &ctx, 0, 1)
}

// match-proto:v5.10: (const struct path *dir, struct dentry *dentry)
#[lsm(hook = "path_rmdir")]
fn guard_rmdir(ctx: LsmContext) -> i32 {
    change_name(op::RMDIR, &ctx, 0, 1)
}

// match-proto:v5.10: (const struct path *dir, struct dentry *dentry)
#[lsm(hook = "path_unlink")]
fn guard_unlink(ctx: LsmContext) -> i32 {
    change_name(op::UNLINK, &ctx, 0, 1)
}

// match-proto:v5.10: (const struct path *dir, struct dentry *dentry, const char *old_name)
#[lsm(hook = "path_symlink")]
fn guard_symlink(ctx: LsmContext) -> i32 {
    change_name(op::SYMLINK, &ctx, 0, 1)
}

// match-proto:v5.10: (struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)
#[lsm(hook = "path_link")]
fn guard_link(ctx: LsmContext) -> i32 {
    change_name(op::LINK, &ctx, 1, 2)
}

// match-proto:v5.10: (const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)
/// Both names must be free to change.
#[lsm(hook = "path_rename")]
fn guard_rename(ctx: LsmContext) -> i32 {
    let Some(change) = Change::begin(op::RENAME, 0) else { return 0 };
    let (old, old_mode) = named(address(&ctx, 0), address(&ctx, 1));
    if change.is_refused(&old, old_mode, None) {
        return -EPERM;
    }
    let (new, new_mode) = named(address(&ctx, 2), address(&ctx, 3));
    if change.is_refused(&new, new_mode, None) { -EPERM } else { 0 }
}

// match-proto:v5.10: (const struct path *path)
#[lsm(hook = "path_truncate")]
fn guard_truncate(ctx: LsmContext) -> i32 {
    change_file(op::TRUNCATE, &ctx, 0, true, None)
}

// match-proto:v5.10: (const struct path *path, umode_t mode)
#[lsm(hook = "path_chmod")]
fn guard_chmod(ctx: LsmContext) -> i32 {
    let mode = ctx.arg::<u64>(1) & 0xffff;
    let special = if mode & SETID != 0 { Some(Rule::SetuidMade) } else { None };
    change_file(op::CHMOD, &ctx, mode, false, special)
}

// match-proto:v5.10: (const struct path *path, kuid_t uid, kgid_t gid)
#[lsm(hook = "path_chown")]
fn guard_chown(ctx: LsmContext) -> i32 {
    change_file(op::CHOWN, &ctx, 0, false, None)
}
