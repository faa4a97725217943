//! Docker: whether it answers, and what of its setup matters.

use std::{fs, io, os::unix::net::UnixStream, path::Path, time::Duration};

use bollard::{
    API_DEFAULT_VERSION,
    models::{LocalNodeState, SystemInfo},
};
use tokio::time::timeout;

use super::item::Item;
use crate::config::sections::Docker;

const WHAT: &str = "Docker";

/// How long Docker may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Storage drivers whose layers can be told apart.
const LAYERED: [&str; 3] = ["overlay2", "overlayfs", "overlay"];

pub(super) async fn items(config: &Docker) -> Vec<Item> {
    let path = &config.socket;
    if let Err(error) = UnixStream::connect(path) {
        return vec![unreachable(path, &error)];
    }
    match timeout(PATIENCE, ask(path)).await {
        Ok(Ok((engine, info))) => {
            let found = format!("{engine} at {}", path.display());
            let mut items = vec![Item::pass(WHAT, found), storage(&info)];
            items.extend(layers(&info));
            items.extend([cgroups(&info), swarm(&info)]);
            items
        }
        Ok(Err(error)) => vec![silent(path, &format!("{error:#}"))],
        Err(_) => vec![silent(path, &format!("no answer in {} s", PATIENCE.as_secs()))],
    }
}

