//! Finds the host's `/proc` and cgroup root, also from within a container.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{sections::Host, setting::Auto};

/// Where the host's file systems are mounted in a container, by convention.
const MOUNTED_PROC: &str = "/host/proc";

/// Where cgroup v2 usually is.
const CGROUPS: [&str; 5] = [
    "/host/cgroup",
    "/host/cgroup/unified",
    "/host/sys/fs/cgroup",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
];

impl Host {
    /// The host's `/proc`.
    pub fn proc_root(&self) -> PathBuf {
        match &self.proc {
            Auto::Set(path) => path.clone(),
            Auto::Auto if Path::new(MOUNTED_PROC).join("1/stat").exists() => MOUNTED_PROC.into(),
            Auto::Auto => "/proc".into(),
        }
    }

    /// The root directory of the host's cgroup v2 hierarchy.
    ///
    /// # Errors
    /// When the one that is set is none, or none is found.
    pub fn cgroup_root(&self) -> anyhow::Result<PathBuf> {
        if let Auto::Set(path) = &self.cgroup {
            if !is_hierarchy(path) {
                bail!("{} is no cgroup v2 hierarchy", path.display());
            }
            return Ok(path.clone());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let usual = CGROUPS.iter().map(PathBuf::from);
        let candidates: Vec<PathBuf> = usual.chain(cgroup_mounts(&mounts)).collect();
        (candidates.iter().find(|path| is_root(path)).cloned())
            .context("no root of a cgroup v2 hierarchy is mounted")
    }
}

fn is_hierarchy(path: &Path) -> bool {
    path.join("cgroup.controllers").exists()
}

/// Whether this is the root of all cgroups: in a container the mount may show a lower one, and only
/// the root has no `cgroup.events` (Documentation/admin-guide/cgroup-v2.rst, "Core Interface
/// Files").
fn is_root(path: &Path) -> bool {
    is_hierarchy(path) && !path.join("cgroup.events").exists()
}

/// Mount points of cgroup v2 in `/proc/self/mountinfo`.
pub fn cgroup_mounts(mountinfo: &str) -> Vec<PathBuf> {
    let mount_point = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        file_system.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    };
    mountinfo.lines().filter_map(mount_point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            fs::write(directory.path().join(file), "").expect("written");
        }
        directory
    }

    #[test]
    fn a_lower_cgroup_is_not_taken_for_the_root() {
        assert!(is_root(hierarchy(&["cgroup.controllers"]).path()));
        assert!(!is_root(hierarchy(&["cgroup.controllers", "cgroup.events"]).path()));
        assert!(!is_root(hierarchy(&[]).path()));
    }

    #[test]
    fn only_cgroup_v2_mounts_are_found() {
        let mountinfo = "\
            31 24 0:27 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu\n\
            32 24 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n\
            33 24 0:28 /../.. /host/cg ro - cgroup2 none rw\n";
        assert_eq!(
            cgroup_mounts(mountinfo),
            [Path::new("/sys/fs/cgroup/unified"), Path::new("/host/cg")]
        );
    }

    #[test]
    fn what_is_set_is_taken_or_refused_by_name() {
        let directory = hierarchy(&["cgroup.controllers"]);
        let set = |path: &Path| Host { cgroup: Auto::Set(path.into()), ..Host::default() };
        assert_eq!(set(directory.path()).cgroup_root().expect("is one"), directory.path());
        let error = set(Path::new("/etc")).cgroup_root().expect_err("is none");
        assert_eq!(error.to_string(), "/etc is no cgroup v2 hierarchy");
    }
}
