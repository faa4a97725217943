//! Who connects to what, and who lets others connect.

use std::{
    net::{IpAddr, UdpSocket},
    thread,
};

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker, Network},
    event::{get, list, number},
    poll,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";

/// A container that waits for one connection to a port.
fn listener(options: &[&str], port: &str) -> Container {
    waiting(options, "listen", port)
}

fn waiting(options: &[&str], act: &str, port: &str) -> Container {
    let container = Docker::host().start(BUSYBOX, options, &[ACTS, act, port]);
    container.wait_for_log("listening");
    container
}

#[test]
fn a_connection_by_name_is_told_at_both_ends() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let network = Network::create(&docker, &[]);
    let on_network = format!("--network={}", network.name);
    let server = listener(&[&on_network], "7001");
    let client = docker.start(BUSYBOX, &[&on_network], &[]);
    let (server_ip, client_ip) = (server.addresses().0, client.addresses().0);
    client.exec(&[ACTS, "tcp", &server.name, "7001"]);

    let connect = json!({
        "net.proto": "tcp",
        "net.dir": "out",
        "net.raddr": server_ip,
        "net.rport": 7001,
        "net.dns": server.name,
        "net.call": "connect",
        "proc.exe": ACTS,
        "proc.args": [ACTS, "tcp", server.name, "7001"],
    });
    agent.expect(&client, "connect", &connect);
    let dns = json!({"dns.name": server.name, "dns.type": "A", "dns.response": "NOERROR"});
    let dns = agent.expect(&client, "dns", &dns);
    assert!(list(&dns, "dns.answers").contains(&server_ip.to_string().as_str()), "{dns}");
    let listen = json!({"net.proto": "tcp", "net.lport": 7001, "proc.exe": ACTS});
    let listen = agent.expect(&server, "listen", &listen);
    let accept = json!({
        "net.proto": "tcp",
        "net.dir": "in",
        "net.raddr": client_ip,
        "net.laddr": server_ip,
        "net.lport": 7001,
        "proc.exe": ACTS,
        "proc.pid": get(&listen, "proc.pid"),
    });
    agent.expect(&server, "accept", &accept);
}

#[test]
fn a_connection_to_an_address_that_nobody_named_is_told_without_a_name() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell(&format!("{ACTS} tcp 127.0.0.1 7002 2>/dev/null || true"));
    let wanted = json!({"net.raddr": "127.0.0.1", "net.rport": 7002, "net.dns": null});
    agent.expect(&container, "connect", &wanted);
}

#[test]
fn a_connection_to_the_address_of_a_container_is_told_with_its_name() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let server = listener(&[], "7002");
    let client = docker.start(BUSYBOX, &[], &[]);
    let address = server.addresses().0;
    client.exec(&[ACTS, "tcp", &address.to_string(), "7002"]);
    let connect = json!({
        "net.proto": "tcp",
        "net.raddr": address,
        "net.rport": 7002,
        "net.dns": server.name,
    });
    agent.expect(&client, "connect", &connect);
}

#[test]
fn an_address_that_passed_to_another_container_has_its_name_from_then_on() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let network = Network::create(&docker, &["--subnet=198.18.77.0/24"]);
    let on_network = format!("--network={}", network.name);
    let at_place = ["--ip=198.18.77.9", on_network.as_str()];
    let client = docker.start(BUSYBOX, &[&on_network], &[]);
    let peer = |alias| docker.start(BUSYBOX, &[&at_place[..], &[alias]].concat(), &[]);
    let first = peer("--network-alias=alpha");
    client.exec(&[ACTS, "udp", "alpha", "7011"]);
    let wanted = json!({"net.raddr": "198.18.77.9", "net.rport": 7011, "net.dns": "alpha"});
    agent.expect(&client, "connect", &wanted);
    drop(first);
    let second = peer("--network-alias=beta");
    let wanted = json!({"net.raddr": "198.18.77.9", "net.dns": second.name});
    // Docker is asked for the address after the start; one port each, or they would be one act.
    let mut ports = 7012_u16..7112;
    poll::holds("a connection told with the name of who has the address now", || {
        let Some(port) = ports.next() else { return false };
        client.exec(&[ACTS, "udp", "198.18.77.9", &port.to_string()]);
        !agent.all(&client, "connect", &wanted).is_empty()
    });
}

