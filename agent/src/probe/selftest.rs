//! The agent's test of its own hooks: acts of a thread of its own that they have to refuse.
//!
//! A program of the security module may load, attach, and never be asked: only what was refused
//! here counts.

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
use plimsoll_ebpf::{
    catalog::GUARDS,
    orders::{Policy, SELF_TEST, stop},
    rules::Class,
};
use rustix::{
    fs::{FileType, Mode, mknodat},
    mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap},
};

use super::{
    knock::knock,
    load::Loaded,
    orders::Orders,
    policies::{Policies, Whom},
    support::Outcome,
};

/// An act that a program has to refuse, in a directory made ready for it.
type Act = fn(&Path) -> io::Result<()>;

/// The act for each program of [`GUARDS`].
const ACTS: &[(&str, Act)] = &[
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

/// Tests every program that refuses acts and is attached; what does not refuse is marked as broken.
///
/// # Errors
/// When the test cannot be made: nothing is proved then, and every such program marked.
pub fn run(
    loaded: &mut Loaded,
    orders: &mut Orders,
    policies: &mut Policies,
    data_dir: &Path,
    proc_root: &Path,
) {
    let is_guard = |program: &str| GUARDS.iter().any(|(_, probe)| probe.program == program);
    let attached = |it: &&mut super::support::ProbeStatus| {
        is_guard(it.program) && it.outcome == Outcome::Attached
    };
    if loaded.probes.iter_mut().filter(attached).count() == 0 {
        return;
    }
    let results = test(orders, policies, data_dir, proc_root);
    for status in loaded.probes.iter_mut().filter(attached) {
        let refused = match &results {
            Ok(refused) => refused.contains(&status.program),
            Err(error) => {
                status.outcome = Outcome::Broken(format!("could not be tested: {error:#}"));
                continue;
            }
        };
        if !refused {
            let why =
                "attached, and the kernel does not ask it: an act it has to refuse went through";
            status.outcome = Outcome::Broken(why.to_owned());
        }
    }
}

/// The programs whose act was refused while they were told to, and not before.
fn test(
    orders: &mut Orders,
    policies: &mut Policies,
    data_dir: &Path,
    proc_root: &Path,
) -> anyhow::Result<Vec<&'static str>> {
    knock(0);
    let cgroup = orders.agent_cgroup().context("the kernel programs do not answer")?;
    let places = [Place::new(data_dir, "control")?, Place::new(data_dir, "test")?];
    let tid = own_tid(proc_root)?;
    orders.watch(cgroup, SELF_TEST)?;
    let before = refused(&places[0].0);
    let everything = stop::deny(Class::Exec) | stop::deny(Class::File) | stop::EVERY_LAYER;
    let policy = Policy { stop: everything, only_tid: tid, ..Policy::default() };
    policies.stop(Whom::There(SELF_TEST), policy)?;
    let after = refused(&places[1].0);
    policies.leave(Whom::There(SELF_TEST));
    orders.unwatch(cgroup);
    Ok(after.into_iter().filter(|program| !before.contains(program)).collect())
}

/// The programs whose act ends in `EPERM`.
fn refused(dir: &Path) -> Vec<&'static str> {
    let is_refused =
        |act: &Act| act(dir).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM));
    ACTS.iter().filter(|(_, act)| is_refused(act)).map(|(program, _)| *program).collect()
}

/// A directory with what the acts need; it is removed in the end.
struct Place(PathBuf);

impl Place {
    fn new(data_dir: &Path, name: &str) -> anyhow::Result<Self> {
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

/// This thread's id in the host's namespace.
fn own_tid(proc_root: &Path) -> anyhow::Result<u32> {
    let path = proc_root.join("thread-self");
    let link = fs::read_link(&path).with_context(|| format!("reading {}", path.display()))?;
    let tid = link.file_name().and_then(|name| name.to_str()?.parse().ok());
    tid.with_context(|| format!("{} leads to {}", path.display(), link.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_has_an_act() {
        for (_, probe) in GUARDS {
            assert!(ACTS.iter().any(|(program, _)| *program == probe.program), "{}", probe.program);
        }
        assert_eq!(ACTS.len(), GUARDS.len());
    }

    #[test]
    fn nothing_is_refused_where_nobody_refuses() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let place = Place::new(dir.path(), "here").expect("makes it ready");
        assert_eq!(refused(&place.0), Vec::<&str>::new());
        drop(place);
        assert_eq!(fs::read_dir(dir.path()).expect("reads").count(), 0);
    }
}
