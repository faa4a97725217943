//! What containers are given that leads out of them, and what they do with it.

use plimsoll_tests::{
    docker::{BUSYBOX, Container, Docker, Network, unique},
    event::text,
    guard::{expect_alert, monitoring, settle},
};
use serde_json::{Value, json};

/// Starts a container of a service of its own: what was told of another's is not told again.
fn given(options: &[&str]) -> Container {
    let label = format!("--label=com.docker.compose.service={}", unique("given"));
    Docker::host().start(BUSYBOX, &[&[label.as_str()], options].concat(), &[])
}

#[test]
fn what_a_container_is_given_is_told_when_it_starts() {
    let agent = monitoring();
    for (option, rule, object) in [
        ("--pid=host", "host_namespace", "/namespace/pid"),
        ("--volume=/var/run/docker.sock:/d.sock", "runtime_socket", "/var/run/docker.sock"),
        ("--volume=/etc:/host:ro", "host_path", "/etc"),
        ("--cap-add=SYS_PTRACE", "extra_capability", "/capability/SYS_PTRACE"),
        ("--security-opt=seccomp=unconfined", "unconfined_container", "/safeguard/seccomp"),
        ("--device-cgroup-rule=b 8:* r", "host_device", "/device/by-rule"),
    ] {
        let container = given(&[option]);
        let alert = expect_alert(agent, &container, rule, object);
        assert_eq!(text(&alert, "alert.of"), "container", "{alert}");
    }
    let neighbour = given(&[]);
    let container = given(&[&format!("--pid=container:{}", neighbour.name)]);
    expect_alert(agent, &container, "shared_namespace", "/namespace/pid");
}

#[test]
fn a_container_that_is_given_what_is_usual_raises_nothing() {
    let agent = monitoring();
    let own = tempfile::tempdir().expect("a directory");
    let bind = format!("--volume={}:/bind", own.path().display());
    let container = given(&["--volume=/data", &bind, "--cap-add=NET_BIND_SERVICE", "--init"]);
    settle(agent, &container);
    agent.expect(&container, "container", &json!({"container.op": "start"}));
    let told = agent.all(&container, "alert", &json!({"alert.of": "container"}));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn of_replicas_the_first_is_told_and_the_others_are_counted() {
    let agent = monitoring();
    let label = format!("--label=com.docker.compose.service={}", unique("replicas"));
    let start = || Docker::host().start(BUSYBOX, &[&label, "--cap-add=SYS_PTRACE"], &[]);
    let first = start();
    expect_alert(agent, &first, "extra_capability", "/capability/SYS_PTRACE");
    let second = start();
    agent.expect(&second, "container", &json!({"container.op": "start"}));
    settle(agent, &second);
    let told = agent.all(&second, "alert", &json!({"rule": "extra_capability"}));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn who_mounts_or_enters_a_namespace_is_told_and_the_runtime_is_not() {
    let agent = monitoring();
    let container = given(&["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined"]);
    container.exec(&["/usr/bin/hello"]);
    settle(agent, &container);
    for rule in ["mount_made", "namespace_entered"] {
        let told = agent.all(&container, "alert", &json!({"rule": rule}));
        assert!(told.is_empty(), "the runtime did that: {told:#?}");
    }
    container.shell("mkdir -p /mnt && mount -t tmpfs none /mnt");
    let alert = expect_alert(agent, &container, "mount_made", "/mnt");
    assert_eq!(text(&alert, "severity"), "high");
    container.shell("nsenter --uts=/proc/1/ns/uts true");
    expect_alert(agent, &container, "namespace_entered", "/namespace");
    // One that fails changes nothing.
    let refused = given(&[]);
    refused.attempt_shell("mkdir -p /mnt; mount -t tmpfs none /mnt");
    settle(agent, &refused);
    let told = agent.all(&refused, "alert", &json!({"rule": "mount_made"}));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_network_that_a_running_container_joins_is_told_and_those_it_starts_with_are_not() {
    let agent = monitoring();
    let docker = Docker::host();
    let networks = [Network::create(&docker, &[]), Network::create(&docker, &[])];
    let [first, second] = networks.each_ref().map(|it| it.name.as_str());
    let container = given(&[&format!("--network={first}")]);
    docker.run(&["network", "connect", second, &container.name]);
    expect_alert(agent, &container, "network_joined", &format!("/network/{second}"));
    let told = agent.all(&container, "alert", &json!({"rule": "network_joined"}));
    assert_eq!(told.len(), 1, "{told:#?}");
    docker.run(&["network", "disconnect", second, &container.name]);
}

#[test]
fn posture_shows_every_container_and_what_it_was_given() {
    let agent = monitoring();
    let plain = given(&["--user=1000"]);
    let severe = given(&["--volume=/var/run/docker.sock:/d.sock"]);
    let output = agent.command(&["posture", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let of = |container: &Container| -> Vec<&str> {
        let its = found.iter().filter(|it| it["ctr.name"] == container.name.as_str());
        its.map(|it| it["finding"].as_str().expect("a name")).collect()
    };
    assert_eq!(of(&severe), ["root_user", "runtime_socket"], "{found:#?}");
    assert!(of(&plain).is_empty(), "{found:#?}");
}
