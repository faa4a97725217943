//! What a container was given that leads out of it, by what Docker's inspection says of it.

use bollard::models::{ContainerInspectResponse, HostConfig, MountPoint};
use plimsoll_ebpf::rules::Rule;

/// Something that gives whoever breaks into a container a hold on the host or on a neighbour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The rule that it breaks.
    pub rule: Rule,
    /// What it is, written as a path so that an exception can name it: `/run/docker.sock`,
    /// `/capability/SYS_ADMIN`, `/namespace/pid`.
    pub object: String,
}

/// Capabilities that give a hold on what is outside; none of them is Docker's by default.
const CAPABILITIES: [&str; 15] = [
    "ALL",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "PERFMON",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_TIME",
    "SYSLOG",
];

/// How the sockets of container engines are called.
const SOCKETS: [&str; 6] = [
    "docker.sock",
    "containerd.sock",
    "crio.sock",
    "podman.sock",
    "buildkitd.sock",
    "docker-containerd.sock",
];

/// Directories and files that the host obeys or that hold its secrets, with all below them.
const WITH_ALL_BELOW: [&str; 25] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc/cron.d",
    "/etc/docker",
    "/etc/ld.so.preload",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/profile.d",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/systemd",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/sbin",
    "/var/lib/containerd",
    "/var/spool/cron",
];

/// Directories that are told when they are mounted whole.
const WHOLE: [&str; 9] =
    ["/", "/etc", "/home", "/run", "/usr", "/var", "/var/lib", "/var/lib/docker", "/var/run"];

/// Devices below /dev that are made to be shared.
const SHARED_DEVICES: [&str; 12] = [
    "/dev/dri",
    "/dev/full",
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/null",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/random",
    "/dev/snd",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// All that a container was given, in a fixed order.
pub fn grants(response: &ContainerInspectResponse) -> Vec<Grant> {
    let mut grants = Vec::new();
    let mut give = |rule, object: String| grants.push(Grant { rule, object });
    for mount in response.mounts.iter().flatten() {
        of_mount(mount, &mut give);
    }
    if let Some(host) = &response.host_config {
        of_namespaces(host, &mut give);
        if host.privileged == Some(true) {
            give(Rule::PrivilegedContainer, "/privileged".to_owned());
        } else {
            // Whoever is privileged has these anyway.
            of_capabilities(host, &mut give);
            of_devices(host, &mut give);
            of_safeguards(host, &mut give);
        }
    }
    grants.sort();
    grants.dedup();
    grants
}

/// Whether a container's processes are root unless they change it themselves.
pub fn runs_as_root(response: &ContainerInspectResponse) -> bool {
    let user = response.config.as_ref().and_then(|it| it.user.as_deref()).unwrap_or_default();
    let name = user.split(':').next().unwrap_or_default();
    name.is_empty() || name == "root" || name.parse() == Ok(0_u32)
}

type Give<'g> = &'g mut dyn FnMut(Rule, String);

fn of_mount(mount: &MountPoint, give: Give<'_>) {
    let Some(source) = mount.source.as_deref().filter(|it| it.starts_with('/')) else { return };
    // A volume lies below the engine's own data, and nowhere that matters.
    if mount.typ.as_deref().is_some_and(|typ| typ != "bind") {
        return;
    }
    let source = if source.len() > 1 { source.trim_end_matches('/') } else { source };
    let name = source.rsplit('/').next().unwrap_or_default();
    if SOCKETS.contains(&name) {
        give(Rule::RuntimeSocket, source.to_owned());
    } else if WHOLE.contains(&source) || is_below_any(source, &WITH_ALL_BELOW) {
        let is_shared = is_below_any(source, &SHARED_DEVICES);
        let is_clock = ["/etc/localtime", "/usr/share/zoneinfo"].contains(&source);
        if !is_shared && !is_clock {
            give(Rule::HostPath, source.to_owned());
        }
    }
}

fn of_namespaces(host: &HostConfig, give: Give<'_>) {
    // The host's users are the default of most engines, and its control groups that of many.
    let modes = [
        ("pid", host.pid_mode.as_deref()),
        ("net", host.network_mode.as_deref()),
        ("ipc", host.ipc_mode.as_deref()),
        ("uts", host.uts_mode.as_deref()),
    ];
    for (kind, mode) in modes {
        match mode {
            Some("host") => give(Rule::HostNamespace, format!("/namespace/{kind}")),
            Some(mode) if mode.starts_with("container:") => {
                give(Rule::SharedNamespace, format!("/namespace/{kind}"));
            }
            _ => {}
        }
    }
}

fn of_capabilities(host: &HostConfig, give: Give<'_>) {
    for name in host.cap_add.iter().flatten() {
        let name = name.to_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        if CAPABILITIES.contains(&name) {
            give(Rule::ExtraCapability, format!("/capability/{name}"));
        }
    }
}

fn of_devices(host: &HostConfig, give: Give<'_>) {
    for device in host.devices.iter().flatten() {
        let Some(path) = device.path_on_host.as_deref() else { continue };
        if path.starts_with('/') && !is_below_any(path, &SHARED_DEVICES) {
            give(Rule::HostDevice, path.to_owned());
        }
    }
    // `a *:* rwm`: every device, whether or not it has a name in the container.
    for rule in host.device_cgroup_rules.iter().flatten() {
        if rule.starts_with('a') || rule.starts_with('b') {
            give(Rule::HostDevice, "/device/by-rule".to_owned());
        }
    }
}

fn of_safeguards(host: &HostConfig, give: Give<'_>) {
    let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
    let has_host_processes = is_host(&host.pid_mode) || is_host(&host.ipc_mode);
    for option in host.security_opt.iter().flatten() {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("seccomp" | "apparmor", "unconfined") => {
                give(Rule::UnconfinedContainer, format!("/safeguard/{key}"));
            }
            // Docker says so itself of whoever has the host's processes or IPC.
            ("label", "disable") if !has_host_processes => {
                give(Rule::UnconfinedContainer, "/safeguard/label".to_owned());
            }
            ("systempaths", "unconfined") => {
                give(Rule::UnconfinedContainer, "/safeguard/systempaths".to_owned());
            }
            _ => {}
        }
    }
    // The client turns `systempaths=unconfined` into empty lists.
    let is_empty = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(Vec::is_empty);
    if is_empty(&host.masked_paths) && is_empty(&host.readonly_paths) {
        give(Rule::UnconfinedContainer, "/safeguard/systempaths".to_owned());
    }
}

