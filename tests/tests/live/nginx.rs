//! A real server: a master, workers of another user, shared libraries, requests.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Docker, NGINX, Network},
    event::{number, text},
    poll,
};
use serde_json::json;

const SERVER: &str = "/usr/sbin/nginx";

#[test]
fn a_server_and_its_requests_are_told() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let network = Network::create(&docker, &[]);
    let on_network = format!("--network={}", network.name);
    let server = docker.start(NGINX, &[&on_network], &[]);
    let client = docker.start(BUSYBOX, &[&on_network], &[]);
    let exec = json!({"proc.exe": SERVER, "proc.origin": "init", "exec.layer": "image"});
    let master = agent.expect(&server, "exec", &exec);
    agent.expect(&server, "listen", &json!({"net.lport": 80, "proc.exe": SERVER}));

    let workers = json!({"proc.exe": SERVER, "proc.parent.exe": SERVER});
    poll::holds("two workers are told", || agent.all(&server, "fork", &workers).len() == 2);
    for worker in agent.all(&server, "fork", &workers) {
        assert_eq!(number(&worker, "proc.parent.pid"), number(&master, "proc.pid"));
    }
    agent.expect(&server, "privilege", &json!({"priv.op": "setuid", "priv.number": 33}));
    let log = json!({"file.path": "/var/log/nginx/access.log", "file.layer": "upper"});
    agent.expect(&server, "file_write", &log);

    let page = client.exec(&["/bin/wget", "-q", "-O", "-", &format!("http://{}/", server.name)]);
    assert!(page.contains("nginx"), "{page}");
    let connect = json!({
        "net.raddr": server.addresses().0,
        "net.rport": 80,
        "net.dns": server.name,
        "proc.args": ["/bin/wget", "-q", "-O", "-", format!("http://{}/", server.name)],
    });
    agent.expect(&client, "connect", &connect);
    let accept = json!({
        "net.raddr": client.addresses().0,
        "net.lport": 80,
        "net.dir": "in",
        "proc.exe": SERVER,
    });
    agent.expect(&server, "accept", &accept);
    // Its libraries are the image's: nothing was mapped that is not.
    let mapped = agent.all(&server, "exec_map", &json!({}));
    assert!(mapped.is_empty(), "{mapped:#?}");
}

#[test]
fn a_reload_is_told_as_a_session_and_new_workers() {
    let agent = Agent::shared();
    let server = Docker::host().start(NGINX, &[], &[]);
    let workers = json!({"proc.exe": SERVER, "proc.parent.exe": SERVER});
    let number_of = || agent.all(&server, "fork", &workers).len();
    poll::holds("two workers are told", || number_of() == 2);
    server.exec(&[SERVER, "-s", "reload"]);
    let session = agent.expect(&server, "exec", &json!({"proc.origin": "exec"}));
    assert_eq!(text(&session, "proc.exe"), SERVER);
    poll::holds("two new workers are told", || number_of() == 4);
}
