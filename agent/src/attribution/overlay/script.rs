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

/// Which layer the program lies in that a process runs, whatever its path leads to by now; `None` where
/// that cannot be told. `procfs` is the host's process file system.
pub fn layer_of_program(
    overlay: Option<&mut Overlay>,
    procfs: &Path,
    pid: u32,
    init_pid: u32,
) -> Option<Layer> {
    let process = procfs.join(pid.to_string());
    let exe = process.join("exe");
    let place = openat(CWD, exe, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let (told, path) = (look(&place).ok()?, name(&place).ok()?);
    if path.starts_with(b"/memfd:") {
        return Some(Layer { code: code::MEMFD, is_changed: false });
    }
    let roots = [root_of(&process).ok()?, root_of(&procfs.join(init_pid.to_string())).ok()?];
    let kind = Kind::of_mount(&process, told.stx_mnt_id).ok()?;
    let code = match (is_root_of(&told, &roots).ok()?, kind) {
        (true, Kind::Overlay) => {
            let file: File = reopen(&place).ok()?;
            return Some(overlay?.provenance_of(file, &path).layer());
        }
        (true, Kind::Disk) => code::ROOTFS,
        // Somebody's own root, whose layers nobody knows.
        (false, Kind::Overlay) => return None,
        _ => kind.code_of_mount(),
    };
    Some(Layer { code, is_changed: false })
}

/// Whether a file lies on the root of a process, and that is the container's. A process may have another
/// root: in a volume, or in an overlay of its own making.
fn is_root_of(told: &Statx, [root, container]: &[OwnedFd; 2]) -> io::Result<bool> {
    let (root, container) = (look(root)?, look(container)?);
    let device = |it: &Statx| (it.stx_dev_major, it.stx_dev_minor);
    Ok(told.stx_mnt_id == root.stx_mnt_id && device(&root) == device(&container))
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
    let told = look(&place)?;
    let kind = Kind::of_mount(&process(named.pid), told.stx_mnt_id)?;
    let is_on_root = is_root_of(&told, &[root, root_of(&process(named.init_pid))?])?;
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

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::fd::AsRawFd as _, process::Command};

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    #[test]
    fn a_program_in_memory_is_known_while_it_runs() {
        let memory: File = memfd_create("x", MemfdFlags::empty()).expect("is made").into();
        let program = std::fs::read("/bin/sleep").expect("is there");
        (&memory).write_all(&program).expect("is written");
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        let mut sleep = Command::new(path).arg("60").spawn().expect("runs");
        let layer = |pid| layer_of_program(None, Path::new("/proc"), pid, pid);
        let (found, own) = (layer(sleep.id()), layer(std::process::id()));
        sleep.kill().and_then(|()| sleep.wait()).expect("ends");
        assert_eq!(found.map(|it| it.code), Some(code::MEMFD));
        assert_ne!(own.map(|it| it.code), Some(code::MEMFD));
        assert_eq!(layer(u32::MAX), None);
    }
}
