//! Sees to it that Docker answers, for as long as the tests need it.

use std::{
    env,
    fs::{self, File},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{cmd, debian, paths, say};

const START_DEADLINE: Duration = Duration::from_mins(1);
const SERVICE_DEADLINE: Duration = Duration::from_secs(5);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// A Docker that answers; if it was started here, it ends with this value.
pub(crate) struct Docker {
    started: Option<Child>,
}

impl Docker {
    /// Returns the Docker of this host, after installing and starting it where needed.
    pub(crate) fn ensure() -> Result<Self> {
        if paths::find_program("docker").is_some() && answers() {
            return Ok(Self { started: None });
        }
        if !cmd::is_root() {
            bail!("no Docker answers: start it, or run this command as root, which starts one");
        }
        if paths::find_program("dockerd").is_none() || paths::find_program("docker").is_none() {
            debian::install("Docker", &["docker.io"])?;
            // Where an init system runs, the package has started it, which takes a moment.
            if answers_within(SERVICE_DEADLINE) {
                return Ok(Self { started: None });
            }
        }
        start()
    }

    /// Leaves a daemon started here running.
    pub(crate) fn keep(mut self) {
        if let Some(daemon) = self.started.take() {
            say(&format!("dockerd stays, as process {}", daemon.id()));
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let Some(mut daemon) = self.started.take() else { return };
        say("stopping dockerd");
        cmd::terminate(&daemon);
        let deadline = Instant::now() + STOP_DEADLINE;
        while Instant::now() < deadline {
            if !matches!(daemon.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        say(&format!("dockerd (process {}) does not stop", daemon.id()));
    }
}

/// A docker command line; images are built by the builder that every Docker has.
pub(crate) fn docker() -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_BUILDKIT", "0");
    command
}

/// Whether something listens on Docker's socket, without asking more of it.
pub(crate) fn socket_answers() -> bool {
    env::var_os("DOCKER_HOST").is_some() || UnixStream::connect("/var/run/docker.sock").is_ok()
}

fn answers() -> bool {
    cmd::succeeds(docker().args(["info", "--format", "{{.ServerVersion}}"]))
        // An unreachable daemon does not fail every version of `docker info`.
        && cmd::succeeds(docker().args(["version", "--format", "{{.Server.Version}}"]))
}

fn answers_within(limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while !answers() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

fn start() -> Result<Docker> {
    let program =
        paths::find_program("dockerd").context("dockerd is not in PATH after its installation")?;
    mount_cgroups()?;
    for file in PID_FILES {
        remove_stale(Path::new(file));
    }
    let log = paths::made().join("dockerd.log");
    fs::create_dir_all(paths::made())?;
    let out = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    say(&format!("starting dockerd (log: {})", log.display()));
    let mut daemon = Command::new(program)
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .spawn()
        .context("starting dockerd")?;
    let deadline = Instant::now() + START_DEADLINE;
    while !answers() {
        let ended = daemon.try_wait().context("waiting for dockerd")?;
        if ended.is_some() || Instant::now() > deadline {
            drop(Docker { started: ended.is_none().then_some(daemon) });
            let what =
                ended.map_or("does not answer".to_owned(), |status| format!("ended ({status})"));
            bail!("dockerd {what}:\n{}", tail(&fs::read_to_string(&log).unwrap_or_default(), 15));
        }
        thread::sleep(POLL);
    }
    Ok(Docker { started: Some(daemon) })
}

/// Where dockerd and its containerd note who they are.
const PID_FILES: [&str; 2] = ["/var/run/docker.pid", "/var/run/docker/containerd/containerd.pid"];

/// Removes a note of a process that has ended. Where nobody collects the dead, as in many
/// containers, dockerd takes them for alive.
fn remove_stale(file: &Path) {
    let Ok(pid) = fs::read_to_string(file) else { return };
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    if is_over(&stat) && fs::remove_file(file).is_ok() {
        say(&format!("removed {}, which names a process that has ended", file.display()));
    }
}

/// Whether a process with this `stat` (`proc_pid_stat(5)`) is a zombie or not there at all.
fn is_over(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map(|(_, after)| after);
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// Mounts the control groups where no init system has.
fn mount_cgroups() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading the mounts")?;
    if mounts_cgroups(&mounts) {
        return Ok(());
    }
    cmd::run(Command::new("mount").args(["-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]))
        .context("mounting the control groups, which Docker needs")
}

fn mounts_cgroups(mounts: &str) -> bool {
    mounts.lines().filter_map(|line| line.split(' ').nth(2)).any(|kind| kind.starts_with("cgroup"))
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_are_found_by_the_kind_of_mount() {
        assert!(mounts_cgroups("proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"));
        assert!(!mounts_cgroups("tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"));
    }

    #[test]
    fn the_dead_are_told_from_the_living() {
        assert!(is_over("") && is_over("7 (dockerd) Z 1 7"));
        assert!(!is_over("7 (a) Z) S 1 7"));
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
