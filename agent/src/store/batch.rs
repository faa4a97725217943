//! Observations on their way from the pipeline to the store thread: copied as they are, not yet in
//! columns.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use plimsoll_ebpf::{
    catalog::{CATALOG, FieldInfo, Record},
    record::Header,
};

use super::{column::MAX_TEXT, losses::Tally};
use crate::attribution::{
    container::Container,
    node::Node,
    observation::{self, Observation},
    process::Process,
};

/// Bytes of one batch, which bound what the queue can hold.
const MAX_BYTES: usize = 5 << 18;

/// Observations in order of arrival.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<RawRow>,
    /// Each row's body, and the name of its peer.
    bytes: Vec<u8>,
    entity_bytes: usize,
    pub(super) nodes: Shared<Node>,
    pub(super) containers: Shared<Container>,
    pub(super) processes: Shared<Process>,
    pub(super) tally: Tally,
}

/// One observation of a batch; references count from 1, and 0 stands for none.
#[derive(Clone, Copy)]
pub(super) struct RawRow {
    pub(super) ts_ns: u64,
    body_bytes: u32,
    pub(super) node: u32,
    pub(super) container: u32,
    pub(super) process: u32,
    // What is stored of a header.
    pid: u32,
    tid: u32,
    uid: u32,
    count: u32,
    kind: u16,
    outcome: u8,
    peer_bytes: u16,
}

impl RawRow {
    fn header(&self) -> Header {
        let Self { pid, tid, uid, count, kind, outcome, .. } = *self;
        Header { pid, tid, uid, count, kind, outcome, ..Header::default() }
    }
}

impl Batch {
    /// An empty one with room for as much: the next is mostly like the one before.
    pub(super) fn like(other: &Self) -> Self {
        Self {
            rows: Vec::with_capacity(other.rows.len()),
            bytes: Vec::with_capacity(other.bytes.len()),
            nodes: Shared::with_room(other.nodes.held.len()),
            containers: Shared::with_room(other.containers.held.len()),
            processes: Shared::with_room(other.processes.held.len()),
            ..Self::default()
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Whether it holds as many rows as it may, or as much memory.
    pub(super) fn is_full(&self, most_rows: u32) -> bool {
        self.rows() >= most_rows || self.bytes() >= MAX_BYTES
    }

    /// Bytes it takes; in a block, before compression, it takes no more by much.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<RawRow>() + self.bytes.len() + self.entity_bytes
    }

    pub(super) fn push(&mut self, observation: &Observation<'_>) {
        // What a peer was called before is no part of what happened.
        let Observation { ts_ns, record, node, container, process, peer_name, former_name: _ } =
            observation;
        self.tally.add(record.kind.index(), *ts_ns);
        let process = process.map_or(0, |it| {
            let (reference, is_new) = self.processes.reference(it);
            if is_new {
                self.entity_bytes += it.exe.len() + it.args.len() + it.cwd.len();
                self.entity_bytes += it.lineage.paths.len();
            }
            reference
        });
        let (body, peer) = (record.body(), peer_name.unwrap_or_default());
        let peer = &peer[..peer.floor_char_boundary(MAX_TEXT)];
        let Header { pid, tid, uid, count, kind, outcome, .. } = record.header;
        self.rows.push(RawRow {
            ts_ns: *ts_ns,
            body_bytes: body.len() as u32,
            node: self.nodes.reference(node).0,
            container: container.map_or(0, |it| self.containers.reference(it).0),
            process,
            pid,
            tid,
            uid,
            count,
            kind,
            outcome,
            peer_bytes: peer.len() as u16,
        });
        self.bytes.extend_from_slice(body);
        self.bytes.extend_from_slice(peer.as_bytes());
    }

    /// Hands the observations as they were pushed to `take`.
    pub(super) fn each(&self, mut take: impl FnMut(&RawRow, &Observation<'_>)) {
        let mut bytes = &*self.bytes;
        for row in &self.rows {
            let (body, rest) = bytes.split_at(row.body_bytes as usize);
            let (peer, rest) = rest.split_at(usize::from(row.peer_bytes));
            bytes = rest;
            let record = Record::from_parts(row.header(), body);
            let (Ok(record), Some(node)) = (record, self.nodes.held(row.node)) else {
                debug_assert!(false, "a batch reads as it was written");
                continue;
            };
            take(
                row,
                &Observation {
                    ts_ns: row.ts_ns,
                    record,
                    node,
                    container: self.containers.held(row.container),
                    process: self.processes.held(row.process),
                    peer_name: std::str::from_utf8(peer).ok().filter(|it| !it.is_empty()),
                    former_name: None,
                },
            );
        }
    }
}

/// The fields of each event's rows: those of every observation, then the event's own.
pub(super) fn row_fields() -> Vec<Vec<&'static FieldInfo>> {
    let of = |kind: &'static plimsoll_ebpf::catalog::Kind| {
        observation::FIELDS.iter().map(|it| &it.info).chain(kind.fields()).collect()
    };
    CATALOG.iter().map(of).collect()
}

