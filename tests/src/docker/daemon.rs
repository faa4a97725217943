//! A Docker daemon of a test's own, which may be killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::{Docker, unique};
use crate::{
    cgroup, poll,
    process::{self, Process},
};

const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(20);

/// Where a daemon believes itself to be.
#[derive(Clone, Debug)]
enum Place {
    /// Beside the host's.
    Beside,
    /// The host's only one, at the usual places.
    Alone,
    /// The same on another host of this name, which has the network namespace of this name.
    Node(String),
}

/// A `dockerd` without networks, with its own data and its own containerd.
pub struct Daemon {
    place: Place,
    process: Process,
    /// To talk to it.
    pub docker: Docker,
    /// Its containers' common cgroup.
    cgroup: String,
    home: TempDir,
}

impl Daemon {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start() -> Self {
        Self::start_at(Place::Beside)
    }

    /// Starts it with mounts of its own, in which its data, its socket and a BPF file system are where
    /// they are on a host that runs nothing else, and in which mounts are shared as systemd has them.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start_alone() -> Self {
        Self::start_at(Place::Alone)
    }

    /// Starts it likewise on a host of its own, by its name and its network namespace's.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub(super) fn start_node(name: &str) -> Self {
        Self::start_at(Place::Node(name.to_owned()))
    }

    fn start_at(place: Place) -> Self {
        let home = tempfile::tempdir().expect("a directory for dockerd");
        let cgroup = unique("dockerd");
        let process = Process::start(&mut command(&place, home.path(), &cgroup), None);
        let docker = Docker { socket: Some(socket(&place, home.path())) };
        let mut daemon = Self { place, process, docker, cgroup, home };
        daemon.wait_until_it_answers();
        daemon
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        socket(&self.place, self.home.path())
    }

    /// Takes over an image of the host's Docker.
    ///
    /// # Panics
    /// When that fails.
    pub fn take_image(&self, image: &str) {
        let file = self.home.path().join("image.tar");
        let file = file.to_str().expect("temporary paths are text");
        Docker::host().run(&["save", "--output", file, image]);
        self.docker.run(&["load", "--input", file]);
    }

    /// Kills it as the kernel would when memory runs out; its containers go on.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after its end.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start_again(&mut self) {
        // Its containerd ended with it. Where nobody buries orphans, it would pass for alive.
        let _ = fs::remove_file(self.home.path().join("exec/containerd/containerd.pid"));
        self.process =
            Process::start(&mut command(&self.place, self.home.path(), &self.cgroup), None);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        let answers = poll::until(START, || {
            let ended = self.process.ended();
            assert!(ended.is_none(), "dockerd ended ({ended:?}): {}", self.log());
            let output = self.docker.attempt(&["version", "--format", "{{.Server.Version}}"]);
            output.status.success().then_some(())
        });
        assert!(answers.is_some(), "dockerd does not answer: {}", self.log());
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.terminate();
        self.process.wait(STOP);
        // What is left where it was killed, or did not start again: containerd and its shims, which
        // name the directory, then the containers' processes, then mounts and cgroups.
        let home = self.home.path().display().to_string();
        process::kill_all_that_name(&home);
        cgroup::kill(&self.cgroup);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut places: Vec<&str> = mounts.lines().filter_map(|it| it.split(' ').nth(1)).collect();
        places.retain(|place| place.starts_with(&home));
        for place in places.iter().rev() {
            let _ = Command::new("umount").args(["--lazy", place]).status();
        }
        cgroup::remove(&self.cgroup);
    }
}

fn socket(place: &Place, home: &Path) -> PathBuf {
    match place {
        Place::Beside => home.join("docker.sock"),
        Place::Alone | Place::Node(_) => home.join("run/docker.sock"),
    }
}

/// Makes the usual places its own, then becomes dockerd.
const ALONE: &str = r#"set -e
mkdir -p "$0/data" "$0/run"
mount --make-rshared /
mount --bind "$0/data" /var/lib/docker
mount --bind "$0/run" /run
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
[ -z "$1" ] || hostname "$1"
shift
exec dockerd "$@""#;

/// In a network namespace of its own: without a bridge, dockerd removes the one it finds, which is
/// the host's Docker's.
fn command(place: &Place, home: &Path, cgroup: &str) -> Command {
    let log = File::options().create(true).append(true).open(home.join("log"));
    let log = log.expect("the directory is the test's own");
    let mut command = match place {
        Place::Beside | Place::Alone => Command::new("unshare"),
        Place::Node(name) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/run/netns/{name}")).args(["unshare", "--uts"]);
            command
        }
    };
    let name = match place {
        Place::Beside | Place::Alone => "",
        Place::Node(name) => name,
    };
    let at = |option: &str, name: &str| format!("--{option}={}", home.join(name).display());
    match place {
        Place::Beside => {
            command.args(["--net", "dockerd", &at("data-root", "data")]);
            command.arg(format!("--host=unix://{}", socket(place, home).display()));
        }
        Place::Alone => {
            command.args(["--net", "--mount", "--propagation=private", "sh", "-c", ALONE]);
            command.arg(home).args([name, "--host=unix:///run/docker.sock"]);
        }
        Place::Node(_) => {
            command.args(["--mount", "--propagation=private", "sh", "-c", ALONE]);
            command.arg(home).args([name, "--host=unix:///run/docker.sock"]);
        }
    }
    command
        .args([at("exec-root", "exec"), at("pidfile", "pid")])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
        .arg(format!("--cgroup-parent=/{cgroup}"))
        // Where the host's containerd serves it, it must not meet the host's containers.
        .args(["--containerd-namespace=plimsoll-tests"])
        .args(["--containerd-plugins-namespace=plimsoll-tests-plugins"])
        .stdout(log.try_clone().expect("a descriptor can be doubled"))
        .stderr(log);
    command
}
