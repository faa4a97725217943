//! Peers and ports.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker},
    event::text,
    guard::{alerts, monitoring},
};
use serde_json::json;

use super::start;

const ACTS: &str = "/usr/bin/acts";

/// A container that waits for one connection to a port.
fn listener(options: &[&str], port: &str) -> Container {
    let container = Docker::host().start(BUSYBOX, options, &[ACTS, "listen", port]);
    container.wait_for_log("listening");
    container
}

fn told(agent: &Agent, container: &Container, rule: &str) -> usize {
    alerts(agent, container).iter().filter(|alert| text(alert, "rule") == rule).count()
}

#[test]
fn a_peer_that_is_on_no_list_is_told_with_the_command_that_would_put_it_there() {
    let agent = monitoring();
    let server = listener(&[], "7410");
    let address = server.addresses().0.to_string();
    let client = start(&[]);
    client.exec(&[ACTS, "tcp", &address, "7410"]);
    let peer = format!("{address}:7410/tcp");
    let alert =
        agent.expect(&client, "alert", &json!({"rule": "foreign_peer", "alert.peer": peer}));
    assert!(text(&alert, "reason").contains(&peer), "{alert}");
    let allow = text(&alert, "alert.allow");
    assert!(allow.ends_with(&format!("--rule foreign_peer --peer {peer}")), "{allow}");
}

#[test]
fn a_peer_on_the_list_and_the_container_itself_raise_nothing() {
    let agent = monitoring();
    let server = listener(&[], "7411");
    let address = server.addresses().0.to_string();
    let client = start(&["--label=com.docker.compose.service=talks-here"]);
    client.exec(&[ACTS, "tcp", &address, "7411"]);
    client.exec(&[ACTS, "udp-sendto", "127.0.0.1", "7412"]);
    assert_eq!(told(agent, &client, "foreign_peer"), 0);
}

#[test]
fn a_port_that_no_image_announces_is_told() {
    let agent = monitoring();
    let server = listener(&[], "7413");
    let wanted = json!({"rule": "foreign_listener", "severity": "medium"});
    let alert = agent.expect(&server, "alert", &wanted);
    assert!(text(&alert, "alert.peer").ends_with(":7413/tcp"), "{alert}");
}

#[test]
fn a_port_that_is_announced_raises_nothing() {
    let agent = monitoring();
    let server = start(&["--expose=7414"]);
    server.shell(&format!("{ACTS} listen 7414 & sleep 1; {ACTS} tcp 127.0.0.1 7414; wait"));
    agent.expect(&server, "listen", &json!({"net.lport": 7414}));
    assert_eq!(told(agent, &server, "foreign_listener"), 0);
}

#[test]
fn a_raw_socket_is_told_and_an_everyday_one_is_not() {
    let agent = monitoring();
    let raw = start(&[]);
    raw.exec(&[ACTS, "raw-sockets"]);
    agent.expect(&raw, "alert", &json!({"rule": "raw_socket", "alert.peer": "raw"}));
    let everyday = start(&[]);
    everyday.exec(&[ACTS, "udp-sendto", "127.0.0.1", "7415"]);
    assert_eq!(told(agent, &everyday, "raw_socket"), 0);
}
