//! Containers that ran before the agent did.

use plimsoll_tests::{
    agent::{Agent, Setup},
    docker::{BUSYBOX, Container, Docker, Network},
    event::{number, text},
    poll,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";
const WAIT: &str = "until [ -e /tmp/go ]; do usleep 20000; done";

fn start(options: &[&str], script: &str) -> Container {
    Docker::host().start(BUSYBOX, options, &["/bin/sh", "-c", script])
}

#[test]
fn sessions_and_own_processes_of_an_earlier_container_are_told() {
    let script = format!("{WAIT}; echo > /opt/acted; /usr/bin/hello own; exec {ACTS} wait");
    let container = start(&["--volume=/data"], &script);
    let pid = i64::from(container.pid());
    let agent = Setup::default().start();
    container.exec(&["/usr/bin/hello", "session"]);
    container.exec(&["/bin/touch", "/tmp/go", "/data/file"]);

    let session = json!({"proc.args": ["/usr/bin/hello", "session"], "proc.origin": "exec"});
    agent.expect(&container, "exec", &session);
    let write = json!({
        "file.path": "/opt/acted",
        "file.layer": "upper",
        "proc.exe": "/bin/busybox",
        "proc.args": ["/bin/sh", "-c", script],
        "proc.pid": pid,
        "proc.origin": "init",
    });
    agent.expect(&container, "file_write", &write);
    let exec = json!({
        "proc.args": ["/usr/bin/hello", "own"],
        "proc.origin": "init",
        "proc.parent.pid": pid,
        "proc.parent.exe": "/bin/busybox",
    });
    agent.expect(&container, "exec", &exec);
    let on_volume = json!({"file.path": "/data/file", "file.layer": "volume"});
    agent.expect(&container, "file_write", &on_volume);
    // The same process, now with another program.
    let replaced = json!({"proc.args": [ACTS, "wait"], "proc.pid": pid, "proc.origin": "init"});
    agent.expect(&container, "exec", &replaced);
}

#[test]
fn an_earlier_session_is_not_taken_for_the_containers_own() {
    let container = start(&[], &format!("exec {ACTS} wait"));
    let script = format!("{WAIT}; /usr/bin/hello session; true");
    Docker::host().run(&["exec", "--detach", &container.name, "/bin/sh", "-c", &script]);
    let agent = Setup::default().start();
    container.exec(&["/bin/touch", "/tmp/go"]);
    let wanted = json!({
        "proc.args": ["/usr/bin/hello", "session"],
        "proc.ancestors": ["/bin/busybox"],
    });
    let event = agent.expect(&container, "exec", &wanted);
    // Where it came from, nothing in the kernel remembers: not to know is better than to guess.
    assert!(["exec", "unknown"].contains(&text(&event, "proc.origin")), "{event}");
}

#[test]
fn the_descendants_in_an_earlier_container_are_told_with_their_ancestors() {
    let script =
        format!("/bin/env /bin/sh -c '{WAIT}; /usr/bin/hello deep; true'; exec {ACTS} wait");
    let container = start(&[], &script);
    let agent = Setup::default().start();
    container.exec(&["/bin/touch", "/tmp/go"]);
    let wanted = json!({
        "proc.args": ["/usr/bin/hello", "deep"],
        "proc.origin": "init",
        "proc.ancestors": ["/bin/busybox", "/bin/busybox"],
    });
    agent.expect(&container, "exec", &wanted);
}

#[test]
fn a_listener_in_an_earlier_container_is_known_when_it_is_connected_to() {
    let docker = Docker::host();
    let network = Network::create(&docker, &[]);
    let on_network = format!("--network={}", network.name);
    let server = docker.start(BUSYBOX, &[&on_network], &[ACTS, "listen", "7100"]);
    server.wait_for_log("listening");
    let client = docker.start(BUSYBOX, &[&on_network], &[]);
    let agent = Setup::default().start();
    client.exec(&[ACTS, "tcp", &server.name, "7100"]);
    let accept = json!({
        "net.raddr": client.addresses().0,
        "net.lport": 7100,
        "proc.exe": ACTS,
        "proc.args": [ACTS, "listen", "7100"],
    });
    agent.expect(&server, "accept", &accept);
}

#[test]
fn what_a_container_looked_up_while_an_earlier_agent_ran_is_known_by_its_name() {
    let docker = Docker::host();
    let network = Network::create(&docker, &[]);
    let on_network = format!("--network={}", network.name);
    // Nobody of this host has the address then, and so only the container knows a name for it.
    let server = docker.start(BUSYBOX, &[&on_network, "--network-alias=ledger"], &[]);
    let address = server.addresses().0.to_string();
    let client = docker.start(BUSYBOX, &[&on_network], &[]);
    let home = tempfile::tempdir().expect("a directory");
    let connect = |agent: &Agent, peer, port: u16| {
        client.exec(&[ACTS, "udp", peer, &port.to_string()]);
        let wanted = json!({"net.raddr": address, "net.rport": port, "net.dns": "ledger"});
        agent.expect(&client, "connect", &wanted);
    };
    let agent = Setup::default().data_dir(home.path()).start();
    connect(&agent, "ledger", 7101);
    agent.stop();
    drop(server);
    let agent = Setup::default().data_dir(home.path()).start();
    connect(&agent, &address, 7102);
    agent.stop();
}

#[test]
fn earlier_containers_are_watched_and_counted() {
    let containers = [start(&[], &format!("exec {ACTS} wait")), start(&[], "exec /bin/sleep 999")];
    let agent = Setup::default().start();
    poll::holds("they are counted", || agent.metric("plimsoll_containers_watched") >= 2.0);
    poll::holds("so are their processes", || agent.metric("plimsoll_processes_tracked") >= 2.0);
    for container in &containers {
        container.exec(&["/usr/bin/hello", "found"]);
        let wanted = json!({"proc.args": ["/usr/bin/hello", "found"]});
        let event = agent.expect(container, "exec", &wanted);
        assert!(number(&event, "proc.start") > 0);
    }
}
