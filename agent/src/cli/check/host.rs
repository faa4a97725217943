//! The host's file systems as the agent sees them: `/proc` and the cgroups.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::item::Item;
use crate::config::{host::cgroup_mounts, sections::Host};

/// The first pid namespace (`PROC_PID_INIT_INO` in `include/linux/proc_ns.h`).
const FIRST_PIDS: &str = "pid:[4026531836]";

pub(super) fn items(config: &Host) -> Vec<Item> {
    let root = config.proc_root();
    let is_own = root == Path::new("/proc");
    let process = if is_own { "self" } else { "1" };
    let pids = fs::read_link(root.join(process).join("ns/pid"));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    vec![proc(&root, pids.ok(), has_kernel_threads(&root)), cgroups(config.cgroup_root(), &mounts)]
}

/// Only the first pid namespace has the kernel's own threads, of which the second process is one
/// (`rest_init` in `init/main.c`).
fn has_kernel_threads(root: &Path) -> bool {
    fs::read_to_string(root.join("2/comm")).is_ok_and(|name| name.trim() == "kthreadd")
}

fn proc(root: &Path, pids: Option<PathBuf>, has_kernel_threads: bool) -> Item {
    const WHAT: &str = "/proc of the host";
    let shown = root.display();
    match pids {
        Some(pids) if pids == Path::new(FIRST_PIDS) => Item::pass(WHAT, shown.to_string()),
        None if has_kernel_threads => Item::pass(WHAT, shown.to_string()),
        Some(_) => Item::fail(WHAT, format!("{shown} shows the processes of a container"))
            .so(
                "the agent cannot tell which process it is itself, nor know what ran before it: it \
                 does not start",
            )
            .remedy("mount the host's /proc at /host/proc: `-v /proc:/host/proc:ro`"),
        None => Item::warn(WHAT, format!("{shown}; whether it is the host's cannot be told"))
            .so("if it is not, what ran before the agent is not known")
            .remedy("mount the host's /proc at /host/proc, and hold SYS_PTRACE"),
    }
}

fn cgroups(root: anyhow::Result<PathBuf>, mountinfo: &str) -> Item {
    const WHAT: &str = "cgroups";
    let layout = layout(mountinfo);
    match root {
        Ok(root) => Item::pass(WHAT, format!("{layout}; v2 hierarchy at {}", root.display())),
        Err(error) => Item::fail(WHAT, format!("{layout}; {error:#}"))
            .so("connections cannot be seen: the agent does not start")
            .remedy(
                "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified and restart Docker; in a \
                 container, `-v /sys/fs/cgroup:/host/cgroup:ro`",
            ),
    }
}

fn layout(mountinfo: &str) -> &'static str {
    let has_v1 = mountinfo.lines().any(|line| line.contains(" - cgroup "));
    match (has_v1, cgroup_mounts(mountinfo).is_empty()) {
        (true, true) => "v1",
        (true, false) => "hybrid of v1 and v2",
        (false, false) => "v2",
        (false, true) => "none mounted",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::item::Status, *};

    const V1: &str = "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    const V2: &str = "32 24 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_layout_follows_from_the_mounts() {
        assert_eq!(layout(V1), "v1");
        assert_eq!(layout(V2), "v2");
        assert_eq!(layout(&[V1, V2].concat()), "hybrid of v1 and v2");
        assert_eq!(layout(""), "none mounted");
    }

    #[test]
    fn without_v2_the_agent_does_not_start() {
        assert_eq!(cgroups(Err(anyhow::anyhow!("none")), V1).status, Status::Fail);
        assert_eq!(cgroups(Ok("/sys/fs/cgroup".into()), V2).status, Status::Pass);
    }

    #[test]
    fn the_proc_of_a_container_is_not_taken_for_the_hosts() {
        let root = Path::new("/proc");
        assert_eq!(proc(root, Some(FIRST_PIDS.into()), true).status, Status::Pass);
        assert_eq!(proc(root, Some("pid:[4026532999]".into()), false).status, Status::Fail);
        assert_eq!(proc(root, None, true).status, Status::Pass);
        assert_eq!(proc(root, None, false).status, Status::Warn);
    }
}
