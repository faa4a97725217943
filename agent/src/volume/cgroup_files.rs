//! Reads what a cgroup's controllers tell: of version 2, and of version 1 where a controller is
//! still bound to that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::attribution::cgroup::CgroupRoot;

/// Where controllers are mounted.
#[derive(Clone, Debug)]
pub struct Controllers {
    unified: CgroupRoot,
    /// Version 1, by controller.
    cpu: Option<CgroupRoot>,
    memory: Option<CgroupRoot>,
    pids: Option<CgroupRoot>,
}

/// The directories of one container, as far as there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories {
    /// In the unified hierarchy.
    pub unified: Option<PathBuf>,
    cpu: Option<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
}

impl Controllers {
    /// Those beside this unified hierarchy: mounted where `mountinfo` says, or in directories of
    /// their names beside it, where the agent is shown the host's.
    pub fn find(unified: CgroupRoot, mountinfo: &str) -> Self {
        let beside = unified.path.parent().map(Path::to_owned).unwrap_or_default();
        let root = |controller: &str| {
            let shown = beside.join(controller);
            let mounted = mount_of(mountinfo, controller);
            [Some(shown), mounted].into_iter().flatten().find(|it| is_version_1(it, controller))
        };
        let [cpu, memory, pids] = ["cpuacct", "memory", "pids"]
            .map(|controller| root(controller).map(|path| CgroupRoot { path }));
        Self { unified, cpu, memory, pids }
    }

    /// The directories of a container, whose cgroup has this path in the unified hierarchy. Engines
    /// give it the same path in all.
    pub fn directories(&self, id: &str, path: &str) -> Directories {
        let at = |root: &CgroupRoot| {
            let expected = root.path.join(path.trim_start_matches('/'));
            if expected.is_dir() { Some(expected) } else { root.directory_of(id) }
        };
        let unified = at(&self.unified);
        let has = |file: &str| unified.as_ref().is_some_and(|it| it.join(file).exists());
        let other = |file: &str, root: &Option<CgroupRoot>| {
            if has(file) { None } else { root.as_ref().and_then(at) }
        };
        Directories {
            cpu: other("cpu.stat", &self.cpu),
            memory: other("memory.stat", &self.memory),
            pids: other("pids.current", &self.pids),
            unified,
        }
    }
}

/// Whether a directory is the root of a controller of version 1.
fn is_version_1(directory: &Path, controller: &str) -> bool {
    let file = match controller {
        "cpuacct" => "cpuacct.usage",
        "memory" => "memory.stat",
        _ => "cgroup.procs",
    };
    directory.join(file).exists() && !directory.join("cgroup.controllers").exists()
}

/// Where a controller of version 1 is mounted (`proc_pid_mountinfo(5)`).
fn mount_of(mountinfo: &str, controller: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut words = file_system.split(' ');
        let is_version_1 = words.next()? == "cgroup";
        let has = words.nth(1)?.split(',').any(|option| option == controller);
        (is_version_1 && has).then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    })
}

impl Directories {
    /// Processor time taken, in nanoseconds.
    pub fn cpu_ns(&self) -> Option<u64> {
        if let Some(directory) = &self.cpu {
            return number(&directory.join("cpuacct.usage"));
        }
        // There without the controller, too (Documentation/admin-guide/cgroup-v2.rst, "CPU").
        let stat = self.unified.as_ref()?.join("cpu.stat");
        Some(member(&stat, "usage_usec")?.saturating_mul(1000))
    }

    /// Memory of its own, in bytes: without what the kernel keeps of files and could drop.
    pub fn memory_bytes(&self) -> Option<u64> {
        if let Some(directory) = &self.memory {
            return member(&directory.join("memory.stat"), "total_rss");
        }
        member(&self.unified.as_ref()?.join("memory.stat"), "anon")
    }

    /// Processes and threads.
    pub fn pids(&self) -> Option<u64> {
        let directory = self.pids.as_ref().or(self.unified.as_ref())?;
        number(&directory.join("pids.current"))
    }

    /// Whether the container's cgroup is still there.
    pub fn are_there(&self) -> bool {
        self.unified.as_ref().is_some_and(|it| it.is_dir())
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A member of a file of lines `name value`.
fn member(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "bcf792e740345a08d46a44e7987a9e4f1c0b1eac0db0029711cb8426498bd85f";

    fn put(directory: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(directory).expect("is made");
        for (name, text) in files {
            fs::write(directory.join(name), text).expect("is written");
        }
    }

    #[test]
    fn version_2_tells_all_of_it() {
        let host = tempfile::tempdir().expect("a directory");
        put(host.path(), &[("cgroup.controllers", "cpu memory pids")]);
        put(
            &host.path().join("system.slice").join(format!("docker-{ID}.scope")),
            &[
                ("cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
                ("memory.stat", "anon 4096\nfile 99999\nanon_thp 0\n"),
                ("pids.current", "7\n"),
            ],
        );
        let root = CgroupRoot { path: host.path().to_owned() };
        let controllers = Controllers::find(root, "");
        let told = controllers.directories(ID, &format!("/system.slice/docker-{ID}.scope"));
        assert_eq!(told.cpu_ns(), Some(1_500_000));
        assert_eq!((told.memory_bytes(), told.pids()), (Some(4096), Some(7)));
        // Wherever it lies.
        assert_eq!(controllers.directories(ID, "/elsewhere"), told);
        assert!(told.are_there() && !Directories::default().are_there());
    }

    #[test]
    fn version_1_tells_what_version_2_does_not() {
        let host = tempfile::tempdir().expect("a directory");
        let at = |name: &str| host.path().join(name);
        put(&at("unified"), &[("cgroup.controllers", "")]);
        put(&at("unified/docker").join(ID), &[("cpu.stat", "usage_usec 2\n")]);
        put(&at("memory"), &[("memory.stat", "")]);
        put(&at("memory/docker").join(ID), &[("memory.stat", "rss 1\ntotal_rss 8192\n")]);
        put(&at("elsewhere"), &[("cgroup.procs", "")]);
        put(&at("elsewhere/docker").join(ID), &[("pids.current", "max\n")]);
        let mountinfo = format!(
            "31 24 0:27 / {} rw,nosuid shared:9 - cgroup cgroup rw,pids\n",
            at("elsewhere").display()
        );
        let root = CgroupRoot { path: at("unified") };
        let told = Controllers::find(root, &mountinfo).directories(ID, &format!("/docker/{ID}"));
        assert_eq!(told.cpu_ns(), Some(2000));
        assert_eq!(told.memory_bytes(), Some(8192));
        assert_eq!(told.pids(), None, "what is no number is not told");
        assert!(told.pids.is_some());
    }

    #[test]
    fn a_controller_is_found_among_the_options_of_its_mount() {
        let mountinfo = "\
            30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,memory_recursiveprot\n\
            31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n";
        let found = mount_of(mountinfo, "cpuacct");
        assert_eq!(found.as_deref(), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(mount_of(mountinfo, "memory"), None);
    }
}
