//! Acts on programs and files, and the directory in which they are done.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::{
    fs::{FileType, Mode, mknodat},
    mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap},
};

use super::Act;

/// The act for each program of [`plimsoll_ebpf::catalog::GUARDS`].
pub(super) const ACTS: &[(&str, Act)] = &[
    ("guard_exec", |_| execute(&memory_file()?)),
    ("guard_map", |_| map(&memory_file()?, ProtFlags::READ | ProtFlags::EXEC, None)),
    ("guard_protect", |_| map(&memory_file()?, ProtFlags::READ, Some(MprotectFlags::EXEC))),
    ("guard_open", |dir| File::options().append(true).open(dir.join("file")).map(|_| ())),
    ("guard_mknod", |dir| {
        Ok(mknodat(rustix::fs::CWD, dir.join("node"), FileType::RegularFile, Mode::RUSR, 0)?)
    }),
    ("guard_mkdir", |dir| fs::create_dir(dir.join("new"))),
    ("guard_rmdir", |dir| fs::remove_dir(dir.join("empty"))),
    ("guard_symlink", |dir| symlink("file", dir.join("symlink"))),
    ("guard_link", |dir| fs::hard_link(dir.join("file"), dir.join("link"))),
    ("guard_truncate", |dir| truncate(&dir.join("file"))),
    ("guard_chmod", |dir| fs::set_permissions(dir.join("file"), Permissions::from_mode(0o600))),
    ("guard_chown", |dir| {
        let owner = fs::metadata(dir.join("file"))?.uid();
        std::os::unix::fs::chown(dir.join("file"), Some(owner), None)
    }),
    ("guard_rename", |dir| fs::rename(dir.join("file"), dir.join("renamed"))),
    ("guard_unlink", |dir| fs::remove_file(dir.join("other"))),
];

/// A directory with what the acts need; it is removed in the end.
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn new(data_dir: &Path, name: &str) -> anyhow::Result<Self> {
        let path = data_dir.join(format!(".selftest-{name}"));
        // One that was interrupted may have left it.
        let _ = fs::remove_dir_all(&path);
        let make = || {
            fs::create_dir(&path)?;
            fs::write(path.join("file"), b"x")?;
            fs::write(path.join("other"), b"x")?;
            fs::create_dir(path.join("empty"))
        };
        make().with_context(|| format!("making {} ready", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "left behind");
        }
    }
}

/// A file in memory that is no program.
fn memory_file() -> io::Result<File> {
    let file = File::from(rustix::fs::memfd_create("plimsoll", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.set_len(4096)?;
    Ok(file)
}

/// Tries to run a file that is no program: it fails in any case, and the error tells why.
#[allow(unsafe_code, reason = "no library executes a descriptor without a path and goes on")]
fn execute(file: &File) -> io::Result<()> {
    let arguments = [c"plimsoll".as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<libc::c_char>()];
    // SAFETY: both lists end with null and outlive the call. The file holds zeros, which no kernel
    // takes for a program, so that the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Err(io::Error::last_os_error())
}

#[allow(unsafe_code, reason = "the standard library truncates open files only")]
fn truncate(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the path ends with NUL and outlives the call.
    match unsafe { libc::truncate(path.as_ptr(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[allow(unsafe_code, reason = "mappings are memory")]
fn map(file: &File, protection: ProtFlags, later: Option<MprotectFlags>) -> io::Result<()> {
    const BYTES: usize = 4096;
    // SAFETY: a fresh mapping that nobody reads or writes, and that is gone before anything else
    // is done.
    unsafe {
        let address = mmap(std::ptr::null_mut(), BYTES, protection, MapFlags::PRIVATE, file, 0)?;
        let changed = later.map_or(Ok(()), |later| mprotect(address, BYTES, later));
        munmap(address, BYTES)?;
        Ok(changed?)
    }
}
