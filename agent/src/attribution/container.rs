//! A container and what Docker says of it.

use std::{
    net::IpAddr,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use plimsoll_ebpf::{layer::code, rules::Rule, value::ValueType};

use super::{
    inspect::is_docker_init,
    normal::base,
    overlay::Layers,
    posture::Grant,
    process::{Origin, Process},
};
use crate::fields::{Attribute, Attributed, text};

/// A container as it is known to the agent. It does not change once made: news makes a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Number of this value within the agent's run; equal numbers mean equal contents.
    pub serial: u64,
    /// Full id, 64 hexadecimal digits.
    pub id: String,
    /// Name without the leading slash; empty while unresolved.
    pub name: String,
    /// Image as it was asked for: `repository:tag`.
    pub image: String,
    /// Content digest of the image: the repository digest, or the config id where there is none.
    pub image_digest: String,
    /// Swarm service name.
    pub service: String,
    /// Swarm service id.
    pub service_id: String,
    /// Swarm task name.
    pub task: String,
    /// Swarm task id.
    pub task_id: String,
    /// Swarm stack.
    pub stack: String,
    /// Swarm node id.
    pub node_id: String,
    /// Compose project.
    pub compose_project: String,
    /// Compose service.
    pub compose_service: String,
    /// What is mounted into it, longest destination first.
    pub mounts: Vec<Mount>,
    /// Its addresses in Docker's networks; none while it does not run.
    pub addresses: Vec<IpAddr>,
    /// Names that Docker's name server knows it by in those networks.
    pub aliases: Vec<String>,
    /// Ports that the image or whoever started it announces, each with the number of its protocol.
    pub announced: Vec<(u16, u8)>,
    /// What it was given that leads out of it.
    pub grants: Vec<Grant>,
    /// Command of the health check as Docker runs it; empty where there is none.
    pub health_command: Vec<String>,
    /// The program it is started with, and the first of its arguments.
    pub entrypoint: String,
    /// All its arguments, space between them, cut where they are long.
    pub arguments: String,
    /// The user it is started as; empty for the image's default.
    pub user: String,
    /// Process id of its first process in the host's namespace; 0 before it starts.
    pub init_pid: u32,
    /// When it was started last, in milliseconds since the Unix epoch; 0 where Docker tells none.
    pub started_ms: u64,
    /// The layers of its root file system, as far as Docker tells them: [`Self::find_layers`].
    pub layers: Option<Layers>,
}

/// Something mounted into a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Path in the container.
    pub destination: String,
    /// Path on the host; empty where there is none.
    pub source: String,
    /// What it is.
    pub kind: MountKind,
}

/// Kinds of mounts a container can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A directory or file of the host.
    #[default]
    Bind,
    /// A named or anonymous volume.
    Volume,
    /// A tmpfs.
    Tmpfs,
}

impl Container {
    /// The layers of its root file system: those that Docker tells, or those that are mounted. `None`
    /// where it is no overlay, and where nobody tells and it does not run. `procfs` is the host's
    /// process file system.
    pub fn find_layers(&self, procfs: &Path) -> Option<Layers> {
        self.layers.clone().or_else(|| Layers::mounted(procfs, &self.id))
    }

    /// Whether it announces that it waits for peers at a port.
    pub fn announces(&self, port: u16, protocol: u8) -> bool {
        self.announced.contains(&(port, protocol))
    }

    /// Whether the program that a process runs from a path is mounted there and named where the container
    /// was made, and not by what runs in it: the first one, or a health check's.
    pub fn has_given(&self, process: &Process, layer: u8, path: &[u8]) -> bool {
        if !matches!(layer, code::VOLUME | code::BIND | code::MOUNT) {
            return false;
        }
        let name = base(path);
        let names = |text: &str| text.split_whitespace().any(|it| base(it.as_bytes()) == name);
        let is_first = || process.lineage.ancestors.iter().all(|it| is_docker_init(&it.exe));
        match process.origin {
            Origin::Init => is_first() && (names(&self.entrypoint) || names(&self.arguments)),
            Origin::Health => self.health_command.iter().any(|it| names(it)),
            Origin::Exec | Origin::Unknown => false,
        }
    }

    /// What is mounted where this path lies, if anything is.
    pub fn mount_of(&self, path: &[u8]) -> Option<MountKind> {
        self.mount_above(path).map(|(mount, _)| mount.kind)
    }

    /// Where what this path lies in is mounted, if it is data: a volume, or a directory of the host that
    /// is nothing the host obeys.
    pub fn data_volume(&self, path: &str) -> Option<&str> {
        let (mount, _) = self.mount_above(path.as_bytes())?;
        let is_hosts = |it: &Grant| it.rule == Rule::HostPath && it.object == mount.source;
        let is_data = match mount.kind {
            MountKind::Volume => true,
            MountKind::Bind => !self.grants.iter().any(is_hosts),
            MountKind::Tmpfs => false,
        };
        is_data.then_some(&mount.destination)
    }