/// Engine and API version, and what Docker says of itself.
async fn ask(path: &Path) -> anyhow::Result<(String, SystemInfo)> {
    let path = path.to_string_lossy();
    let docker =
        bollard::Docker::connect_with_unix(&path, PATIENCE.as_secs(), API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    let info = docker.info().await?;
    let engine = info.server_version.as_deref().unwrap_or("of unknown version");
    Ok((format!("engine {engine}, API {}", docker.client_version()), info))
}

const NAMELESS: &str = "containers stay without name and image until it answers";

fn unreachable(path: &Path, error: &io::Error) -> Item {
    let remedy = if error.kind() == io::ErrorKind::PermissionDenied {
        "run as root"
    } else {
        "start Docker, mount its socket, or set docker.socket to where it is"
    };
    Item::fail(WHAT, format!("{}: {error}", path.display())).so(NAMELESS).remedy(remedy)
}

fn silent(path: &Path, why: &str) -> Item {
    Item::fail(WHAT, format!("{} does not answer as Docker does: {why}", path.display()))
        .so(NAMELESS)
        .remedy(
            "see what listens there; a socket proxy must allow GET of events, containers, \
                 images, info, version",
        )
}

fn storage(info: &SystemInfo) -> Item {
    const WHAT: &str = "Docker storage";
    let driver = info.driver.as_deref().unwrap_or("unknown");
    if LAYERED.contains(&driver) {
        return Item::pass(WHAT, driver);
    }
    Item::warn(WHAT, driver)
        .so("files of the image and files made in the container cannot be told apart")
        .remedy("the storage driver overlay2")
}

/// Whether the directories of images and containers are there, and those that are still to come.
fn layers(info: &SystemInfo) -> Option<Item> {
    let driver = info.driver.as_deref().filter(|driver| LAYERED.contains(driver))?;
    let root = Path::new(info.docker_root_dir.as_deref()?).join(driver);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Some(layers_at(&root, root.is_dir(), comes_through(&mounts, &root)))
}

fn layers_at(root: &Path, is_there: bool, comes_through: bool) -> Item {
    const WHAT: &str = "Docker layers";
    let shown = root.display();
    let mount = format!("`-v {shown}:{shown}:ro,rslave`");
    if !is_there {
        return Item::warn(WHAT, format!("{shown} is not there"))
            .so("whether a script or changed program is the image's cannot be told, and fanotify \
                 guards nothing")
            .remedy(format!("mount it under its own path: {mount}"));
    }
    if !comes_through {
        return Item::warn(WHAT, format!("{shown}; mounts below it do not come through"))
            .so("fanotify guards no container that starts later")
            .remedy(format!("mount it with propagation: {mount}"));
    }
    Item::pass(WHAT, shown.to_string())
}

/// Whether mounts that the host makes below a directory come to this process: it is not a mount of
/// this container's own, or one that receives (`shared:` or `master:` in `proc_pid_mountinfo(5)`).
fn comes_through(mountinfo: &str, directory: &Path) -> bool {
    let of_directory = mountinfo.lines().rev().find_map(|line| {
        let (mount, _) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        (fields.next()? == directory.to_str()?).then(|| fields.skip(1).collect::<Vec<_>>())
    });
    of_directory.is_none_or(|told| {
        told.iter().any(|it| it.starts_with("master:") || it.starts_with("shared:"))
    })
}

fn cgroups(info: &SystemInfo) -> Item {
    let driver = info.cgroup_driver.map_or("unknown".to_owned(), |it| it.to_string());
    let version = info.cgroup_version.map_or("unknown".to_owned(), |it| it.to_string());
    Item::pass("Docker cgroups", format!("driver {driver}, version {version}"))
}

fn swarm(info: &SystemInfo) -> Item {
    const WHAT: &str = "Swarm";
    let Some(swarm) = &info.swarm else { return Item::pass(WHAT, "inactive") };
    match swarm.local_node_state {
        Some(LocalNodeState::ACTIVE) => {
            let role = if swarm.control_available == Some(true) { "manager" } else { "worker" };
            let node = swarm.node_id.as_deref().unwrap_or("unknown");
            Item::pass(WHAT, format!("active, {role}, node {node}"))
        }
        Some(
            state @ (LocalNodeState::ERROR | LocalNodeState::LOCKED | LocalNodeState::PENDING),
        ) => {
            let why = swarm.error.as_deref().filter(|it| !it.is_empty());
            let why = why.map(|it| format!(": {it}")).unwrap_or_default();
            Item::warn(WHAT, format!("{state}{why}"))
                .so("this node runs no tasks until it is active")
        }
        Some(LocalNodeState::EMPTY | LocalNodeState::INACTIVE) | None => {
            Item::pass(WHAT, "inactive")
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::SwarmInfo;

    use super::{super::item::Status, *};

    async fn item_at(path: &Path) -> Item {
        items(&Docker { socket: path.to_owned() }).await.remove(0)
    }

    #[tokio::test]
    async fn a_missing_socket_fails_with_its_path() {
        let item = item_at(Path::new("/nonexistent/docker.sock")).await;
        assert_eq!(item.status, Status::Fail);
        assert!(item.found.starts_with("/nonexistent/docker.sock: No such file"), "{}", item.found);
        assert!(item.remedy.is_some_and(|remedy| remedy.contains("docker.socket")));
    }

    #[tokio::test]
    async fn something_else_that_listens_is_not_taken_for_docker() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("other.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("binds");
        let server = std::thread::spawn(move || {
            // One connection tries the socket, the next asks; both are hung up on.
            for _ in 0..2 {
                drop(listener.accept());
            }
        });
        let item = item_at(&path).await;
        server.join().expect("ends");
        assert_eq!(item.status, Status::Fail);
        assert!(item.found.contains("does not answer as Docker does"), "{}", item.found);
    }

    #[test]
    fn a_driver_without_layers_warns() {
        let info = |driver: &str| SystemInfo { driver: Some(driver.into()), ..Default::default() };
        assert_eq!(storage(&info("overlay2")).status, Status::Pass);
        assert_eq!(storage(&info("vfs")).status, Status::Warn);
    }

    #[test]
    fn layers_that_do_not_come_through_warn_with_the_mount() {
        let root = Path::new("/var/lib/docker/overlay2");
        let line =
            |told: &str| format!("40 30 8:1 /x /var/lib/docker/overlay2 ro {told}- ext4 d rw");
        assert!(comes_through(&line("master:7 "), root));
        assert!(!comes_through(&line(""), root));
        assert!(comes_through("30 1 8:1 / / rw - ext4 d rw", root), "no mount of its own");
        assert_eq!(layers_at(root, true, true).status, Status::Pass);
        for item in [layers_at(root, false, true), layers_at(root, true, false)] {
            let mount = "-v /var/lib/docker/overlay2:/var/lib/docker/overlay2:ro,rslave";
            assert!(item.remedy.is_some_and(|remedy| remedy.contains(mount)));
        }
    }

    #[test]
    fn the_role_in_the_swarm_is_told() {
        let of = |state, manager| {
            let swarm = SwarmInfo {
                local_node_state: Some(state),
                control_available: Some(manager),
                node_id: Some("n1".to_owned()),
                ..SwarmInfo::default()
            };
            super::swarm(&SystemInfo { swarm: Some(swarm), ..SystemInfo::default() })
        };
        assert_eq!(of(LocalNodeState::ACTIVE, true).found, "active, manager, node n1");
        assert_eq!(of(LocalNodeState::ACTIVE, false).found, "active, worker, node n1");
        assert_eq!(of(LocalNodeState::INACTIVE, false).found, "inactive");
        assert_eq!(of(LocalNodeState::LOCKED, false).status, Status::Warn);
    }
}
