//! Containers of some images that do the same again and again, as services do.

use std::{net::Ipv4Addr, sync::Arc};

use plimsoll::attribution::{
    container::Container,
    node::Node,
    observation::Observation,
    overlay::Layers,
    process::{Ancestor, Lineage, Origin, Process},
};
use plimsoll_ebpf::{
    catalog::{Record, TailBuilder, encode},
    events::{accept::Accept, connect::Connect, exec::Exec, file_write::FileWrite, fork::Fork},
    layer::code,
    record::{Header, Wire},
};

/// Images at work.
pub(super) const IMAGES: usize = 12;
/// Containers of each.
pub(super) const REPLICAS: usize = 2;
/// Programs that each runs, files that it writes, peers that it addresses.
pub(super) const PROGRAMS: usize = 20;
pub(super) const FILES: usize = 100;
pub(super) const PEERS: usize = 20;

/// An act, with who does it.
pub(super) struct Act {
    entry: Vec<u8>,
    process: Arc<Process>,
    peer_name: Option<String>,
}

/// What there is.
pub(super) struct Scene {
    pub(super) containers: Vec<Arc<Container>>,
    node: Arc<Node>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let containers = (0..IMAGES * REPLICAS).map(|number| Arc::new(container(number)));
        Self { containers: containers.collect(), node: Arc::new(Node::default()) }
    }

    /// Hands an act of a container to `take`, at a moment since the Unix epoch.
    pub(super) fn act<T>(
        &self,
        container: usize,
        act: &Act,
        ts_ns: u64,
        take: impl FnOnce(&Observation<'_>) -> T,
    ) -> T {
        let mut record = Record::decode(&act.entry).expect("`encode` writes what `decode` reads");
        record.header.cgroup_id = container as u64 + 1;
        take(&Observation {
            ts_ns,
            record,
            node: &self.node,
            container: Some(&self.containers[container]),
            process: Some(&act.process),
            peer_name: act.peer_name.as_deref(),
            former_name: None,
        })
    }
}

fn container(number: usize) -> Container {
    let image = number / REPLICAS;
    Container {
        serial: number as u64 + 1,
        id: format!("{number:064x}"),
        name: format!("service-{number}"),
        image: format!("shop/service-{}:1", word(image)),
        image_digest: format!("sha256:{image:064x}"),
        entrypoint: "/app".to_owned(),
        layers: Some(Layers::default()),
        ..Container::default()
    }
}

/// Letters alone: what differs in numbers is one behaviour.
fn word(number: usize) -> String {
    let letters = [number / 26 % 26, number % 26];
    letters.map(|it| char::from(b'a' + it as u8)).iter().collect()
}

fn process(exe: &str, parent: Option<&str>) -> Arc<Process> {
    let ancestor = |exe: &str| Ancestor { pid: 1, start_ns: 1, exe: exe.as_bytes().into() };
    Arc::new(Process {
        pid: 2,
        start_ns: 2,
        exe: exe.as_bytes().into(),
        origin: Origin::Init,
        lineage: Lineage::of(parent.map(ancestor)),
        ..Process::default()
    })
}

fn act(process: Arc<Process>, body: impl Wire, texts: &TailBuilder) -> Act {
    let header = Header { count: 1, ..Header::default() };
    Act { entry: encode(header, body, texts.bytes()), process, peer_name: None }
}

/// The first program of a container.
pub(super) fn first() -> Act {
    program("/app", None, code::IMAGE)
}

/// A program of the image, or of another layer.
fn program(exe: &str, parent: Option<&str>, layer: u8) -> Act {
    let mut texts = TailBuilder::default();
    let path = texts.push(exe.as_bytes());
    act(process(exe, parent), Exec { path, layer, ..Exec::default() }, &texts)
}

pub(super) fn run(number: usize) -> Act {
    program(&format!("/usr/bin/{}", word(number)), Some("/app"), code::IMAGE)
}

/// A program that the image does not contain.
pub(super) fn dropped() -> Act {
    program("/tmp/dropped", Some("/app"), code::UPPER)
}

pub(super) fn write(directory: &str, number: usize) -> Act {
    let mut texts = TailBuilder::default();
    let path = texts.push(format!("{directory}/{}/state", word(number)).as_bytes());
    let body = FileWrite { path, op: 2, layer: code::VOLUME, ..FileWrite::default() };
    act(process("/app", None), body, &texts)
}

pub(super) fn connect(number: usize) -> Act {
    let address = Ipv4Addr::new(10, 0, 0, number as u8).to_ipv6_mapped().octets();
    let body = Connect { address, port: 5432, protocol: 6, ..Connect::default() };
    let connect = act(process("/app", None), body, &TailBuilder::default());
    Act { peer_name: Some(format!("db-{}.test", word(number))), ..connect }
}

/// Nothing that is learned.
pub(super) fn fork() -> Act {
    act(process("/app", None), Fork::default(), &TailBuilder::default())
}

/// Somebody uses the service.
pub(super) fn accept() -> Act {
    let peer = Ipv4Addr::new(10, 0, 0, 99).to_ipv6_mapped().octets();
    let body = Accept { port: 80, peer, ..Accept::default() };
    act(process("/app", None), body, &TailBuilder::default())
}