/// Values that many rows refer to, each held once. Holding them keeps their addresses unique.
pub(super) struct Shared<T> {
    held: Vec<Arc<T>>,
    references: HashMap<usize, u32, BuildHasherDefault<AddressHasher>>,
    last: (usize, u32),
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { held: Vec::new(), references: HashMap::default(), last: (0, 0) }
    }
}

impl<T> Shared<T> {
    fn with_room(count: usize) -> Self {
        let references = HashMap::with_capacity_and_hasher(count, BuildHasherDefault::default());
        Self { held: Vec::with_capacity(count), references, last: (0, 0) }
    }

    /// The number by which rows refer to this value, from 1, and whether it is new here.
    pub(super) fn reference(&mut self, value: &Arc<T>) -> (u32, bool) {
        let address = Arc::as_ptr(value) as usize;
        if self.last.0 == address {
            return (self.last.1, false);
        }
        let next = self.held.len() as u32 + 1;
        let reference = *self.references.entry(address).or_insert(next);
        if reference == next {
            self.held.push(Arc::clone(value));
        }
        self.last = (address, reference);
        (reference, reference == next)
    }

    pub(super) fn all(&self) -> &[Arc<T>] {
        &self.held
    }

    /// The value of a number.
    pub(super) fn held(&self, reference: u32) -> Option<&Arc<T>> {
        self.held.get(reference.checked_sub(1)? as usize)
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.references.clear();
        self.last = (0, 0);
    }
}

/// Spreads addresses, which differ in their middle bits.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        let mixed = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::{
        catalog::{TailBuilder, encode},
        events::file_write::{self, FileWrite},
        rules::outcome,
    };

    use super::*;
    use crate::fields::Fields as _;

    fn told(observation: &Observation<'_>) -> Vec<String> {
        let mut told = Vec::new();
        observation.visit(&mut |field, value| told.push(format!("{}={value}", field.name)));
        told
    }

    #[test]
    fn observations_leave_a_batch_as_they_came() {
        let header = Header {
            boot_ns: 1,
            cgroup_id: 2,
            start_ns: 3,
            pid: 4,
            tid: 5,
            uid: 6,
            count: 7,
            outcome: outcome::DENIED,
            setup: 1,
            act: 8,
            ..Header::default()
        };
        let mut tail = TailBuilder::default();
        let path = tail.push(b"/var/lib/x");
        let body = FileWrite { path, op: file_write::op::CREATE, ino: 9, ..FileWrite::default() };
        let bytes = encode(header, body, tail.bytes());
        let node = Arc::new(Node { name: "host-a".to_owned(), ..Node::default() });
        let container = Arc::new(Container { name: "web".to_owned(), ..Container::default() });
        let process = Arc::new(Process { pid: 4, ..Process::default() });
        let whole = Observation {
            ts_ns: 10,
            record: Record::decode(&bytes).expect("is a record"),
            node: &node,
            container: Some(&container),
            process: Some(&process),
            peer_name: Some("db.example.org"),
            former_name: None,
        };
        let bare = Observation { container: None, process: None, peer_name: None, ..whole };
        let long = "é".repeat(40_000);
        let cut = Observation { peer_name: Some(&long), ..whole };
        let mut batch = Batch::default();
        for observation in [&whole, &bare, &cut] {
            batch.push(observation);
        }
        let mut left = Vec::new();
        batch.each(|_, observation| left.push(told(observation)));
        let kept = "é".repeat(MAX_TEXT / 2);
        let cut = Observation { peer_name: Some(&kept), ..whole };
        assert_eq!(left, [whole, bare, cut].map(|it| told(&it)));
        assert!(left[0].contains(&"outcome=denied".to_owned()), "{left:?}");
    }
}
