//! Who uses, or tries to use, a privilege of the kernel.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker},
    event::number,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";

fn start() -> Container {
    Docker::host().start(BUSYBOX, &[], &[])
}

#[test]
fn attempts_are_told_whether_they_succeed_or_not() {
    let agent = Agent::shared();
    let container = start();
    for (act, op, succeeds) in [
        ("ptrace-self", "ptrace", true),
        ("setns-try", "setns", false),
        ("mount-try", "mount", false),
        ("unshare-try", "unshare", false),
        ("clone-try", "clone", false),
    ] {
        container.exec(&[ACTS, act]);
        let wanted = json!({"priv.op": op, "proc.exe": ACTS, "proc.origin": "exec"});
        let event = agent.expect(&container, "privilege", &wanted);
        let result = number(&event, "ret");
        assert_eq!(result == 0, succeeds, "{op} returned {result}");
        assert!(result >= -4095, "{op} returned {result}, which is no error number");
    }
}

#[test]
fn a_mount_is_told_with_what_and_where() {
    let agent = Agent::shared();
    let container = start();
    container.exec(&[ACTS, "mount-try"]);
    let wanted = json!({"priv.op": "mount", "priv.path": "none", "priv.to": "/tmp"});
    agent.expect(&container, "privilege", &wanted);
}

#[test]
fn an_act_is_not_hidden_by_another_of_its_kind() {
    let agent = Agent::shared();
    let container = start();
    container.shell("mkdir /opt/a /opt/b; chroot /opt/a /x || chroot /opt/b /x || true");
    for path in ["/opt/a", "/opt/b"] {
        let wanted = json!({"priv.op": "chroot", "priv.path": path});
        agent.expect(&container, "privilege", &wanted);
    }
}

#[test]
fn a_change_of_root_is_told() {
    let agent = Agent::shared();
    let container = start();
    container.exec(&["/bin/chroot", "/", "/usr/bin/hello"]);
    let wanted = json!({"priv.op": "chroot", "priv.path": "/", "ret": 0});
    agent.expect(&container, "privilege", &wanted);
}

#[test]
fn a_change_of_user_is_told() {
    let agent = Agent::shared();
    let container = start();
    container.exec(&["/bin/su", "www-data", "-c", "/usr/bin/hello"]);
    agent.expect(&container, "privilege", &json!({"priv.op": "setuid", "priv.number": 33}));
    let exec = json!({"proc.exe": "/usr/bin/hello", "proc.uid": 33});
    agent.expect(&container, "exec", &exec);
}

#[test]
fn only_sockets_that_see_whole_packets_are_told() {
    const FAMILIES: [i64; 2] = [2, 17];
    let agent = Agent::shared();
    let container = start();
    container.exec(&[ACTS, "raw-sockets"]);
    for family in FAMILIES {
        let wanted = json!({"priv.op": "raw_socket", "priv.number": family, "proc.exe": ACTS});
        agent.expect(&container, "privilege", &wanted);
    }
    let told = agent.all(&container, "privilege", &json!({"priv.op": "raw_socket"}));
    assert_eq!(told.len(), FAMILIES.len(), "{told:#?}");
}

#[test]
fn a_capability_is_told_where_the_kernel_lets_it_be_seen() {
    let agent = Agent::shared();
    if agent.metric("plimsoll_probe_attached{probe=\"on_capability\"}") < 1.0 {
        // The tracepoint came with Linux 6.14; there `plimsoll check` and the metric tell.
        return;
    }
    let container = start();
    container.shell(&format!("echo > /opt/file; {ACTS} cap-chown /opt/file"));
    let wanted = json!({"priv.op": "capability", "priv.cap": "CHOWN", "proc.exe": ACTS, "ret": 0});
    agent.expect(&container, "privilege", &wanted);
}

#[test]
fn memory_that_becomes_executable_is_told_once() {
    let agent = Agent::shared();
    let container = start();
    container.exec(&["/usr/bin/breach", "anonymous-exec"]);
    let wanted = json!({"priv.op": "executable_memory", "proc.exe": "/usr/bin/breach"});
    agent.expect(&container, "privilege", &wanted);
    // A program as any other maps its libraries, and no more.
    container.exec(&["/usr/bin/hello"]);
    agent.expect(&container, "exit", &json!({"proc.exe": "/usr/bin/hello"}));
    let by_others = json!({"priv.op": "executable_memory", "proc.exe": "/usr/bin/hello"});
    assert_eq!(agent.all(&container, "privilege", &by_others).len(), 0);
}