    /// The path on the host of what lies at this path, if it is mounted from there.
    pub fn host_path(&self, path: &[u8]) -> Option<Vec<u8>> {
        let (mount, rest) = self.mount_above(path)?;
        // The root of the host ends with a slash of its own; /var/run is /run on every host.
        let source = mount.source.trim_end_matches('/');
        let run = source.strip_prefix("/var/run");
        let run = run.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let (head, source) = run.map_or(("", source), |rest| ("/run", rest));
        let host = || [head.as_bytes(), source.as_bytes(), rest].concat();
        (!mount.source.is_empty()).then(host)
    }

    /// The mount in which a path lies, and what of the path is below it.
    fn mount_above<'p>(&self, path: &'p [u8]) -> Option<(&Mount, &'p [u8])> {
        self.mounts.iter().find_map(|mount| {
            let rest = path.strip_prefix(mount.destination.as_bytes())?;
            let is_below = rest.is_empty() || rest[0] == b'/' || mount.destination == "/";
            is_below.then_some((mount, rest))
        })
    }
}

/// A number for [`Container::serial`] that no other value of this run has; never 0.
pub fn next_serial() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// The fields of a container.
pub static ATTRIBUTES: &[Attribute<Container>] = &[
    Attribute::noted("ctr.id", ValueType::Text, "Container id.", |it| text(&it.id)),
    Attribute::noted(
        "ctr.name",
        ValueType::Text,
        "Container name; absent while it could not be resolved.",
        |it| text(&it.name),
    ),
    Attribute::noted("ctr.image", ValueType::Text, "Image as asked for.", |it| text(&it.image)),
    Attribute::noted(
        "ctr.image_digest",
        ValueType::Text,
        "Content digest of the image: repository digest, else config id.",
        |it| text(&it.image_digest),
    ),
    Attribute::noted("swarm.service", ValueType::Text, "Swarm service name.", |it| {
        text(&it.service)
    }),
    Attribute::noted("swarm.service_id", ValueType::Text, "Swarm service id.", |it| {
        text(&it.service_id)
    }),
    Attribute::noted("swarm.task", ValueType::Text, "Swarm task name.", |it| text(&it.task)),
    Attribute::noted("swarm.task_id", ValueType::Text, "Swarm task id.", |it| text(&it.task_id)),
    Attribute::noted("swarm.stack", ValueType::Text, "Swarm stack.", |it| text(&it.stack)),
    Attribute::noted("swarm.node_id", ValueType::Text, "Swarm node id of the task.", |it| {
        text(&it.node_id)
    }),
    Attribute::noted("compose.project", ValueType::Text, "Compose project.", |it| {
        text(&it.compose_project)
    }),
    Attribute::noted("compose.service", ValueType::Text, "Compose service.", |it| {
        text(&it.compose_service)
    }),
];

impl Attributed for Container {
    const ATTRIBUTES: &'static [Attribute<Self>] = ATTRIBUTES;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_the_mount_above_it_and_to_no_namesake() {
        let mount = |destination: &str, source: &str, kind| Mount {
            destination: destination.to_owned(),
            source: source.to_owned(),
            kind,
        };
        let container = Container {
            mounts: vec![
                mount("/data/cache", "", MountKind::Tmpfs),
                mount("/data", "/srv/it", MountKind::Volume),
            ],
            ..Container::default()
        };
        assert_eq!(container.mount_of(b"/data/x"), Some(MountKind::Volume));
        assert_eq!(container.mount_of(b"/data/cache/y"), Some(MountKind::Tmpfs));
        assert_eq!(container.mount_of(b"/database"), None);
        assert_eq!(container.host_path(b"/data/x/y").as_deref(), Some(&b"/srv/it/x/y"[..]));
        assert_eq!(container.host_path(b"/data").as_deref(), Some(&b"/srv/it"[..]));
        assert_eq!(container.host_path(b"/data/cache/y"), None);
        let host = |source: &str, path: &[u8]| {
            let mounts = vec![mount("/host", source, MountKind::Bind)];
            let path = Container { mounts, ..Container::default() }.host_path(path);
            path.map(|path| String::from_utf8(path).expect("is text"))
        };
        assert_eq!(host("/", b"/host/var/x").as_deref(), Some("/var/x"));
        assert_eq!(host("/var/run", b"/host/plimsoll/x").as_deref(), Some("/run/plimsoll/x"));
        assert_eq!(host("/var/runner", b"/host/x").as_deref(), Some("/var/runner/x"));
    }

    #[test]
    fn data_lies_in_volumes_and_in_directories_that_the_host_does_not_obey() {
        let mount = |destination: &str, source: &str, kind| Mount {
            destination: destination.to_owned(),
            source: source.to_owned(),
            kind,
        };
        let container = Container {
            mounts: vec![
                mount("/data/cache", "", MountKind::Tmpfs),
                mount("/data", "/var/lib/docker/volumes/it/_data", MountKind::Volume),
                mount("/host", "/etc", MountKind::Bind),
                mount("/srv", "/srv/it", MountKind::Bind),
            ],
            grants: vec![Grant { rule: Rule::HostPath, object: "/etc".to_owned() }],
            ..Container::default()
        };
        assert_eq!(container.data_volume("/data/x"), Some("/data"));
        assert_eq!(container.data_volume("/srv/x"), Some("/srv"));
        for path in ["/data/cache/x", "/host/x", "/database", "/"] {
            assert_eq!(container.data_volume(path), None, "{path}");
        }
    }
}
