//! What is the agent's own, and whether a container reaches for it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
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
    home: Arc<OnceLock<Home>>,
}

/// The container that the agent runs in, known by the first that it is seen to do.
#[derive(Debug)]
struct Home {
    cgroup_id: u64,
    /// The agent's files as the host names them, where that is another name.
    places: Vec<PathBuf>,
}

impl Own {
    /// These files and directories, and the process with this id on the host.
    pub fn new(places: &[&Path], pid: u32) -> Self {
        let real = |path: &&Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        Self { places: places.iter().map(real).collect(), pid, home: Arc::default() }
    }

    /// Whether this is the agent itself, or a process of the container that it runs in: what is asked
    /// and checked there is its operator's.
    pub fn is_by_own(&self, by: &Observation<'_>) -> bool {
        let header = &by.record.header;
        if header.pid != self.pid {
            return self.home.get().is_some_and(|home| home.cgroup_id == header.cgroup_id);
        }
        // 0 is no cgroup's.
        if let Some(container) = by.container.filter(|_| header.cgroup_id != 0) {
            self.home.get_or_init(|| Home {
                cgroup_id: header.cgroup_id,
                places: (self.places.iter())
                    .filter_map(|place| container.host_path(bytes(place)))
                    .map(|place| OsStr::from_bytes(&place).into())
                    .collect(),
            });
        }
        true
    }

    /// Whether a container's first process is the agent.
    pub fn is_started_as(&self, container: &Container) -> bool {
        container.init_pid == self.pid
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
        let is_above = |path: &[u8]| self.all().any(|own| is_below(bytes(own), path));
        // In the host's mounts the path is the host's; elsewhere a namesake is of no interest.
        path.starts_with(BPF_FS) && is_above(path)
            || container.host_path(path).is_some_and(|path| is_above(&path))
    }

    /// The container, where it is not the agent itself.
    fn stranger<'a>(&self, by: &Observation<'a>) -> Option<&'a Container> {
        let is_stranger = !self.is_by_own(by) && by.record.header.setup == 0;
        by.container.filter(|_| is_stranger).map(|it| &**it)
    }

    fn is_within(&self, path: &[u8]) -> bool {
        self.all().any(|own| is_below(path, bytes(own)))
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.places.iter().chain(self.home.get().into_iter().flat_map(|home| &home.places))
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
                former_name: None,
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

    #[test]
    fn in_a_container_its_files_are_elsewhere_on_the_host_and_its_neighbours_are_its_own() {
        let own = Own::new(&[Path::new("/nowhere/plimsoll")], 7);
        let volume = Mount {
            destination: "/nowhere/plimsoll".to_owned(),
            source: "/volumes/data".to_owned(),
            kind: MountKind::Volume,
        };
        let home = Arc::new(Container { mounts: vec![volume], ..Container::default() });
        let bind = Mount {
            destination: "/all".to_owned(),
            source: "/volumes".to_owned(),
            kind: MountKind::Bind,
        };
        let other = Arc::new(Container { mounts: vec![bind], ..Container::default() });
        let node = Arc::new(Node::default());
        let by = |pid, cgroup_id, container, what: &dyn Fn(&Observation<'_>) -> bool| {
            let header = Header { pid, cgroup_id, ..Header::default() };
            let entry = encode(header, Fork::default(), b"");
            let observation = Observation {
                ts_ns: 0,
                record: Record::decode(&entry).expect("decodes"),
                node: &node,
                container: Some(container),
                process: None,
                peer_name: None,
                former_name: None,
            };
            what(&observation)
        };
        let touches = |it: &Observation<'_>| own.is_touched(it, b"/all/data/segments/1", 0);
        assert!(!by(9, 70, &home, &|it| own.is_by_own(it)), "nobody has seen the agent");
        assert!(!by(9, 90, &other, &touches));
        assert!(by(7, 70, &home, &|it| own.is_by_own(it)));
        assert!(by(8, 70, &home, &|it| own.is_by_own(it)), "a command in the agent's container");
        assert!(!by(9, 90, &other, &|it| own.is_by_own(it)));
        assert!(by(9, 90, &other, &touches), "its volume, by another container");
    }
}
