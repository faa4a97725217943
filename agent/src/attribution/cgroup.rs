//! Cgroups of the unified hierarchy: where it is mounted, which paths are containers', which ids
//! they have.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Digits of a container id.
const ID_DIGITS: usize = 64;

/// The kernel's id of the uppermost cgroup: `kernfs_create_root` gives numbers from 1 on.
const ROOT_ID: u64 = 1;

/// Most cgroups looked at below one container.
const MOST_DESCENDANTS: usize = 4096;

/// Most cgroups looked at in search of a container.
const MOST_SEARCHED: usize = 65_536;

/// Prefixes that container engines put before the id where systemd names the cgroup.
const SCOPES: [&str; 3] = ["docker-", "libpod-", "cri-containerd-"];

/// The container id in a cgroup path: that of the last component that is one.
pub fn container_id_of(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(id_in)
}

/// Every container id in a cgroup path, the outermost first: containers may hold others.
pub fn container_ids_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(id_in)
}

/// The container id that a component of a path is or, under systemd, holds.
fn id_in(component: &str) -> Option<&str> {
    let bare = component.strip_suffix(".scope").map_or(component, |scope| {
        SCOPES.iter().find_map(|prefix| scope.strip_prefix(prefix)).unwrap_or(scope)
    });
    let is_id = bare.len() == ID_DIGITS
        && bare.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then_some(bare)
}

/// The root of the unified hierarchy, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupRoot {
    /// Where it is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1.
    pub path: PathBuf,
}

impl CgroupRoot {
    /// Path of a cgroup from the root of the hierarchy, as kernel records tell it.
    pub fn path_of(&self, directory: &Path) -> Option<String> {
        let below = directory.strip_prefix(&self.path).ok()?;
        Some(format!("/{}", below.to_str()?))
    }

    /// Whether this is the root of the whole hierarchy: paths that the kernel tells begin there.
    pub fn is_whole(&self) -> bool {
        id_of(&self.path).is_ok_and(|id| id == ROOT_ID)
    }

    /// Whether a cgroup is there, by the path that the kernel tells. Where it cannot be looked at, it
    /// is taken to be.
    pub fn has(&self, path: &str, cgroup_id: u64) -> bool {
        match id_of(&self.path.join(path.trim_start_matches('/'))) {
            Ok(id) => id == cgroup_id,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// The directory of a container's own cgroup, searched by name: the path that a process tells
    /// may begin at another root than this one.
    pub fn directory_of(&self, container_id: &str) -> Option<PathBuf> {
        let mut waiting = VecDeque::from([self.path.clone()]);
        let mut looked_at = 0;
        while let Some(directory) = waiting.pop_front() {
            for child in children(&directory) {
                let name = child.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if container_id_of(name) == Some(container_id) {
                    return Some(child);
                }
                looked_at += 1;
                if looked_at > MOST_SEARCHED {
                    return None;
                }
                waiting.push_back(child);
            }
        }
        None
    }
}

/// The kernel's id of the cgroup with this directory: its inode.
///
/// # Errors
/// When the directory is gone.
pub fn id_of(directory: &Path) -> io::Result<u64> {
    Ok(fs::metadata(directory)?.ino())
}

/// Directories and ids of the cgroups below a directory, in bounded number. What vanishes meanwhile
/// is left out.
pub fn descendants(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found: Vec<(PathBuf, u64)> = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for child in children(&directory) {
            if found.len() >= MOST_DESCENDANTS {
                return found;
            }
            let Ok(id) = id_of(&child) else { continue };
            waiting.push(child.clone());
            found.push((child, id));
        }
    }
    found
}

fn children(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path())
}

/// Path of a running process's cgroup in the unified hierarchy; `None` if it is gone.
pub fn path_of_pid(proc_root: &Path, pid: u32) -> Option<String> {
    let file = fs::read_to_string(proc_root.join(pid.to_string()).join("cgroup")).ok()?;
    path_in(&file).map(str::to_owned)
}

/// Path of a process's cgroup in the unified hierarchy, from its `cgroup` file.
pub fn path_in(cgroup_file: &str) -> Option<&str> {
    cgroup_file.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "bcf792e740345a08d46a44e7987a9e4f1c0b1eac0db0029711cb8426498bd85f";

    #[test]
    fn ids_are_found_in_the_paths_of_every_driver() {
        for path in [
            format!("/docker/{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/parent/{}/{ID}", "0".repeat(64)),
        ] {
            assert_eq!(container_id_of(&path), Some(ID), "{path}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_no_id() {
        for path in [
            "/docker/BCF792E740345A08D46A44E7987A9E4F1C0B1EAC0DB0029711CB8426498BD85F".to_owned(),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/x{ID}"),
            "/user.slice".to_owned(),
        ] {
            assert_eq!(container_id_of(&path), None, "{path}");
        }
    }

    #[test]
    fn a_container_is_found_by_name_wherever_it_lies() {
        let host = tempfile::tempdir().expect("a directory");
        let inner = host.path().join("docker").join(ID).join("inner");
        fs::create_dir_all(&inner).expect("is made");
        let root = CgroupRoot { path: host.path().to_owned() };
        let container = root.directory_of(ID).expect("is there");
        assert_eq!(root.path_of(&container).as_deref(), Some(format!("/docker/{ID}").as_str()));
        let below: Vec<PathBuf> = descendants(&container).into_iter().map(|it| it.0).collect();
        assert_eq!(below, [inner]);
        assert_eq!(root.directory_of(&"0".repeat(64)), None);
    }

    #[test]
    fn a_cgroup_is_there_as_long_as_its_path_leads_to_it() {
        let host = tempfile::tempdir().expect("a directory");
        let directory = host.path().join("docker/a");
        fs::create_dir_all(&directory).expect("is made");
        let root = CgroupRoot { path: host.path().to_owned() };
        let id = id_of(&directory).expect("is there");
        assert!(root.has("/docker/a", id));
        assert!(!root.has("/docker/a", id + 1), "another one has its name");
        assert!(!root.has("/docker/b", id));
        fs::write(host.path().join("file"), "").expect("is written");
        assert!(root.has("/file/a", id), "nobody can tell");
        assert!(!root.is_whole());
    }

    #[test]
    fn the_unified_line_is_the_one_without_controllers() {
        assert_eq!(path_in("12:pids:/a\n0::/docker/b\n"), Some("/docker/b"));
        assert_eq!(path_in("12:pids:/a\n"), None);
    }
}
