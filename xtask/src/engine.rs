//! The newest Docker that Debian has, beside the host's own: its programs with their libraries, and a
//! place in which it runs as if it were the host's only one, with images that containerd keeps.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Apt},
    cmd, debian, paths, say,
};

const SOURCES: [&str; 1] = ["http://deb.debian.org/debian sid"];
const PACKAGES: [&str; 5] = ["docker.io", "docker-cli", "containerd", "runc", "tini-static"];
const PROGRAMS: [&str; 6] = [
    "usr/sbin/dockerd",
    "usr/sbin/docker-proxy",
    "usr/bin/docker",
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
    "usr/sbin/runc",
];
/// Needs no libraries: it runs in containers.
const INIT: &str = "usr/bin/tini-static";

/// The programs' directories of libraries, as far as the packages fill them.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";

/// Makes the usual places its own, then becomes what it is told.
const ALONE: &str = r#"set -e
mkdir -p "$0/data" "$0/settings" /etc/docker /var/lib/docker
echo '{"features": {"containerd-snapshotter": true}}' > "$0/settings/daemon.json"
mount --make-rshared /
mount --bind "$0/settings" /etc/docker
mount --bind "$0/data" /var/lib/docker
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
ip link set lo up
exec "$@""#;

/// This program with these arguments, as on a host whose Docker is the newest.
pub(crate) fn alone(arguments: &[&str]) -> Result<Command> {
    let programs = programs()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path)))?;
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--propagation=private", "sh", "-c", ALONE])
        .arg(directory())
        .arg(env::current_exe()?)
        .args(arguments)
        .env("PATH", path);
    Ok(command)
}

fn directory() -> PathBuf {
    paths::made().join("engine")
}

/// The directory of its programs, after fetching them where they are not there.
fn programs() -> Result<PathBuf> {
    let directory = directory();
    let programs = directory.join("bin");
    if !programs.exists() {
        say("fetching the newest Docker from Debian");
        fetch(&directory, &programs).context("fetching the newest Docker")?;
    }
    Ok(programs)
}

fn fetch(directory: &Path, programs: &Path) -> Result<()> {
    let tools = ["debian-archive-keyring", "iproute2", "iptables", "patchelf"];
    debian::install("what makes a Docker of another Debian run here", &tools)?;
    let (root, settings) = (directory.join("root"), directory.join("apt"));
    for old in [&root, &settings] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
        }
    }
    let apt = Apt::set_up(&settings, &SOURCES)?;
    apt.unpack(apt.closure(&PACKAGES, apt::libraries)?, &root)?;
    fs::remove_dir_all(&settings).context("removing what apt left")?;
    // Under another name until all are there.
    let made = directory.join("bin.new");
    fs::create_dir_all(&made).with_context(|| format!("creating {}", made.display()))?;
    for program in PROGRAMS {
        let name = Path::new(program).file_name().context("a program has a name")?;
        let to = made.join(name);
        fs::copy(root.join(program), &to).with_context(|| format!("copying {program}"))?;
        let mut patch = Command::new("patchelf");
        patch.arg("--set-interpreter").arg(root.join(LOADER));
        patch.arg("--set-rpath").arg(root.join(LIBRARIES)).arg(to);
        cmd::output(&mut patch)?;
    }
    fs::copy(root.join(INIT), made.join("docker-init")).context("copying docker-init")?;
    fs::rename(&made, programs).context("putting the programs in their place")
}
