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

/// Most cgroups looked at below one container.
const MOST_DESCENDANTS: usize = 4096;

/// Most cgroups looked at in search of a container.
const MOST_SEARCHED: usize = 65_536;

/// Prefixes that container engines put before the id where systemd names the cgroup.
const SCOPES: [&str; 3] = ["docker-", "libpod-", "cri-containerd-"];

/// The container id in a cgroup path: that of the last component that is one.
pub fn container_id_of(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|component| {
        let bare = component.strip_suffix(".scope").map_or(component, |scope| {
            SCOPES.iter().find_map(|prefix| scope.strip_prefix(prefix)).unwrap_or(scope)
        });
        let is_id = bare.len() == ID_DIGITS
            && bare.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then_some(bare)
    })
}

/// Why the unified hierarchy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoRoot {
    /// The mount table cannot be read.
    #[error("reading {0}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The host mounts version 1 only.
    #[error("no cgroup2 file system is mounted (cgroup v1 only)")]
    NotMounted,
    /// What is mounted is the part that belongs to the agent's own container.
    #[error("{0} shows only a part of the cgroup hierarchy")]
    OnlyPart(PathBuf),
}

/// The root of the unified hierarchy, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupRoot {
    /// Where it is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1.
    pub path: PathBuf,
}

impl CgroupRoot {
    /// Finds it among this process's mounts.
    ///
    /// # Errors
    /// When there is none that shows the hierarchy from its root.
    pub fn find(proc_root: &Path) -> Result<Self, NoRoot> {
        let file = proc_root.join("self/mountinfo");
        let table = fs::read_to_string(&file).map_err(|error| NoRoot::Unreadable(file, error))?;
        let mut part = None;
        for place in mount_points(&table, "cgroup2") {
            // Every cgroup but the root one has this file.
            if !place.join("cgroup.events").exists() {
                return Ok(Self { path: place });
            }
            part = part.or(Some(place));
        }
        Err(part.map_or(NoRoot::NotMounted, NoRoot::OnlyPart))
    }

    /// The directory of the cgroup with this path.
    pub fn directory(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }

    /// The directory of a container's own cgroup, searched by name: for where the path of a
    /// process is told from another root than this one.
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

/// Directories of this type of file system that are mounted (`proc(5)`, mountinfo).
fn mount_points<'t>(table: &'t str, file_system: &str) -> impl Iterator<Item = PathBuf> + 't {
    let file_system = file_system.to_owned();
    table.lines().filter_map(move |line| {
        let (mount, source) = line.split_once(" - ")?;
        let place = mount.split(' ').nth(4)?;
        (source.split(' ').next()? == file_system).then(|| PathBuf::from(unescape(place)))
    })
}

/// The table writes blanks and backslashes as three octal digits.
fn unescape(place: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(place.to_owned(), |text, (code, blank)| text.replace(code, blank))
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
    fn the_unified_hierarchy_is_found_on_pure_and_hybrid_hosts() {
        let hybrid = "36 32 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      40 32 0:35 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                      41 32 0:35 /a /mnt/a\\040b rw master:1 - cgroup2 cgroup2 rw\n";
        let places: Vec<PathBuf> = mount_points(hybrid, "cgroup2").collect();
        assert_eq!(places, [Path::new("/sys/fs/cgroup/unified"), Path::new("/mnt/a b")]);
    }

    fn host_with(table: &str) -> tempfile::TempDir {
        let host = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(host.path().join("self")).expect("is made");
        let table = table.replace("HOST", host.path().to_str().expect("is text"));
        fs::write(host.path().join("self/mountinfo"), table).expect("is written");
        host
    }

    #[test]
    fn a_part_of_the_hierarchy_is_not_taken_for_its_root() {
        let host = host_with(
            "1 0 0:1 / HOST/part rw - cgroup2 c rw\n1 0 0:1 / HOST/whole rw - cgroup2 c rw\n",
        );
        let place = |name: &str| host.path().join(name);
        fs::create_dir_all(place("part")).expect("is made");
        fs::create_dir_all(place("whole").join("docker").join(ID).join("inner")).expect("is made");
        fs::write(place("part").join("cgroup.events"), "").expect("is written");
        let root = CgroupRoot::find(host.path()).expect("is there");
        assert_eq!(root.path, place("whole"));
        let container = root.directory_of(ID).expect("is there");
        assert_eq!(container, root.directory(&format!("/docker/{ID}")));
        assert_eq!(descendants(&container).len(), 1);
        fs::write(place("whole").join("cgroup.events"), "").expect("is written");
        assert!(matches!(CgroupRoot::find(host.path()), Err(NoRoot::OnlyPart(_))));
    }

    #[test]
    fn a_host_with_version_1_only_is_told_so() {
        let host = host_with("36 32 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
        assert!(matches!(CgroupRoot::find(host.path()), Err(NoRoot::NotMounted)));
    }

    #[test]
    fn the_unified_line_is_the_one_without_controllers() {
        assert_eq!(path_in("12:pids:/a\n0::/docker/b\n"), Some("/docker/b"));
        assert_eq!(path_in("12:pids:/a\n"), None);
    }
}
