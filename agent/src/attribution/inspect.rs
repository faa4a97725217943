//! Makes a container of what Docker's inspection, or only an event, says of it.

use std::{collections::HashMap, net::IpAddr, path::PathBuf};

use bollard::models::{ContainerConfig, ContainerInspectResponse, EndpointSettings};

use super::{
    container::{Container, Mount, MountKind, next_serial},
    overlay::Layers,
    posture,
};

/// Files Docker itself mounts into every container. An inspection names their sources only once the
/// container was started.
pub const DOCKERS_OWN: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// Docker's own init, which it mounts into a container that asks for one (`docker run --init`): at
/// `/sbin`, which in most images leads to `/usr/sbin`.
pub const DOCKER_INIT: [&[u8]; 2] = [b"/sbin/docker-init", b"/usr/sbin/docker-init"];

/// Whether a program that lies in a mount is Docker's own init.
pub fn is_docker_init(path: &[u8]) -> bool {
    DOCKER_INIT.contains(&path)
}

/// Letters of all arguments that are kept, for the same.
const MOST_ARGUMENTS: usize = 1024;
/// Letters of a program or argument that are kept to tell uses of an image apart.
const MOST_WORD: usize = 80;

/// The container of a complete inspection. `repo_digests` are those of its image, each
/// `repository@sha256:digits`; none where the image is gone or was never in a registry.
pub fn container(response: &ContainerInspectResponse, repo_digests: &[String]) -> Container {
    let config = response.config.as_ref();
    let asked = config.and_then(|it| it.image.as_deref()).unwrap_or_default();
    let image_id = response.image.as_deref().unwrap_or_default();
    let init_pid = response.state.as_ref().and_then(|state| state.pid);
    let mut container = Container {
        serial: next_serial(),
        id: response.id.clone().unwrap_or_default(),
        name: response.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        image: without_digest(asked).to_owned(),
        image_digest: digest(asked, image_id, repo_digests),
        mounts: mounts(response),
        addresses: addresses(response),
        aliases: aliases(response),
        announced: config.map(announced).unwrap_or_default(),
        grants: posture::grants(response),
        health_command: config.map(health_command).unwrap_or_default(),
        entrypoint: entrypoint(response),
        arguments: arguments(response),
        user: config.and_then(|it| it.user.clone()).unwrap_or_default(),
        init_pid: init_pid.and_then(|pid| pid.try_into().ok()).unwrap_or_default(),
        started_ms: started_ms(response),
        layers: response.graph_driver.as_ref().and_then(|it| layers(&it.data)),
        ..Container::default()
    };
    if let Some(labels) = config.and_then(|it| it.labels.as_ref()) {
        apply_labels(&mut container, labels);
    }
    container
}

/// The container as the attributes of one of its events tell it, for one that was removed before
/// it could be inspected. They are its labels with its name and image among them.
pub(super) fn from_attributes(
    id: &str,
    attributes: &HashMap<String, String>,
    image_id: &str,
    repo_digests: &[String],
) -> Container {
    let get = |key: &str| attributes.get(key).map(String::as_str).unwrap_or_default();
    let mut container = Container {
        serial: next_serial(),
        id: id.to_owned(),
        name: get("name").to_owned(),
        image: without_digest(get("image")).to_owned(),
        image_digest: digest(get("image"), image_id, repo_digests),
        mounts: DOCKERS_OWN.map(|place| mount(place, MountKind::Bind)).into(),
        ..Container::default()
    };
    apply_labels(&mut container, attributes);
    container.mounts.sort_by_key(|it| std::cmp::Reverse(it.destination.len()));
    container
}

fn apply_labels(container: &mut Container, labels: &HashMap<String, String>) {
    let get = |key: &str| labels.get(key).cloned().unwrap_or_default();
    container.service = get("com.docker.swarm.service.name");
    container.service_id = get("com.docker.swarm.service.id");
    container.task = get("com.docker.swarm.task.name");
    container.task_id = get("com.docker.swarm.task.id");
    container.node_id = get("com.docker.swarm.node.id");
    container.stack = get("com.docker.stack.namespace");
    container.compose_project = get("com.docker.compose.project");
    container.compose_service = get("com.docker.compose.service");
}

/// `repository:tag` of `repository:tag@digest`, as Swarm asks for images.
fn without_digest(image: &str) -> &str {
    image.split_once('@').map_or(image, |(name, _)| name)
}

/// The content digest: the one asked for, else the one the image has in the repository asked for,
/// else in any, else the id of its configuration.
fn digest(asked: &str, image_id: &str, repo_digests: &[String]) -> String {
    let mut known = repo_digests.iter().filter_map(|it| it.split_once('@'));
    let repository = repository(asked);
    let best = (asked.split_once('@'))
        .or_else(|| known.clone().find(|(name, _)| self::repository(name) == repository))
        .or_else(|| known.next());
    best.map_or(image_id, |(_, digest)| digest).to_owned()
}

