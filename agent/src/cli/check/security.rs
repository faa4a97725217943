//! Security modules of the kernel: whether one stands in the way.

use std::{fs, io, path::Path};

use rustix::fs::statfs;

use super::item::Item;

/// Where it is mounted.
pub(super) const SECURITY_FS: &str = "/sys/kernel/security";
const SECURITY_FS_MAGIC: i64 = 0x7363_6673;

pub(super) fn items() -> Vec<Item> {
    vec![apparmor(label()), lockdown(read("lockdown"))]
}

/// A file of securityfs, or why it is not known what it says.
pub(super) fn read(name: &str) -> Result<String, String> {
    let is_mounted = statfs(SECURITY_FS).is_ok_and(|it| it.f_type == SECURITY_FS_MAGIC);
    fs::read_to_string(Path::new(SECURITY_FS).join(name)).map_err(|error| {
        if is_mounted {
            format!("unknown: {SECURITY_FS}/{name}: {error}")
        } else {
            format!("unknown: securityfs is not mounted at {SECURITY_FS}")
        }
    })
}

/// The `AppArmor` label of this process; on kernels before 5.8 it may be another module's.
fn label() -> io::Result<String> {
    fs::read_to_string("/proc/self/attr/apparmor/current")
        .or_else(|_| fs::read_to_string("/proc/self/attr/current"))
}

fn apparmor(label: io::Result<String>) -> Item {
    const WHAT: &str = "AppArmor";
    let Ok(label) = label else { return Item::pass(WHAT, "not active") };
    let label = label.trim_matches(['\0', '\n', ' ']);
    if label.is_empty() || label.starts_with("unconfined") || label.ends_with("(complain)") {
        let label = if label.is_empty() { "unconfined" } else { label };
        return Item::pass(WHAT, label);
    }
    // Others' labels have no mode: `kernel`, `system_u:system_r:container_t:s0`.
    if !label.ends_with(')') {
        return Item::pass(WHAT, "not active");
    }
    Item::warn(WHAT, format!("confined by {label}"))
        .so("reading /proc of containers and /sys/kernel/security may be refused")
        .remedy("in Docker, `--security-opt apparmor=unconfined`; Swarm services cannot set it")
}

fn lockdown(modes: Result<String, String>) -> Item {
    const WHAT: &str = "kernel lockdown";
    let modes = match modes {
        Ok(modes) => modes,
        Err(unknown) => return Item::pass(WHAT, unknown),
    };
    let mode = modes.split(['[', ']']).nth(1).unwrap_or("none");
    if mode == "confidentiality" {
        return Item::fail(WHAT, mode)
            .so("programs may not read kernel memory: the agent does not start")
            .remedy("lockdown=integrity on the kernel's command line");
    }
    Item::pass(WHAT, mode)
}

#[cfg(test)]
mod tests {
    use super::{super::item::Status, *};

    #[test]
    fn a_file_that_is_not_there_is_unknown() {
        let reason = read("no-such-module").expect_err("is not there");
        assert!(reason.starts_with("unknown: "), "{reason}");
    }

    #[test]
    fn only_confidentiality_stops_the_agent() {
        let of = |modes: &str| lockdown(Ok(modes.to_owned())).status;
        assert_eq!(of("none integrity [confidentiality]\n"), Status::Fail);
        assert_eq!(of("none [integrity] confidentiality\n"), Status::Pass);
        assert_eq!(of("[none] integrity confidentiality\n"), Status::Pass);
    }

    #[test]
    fn a_profile_of_apparmor_warns() {
        let of = |label: &str| apparmor(Ok(label.to_owned())).status;
        assert_eq!(of("docker-default (enforce)\n"), Status::Warn);
        assert_eq!(of("unconfined\n"), Status::Pass);
        assert_eq!(of("system_u:system_r:container_t:s0\0"), Status::Pass, "SELinux's");
        assert_eq!(apparmor(Err(io::ErrorKind::InvalidInput.into())).status, Status::Pass);
    }
}
