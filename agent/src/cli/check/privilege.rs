//! What this process may do: capabilities and system call filter.

use std::{fs, io};

use super::item::Item;
use crate::attribution::overlay::script::try_lookup;

/// Capabilities that matter here (include/uapi/linux/capability.h).
const DAC_READ_SEARCH: Capability = Capability(2, "DAC_READ_SEARCH");
const NET_ADMIN: Capability = Capability(12, "NET_ADMIN");
const SYS_PTRACE: Capability = Capability(19, "SYS_PTRACE");
const SYS_ADMIN: Capability = Capability(21, "SYS_ADMIN");
const PERFMON: Capability = Capability(38, "PERFMON");
const BPF: Capability = Capability(39, "BPF");

#[derive(Clone, Copy, PartialEq, Eq)]
struct Capability(u8, &'static str);

#[derive(Clone, Copy)]
struct Capabilities(u64);

impl Capabilities {
    fn has(self, Capability(bit, _): Capability) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Names of those that matter here and are held.
    fn held(self) -> String {
        let all = [SYS_ADMIN, BPF, PERFMON, NET_ADMIN, SYS_PTRACE, DAC_READ_SEARCH];
        let held: Vec<&str> = all.iter().filter(|it| self.has(**it)).map(|it| it.1).collect();
        if held.is_empty() { "none that matters here".to_owned() } else { held.join(", ") }
    }
}

pub(super) fn items() -> Vec<Item> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = field(&status, "CapEff").and_then(|it| u64::from_str_radix(it, 16).ok());
    let mut items = match effective {
        Some(bits) => of_capabilities(Capabilities(bits)),
        None => vec![Item::warn("privileges", "unknown: /proc/self/status cannot be read")],
    };
    items.push(seccomp(field(&status, "Seccomp")));
    items.extend(lookups());
    items
}

/// What is lost where files of containers cannot be looked up; nothing where they can.
pub(super) fn lookups() -> Option<Item> {
    of_lookups(try_lookup())
}

fn of_lookups(tried: io::Result<()>) -> Option<Item> {
    let error = tried.err()?;
    let lost = Item::warn("lookups of files", format!("openat2(2): {error}"))
        .so("of scripts and changed programs it is not known whether they are the image's");
    Some(lost.remedy(
        "let the call pass: in a unit of systemd, no `RestrictSUIDSGID=`; else in the seccomp profile",
    ))
}

fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    let line = |line: &'s str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(line)
}

fn of_capabilities(held: Capabilities) -> Vec<Item> {
    const WHAT: &str = "privileges";
    // Either alone, or the finer ones that Linux 5.8 split from it (capabilities(7)).
    let may_load = held.has(SYS_ADMIN) || (held.has(BPF) && held.has(PERFMON));
    let may_network = held.has(SYS_ADMIN) || held.has(NET_ADMIN);
    if !may_load || !may_network {
        let lacking = if may_load { "NET_ADMIN" } else { "SYS_ADMIN, or BPF and PERFMON" };
        return vec![
            Item::fail(WHAT, held.held())
                .so(format!("without {lacking} the programs are refused: the agent does not start"))
                .remedy(
                    "run as root; in Docker, `cap_add: [SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH]`",
                ),
        ];
    }
    let mut items = vec![Item::pass(WHAT, held.held())];
    let wanted = [
        (SYS_PTRACE, "of containers that run before the agent, programs and mounts are not known"),
        (DAC_READ_SEARCH, "files of other users, such as the layers of images, cannot be read"),
    ];
    for (capability, consequence) in wanted {
        if !held.has(capability) {
            let Capability(_, name) = capability;
            let lacking = Item::warn(WHAT, format!("{name} is not held")).so(consequence);
            items.push(lacking.remedy(format!("run as root; in Docker, `cap_add: [{name}]`")));
        }
    }
    items
}

fn seccomp(mode: Option<&str>) -> Item {
    const WHAT: &str = "seccomp";
    match mode {
        Some("0") => Item::pass(WHAT, "no filter"),
        Some("2") => Item::pass(
            WHAT,
            "a filter is set; whether it lets bpf(2) pass is tried in \"kernel takes programs\"",
        ),
        Some(mode) => Item::warn(WHAT, format!("mode {mode}"))
            .so("system calls that the agent needs may be refused"),
        None => Item::pass(WHAT, "this kernel has none"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::item::Status, *};

    fn bits(capabilities: &[Capability]) -> Capabilities {
        Capabilities(capabilities.iter().map(|Capability(bit, _)| 1 << bit).sum())
    }

    fn statuses(capabilities: &[Capability]) -> Vec<Status> {
        of_capabilities(bits(capabilities)).iter().map(|item| item.status).collect()
    }

    #[test]
    fn either_set_of_capabilities_is_enough_to_load() {
        let rest = [SYS_PTRACE, DAC_READ_SEARCH];
        assert_eq!(statuses(&[&[SYS_ADMIN][..], &rest].concat()), [Status::Pass]);
        assert_eq!(statuses(&[&[BPF, PERFMON, NET_ADMIN][..], &rest].concat()), [Status::Pass]);
    }

    #[test]
    fn too_few_capabilities_fail_and_name_what_is_lacking() {
        for (held, lacking) in [
            (&[BPF, PERFMON][..], "NET_ADMIN"),
            (&[BPF, NET_ADMIN][..], "SYS_ADMIN, or BPF and PERFMON"),
            (&[][..], "SYS_ADMIN, or BPF and PERFMON"),
        ] {
            let items = of_capabilities(bits(held));
            assert_eq!(items[0].status, Status::Fail);
            let consequence = items[0].consequence.as_deref().expect("is told");
            assert!(consequence.starts_with(&format!("without {lacking} ")), "{consequence}");
        }
    }

    #[test]
    fn a_filter_that_refuses_lookups_is_told() {
        assert!(of_lookups(Ok(())).is_none());
        let item = of_lookups(Err(io::Error::from_raw_os_error(libc::ENOSYS))).expect("is lost");
        assert_eq!(item.status, Status::Warn);
    }

    #[test]
    fn less_than_all_warns() {
        assert_eq!(statuses(&[SYS_ADMIN]), [Status::Pass, Status::Warn, Status::Warn]);
    }

    #[test]
    fn status_fields_are_found_by_their_whole_name() {
        let status = "Seccomp_filters:\t0\nSeccomp:\t2\nCapEff:\t0000000000200000\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "CapEff"), Some("0000000000200000"));
        assert_eq!(field(status, "CapPrm"), None);
    }
}
