//! A Swarm of several nodes on one machine: each an engine with a network namespace, mounts and a
//! name of its own.

use std::process::Command;

use super::{Daemon, unique};

/// See the module. All of it ends with this value.
pub struct Nodes {
    /// The engines, of which the first is the manager.
    pub engines: Vec<Daemon>,
    /// What the nodes are called.
    pub names: Vec<String>,
    wires: Wires,
}

/// The nodes' networks: a bridge in a namespace of its own, for the host's Docker would cut one of
/// the host's.
struct Wires {
    namespaces: Vec<String>,
}

impl Nodes {
    /// Starts so many, at most nine, and makes a Swarm of them.
    ///
    /// # Panics
    /// When one does not answer in time, or does not join.
    #[track_caller]
    pub fn start(count: usize) -> Self {
        let wires = Wires::lay(count);
        let names = wires.namespaces[1..].to_vec();
        let engines: Vec<Daemon> = names.iter().map(|name| Daemon::start_node(name)).collect();
        let nodes = Self { engines, names, wires };
        let manager = &nodes.engines[0].docker;
        manager.run(&["swarm", "init", "--advertise-addr", &address(0)]);
        let token = manager.run(&["swarm", "join-token", "--quiet", "worker"]);
        for (number, engine) in nodes.engines.iter().enumerate().skip(1) {
            let (own, manager) = (address(number), format!("{}:2377", address(0)));
            let join = ["swarm", "join", "--token", &token, "--advertise-addr", &own, &manager];
            engine.docker.run(&join);
        }
        nodes
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for engine in self.engines.iter().rev() {
            engine.docker.attempt(&["swarm", "leave", "--force"]);
        }
        // The namespaces they are in go after them.
        self.engines.clear();
        self.wires.take_down();
    }
}

fn address(number: usize) -> String {
    format!("10.210.0.{}", 11 + number)
}

impl Wires {
    fn lay(count: usize) -> Self {
        let bridge = unique("bridge");
        let mut wires = Self { namespaces: vec![bridge.clone()] };
        ip(&["netns", "add", &bridge]);
        ip(&["-n", &bridge, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &bridge, "link", "set", "br0", "up"]);
        for number in 0..count {
            let node = unique("node");
            ip(&["netns", "add", &node]);
            wires.namespaces.push(node.clone());
            let port = format!("port{number}");
            let pair = ["type", "veth", "peer", "name", &port, "netns", &bridge];
            ip(&[&["link", "add", "wire", "netns", &node], &pair[..]].concat());
            ip(&["-n", &bridge, "link", "set", &port, "master", "br0", "up"]);
            ip(&["-n", &node, "addr", "add", &format!("{}/24", address(number)), "dev", "wire"]);
            ip(&["-n", &node, "link", "set", "wire", "up"]);
        }
        wires
    }

    fn take_down(&mut self) {
        for namespace in self.namespaces.drain(..) {
            // What lacks was never made.
            let _ = Command::new("ip").args(["netns", "del", &namespace]).output();
        }
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.take_down();
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("there is ip");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