#[test]
fn a_connection_that_is_refused_was_tried() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell(&format!("{ACTS} tcp 127.0.0.1 7003 2>/dev/null || true"));
    let wanted = json!({"net.proto": "tcp", "net.raddr": "127.0.0.1", "net.rport": 7003});
    agent.expect(&container, "connect", &wanted);
}

#[test]
fn ipv6_is_told_like_ipv4() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let network = Network::create(&docker, &["--ipv6", "--subnet=fd00:7e57:1::/64"]);
    let on_network = format!("--network={}", network.name);
    let server = listener(&[&on_network], "7004");
    let client = docker.start(BUSYBOX, &[&on_network], &[]);
    let six = |container: &Container| container.addresses().1.expect("it has an IPv6 address");
    let (server_ip, client_ip) = (six(&server), six(&client));
    // A new address is tried out by the kernel for a moment before it can be used.
    client.shell(&format!("until {ACTS} tcp {server_ip} 7004; do usleep 50000; done"));
    let connect = json!({"net.proto": "tcp", "net.raddr": server_ip, "net.rport": 7004});
    agent.expect(&client, "connect", &connect);
    let accept = json!({"net.raddr": client_ip, "net.lport": 7004, "proc.exe": ACTS});
    agent.expect(&server, "accept", &accept);
    for (act, call) in [("udp", "connect"), ("udp-sendto", "send")] {
        client.exec(&[ACTS, act, &server_ip.to_string(), "7005"]);
        let wanted = json!({
            "net.proto": "udp",
            "net.raddr": server_ip,
            "net.rport": 7005,
            "net.call": call,
        });
        agent.expect(&client, "connect", &wanted);
    }
}

#[test]
fn ipv6_within_a_container_is_told() {
    let agent = Agent::shared();
    let options = ["--sysctl=net.ipv6.conf.all.disable_ipv6=0"];
    let container = Docker::host().start(BUSYBOX, &options, &[]);
    container.shell(&format!("{ACTS} tcp ::1 7006 2>/dev/null || true"));
    agent.expect(&container, "connect", &json!({"net.raddr": "::1", "net.rport": 7006}));
}

#[test]
fn datagrams_are_told_with_how_the_peer_was_named() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    for (act, port, call) in [("udp", 7007, "connect"), ("udp-sendto", 7008, "send")] {
        container.exec(&[ACTS, act, "192.0.2.7", &port.to_string()]);
        let wanted = json!({
            "net.proto": "udp",
            "net.raddr": "192.0.2.7",
            "net.rport": port,
            "net.call": call,
            "proc.exe": ACTS,
        });
        agent.expect(&container, "connect", &wanted);
    }
}

#[test]
fn a_datagram_socket_that_takes_a_port_of_its_own_is_told() {
    let agent = Agent::shared();
    let server = waiting(&[], "udp-listen", "7020");
    let listen = json!({"net.proto": "udp", "net.lport": 7020, "proc.exe": ACTS});
    agent.expect(&server, "listen", &listen);
    let client = Docker::host().start(BUSYBOX, &[], &[]);
    client.exec(&[ACTS, "udp", &server.addresses().0.to_string(), "7020"]);
    agent.expect(&client, "connect", &json!({"net.proto": "udp", "net.rport": 7020}));
    let listens = agent.all(&client, "listen", &json!({}));
    assert!(listens.is_empty(), "a client's passing port is told: {listens:#?}");
}

