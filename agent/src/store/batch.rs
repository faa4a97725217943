//! Observations on their way from the pipeline to the store thread: copied, not yet in columns.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use plimsoll_ebpf::catalog::{CATALOG, FieldInfo};

use super::{
    bytes::{Cursor, Malformed},
    column::{Cell, with_cell},
    losses::Tally,
};
use crate::attribution::{
    container::Container,
    node::Node,
    observation::{self, Observation},
    process::Process,
};

/// Bytes of one batch, which bound what the queue can hold.
const MAX_BYTES: usize = 1 << 20;

/// Rows in order of arrival.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    rows: u32,
    entity_bytes: usize,
    pub(super) nodes: Shared<Node>,
    pub(super) containers: Shared<Container>,
    pub(super) processes: Shared<Process>,
    pub(super) tally: Tally,
}

/// One row of a batch; references count from 1, and 0 stands for none.
#[derive(Clone, Copy)]
pub(super) struct RawRow {
    pub(super) kind: usize,
    pub(super) node: u32,
    pub(super) container: u32,
    pub(super) process: u32,
}

/// What a batch consists of, in order: each row, and behind it its fields.
pub(super) enum Step<'a> {
    Row(RawRow),
    /// Column and value.
    Field(usize, Cell<'a>),
}

const INT: u8 = 0;
const BYTES: u8 = 1;

impl Batch {
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether it holds as many rows as it may, or as much memory.
    pub(super) fn is_full(&self, most_rows: u32) -> bool {
        self.rows >= most_rows || self.bytes.len() + self.entity_bytes >= MAX_BYTES
    }

    pub(super) fn push(&mut self, observation: &Observation<'_>) {
        let kind = observation.record.kind.index();
        self.tally.add(kind, observation.ts_ns);
        self.rows += 1;
        let node = self.nodes.reference(observation.node).0;
        let container = observation.container.map_or(0, |it| self.containers.reference(it).0);
        let process = observation.process.map_or(0, |it| {
            let (reference, is_new) = self.processes.reference(it);
            if is_new {
                self.entity_bytes += it.exe.len() + it.args.len() + it.cwd.len();
                self.entity_bytes += it.lineage.paths.len();
            }
            reference
        });
        let bytes = &mut self.bytes;
        bytes.push(kind as u8);
        for reference in [node, container, process] {
            bytes.extend_from_slice(&reference.to_le_bytes());
        }
        let count_at = bytes.len();
        bytes.push(0);
        let mut count = 0u8;
        observation.visit_row(&mut |column, _, value| {
            count += 1;
            bytes.push(column as u8);
            with_cell(value, |cell| match cell {
                Cell::Int(number) => {
                    bytes.push(INT);
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                Cell::Bytes(text) => {
                    bytes.push(BYTES);
                    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
                    bytes.extend_from_slice(text);
                }
            });
        });
        bytes[count_at] = count;
    }

    /// Hands the rows as they were pushed to `take`, step by step.
    pub(super) fn each<'a>(&'a self, mut take: impl FnMut(Step<'a>)) {
        let mut cursor = Cursor(&self.bytes);
        for _ in 0..self.rows {
            // What cannot be read was not pushed.
            let read = each_of_row(&mut cursor, &mut take);
            debug_assert!(read.is_ok(), "a batch reads as it was written");
        }
    }
}

fn each_of_row<'a>(
    cursor: &mut Cursor<'a>,
    take: &mut impl FnMut(Step<'a>),
) -> Result<(), Malformed> {
    let kind = usize::from(cursor.u8()?);
    let (node, container, process) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
    let fields = cursor.u8()?;
    take(Step::Row(RawRow { kind, node, container, process }));
    for _ in 0..fields {
        let column = usize::from(cursor.u8()?);
        let cell = if cursor.u8()? == INT {
            Cell::Int(cursor.u64()?)
        } else {
            let length = usize::from(cursor.u16()?);
            Cell::Bytes(cursor.take(length)?)
        };
        take(Step::Field(column, cell));
    }
    Ok(())
}

/// The fields of each event's rows, by the column numbers of [`Observation::visit_row`].
pub(super) fn row_fields() -> Vec<Vec<&'static FieldInfo>> {
    let of = |kind: &'static plimsoll_ebpf::catalog::Kind| {
        observation::FIELDS.iter().copied().chain(kind.fields()).collect()
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

    pub(super) fn held(&self) -> &[Arc<T>] {
        &self.held
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
