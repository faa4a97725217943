//! What is the agent's own, and whether a container reaches for it.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use plimsoll_ebpf::record::flags;

use crate::attribution::{container::Container, observation::Observation};

/// Where BPF file systems are mounted.
const BPF_FS: &[u8] = b"/sys/fs/bpf";

/// The agent's own files, as the host names them, and its process.
#[derive(Clone, Debug, Default)]
pub struct Own {
    places: Vec<PathBuf>,
    pid: u32,
}

impl Own {
    /// These files and directories, and the process with this id on the host.
    pub fn new(places: &[&Path], pid: u32) -> Self {
        let real = |path: &&Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        Self { places: places.iter().map(real).collect(), pid }
    }

    /// Whether a container's process changes one of the files: the path is the container's, unless
    /// the flags say that it lies outside its mounts.
    pub fn is_touched(&self, by: &Observation<'_>, path: &[u8], bits: u32) -> bool {
        let Some(container) = self.stranger(by) else { return false };
        if bits & flags::DETACHED != 0 {
            return self.is_within(path);
        }
        container.host_path(path).is_some_and(|path| self.is_within(&path))
    }

    /// Whether a container's process unmounts what one of the files lies in.
    pub fn is_unmounted(&self, by: &Observation<'_>, path: &[u8]) -> bool {
        let Some(container) = self.stranger(by) else { return false };
        let is_above = |path: &[u8]| self.places.iter().any(|own| is_below(bytes(own), path));
        // In the host's mounts the path is the host's; elsewhere a namesake is of no interest.
        path.starts_with(BPF_FS) && is_above(path)
            || container.host_path(path).is_some_and(|path| is_above(&path))
    }

    /// The container, where it is not the agent itself.
    fn stranger<'a>(&self, by: &Observation<'a>) -> Option<&'a Container> {
        let header = &by.record.header;
        let is_stranger = header.pid != self.pid && header.setup == 0;
        by.container.filter(|_| is_stranger).map(|it| &**it)
    }

    fn is_within(&self, path: &[u8]) -> bool {
        self.places.iter().any(|own| is_below(path, bytes(own)))
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Whether a path is another or lies below it.
fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plimsoll_ebpf::{
        catalog::{Record, encode},
        events::fork::Fork,
        record::Header,
    };

    use super::*;
    use crate::attribution::{
        container::{Mount, MountKind},
        node::Node,
    };

    #[test]
    fn the_agents_files_are_told_by_where_they_lie_on_the_host() {
        let own = Own::new(&[Path::new("/nowhere/plimsoll"), Path::new("/sys/fs/bpf/it")], 7);
        let mount = |destination: &str, source: &str| Mount {
            destination: destination.to_owned(),
            source: source.to_owned(),
            kind: MountKind::Bind,
        };
        let mounts = vec![mount("/host", "/nowhere"), mount("/bpf", "/sys/fs/bpf")];
        let container = Arc::new(Container { mounts, ..Container::default() });
        let node = Arc::new(Node::default());
        let by = |pid, setup, what: &dyn Fn(&Observation<'_>) -> bool| {
            let entry = encode(Header { pid, setup, ..Header::default() }, Fork::default(), b"");
            let observation = Observation {
                ts_ns: 0,
                record: Record::decode(&entry).expect("decodes"),
                node: &node,
                container: Some(&container),
                process: None,
                peer_name: None,
            };
            what(&observation)
        };
        let touched = |path: &[u8], bits| by(9, 0, &|it| own.is_touched(it, path, bits));
        assert!(touched(b"/host/plimsoll/segments/1", 0) && touched(b"/bpf/it/x", 0));
        assert!(touched(b"/nowhere/plimsoll/x", flags::DETACHED), "through /proc");
        assert!(!touched(b"/nowhere/plimsoll/x", 0), "a namesake in the container");
        assert!(!touched(b"/host/plimsoll2", 0));
        let path = b"/host/plimsoll/x";
        assert!(!by(7, 0, &|it| own.is_touched(it, path, 0)), "the agent itself");
        assert!(!by(9, 1, &|it| own.is_touched(it, path, 0)), "the container runtime");
        let unmounted = |path: &[u8]| by(9, 0, &|it| own.is_unmounted(it, path));
        assert!(unmounted(b"/sys/fs/bpf") && unmounted(b"/bpf") && unmounted(b"/host/plimsoll"));
        assert!(!unmounted(b"/nowhere") && !unmounted(b"/sys/fs") && !unmounted(b"/tmp"));
    }
}