#[test]
fn a_datagram_to_a_name_is_told_with_the_name() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let network = Network::create(&docker, &[]);
    let on_network = format!("--network={}", network.name);
    let peer = docker.start(BUSYBOX, &[&on_network, "--network-alias=database"], &[]);
    let container = docker.start(BUSYBOX, &[&on_network], &[]);
    container.exec(&[ACTS, "udp", "database", "7009"]);
    let wanted = json!({
        "net.proto": "udp",
        "net.raddr": peer.addresses().0,
        "net.rport": 7009,
        "net.dns": "database",
    });
    agent.expect(&container, "connect", &wanted);
}

/// Answers the first question to a name server: there is no such name.
fn deny_one_name(server: &UdpSocket) {
    let mut message = [0; 512];
    let (bytes, client) = server.recv_from(&mut message).expect("it is asked");
    // An answer, by a server that asks others, with the code NXDOMAIN (RFC 1035, 4.1.1).
    message[2..4].copy_from_slice(&[0x81, 0x83]);
    server.send_to(&message[..bytes], client).expect("who asks waits for the answer");
}

#[test]
fn a_name_that_does_not_exist_was_asked_for() {
    let agent = Agent::shared();
    let server = UdpSocket::bind("127.77.0.53:53").expect("the port of this address is free");
    server.set_read_timeout(Some(poll::scaled(poll::PATIENCE))).expect("a timeout is allowed");
    // Not by Docker's resolver, which does not pass every answer on.
    let options = ["--network=host", "--dns=127.77.0.53", "--dns-search=."];
    let container = Docker::host().start(BUSYBOX, &options, &[]);
    thread::scope(|scope| {
        scope.spawn(|| {
            // musl asks for both kinds of addresses at once.
            deny_one_name(&server);
            deny_one_name(&server);
        });
        container.shell(&format!("{ACTS} tcp nobody.invalid 80 2>/dev/null || true"));
    });
    let wanted = json!({
        "dns.name": "nobody.invalid",
        "dns.response": "NXDOMAIN",
        "dns.server": "127.77.0.53",
        "dns.answers": null,
    });
    agent.expect(&container, "dns", &wanted);
}

#[test]
fn io_uring_connects_are_told() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let server = listener(&[], "7010");
    // Later versions of Docker forbid these calls by default.
    let client = docker.start(BUSYBOX, &["--security-opt=seccomp=unconfined"], &[]);
    let IpAddr::V4(address) = server.addresses().0 else { panic!("the default network is IPv4") };
    client.exec(&[ACTS, "uring-connect", &address.to_string(), "7010"]);
    let wanted = json!({
        "net.proto": "tcp",
        "net.raddr": address,
        "net.rport": 7010,
        "proc.exe": ACTS,
    });
    agent.expect(&client, "connect", &wanted);
}

#[test]
fn what_the_host_does_is_not_told() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &["--network=host"], &[]);
    // The test itself connects, to the agent, on the network that container shares with the host.
    agent.health();
    container.shell(&format!("{ACTS} tcp 127.0.0.1 7011 2>/dev/null || true"));
    agent.expect(&container, "connect", &json!({"net.rport": 7011}));
    let ours = i64::from(agent.metrics.port());
    let told = agent.events(&["--kind", "connect", "--kind", "accept"]);
    let of_ours =
        |event: &&_| ["net.rport", "net.lport"].iter().any(|field| number(event, field) == ours);
    assert_eq!(told.iter().find(of_ours), None);
}

#[test]
fn a_connection_from_the_host_is_told_in_a_container_on_its_network() {
    let agent = Agent::shared();
    let server = listener(&["--network=host"], "37012");
    let host = std::net::TcpStream::connect(("127.0.0.1", 37012)).expect("it listens");
    let port = host.local_addr().expect("it is connected").port();
    let accept = json!({
        "net.raddr": "127.0.0.1",
        "net.rport": port,
        "net.lport": 37012,
        "proc.exe": ACTS,
    });
    agent.expect(&server, "accept", &accept);
}
