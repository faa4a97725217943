//! The cgroups of containers, from the host's side.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use crate::{poll, process::signal};

/// Where the unified hierarchy is mounted.
///
/// # Panics
/// When it is not.
pub fn root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("every system has this file");
    let place = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(place))
    });
    place.expect("a cgroup2 file system is mounted")
}

/// Directory of the cgroup a process is in.
///
/// # Panics
/// When the process is gone.
pub fn of(pid: u32) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process runs");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    root().join(path.expect("the process is in the unified hierarchy"))
}

/// Makes a cgroup below another.
///
/// # Panics
/// When that is refused.
pub fn make(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    fs::create_dir(&path)
        .unwrap_or_else(|error| panic!("making the cgroup {}: {error}", path.display()));
    path
}

/// Moves a process into a cgroup.
///
/// # Panics
/// When that is refused.
pub fn enter(cgroup: &Path, pid: u32) {
    let file = cgroup.join("cgroup.procs");
    fs::write(&file, pid.to_string())
        .unwrap_or_else(|error| panic!("writing {pid} to {}: {error}", file.display()));
}

/// Ends all processes in the cgroup of this name right below the root, and in those below it.
pub fn kill(name: &str) {
    for directory in tree(&root().join(name)) {
        let pids = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| signal(pid, Signal::KILL));
    }
}

/// Has whatever runs in the cgroup of this name right below the root get a processor before others.
///
/// # Panics
/// When no hierarchy takes that.
pub fn favour(name: &str) {
    // The most that each version takes.
    let files = [("cpu.shares", "262144"), ("cpu.weight", "10000")];
    let favours = |root: PathBuf| {
        files.iter().any(|(file, share)| {
            let file = root.join(name).join(file);
            file.exists() && fs::write(file, share).is_ok()
        })
    };
    assert!(roots().filter(|root| favours(root.clone())).count() > 0, "nobody favours {name}");
}

/// The root of every hierarchy.
fn roots() -> impl Iterator<Item = PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    hierarchies.map(|entry| entry.path()).chain([root()])
}

/// Removes the cgroup of this name right below the root, in every hierarchy.
pub fn remove(name: &str) {
    for directory in roots().flat_map(|root| tree(&root.join(name))) {
        // Processes that were just killed leave in a moment.
        poll::until(poll::PATIENCE, || match fs::remove_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => None,
            _ => Some(()),
        });
    }
}

/// A directory and all below it, the deepest first; none where it does not exist.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let below = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    below.flat_map(|path| tree(&path)).chain([directory.to_owned()]).collect()
}
