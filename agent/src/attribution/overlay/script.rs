//! Which layer a script lies in. A process names its script by a path, which is looked up after
//! the act: what it names may have changed meanwhile, by the process itself too.

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use plimsoll_ebpf::layer::code;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxAttributes, openat, openat2},
    io::Errno,
};

use super::{
    Layer, Overlay,
    file::{is_regular, look, name, reopen},
    filesystem::Kind,
};

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

impl Resolved {
    /// Number of the mount it lies on.
    pub fn mount(&self) -> u64 {
        self.told.stx_mnt_id
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.told.stx_mode.into()) == FileType::Directory
    }

    /// Whether it is where something is mounted.
    pub fn is_mount(&self) -> bool {
        self.told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    }
}

/// Tries the call by which files of containers are looked up. A filter of system calls that cannot look
/// into its arguments may refuse it, and with it all that is to be known of scripts and layers.
///
/// # Errors
/// What the kernel, or the filter, says.
pub fn try_lookup() -> io::Result<()> {
    let (flags, how) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT);
    openat2(CWD, "/", flags, Mode::empty(), how)?;
    Ok(())
}

/// Which layer a script lies in; `None` where no regular file is found, or it lies beyond a mount
/// that may keep the caller waiting. `procfs` is the host's process file system.
pub fn layer_of_script(overlay: &mut Overlay, procfs: &Path, named: &Named<'_>) -> Option<Layer> {
    let found = resolve(procfs, named).ok().filter(|it| is_regular(&it.told))?;
    if found.is_on_root && found.kind == Kind::Overlay {
        let file: File = reopen(&found.place).ok()?;
        return Some(overlay.provenance_of(file, &found.path).layer());
    }
    let is_plain_root = found.is_on_root && found.kind == Kind::Disk;
    let code = if is_plain_root { code::ROOTFS } else { found.kind.code_of_mount() };
    Some(Layer { code, is_changed: false })
}

/// Finds what a process calls by a path, as the process itself would.
///
/// # Errors
/// Where there is nothing, the process is gone, or the path leads into a mount that may keep the
/// caller waiting.
pub fn resolve(procfs: &Path, named: &Named<'_>) -> io::Result<Resolved> {
    let process = |pid: u32| procfs.join(pid.to_string());
    let root = root_of(&process(named.pid))?;
    let place = open(&root, named)?;
    let (told, root) = (look(&place)?, look(&root)?);
    let kind = Kind::of_mount(&process(named.pid), told.stx_mnt_id)?;
    let container = look(root_of(&process(named.init_pid))?)?;
    // A process may have another root: in a volume, or in an overlay of its own making.
    let device = |it: &Statx| (it.stx_dev_major, it.stx_dev_minor);
    let is_on_root = told.stx_mnt_id == root.stx_mnt_id && device(&root) == device(&container);
    Ok(Resolved { path: name(&place)?, place, told, kind, is_on_root })
}

/// Opens what a process names as a mere place.
fn open(root: &OwnedFd, named: &Named<'_>) -> io::Result<OwnedFd> {
    let path = match named.path {
        absolute if absolute.starts_with(b"/") => absolute.to_vec(),
        relative => [named.cwd, b"/", relative].concat(),
    };
    let open = |how| {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | how;
        openat2(root, &path[..], OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how)
    };
    // A look into a mount asks its file system, and one of the container's making may not answer.
    // What was just run, and where something is mounted, the kernel knows without asking.
    match open(ResolveFlags::CACHED) {
        // Before 5.12 the flag is not known.
        Err(Errno::AGAIN | Errno::INVAL) => Ok(open(ResolveFlags::NO_XDEV)?),
        opened => Ok(opened?),
    }
}

fn root_of(process: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, process.join("root"), flags, Mode::empty())?)
}
