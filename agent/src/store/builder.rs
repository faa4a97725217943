//! Batches turned into a block: rows into columns, what they refer to into tables.

use std::{collections::HashMap, sync::Arc};

use plimsoll_ebpf::{
    catalog::{CATALOG, FieldInfo},
    value::ValueType,
};

use super::{
    batch::{Batch, RawRow, Shared, row_fields},
    block::{self, Header, section},
    column::Cell,
    names::REFERENCES,
    table::TableBuilder,
};
use crate::{
    attribution::{container::Container, node::Node, process::Process},
    fields::Fields,
};

/// Digits of a container's id in a header: what people use.
pub(super) const ID_DIGITS: usize = 12;

/// Fills one block after another; its memory is used again.
pub(super) struct BlockBuilder {
    columns: Vec<Vec<Place>>,
    keys: TableBuilder,
    rest: TableBuilder,
    nodes: Entities<Node>,
    containers: Entities<Container>,
    processes: Entities<Process>,
    kinds: u64,
    min_ts: u64,
    max_ts: u64,
    raw: Vec<u8>,
}

/// Where a column of an event's rows goes.
#[derive(Clone, Copy)]
enum Place {
    Time,
    Kind,
    Rest(usize),
}

const TS: usize = 0;
const KIND: usize = 1;
const NODE: usize = 2;
const CONTAINER: usize = 3;
const PROCESS: usize = 4;

impl BlockBuilder {
    pub(super) fn new() -> Self {
        let mut rest: Vec<&'static FieldInfo> = Vec::new();
        let mut known: HashMap<&'static str, Place> =
            HashMap::from([("ts", Place::Time), ("kind", Place::Kind)]);
        let mut place = |field: &'static FieldInfo| {
            *known.entry(field.name).or_insert_with(|| {
                rest.push(field);
                Place::Rest(rest.len() - 1)
            })
        };
        let columns = row_fields()
            .into_iter()
            .map(|fields| fields.into_iter().map(&mut place).collect())
            .collect();
        let keys = [("ts", ValueType::Time), ("kind", ValueType::Label)]
            .into_iter()
            .chain(REFERENCES.iter().map(|field| (field.name, field.value)));
        Self {
            columns,
            keys: TableBuilder::with_columns(keys),
            rest: TableBuilder::with_columns(rest.iter().map(|it| (it.name, it.value))),
            nodes: Entities::default(),
            containers: Entities::default(),
            processes: Entities::default(),
            kinds: 0,
            min_ts: u64::MAX,
            max_ts: 0,
            raw: Vec::new(),
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.keys.rows()
    }

    pub(super) fn max_ts(&self) -> u64 {
        self.max_ts
    }

    pub(super) fn add(&mut self, batch: &Batch) {
        let nodes = self.nodes.adopt(&batch.nodes);
        let containers = self.containers.adopt(&batch.containers);
        let processes = self.processes.adopt(&batch.processes);
        for row in batch.iter() {
            self.keys.begin_row();
            self.rest.begin_row();
            self.kinds |= 1 << row.kind;
            for (column, map, reference) in [
                (NODE, &nodes, row.node),
                (CONTAINER, &containers, row.container),
                (PROCESS, &processes, row.process),
            ] {
                let entity = reference.checked_sub(1).and_then(|index| map.get(index as usize));
                if let Some(entity) = entity {
                    self.keys.put(column, Cell::Int(u64::from(*entity)));
                }
            }
            self.add_fields(&row);
        }
    }

    fn add_fields(&mut self, row: &RawRow<'_>) {
        let Some(places) = self.columns.get(row.kind) else { return };
        row.fields(&mut |column, cell| match (places.get(column), cell) {
            (Some(Place::Time), Cell::Int(ts)) => {
                self.min_ts = self.min_ts.min(ts);
                self.max_ts = self.max_ts.max(ts);
                self.keys.put(TS, cell);
            }
            (Some(Place::Kind), _) => self.keys.put(KIND, cell),
            (Some(Place::Rest(column)), _) => self.rest.put(*column, cell),
            _ => {}
        });
    }

    /// The rows so far as a block; they stay until [`Self::clear`].
    pub(super) fn encode(
        &mut self,
        first_seq: u64,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<Vec<u8>> {
        let header = Header {
            rows: self.rows(),
            first_seq,
            min_ts: self.min_ts.min(self.max_ts),
            max_ts: self.max_ts,
            kinds: self.kind_names(),
            containers: self.containers.shared.held().iter().map(|it| header_name(it)).collect(),
            ..Header::default()
        };
        let raw = &mut self.raw;
        raw.clear();
        self.keys.encode(raw);
        self.nodes.table.encode(raw);
        self.containers.table.encode(raw);
        let keys_end = raw.len();
        self.processes.table.encode(raw);
        let processes_end = raw.len();
        self.rest.encode(raw);
        let sections = [
            (section::KEYS, &raw[..keys_end]),
            (section::PROCESSES, &raw[keys_end..processes_end]),
            (section::REST, &raw[processes_end..]),
        ];
        block::encode(header, &sections, compressor)
    }

    fn kind_names(&self) -> Vec<String> {
        let set = CATALOG.iter().enumerate().filter(|(index, _)| self.kinds >> index & 1 == 1);
        set.map(|(_, kind)| kind.name.to_owned()).collect()
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.rest.clear();
        self.nodes.clear();
        self.containers.clear();
        self.processes.clear();
        (self.kinds, self.min_ts, self.max_ts) = (0, u64::MAX, 0);
    }
}

fn header_name(container: &Container) -> (String, String) {
    (container.id.chars().take(ID_DIGITS).collect(), container.name.clone())
}

/// Entities of the block, each once.
struct Entities<T> {
    shared: Shared<T>,
    table: TableBuilder,
}

impl<T> Default for Entities<T> {
    fn default() -> Self {
        Self { shared: Shared::default(), table: TableBuilder::default() }
    }
}

impl<T: Fields> Entities<T> {
    /// Takes the entities of a batch; returns their numbers here, by their numbers there.
    fn adopt(&mut self, from: &Shared<T>) -> Vec<u32> {
        from.held().iter().map(|entity| self.reference(entity)).collect()
    }

    fn reference(&mut self, entity: &Arc<T>) -> u32 {
        let (reference, is_new) = self.shared.reference(entity);
        if is_new {
            let table = &mut self.table;
            table.begin_row();
            entity.visit(&mut |field, value| table.put_named(field.name, value));
        }
        reference
    }

    fn clear(&mut self) {
        self.shared.clear();
        self.table.clear();
    }
}
