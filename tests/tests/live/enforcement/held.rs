//! What holds when the agent is gone and its programs are to stay, row by row of the documentation's
//! table, and how the next agent takes over.

use std::path::{Path, PathBuf};

use plimsoll_tests::{
    agent::{Agent, Setup, plain},
    bpffs::BpfFs,
    docker::{BUSYBOX, Container, Docker},
    event::text,
    guard::{Own, Stop, alerts, is_stopped, says_refused, wait_until_guarded},
    http, poll, require,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";
const HELLO: &str = "/usr/bin/hello";

const POLICY: &str = r#"
[[policy]]
service = "stop-all"
exec = "enforce"
file = "enforce"
network = "enforce"
[[exception]]
service = "stop-all"
rule = "write_outside_volumes"
path = "/opt/allowed"
reason = "is allowed"
"#;

/// A place for the agents of one test, one after the other.
struct Host {
    binary: PathBuf,
    pins: BpfFs,
    data: tempfile::TempDir,
    own: Own,
}

impl Host {
    fn new() -> Self {
        let binary = require::binary();
        let data = tempfile::tempdir().expect("a data directory");
        Self { binary, pins: BpfFs::mount(), data, own: Own::new() }
    }

    fn agent(&self) -> Agent {
        let pins = self.pins.path().join("plimsoll");
        let config = format!(
            "[response]\nwhen_gone = \"hold\"\npins = \"{}\"\n{}",
            pins.display(),
            self.own.config(POLICY)
        );
        Setup::default().config(&config).data_dir(self.data.path()).start()
    }

    /// A container that they guard.
    fn held(&self) -> Container {
        let options = [&*self.own.label("all"), "--tmpfs=/scratch:exec"];
        let container = Docker::host().start(BUSYBOX, &options, &[]);
        wait_until_guarded(&container);
        container
    }

    /// `plimsoll release` for these agents.
    fn release(&self) -> std::process::Output {
        let mut command = plain(&self.binary);
        command.args(["release", "--data-dir"]).arg(self.data.path());
        command.env("PLIMSOLL_RESPONSE__PINS", self.pins.path().join("plimsoll"));
        command.output().expect("the binary runs")
    }

    fn is_empty(&self) -> bool {
        self.pins.names().iter().all(|name| name == "plimsoll")
    }
}

impl Drop for Host {
    /// Unmounting alone would leave the programs to whoever still looks at the mount.
    fn drop(&mut self) {
        self.release();
    }
}

/// Each class broken once.
fn assert_all_stopped(container: &Container, exec: Stop, file: Stop) {
    exec.assert_stopped(&container.attempt(&[ACTS, "memfd", HELLO]));
    file.assert_stopped(&container.attempt_shell("exec echo > /opt/written"));
    assert!(says_refused(&container.attempt(&[ACTS, "raw-sockets"])));
    // What is allowed goes on.
    container.shell("echo > /opt/allowed; echo > /scratch/x; /usr/bin/hello");
}

fn is_free(container: &Container) -> bool {
    container.attempt(&[ACTS, "memfd", HELLO]).status.success()
}

#[test]
fn killed_the_agent_leaves_every_class_stopped_and_the_next_one_takes_over() {
    let host = Host::new();
    let agent = host.agent();
    let (exec, file) = (Stop::of(&agent, "exec"), Stop::of(&agent, "file"));
    let container = host.held();
    assert_all_stopped(&container, exec, file);
    agent.kill();
    assert_all_stopped(&container, exec, file);
    // It was created before, so that it is known; its cgroup is another one now.
    container.restart();
    assert_all_stopped(&container, exec, file);

    let agent = host.agent();
    // At no moment in between.
    for _ in 0..20 {
        exec.assert_stopped(&container.attempt(&[ACTS, "memfd", HELLO]));
    }
    poll::holds("it took over", || agent.log().contains("took over"));
    assert_all_stopped(&container, exec, file);
    let of_one = host.pins.names().iter().filter(|name| *name == "BULK").count();
    assert_eq!(of_one, 1, "{:?}", host.pins.names());
    agent.stop();
}

#[test]
fn what_was_stopped_while_no_agent_ran_is_told_by_the_next() {
    let host = Host::new();
    let agent = host.agent();
    let stop = Stop::of(&agent, "exec");
    let container = host.held();
    agent.kill();
    stop.assert_stopped(&container.attempt(&[ACTS, "memfd", HELLO]));
    container.shell("echo > /opt/allowed");
    let agent = host.agent();
    let wanted = json!({"rule": "executable_in_memory"});
    let alert = agent.expect(&container, "alert", &wanted);
    assert!(is_stopped(&alert), "{alert}");
    agent.expect(&container, "file_write", &json!({"file.path": "/opt/allowed"}));
    assert!(alerts(&agent, &container).iter().all(|it| text(it, "alert.path") != "/opt/allowed"));
    agent.stop();
}

#[test]
fn ended_in_good_order_it_leaves_them_too_until_they_are_released() {
    let host = Host::new();
    let agent = host.agent();
    let (exec, file) = (Stop::of(&agent, "exec"), Stop::of(&agent, "file"));
    let container = host.held();
    let refused = host.release();
    assert_eq!(refused.status.code(), Some(3), "while the agent runs: {refused:?}");
    agent.stop();
    assert_all_stopped(&container, exec, file);
    let released = host.release();
    assert!(released.status.success(), "{released:?}");
    assert!(host.is_empty(), "{:?}", host.pins.names());
    poll::holds("nothing is stopped any more", || is_free(&container));
    container.shell("echo > /opt/written");
    let again = host.release();
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("nothing is held"), "{again:?}");
}

#[test]
fn pins_are_for_root_alone() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::new();
    let agent = host.agent();
    let root = host.pins.path().join("plimsoll");
    let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode();
    assert_eq!(mode(&root) & 0o777, 0o700);
    for entry in std::fs::read_dir(&root).expect("reads") {
        assert_eq!(mode(&entry.expect("reads").path()) & 0o777, 0o700);
    }
    assert!(http::get(agent.metrics, "/healthz").is_some());
    agent.stop();
}

#[test]
fn without_a_bpf_file_system_it_says_so_and_does_not_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let pins = dir.path().join("plimsoll");
    let config = format!("[response]\nwhen_gone = \"hold\"\npins = \"{}\"\n", pins.display());
    let (code, log) = Setup::default().config(&config).refused();
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("is no BPF file system: mount one"), "{log}");
}
