//! A fanotify group: what the kernel asks a thread about (`fanotify(7)`).

use std::{os::fd::OwnedFd, path::Path};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::{
    fs::{CWD, Mode, OFlags, StatxAttributes, openat},
    io::Errno,
};

use crate::attribution::overlay::{
    file::{link, look, name},
    filesystem::Kind,
};

/// What the kernel asks about: files that are opened to be run.
const ASKED: MaskFlags = MaskFlags::FAN_OPEN_EXEC_PERM;

/// A group without marks, whose reads do not wait.
///
/// # Errors
/// In words that say what is missing.
pub(super) fn new() -> Result<Fanotify> {
    // A queue with a bound lets pass what is over it, so a flood of programs would open the gate.
    // Each entry is a thread that waits, which the container's limit of processes bounds.
    let flags = InitFlags::FAN_CLASS_CONTENT
        | InitFlags::FAN_CLOEXEC
        | InitFlags::FAN_NONBLOCK
        | InitFlags::FAN_UNLIMITED_QUEUE;
    let files = EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC;
    Fanotify::init(flags, files).map_err(|error| match plain(error) {
        Errno::PERM => anyhow!("making a fanotify group: CAP_SYS_ADMIN is missing"),
        Errno::NOSYS => anyhow!("making a fanotify group: the kernel has no fanotify"),
        Errno::MFILE => anyhow!(
            "making a fanotify group: too many; each guarded container needs one \
             (sysctl fs.fanotify.max_user_groups), and an open file"
        ),
        error => anyhow!(error).context("making a fanotify group"),
    })
}

/// Finds out whether the kernel asks before it runs a file.
///
/// # Errors
/// In words that say what is missing.
pub(super) fn try_out() -> Result<()> {
    // A directory is never run, so nobody can come to wait for this mark.
    let marked = new()?.mark(MarkFlags::FAN_MARK_ADD, ASKED, CWD, Some("/"));
    marked.map_err(|error| match plain(error) {
        Errno::INVAL => anyhow!(
            "asking for fanotify permission events: the kernel is older than 5.0, or built without \
             CONFIG_FANOTIFY_ACCESS_PERMISSIONS"
        ),
        error => anyhow!(error).context("asking for fanotify permission events"),
    })
}

/// Has the kernel ask about the whole file system of a place, wherever it is mounted.
pub(super) fn mark_filesystem(group: &Fanotify, place: &OwnedFd) -> Result<()> {
    mark(group, MarkFlags::FAN_MARK_FILESYSTEM, place).context("marking a file system")
}

/// Has the kernel ask about what is run through the mount of a place. The same file system may be
/// mounted elsewhere, as that of the host itself.
pub(super) fn mark_mount(group: &Fanotify, place: &OwnedFd) -> Result<()> {
    mark(group, MarkFlags::FAN_MARK_MOUNT, place).context("marking a mount")
}

fn mark(group: &Fanotify, what: MarkFlags, place: &OwnedFd) -> Result<()> {
    let path = link(place);
    Ok(group.mark(MarkFlags::FAN_MARK_ADD | what, ASKED, CWD, Some(path.as_str()))?)
}

/// An error of one library in terms of the other, whose errors are numbers that can be matched.
fn plain(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

/// Where a container's overlay is mounted on the host.
#[derive(Debug)]
pub(super) struct Merged {
    /// Its root, opened as a mere place.
    pub place: OwnedFd,
    /// What the kernel calls it, without a slash at the end.
    pub path: Vec<u8>,
    /// Number of the mount.
    pub mount: u64,
}

impl Merged {
    /// Opens the root of an overlay that is mounted for this process, or for the first one of
    /// `procfs`.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn open(path: &Path, procfs: &Path) -> Result<Self> {
        let opening = || format!("opening the overlay at {}", path.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = openat(CWD, path, flags, Mode::empty()).with_context(opening)?;
        let told = look(&place).with_context(opening)?;
        let is_root = told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        let is_overlay = [Path::new("/proc/self"), &procfs.join("1")].into_iter().any(|process| {
            Kind::of_mount(process, told.stx_mnt_id).is_ok_and(|kind| kind == Kind::Overlay)
        });
        ensure!(is_root && is_overlay, "no overlay is mounted at {}", path.display());
        let path = name(&place).with_context(opening)?;
        Ok(Self { place, path, mount: told.stx_mnt_id })
    }
}
