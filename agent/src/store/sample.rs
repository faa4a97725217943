//! Observations for the tests of store and query, built as the agent builds its own.

use std::sync::Arc;

use plimsoll_ebpf::{
    catalog::{Record, TailBuilder, encode},
    events::{
        connect::Connect,
        exec::Exec,
        file_write::{self, FileWrite},
    },
    layer,
    record::Header,
};

use crate::attribution::{
    container::Container, node::Node, observation::Observation, process::Process,
};

/// One in five is a connect, two are execs and two are writes; ten containers, many processes.
pub(crate) struct Sample {
    node: Arc<Node>,
    containers: Vec<Arc<Container>>,
    processes: Vec<Arc<Process>>,
}

/// The moment of observation 0; each later one is a millisecond after.
pub(crate) const START_NS: u64 = 1_750_000_000_000_000_000;

impl Sample {
    pub(crate) fn new() -> Self {
        let container = |number: u64| Container {
            serial: number,
            id: format!("{number:x}").repeat(64),
            name: format!("web-{number}"),
            image: "nginx:1.25".to_owned(),
            image_digest: "sha256:0123".to_owned(),
            service: "shop_web".to_owned(),
            ..Container::default()
        };
        let process = |number: u32| Process {
            serial: u64::from(number),
            pid: 1000 + number,
            start_ns: u64::from(number) * 7_000_000,
            ppid: 1,
            exe: format!("/usr/bin/tool-{}", number % 20).into_bytes().into(),
            args: format!("tool\0--number\0{number}").into_bytes().into(),
            ..Process::default()
        };
        Self {
            node: Arc::new(Node {
                name: "host-a".to_owned(),
                id: "abc".to_owned(),
                boot_id: "b".to_owned(),
            }),
            containers: (0..10).map(|number| Arc::new(container(number))).collect(),
            processes: (0..300).map(|number| Arc::new(process(number))).collect(),
        }
    }

    /// Hands observation `number` to `take`.
    pub(crate) fn with<R>(&self, number: u64, take: impl FnOnce(&Observation<'_>) -> R) -> R {
        self.with_record(number, &record(number), take)
    }

    /// The same, where a file of a name without pattern is written: a kibibyte that does not
    /// become shorter.
    pub(crate) fn with_noise<R>(&self, number: u64, take: impl FnOnce(&Observation<'_>) -> R) -> R {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let noise: Vec<u8> = (0..1024)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        self.with_path(number, &noise, take)
    }

    /// The same, where a file of this name is written.
    pub(crate) fn with_path<R>(
        &self,
        number: u64,
        path: &[u8],
        take: impl FnOnce(&Observation<'_>) -> R,
    ) -> R {
        let mut tail = TailBuilder::default();
        let path = tail.push(path);
        let body = FileWrite { path, op: file_write::op::CREATE, ..FileWrite::default() };
        self.with_record(number, &encode(Header::default(), body, tail.bytes()), take)
    }

    fn with_record<R>(
        &self,
        number: u64,
        bytes: &[u8],
        take: impl FnOnce(&Observation<'_>) -> R,
    ) -> R {
        let observation = Observation {
            ts_ns: START_NS + number * 1_000_000,
            record: Record::decode(bytes).expect("is a record"),
            node: &self.node,
            container: Some(&self.containers[number as usize % 10]),
            process: Some(&self.processes[number as usize / 3 % 300]),
            peer_name: number.is_multiple_of(5).then_some("db.example.org"),
            former_name: None,
        };
        take(&observation)
    }
}

fn record(number: u64) -> Vec<u8> {
    let header = Header { pid: 1000, tid: 1000, uid: 33, ..Header::default() };
    let mut tail = TailBuilder::default();
    match number % 5 {
        0 => {
            let mut address = [0; 16];
            address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, number as u8]);
            encode(header, Connect { address, port: 443, protocol: 6, ..Connect::default() }, &[])
        }
        1 | 2 => {
            let path = tail.push(b"/usr/bin/tool");
            encode(
                header,
                Exec { path, layer: layer::code::IMAGE, ..Exec::default() },
                tail.bytes(),
            )
        }
        _ => {
            let path = tail.push(format!("/var/lib/app/file-{}", number % 997).as_bytes());
            let body = FileWrite {
                path,
                op: file_write::op::CREATE,
                layer: layer::code::UPPER,
                ..FileWrite::default()
            };
            encode(header, body, tail.bytes())
        }
    }
}