fn is_below_any(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| {
        path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(inspection: Value) -> Vec<(&'static str, String)> {
        let response = serde_json::from_value(inspection).expect("an inspection");
        let grants = grants(&response).into_iter();
        grants.map(|it| (it.rule.info().name, it.object)).collect()
    }

    fn bind(source: &str) -> Value {
        json!({"Mounts": [{"Type": "bind", "Source": source, "Destination": "/x"}]})
    }

    #[test]
    fn a_usual_container_was_given_nothing() {
        let inspection = json!({
            "HostConfig": {
                "PidMode": "", "NetworkMode": "default", "IpcMode": "private", "UTSMode": "",
                "CapAdd": ["NET_BIND_SERVICE"], "SecurityOpt": ["no-new-privileges"],
                "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"],
                "Devices": [{"PathOnHost": "/dev/net/tun", "PathInContainer": "/dev/net/tun"}],
            },
            "Mounts": [
                {"Type": "volume", "Name": "v", "Source": "/var/lib/docker/volumes/v/_data"},
                {"Type": "bind", "Source": "/srv/data"},
                {"Type": "bind", "Source": "/etc/localtime"},
                {"Type": "bind", "Source": "/dev/snd/x"},
            ],
        });
        assert_eq!(told(inspection), []);
    }

    #[test]
    fn all_privileges_stand_for_those_they_hold() {
        let host = json!({"Privileged": true, "CapAdd": ["ALL"], "PidMode": "host"});
        assert_eq!(
            told(json!({"HostConfig": host})),
            [
                ("privileged_container", "/privileged".to_owned()),
                ("host_namespace", "/namespace/pid".to_owned()),
            ]
        );
    }

    #[test]
    fn what_of_the_host_is_mounted_is_told_by_its_path_there() {
        for (source, rule) in [
            ("/var/run/docker.sock", "runtime_socket"),
            ("/run/user/0/podman/podman.sock", "runtime_socket"),
            ("/", "host_path"),
            ("/etc", "host_path"),
            ("/etc/shadow", "host_path"),
            ("/proc", "host_path"),
            ("/root/.ssh", "host_path"),
            ("/dev/sda", "host_path"),
        ] {
            assert_eq!(told(bind(source)), [(rule, source.to_owned())]);
        }
        for source in ["/etc/app", "/home/me/app", "/rooted", "/srv/docker.sock.d"] {
            assert_eq!(told(bind(source)), [], "{source}");
        }
    }

    #[test]
    fn capabilities_devices_and_safeguards_are_told_one_by_one() {
        let host = json!({
            "CapAdd": ["CAP_SYS_ADMIN", "sys_ptrace", "CHOWN"],
            "NetworkMode": "container:ab", "UTSMode": "host",
            "Devices": [{"PathOnHost": "/dev/sda"}],
            "DeviceCgroupRules": ["c 13:* rw", "a *:* rwm"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor:unconfined", "label=disable"],
            "MaskedPaths": [], "ReadonlyPaths": [],
        });
        let told = told(json!({"HostConfig": host}));
        let objects: Vec<&str> = told.iter().map(|(_, object)| object.as_str()).collect();
        assert_eq!(
            objects,
            [
                "/namespace/uts",
                "/namespace/net",
                "/capability/SYS_ADMIN",
                "/capability/SYS_PTRACE",
                "/dev/sda",
                "/device/by-rule",
                "/safeguard/apparmor",
                "/safeguard/label",
                "/safeguard/seccomp",
                "/safeguard/systempaths",
            ]
        );
    }

    #[test]
    fn root_is_who_has_no_other_name() {
        let of = |user: &str| {
            let response = serde_json::from_value(json!({"Config": {"User": user}}));
            runs_as_root(&response.expect("an inspection"))
        };
        assert!(of("") && of("root") && of("0:0") && of("00"));
        assert!(!of("app") && !of("1000:0"));
    }
}
