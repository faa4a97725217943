//! What a container does in the network, refused. The hooks are the same on every kernel.

use plimsoll_tests::{
    docker::{BUSYBOX, Container, Docker},
    event::text,
    guard::{NETWORK, Stop, alerts, enforcing, says_refused},
    poll,
};
use serde_json::json;

use super::TRIES;

const ACTS: &str = "/usr/bin/acts";

/// The calls of `io_uring` are kept from containers by Docker's own filter.
const UNFILTERED: &str = "--security-opt=seccomp=unconfined";

/// A container that waits for one connection to a port, and its address.
fn listener(port: &str) -> (Container, String) {
    let container = Docker::host().start(BUSYBOX, &[], &[ACTS, "listen", port]);
    container.wait_for_log("listening");
    let address = container.addresses().0.to_string();
    (container, address)
}

/// A container whose peers and ports are judged by now.
fn guarded(options: &[&str]) -> Container {
    let container = Docker::host().start(BUSYBOX, &[&[NETWORK], options].concat(), &[]);
    poll::holds(&format!("{} is guarded", container.name), || {
        says_refused(&container.attempt(&[ACTS, "raw-sockets"]))
    });
    container
}

#[track_caller]
fn assert_refused(container: &Container, command: &[&str]) {
    let output = container.attempt(command);
    assert!(says_refused(&output), "{command:?}: {output:?}");
}

#[test]
fn the_agent_has_proved_that_it_refuses_peers() {
    assert_eq!(Stop::of(enforcing(), "network"), Stop::Refused);
}

#[test]
fn only_peers_on_the_list_are_reached() {
    let agent = enforcing();
    let (_allowed, address) = listener("7401");
    let (_other, other) = listener("7404");
    let client = guarded(&[]);
    client.exec(&[ACTS, "tcp", &address, "7401"]);
    client.exec(&[ACTS, "udp-sendto", "127.0.0.1", "7404"]);
    assert_refused(&client, &[ACTS, "tcp", &other, "7404"]);
    assert_refused(&client, &[ACTS, "udp", &other, "7401"]);
    assert_refused(&client, &[ACTS, "udp-sendto", &other, "7402"]);
    for (peer, call) in [("7404/tcp", "connect"), ("7401/udp", "connect"), ("7402/udp", "send")] {
        let peer = format!("{other}:{peer}");
        let wanted = json!({"rule": "foreign_peer", "alert.peer": peer, "outcome": "denied"});
        agent.expect(&client, "alert", &wanted);
        agent.expect(&client, "connect", &json!({"net.call": call, "outcome": "denied"}));
    }
    let allowed = format!("{address}:7401/tcp");
    let told = alerts(agent, &client);
    assert!(told.iter().all(|it| text(it, "alert.peer") != allowed), "{told:#?}");
}

#[test]
fn a_connection_by_io_uring_is_refused_too() {
    let agent = enforcing();
    let (_other, address) = listener("7405");
    let client = guarded(&[UNFILTERED]);
    let output = client.attempt(&[ACTS, "uring-connect", &address, "7405"]);
    assert!(!output.status.success(), "{output:?}");
    let wanted = json!({"rule": "foreign_peer", "alert.peer": format!("{address}:7405/tcp"),
        "outcome": "denied"});
    agent.expect(&client, "alert", &wanted);
}

#[test]
fn the_metadata_service_is_not_reached_by_an_exception_for_peers() {
    let agent = enforcing();
    let client = guarded(&[]);
    assert_refused(&client, &[ACTS, "tcp", "169.254.169.254", "7401"]);
    let wanted = json!({"rule": "metadata_service", "severity": "high", "outcome": "denied"});
    agent.expect(&client, "alert", &wanted);
}

#[test]
fn only_ports_that_are_announced_or_on_the_list_are_opened() {
    let agent = enforcing();
    let container = guarded(&["--expose=7406"]);
    for port in ["7403", "7406"] {
        container
            .shell(&format!("{ACTS} listen {port} & sleep 1; {ACTS} tcp 127.0.0.1 {port}; wait"));
    }
    for (act, port) in [("listen", "7407"), ("udp-listen", "7403")] {
        assert_refused(&container, &[ACTS, act, port]);
        let wanted = json!({"rule": "foreign_listener", "outcome": "denied"});
        let told = agent.expect(&container, "alert", &wanted);
        assert!(text(&told, "alert.peer").contains(":740"), "{told}");
    }
}

/// The hook sees Internet sockets only; packet sockets need `CAP_NET_RAW` as raw ones do, and are told.
#[test]
fn raw_sockets_are_refused_and_packet_sockets_told() {
    let agent = enforcing();
    let container = guarded(&[]);
    let said = container.exec(&[ACTS, "raw-sockets"]);
    assert_eq!(said.trim(), "raw: Operation not permitted");
    for outcome in [json!("denied"), json!(null)] {
        let wanted = json!({"rule": "raw_socket", "alert.peer": "raw", "outcome": outcome});
        let alert = agent.expect(&container, "alert", &wanted);
        assert!(text(&alert, "alert.allow").ends_with("--peer raw"), "{alert}");
    }
}

#[test]
fn of_a_thousand_tries_none_reaches_its_peer() {
    let agent = enforcing();
    let (server, address) = listener("7408");
    let client = guarded(&[]);
    let tries = format!(
        "n=0; for i in $(seq {TRIES}); do {ACTS} tcp {address} 7408 2>/dev/null && n=$((n+1)); \
         done; echo reached=$n"
    );
    assert_eq!(client.shell(&tries).trim(), "reached=0");
    let accepted = agent.all(&server, "accept", &json!({}));
    assert!(accepted.is_empty(), "{accepted:#?}");
}
