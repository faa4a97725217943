//! The kernel: version, types, file systems, and whether it takes programs.

use std::path::Path;

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{is_map_supported, is_program_supported},
};
use rustix::system::uname;

use super::item::Item;
use crate::probe::btf;

/// The ring buffer came with this version; nothing works without it.
const NEEDED: (u32, u32) = (5, 8);

/// The oldest version that is tested.
const TESTED: (u32, u32) = (5, 10);

/// Maps count as locked memory before this version.
const MEMCG: (u32, u32) = (5, 11);

pub(super) fn items() -> Vec<Item> {
    let release = uname().release().to_string_lossy().into_owned();
    let machine = uname().machine().to_string_lossy().into_owned();
    let mut items = vec![kernel(&release), architecture(&machine)];
    items.extend(types(Path::new(btf::VMLINUX)));
    items.push(programs());
    items.extend(version(&release).filter(|it| *it < MEMCG).map(|_| locked_memory()));
    items
}

/// Major and minor number of a release such as `6.1.0-47-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn kernel(release: &str) -> Item {
    match version(release) {
        Some(version) if version >= TESTED => Item::pass("kernel", release),
        Some(version) if version >= NEEDED => Item::warn("kernel", release)
            .so("it has what is needed, and is older than what is tested (5.10)")
            .remedy("a newer kernel"),
        Some(_) => Item::fail("kernel", release)
            .so("it has no BPF ring buffer: the agent does not start")
            .remedy("a kernel of at least 5.8, better 5.10"),
        None => Item::warn("kernel", release).so("its version cannot be read from that"),
    }
}

fn architecture(machine: &str) -> Item {
    if machine == "x86_64" {
        return Item::pass("architecture", machine);
    }
    Item::fail("architecture", machine)
        .so("the system call table of this architecture is not known: file changes are missed")
        .remedy("an x86_64 host")
}

fn types(path: &Path) -> Vec<Item> {
    const WHAT: &str = "kernel types (BTF)";
    let (offsets, missing) = match btf::resolve(path, Path::new(btf::OVERLAY)) {
        Ok(resolved) => resolved,
        Err(error) => {
            return vec![
                Item::fail(WHAT, format!("{:#}", anyhow::Error::from(error)))
                    .so("kernel structs cannot be read: the agent does not start")
                    .remedy("a kernel built with CONFIG_DEBUG_INFO_BTF=y, and /sys mounted"),
            ];
        }
    };
    let mut items = vec![if missing.is_empty() {
        Item::pass(WHAT, "every struct member that is read is known")
    } else {
        let names: Vec<String> =
            missing.iter().map(|it| format!("{}.{}", it.structure, it.path)).collect();
        Item::warn(WHAT, format!("this kernel lacks {}", names.join(", ")))
            .so("what is read from there stays empty")
    }];
    // Told where it is not so.
    if !btf::knows_overlay(&offsets) {
        items.push(
            Item::warn("types of overlayfs", "not there: its module is not loaded")
                .so("a program of the image that was changed before the agent ran is alerted, not stopped")
                .remedy("modprobe overlay before the agent starts; before Linux 5.11 there is none"),
        );
    }
    items
}

/// Loads a program that does nothing, of each type that can be tried alone, and makes a ring.
fn programs() -> Item {
    const WHAT: &str = "kernel takes programs";
    let refused = |what: &str, why: &dyn std::fmt::Display| {
        Item::fail(WHAT, format!("{what}: {why}"))
            .so("nothing is seen: the agent does not start")
            .remedy("see privileges, seccomp and lockdown below")
    };
    let types =
        [("cgroup_skb", ProgramType::CgroupSkb), ("raw_tracepoint", ProgramType::RawTracePoint)];
    for (name, program) in types {
        match is_program_supported(program) {
            Ok(true) => {}
            Ok(false) => return refused(name, &"this kernel does not know such programs"),
            Err(error) => return refused(name, &format!("{:#}", anyhow::Error::from(error))),
        }
    }
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => Item::pass(WHAT, "cgroup_skb, raw_tracepoint, ring buffer"),
        Ok(false) => refused("ring buffer", &"this kernel does not know it"),
        Err(error) => refused("ring buffer", &format!("{:#}", anyhow::Error::from(error))),
    }
}

fn locked_memory() -> Item {
    use rustix::process::{Resource, getrlimit};
    const WHAT: &str = "locked memory";
    match getrlimit(Resource::Memlock).maximum {
        None => Item::pass(WHAT, "unlimited"),
        Some(bytes) => Item::warn(WHAT, format!("limited to {bytes} bytes"))
            .so("before Linux 5.11 maps and rings count against it: loading may fail")
            .remedy("`ulimits: memlock: -1`, LimitMEMLOCK=infinity, or CAP_SYS_RESOURCE"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::item::Status, *};

    #[test]
    fn the_version_decides() {
        let cases = [
            ("6.1.0-47-cloud-amd64", Status::Pass),
            ("5.10.262", Status::Pass),
            ("5.8.0-rc1", Status::Warn),
            ("5.4.0", Status::Fail),
            ("4.19.0", Status::Fail),
            ("unknown", Status::Warn),
        ];
        for (release, status) in cases {
            assert_eq!(kernel(release).status, status, "{release}");
        }
    }

    #[test]
    fn missing_types_fail_with_the_path() {
        let items = types(Path::new("/nonexistent/vmlinux"));
        let [item] = items.as_slice() else { panic!("one is told") };
        assert_eq!(item.status, Status::Fail);
        assert!(item.found.contains("/nonexistent/vmlinux: No such file"), "{}", item.found);
    }

    #[test]
    fn another_architecture_fails() {
        assert_eq!(architecture("riscv64").status, Status::Fail);
        assert_eq!(architecture("x86_64").status, Status::Pass);
    }
}
