//! Which layer a script lies in. A process names its script by a path, which is looked up after
//! the act: what it names may have changed meanwhile, by the process itself too.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
};

use plimsoll_ebpf::layer::code;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, Statx, openat, openat2},
    io::Errno,
};

use super::{
    Layer, Overlay,
    file::{is_regular, look, name, reopen},
    filesystem::Kind,
};

/// Bytes of a table of mounts that are read; one that is longer is not trusted.
const MOST_MOUNTS_BYTES: u64 = 1 << 20;

/// A file as a process named it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The process, by the host's number.
    pub pid: u32,
    /// The container's first process, by the host's number.
    pub init_pid: u32,
    /// Directory where a relative path begins, in the container.
    pub cwd: &'a [u8],
    /// The path as the process gave it.
    pub path: &'a [u8],
}

/// What a process calls by a path.
#[derive(Debug)]
pub struct Resolved {
    /// Opened as a mere place, which touches nothing.
    pub place: OwnedFd,
    /// Path in the container, without symbolic links.
    pub path: Vec<u8>,
    /// Device and inode number, as a process of the container sees them.
    pub told: Statx,
    /// Kind of its file system.
    pub kind: Kind,
    /// Whether it lies on the container's root file system.
    pub is_on_root: bool,
}

/// Which layer a script lies in; `None` where no regular file is found, or it lies beyond a mount
/// that may keep the caller waiting. `procfs` is the host's process file system.
pub fn layer_of_script(overlay: &mut Overlay, procfs: &Path, named: &Named<'_>) -> Option<Layer> {
    let found = resolve(procfs, named).ok().filter(|it| is_regular(&it.told))?;
    let code = match found.kind {
        Kind::Overlay if found.is_on_root => {
            let file: File = reopen(&found.place).ok()?;
            return Some(overlay.provenance_of(file, &found.path).layer());
        }
        Kind::Disk if found.is_on_root => code::ROOTFS,
        kind => kind.code_of_mount(),
    };
    Some(Layer { code, is_changed: false })
}

/// Finds what a process calls by a path, as the process itself would.
///
/// # Errors
/// Where there is nothing, the process is gone, or the path leads through a mount that may keep the
/// caller waiting.
pub fn resolve(procfs: &Path, named: &Named<'_>) -> io::Result<Resolved> {
    let root = root_of(procfs, named.pid)?;
    let place = open(procfs, named, &root)?;
    let (told, root) = (look(&place)?, look(&root)?);
    let container = look(root_of(procfs, named.init_pid)?)?;
    // A process may have another root: in a volume, or in an overlay of its own making.
    let device = |it: &Statx| (it.stx_dev_major, it.stx_dev_minor);
    let is_on_root = told.stx_mnt_id == root.stx_mnt_id && device(&root) == device(&container);
    Ok(Resolved { path: name(&place)?, kind: Kind::of(&place)?, place, told, is_on_root })
}

/// Opens what a process names as a mere place.
fn open(procfs: &Path, named: &Named<'_>, root: &OwnedFd) -> io::Result<OwnedFd> {
    let path = match named.path {
        absolute if absolute.starts_with(b"/") => absolute.to_vec(),
        relative => [named.cwd, b"/", relative].concat(),
    };
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = |how| openat2(root, &path[..], OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how);
    match open(within | ResolveFlags::NO_XDEV) {
        // A look into a mount asks its file system, and one of the container's making may not answer.
        Err(Errno::XDEV) if all_mounts_are_prompt(procfs, named.pid)? => Ok(open(within)?),
        opened => Ok(opened?),
    }
}

fn root_of(procfs: &Path, pid: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, procfs.join(pid.to_string()).join("root"), flags, Mode::empty())?)
}

/// Whether nothing that a process can reach keeps who looks at it waiting.
fn all_mounts_are_prompt(procfs: &Path, pid: u32) -> io::Result<bool> {
    let mut mounts = String::new();
    let table = File::open(procfs.join(pid.to_string()).join("mountinfo"))?;
    let length = table.take(MOST_MOUNTS_BYTES).read_to_string(&mut mounts)?;
    Ok((length as u64) < MOST_MOUNTS_BYTES && mounts.lines().all(is_prompt))
}

/// Whether the file system of a line of `mountinfo` (`proc_pid_mountinfo(5)`) answers by itself.
fn is_prompt(line: &str) -> bool {
    // A space in a path is written as `\040`, so the first lone dash is the separator.
    let name = line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next());
    name.is_some_and(|name| Kind::by_name(name) != Kind::Distant)
}
