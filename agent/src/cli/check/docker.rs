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
const LAYERED: [&str; 3] = ["overlay2", CONTAINERDS, "overlay"];

/// The driver where containerd keeps the images, as newer engines have it do.
const CONTAINERDS: &str = "overlayfs";

/// Where a containerd of the host keeps its directories.
const CONTAINERD: &str = "/var/lib/containerd";

/// The same below Docker's, of one that Docker starts itself.
const DOCKERS_CONTAINERD: &str = "containerd/daemon";

/// Its layers, below that.
const SNAPSHOTS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";

pub(super) async fn items(config: &Docker, proc_root: &Path) -> Vec<Item> {
    let path = &config.socket;
    if let Err(error) = UnixStream::connect(path) {
        return vec![unreachable(path, &error)];
    }
    match timeout(PATIENCE, ask(path)).await {
        Ok(Ok((engine, info))) => {
            let found = format!("{engine} at {}", path.display());
            let mut items = vec![Item::pass(WHAT, found), storage(&info)];
            items.extend(layers(&info, proc_root));
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
fn layers(info: &SystemInfo, proc_root: &Path) -> Option<Item> {
    let driver = info.driver.as_deref().filter(|driver| LAYERED.contains(driver))?;
    let root = Path::new(info.docker_root_dir.as_deref()?);
    let first = proc_root.join("1");
    let mounts_of = |process: &Path| fs::read_link(process.join("ns/mnt")).ok();
    let own = mounts_of(Path::new("/proc/self"));
    let is_host = own.is_some() && own == mounts_of(&first);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let receives = |place: &Path| is_host || comes_through(&mounts, place);
    if driver == CONTAINERDS {
        return Some(of_containerd(Path::new(CONTAINERD), root, &first.join("root"), receives));
    }
    let layers = root.join(driver);
    Some(layers_at(root, &layers, layers.is_dir(), receives(&layers)))
}

/// The same where containerd keeps the images, and Docker mounts roots of containers below its own
/// directory. What this process does not see is looked for in the host's file system.
fn of_containerd(
    containerd: &Path,
    root: &Path,
    host: &Path,
    receives: impl Fn(&Path) -> bool,
) -> Item {
    let on_host = |place: &Path| host.join(place.strip_prefix("/").unwrap_or(place)).is_dir();
    let places = [containerd, &root.join(DOCKERS_CONTAINERD)].map(|it| it.join(SNAPSHOTS));
    let Some(found) = places.iter().find(|it| it.is_dir() || on_host(it)) else {
        return layers_at(containerd, &places[0], false, false);
    };
    let roots = root.join("rootfs");
    let arrive = roots.is_dir() && receives(&roots) || on_host(&roots);
    layers_at(root, found, true, arrive)
}

/// `mount` is what to mount where layers are not there or do not come through.
fn layers_at(mount: &Path, layers: &Path, are_there: bool, come_through: bool) -> Item {
    const WHAT: &str = "Docker layers";
    let (shown, mount) = (layers.display(), mount.display());
    let mount = format!("`-v {mount}:{mount}:ro,rslave`");
    if !are_there {
        return Item::warn(WHAT, format!("{shown} is not there"))
            .so("whether a script or changed program is the image's cannot be told, and fanotify \
                 guards nothing")
            .remedy(format!("mount it under its own path: {mount}"));
    }
    if !come_through {
        return Item::warn(
            WHAT,
            format!("{shown}; mounts that are made later do not come through"),
        )
        .so("fanotify guards no container that starts later")
        .remedy(format!("mount it with propagation: {mount}"));
    }
    Item::pass(WHAT, shown.to_string())
}

/// Whether mounts that the host makes below a directory come to this process, which has mounts of its
/// own: what is mounted there or nearest above receives (`shared:` or `master:` in
/// `proc_pid_mountinfo(5)`).
fn comes_through(mountinfo: &str, directory: &Path) -> bool {
    let above = mountinfo.lines().filter_map(|line| {
        let (mount, _) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        let place = Path::new(fields.next()?);
        directory.starts_with(place).then(|| (place, fields.skip(1).collect::<Vec<_>>()))
    });
    // Of those at one place the last is on top.
    above.max_by_key(|(place, _)| place.components().count()).is_some_and(|(_, told)| {
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
        items(&Docker { socket: path.to_owned() }, Path::new("/proc")).await.remove(0)
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
        let (root, layers) = (Path::new("/var/lib/docker"), Path::new("/var/lib/docker/overlay2"));
        let root_line = "30 1 0:7 / / rw - overlay overlay rw\n";
        let line =
            |told: &str| format!("{root_line}40 30 8:1 /x /var/lib/docker ro {told}- ext4 d rw\n");
        assert!(comes_through(&line("master:7 "), layers));
        assert!(!comes_through(&line(""), layers));
        assert!(!comes_through(root_line, layers), "it is a directory of the image");
        let on_top = format!("{}41 40 8:1 /x /var/lib/docker ro - ext4 d rw", line("shared:7 "));
        assert!(!comes_through(&on_top, layers));
        assert_eq!(layers_at(root, layers, true, true).status, Status::Pass);
        for item in [layers_at(root, layers, false, true), layers_at(root, layers, true, false)] {
            let mount = "-v /var/lib/docker:/var/lib/docker:ro,rslave";
            assert!(item.remedy.is_some_and(|remedy| remedy.contains(mount)));
        }
    }

    #[test]
    fn layers_that_containerd_keeps_are_looked_for_on_the_host_and_below_dockers() {
        let host = tempfile::tempdir().expect("a directory");
        let [containerd, root] = ["/nonexistent/containerd", "/nonexistent/docker"].map(Path::new);
        let found = || {
            let item = of_containerd(containerd, root, host.path(), |_| true);
            (item.status, item.found)
        };
        let make = |place: &Path| {
            let place = place.strip_prefix("/").expect("is absolute");
            fs::create_dir_all(host.path().join(place)).expect("is made");
        };
        assert_eq!(found().0, Status::Warn, "there is no containerd");
        make(&root.join(DOCKERS_CONTAINERD).join(SNAPSHOTS));
        assert_eq!(found().0, Status::Warn, "where roots are mounted is not there");
        make(&root.join("rootfs"));
        let (status, place) = found();
        assert_eq!(status, Status::Pass);
        assert!(place.starts_with("/nonexistent/docker/"), "Docker started one: {place}");
        make(&containerd.join(SNAPSHOTS));
        assert!(found().1.starts_with("/nonexistent/containerd/"), "{}", found().1);
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