/// The repository of an image's name, without what Docker adds and drops at will.
fn repository(image: &str) -> &str {
    let name = without_digest(image);
    let name = match name.rsplit_once(':') {
        // What follows the colon of a registry's port holds slashes.
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    let name = name.strip_prefix("index.").unwrap_or(name);
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// Ports of `EXPOSE` and `--expose`, and those that are published.
fn announced(config: &ContainerConfig) -> Vec<(u16, u8)> {
    let told = config.exposed_ports.iter().flatten();
    let mut ports: Vec<(u16, u8)> = told.filter_map(|it| port(it)).collect();
    // Docker's maps come in any order, and equal news is no news.
    ports.sort_unstable();
    ports
}

/// `80/tcp`
fn port(text: &str) -> Option<(u16, u8)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => 6,
        "udp" => 17,
        _ => return None,
    };
    Some((port.parse().ok()?, protocol))
}

/// What it is in each of its networks.
fn endpoints(response: &ContainerInspectResponse) -> impl Iterator<Item = &EndpointSettings> {
    let networks = response.network_settings.as_ref().and_then(|it| it.networks.as_ref());
    networks.into_iter().flat_map(HashMap::values)
}

/// In order: Docker's maps come in any, and equal news is no news.
fn addresses(response: &ContainerInspectResponse) -> Vec<IpAddr> {
    let told = endpoints(response).flat_map(|it| [&it.ip_address, &it.global_ipv6_address]);
    let mut all: Vec<IpAddr> = told.flatten().filter_map(|it| it.parse().ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Likewise; `dns_names` is told by engines from 25 on.
fn aliases(response: &ContainerInspectResponse) -> Vec<String> {
    let told = endpoints(response).flat_map(|it| [&it.aliases, &it.dns_names]);
    let mut all: Vec<String> = told.flatten().flatten().map(|it| it.to_lowercase()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Of one that was never started Docker tells the beginning of the year 1.
fn started_ms(response: &ContainerInspectResponse) -> u64 {
    let told = response.state.as_ref().and_then(|state| state.started_at.as_ref());
    let moment = told.and_then(|it| it.parse::<jiff::Timestamp>().ok());
    moment.and_then(|it| it.as_millisecond().try_into().ok()).unwrap_or_default()
}

/// The command of the health check as Docker executes it.
fn health_command(config: &ContainerConfig) -> Vec<String> {
    let test = config.healthcheck.as_ref().and_then(|it| it.test.as_deref()).unwrap_or_default();
    match test.split_first() {
        Some((kind, command)) if kind == "CMD" => command.to_vec(),
        Some((kind, command)) if kind == "CMD-SHELL" => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut all = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            all.extend_from_slice(command);
            all
        }
        _ => Vec::new(),
    }
}

/// The program that is started, and the first of its arguments.
fn entrypoint(response: &ContainerInspectResponse) -> String {
    let first = response.args.iter().flatten().next();
    let words = response.path.iter().chain(first);
    let words: Vec<String> = words.map(|word| word.chars().take(MOST_WORD).collect()).collect();
    words.join(" ")
}

/// All arguments of the program that is started.
fn arguments(response: &ContainerInspectResponse) -> String {
    let all = response.args.as_deref().unwrap_or_default().join(" ");
    all.chars().take(MOST_ARGUMENTS).collect()
}

/// The layers of the `overlay2` driver, whose names in the inspection are those of mount options.
fn layers(driver: &HashMap<String, String>) -> Option<Layers> {
    Some(Layers {
        upper: driver.get("UpperDir")?.into(),
        lowers: driver.get("LowerDir")?.split(':').map(PathBuf::from).collect(),
        merged: driver.get("MergedDir")?.into(),
    })
}

fn mount(destination: &str, kind: MountKind) -> Mount {
    Mount { destination: destination.to_owned(), source: String::new(), kind }
}

fn mounts(response: &ContainerInspectResponse) -> Vec<Mount> {
    let told = response.mounts.iter().flatten().filter_map(|it| {
        let kind = match it.typ.as_deref() {
            Some("tmpfs") => MountKind::Tmpfs,
            Some("volume" | "cluster") => MountKind::Volume,
            _ => MountKind::Bind,
        };
        let source = it.source.clone().unwrap_or_default();
        Some(Mount { source, ..mount(it.destination.as_deref()?, kind) })
    });
    let tmpfs = response.host_config.iter().filter_map(|it| it.tmpfs.as_ref());
    let tmpfs = tmpfs.flat_map(HashMap::keys).map(|place| mount(place, MountKind::Tmpfs));
    let mut all: Vec<Mount> = told.chain(tmpfs).collect();
    for place in DOCKERS_OWN {
        // Who mounts a file of his own there replaces Docker's.
        if !all.iter().any(|it| it.destination == place) {
            all.push(mount(place, MountKind::Bind));
        }
    }
    for it in &mut all {
        let plain = it.destination.trim_end_matches('/').len().max(1);
        it.destination.truncate(plain);
    }
    // By name among equals: Docker's maps come in any order, and equal news is no news.
    all.sort_by(|a, b| {
        (b.destination.len().cmp(&a.destination.len())).then(a.destination.cmp(&b.destination))
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From dockerd 20.10, cut down to what is read and a few fields around it.
    const RUNNING: &str = include_str!("samples/running.json");
    const CREATED: &str = include_str!("samples/created.json");

    fn parse(sample: &str) -> ContainerInspectResponse {
        serde_json::from_str(sample).expect("a sample is valid")
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_running_container_is_read_whole() {
        let container = container(&parse(RUNNING), &[]);
        assert!(container.serial > 0 && container.id.len() == 64);
        assert_eq!((container.name.as_str(), container.image.as_str()), ("web", "shop/web:1"));
        assert!(container.image_digest.starts_with("sha256:077012b0"), "no registry has it");
        assert_eq!(
            (container.service.as_str(), container.compose_project.as_str()),
            ("web", "shop")
        );
        assert_eq!(container.health_command, ["/bin/sh", "-c", "echo ok"]);
        assert_eq!(container.init_pid, 24331);
        let layers = container.layers.expect("it is an overlay");
        assert!(layers.upper.ends_with("diff") && layers.merged.ends_with("merged"));
        assert!(layers.lowers.len() > 1 && layers.lowers[0].to_string_lossy().contains("-init/"));
    }

    #[test]
    fn mounts_of_every_kind_come_longest_first() {
        let container = container(&parse(RUNNING), &[]);
        let kind = |place: &str| container.mount_of(place.as_bytes());
        assert_eq!(kind("/vol/x"), Some(MountKind::Volume));
        assert_eq!(kind("/data"), Some(MountKind::Volume));
        assert_eq!(kind("/bind/x"), Some(MountKind::Bind));
        assert_eq!(kind("/tt/x"), Some(MountKind::Tmpfs), "--mount type=tmpfs");
        assert_eq!(kind("/run/x/y"), Some(MountKind::Tmpfs), "--tmpfs");
        assert_eq!(kind("/etc/hosts"), Some(MountKind::Bind));
        assert_eq!(kind("/etc/passwd"), None);
        assert!(container.mounts.is_sorted_by_key(|it| std::cmp::Reverse(it.destination.len())));
    }

    #[test]
    fn a_container_not_yet_started_has_no_process() {
        let container = container(&parse(CREATED), &[]);
        assert_eq!(container.init_pid, 0);
        assert_eq!(container.mount_of(b"/etc/resolv.conf"), Some(MountKind::Bind));
        assert!(container.health_command.is_empty(), "disabled");
    }

    #[test]
    fn a_start_is_told_in_milliseconds_and_none_is_none() {
        let started = |at: &str| {
            let sample =
                RUNNING.replace("\"Pid\": 24331", &format!("\"Pid\": 1, \"StartedAt\": \"{at}\""));
            container(&parse(&sample), &[]).started_ms
        };
        assert_eq!(started("2026-11-27T18:00:00.123456789Z"), 1_795_802_400_123);
        assert_eq!(started("0001-01-01T00:00:00Z"), 0);
        assert_eq!((started("soon"), container(&parse(RUNNING), &[]).started_ms), (0, 0));
    }

    #[test]
    fn the_digest_is_that_of_the_repository_asked_for() {
        let known = strings(&["mirror.test:5000/nginx@sha256:aa", "nginx@sha256:bb"]);
        let cases = [
            ("nginx:1", "sha256:bb"),
            ("docker.io/library/nginx", "sha256:bb"),
            ("mirror.test:5000/nginx", "sha256:aa"),
            ("nginx:1@sha256:cc", "sha256:cc"),
            ("5d0da3dc9764", "sha256:aa"),
        ];
        for (asked, expected) in cases {
            assert_eq!(digest(asked, "sha256:id", &known), expected, "{asked}");
        }
        assert_eq!(digest("nginx", "sha256:id", &[]), "sha256:id");
        assert_eq!(without_digest("nginx:1@sha256:cc"), "nginx:1");
    }

    #[test]
    fn health_checks_are_told_as_docker_executes_them() {
        let of = |test: &[&str], shell: Option<Vec<String>>| {
            let healthcheck =
                bollard::models::HealthConfig { test: Some(strings(test)), ..Default::default() };
            let healthcheck = Some(healthcheck);
            health_command(&ContainerConfig { healthcheck, shell, ..Default::default() })
        };
        assert_eq!(of(&["CMD", "/check", "-q"], None), ["/check", "-q"]);
        let bash = Some(strings(&["/bin/bash", "-ec"]));
        assert_eq!(of(&["CMD-SHELL", "true && x"], bash), ["/bin/bash", "-ec", "true && x"]);
        assert!(of(&["NONE"], None).is_empty() && of(&[], None).is_empty());
    }

    #[test]
    fn an_event_names_a_container_that_is_gone() {
        let attributes = HashMap::from(
            [
                ("name", "job"),
                ("image", "shop/job:2@sha256:dd"),
                ("com.docker.swarm.task.id", "t1"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let container = from_attributes("ab", &attributes, "", &[]);
        assert_eq!((container.name.as_str(), container.image.as_str()), ("job", "shop/job:2"));
        assert_eq!(
            (container.image_digest.as_str(), container.task_id.as_str()),
            ("sha256:dd", "t1")
        );
    }
}
