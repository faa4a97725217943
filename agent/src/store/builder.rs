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
    names::{NUMBER, REFERENCES},
    numbers::Numbers,
    table::TableBuilder,
    texts::Pieces,
};
use crate::{
    attribution::{
        container::Container,
        node::Node,
        observation::{FIELDS, Observation},
        process::Process,
    },
    fields::Attributed,
};

/// Digits of a container's id in a header: what people use.
pub(super) const ID_DIGITS: usize = 12;

/// Fills one block after another; its memory is used again.
pub(super) struct BlockBuilder {
    /// Where the fields of each event's rows go, in the order of [`row_fields`].
    places: Vec<Vec<Place>>,
    keys: TableBuilder,
    rest: TableBuilder,
    nodes: Entities<Node>,
    containers: Entities<Container>,
    processes: Entities<Process>,
    numbers: Numbers,
    kinds: u64,
    min_ts: u64,
    max_ts: u64,
    raw: Vec<u8>,
    pieces: Pieces,
}

/// A column, by its table and its number there.
#[derive(Clone, Copy)]
enum Place {
    Key(usize),
    Rest(usize),
}

const TS: usize = 0;
const KIND: usize = 1;
const NODE: usize = 2;
const CONTAINER: usize = 3;
const PROCESS: usize = 4;
const SEQ: usize = 5;

/// The columns that come first in a block, in the order of their numbers above.
pub(super) fn key_columns() -> impl Iterator<Item = (&'static str, ValueType)> {
    let entities = REFERENCES.iter().chain([&NUMBER]).map(|field| (field.name, field.value));
    [("ts", ValueType::Time), ("kind", ValueType::Label)].into_iter().chain(entities)
}

impl BlockBuilder {
    pub(super) fn new() -> Self {
        let mut rest: Vec<&'static FieldInfo> = Vec::new();
        let mut known: HashMap<&'static str, Place> =
            HashMap::from([("ts", Place::Key(TS)), ("kind", Place::Key(KIND))]);
        let mut place = |field: &'static FieldInfo| {
            *known.entry(field.name).or_insert_with(|| {
                rest.push(field);
                Place::Rest(rest.len() - 1)
            })
        };
        let places = row_fields()
            .into_iter()
            .map(|fields| fields.into_iter().map(&mut place).collect())
            .collect();
        Self {
            places,
            keys: TableBuilder::with_columns(key_columns()),
            rest: TableBuilder::with_columns(rest.iter().map(|it| (it.name, it.value))),
            nodes: Entities::default(),
            containers: Entities::default(),
            processes: Entities::default(),
            numbers: Numbers::default(),
            kinds: 0,
            min_ts: u64::MAX,
            max_ts: 0,
            raw: Vec::new(),
            pieces: Pieces::default(),
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.keys.rows()
    }

    pub(super) fn max_ts(&self) -> u64 {
        self.max_ts
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.numbers.first
    }

    /// Adds all rows of a batch, of which the first has the number `first_seq`.
    pub(super) fn add(&mut self, batch: &Batch, first_seq: u64) {
        add(batch, first_seq, &mut [self], |_| 0);
    }

    fn begin(&mut self, batch: &Batch) {
        self.nodes.begin(&batch.nodes);
        self.containers.begin(&batch.containers);
        self.processes.begin(&batch.processes);
    }

    fn add_row(&mut self, batch: &Batch, row: &RawRow, observation: &Observation<'_>, seq: u64) {
        let kind = observation.record.kind.index();
        self.keys.begin_row();
        self.rest.begin_row();
        self.keys.put(SEQ, Cell::Int(self.numbers.push(seq)));
        self.kinds |= 1 << kind;
        self.min_ts = self.min_ts.min(row.ts_ns);
        self.max_ts = self.max_ts.max(row.ts_ns);
        for (column, entity) in [
            (NODE, self.nodes.adopt(&batch.nodes, row.node)),
            (CONTAINER, self.containers.adopt(&batch.containers, row.container)),
            (PROCESS, self.processes.adopt(&batch.processes, row.process)),
        ] {
            if let Some(entity) = entity {
                self.keys.put(column, Cell::Int(u64::from(entity)));
            }
        }
        let (common, own) = self.places[kind].split_at(FIELDS.len());
        let (keys, rest) = (&mut self.keys, &mut self.rest);
        let mut put = |place: Place, value| match place {
            Place::Key(column) => keys.put_value(column, value),
            Place::Rest(column) => rest.put_value(column, value),
        };
        for (field, place) in FIELDS.iter().zip(common) {
            if let Some(value) = (field.get)(observation) {
                put(*place, value);
            }
        }
        observation.visit_own(&mut |index, _, value| put(own[index], value));
    }

    /// The rows so far as a block; they stay until [`Self::clear`].
    pub(super) fn encode(
        &mut self,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<Vec<u8>> {
        self.rest.gather(&mut self.pieces);
        self.processes.table.gather(&mut self.pieces);
        self.containers.table.gather(&mut self.pieces);
        let texts = self.pieces.take();
        self.encode_with(texts, compressor)
    }

    /// The same as a frame of the log, which is short and read whole.
    pub(super) fn encode_frame(
        &mut self,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<Vec<u8>> {
        self.encode_with(Vec::new(), compressor)
    }

    fn encode_with(
        &mut self,
        texts: Vec<u8>,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> std::io::Result<Vec<u8>> {
        let header = Header {
            rows: self.rows(),
            first_seq: self.numbers.first,
            span: self.numbers.span(),
            min_ts: self.min_ts.min(self.max_ts),
            max_ts: self.max_ts,
            kinds: self.kind_names(),
            containers: self.containers.shared.all().iter().map(|it| header_name(it)).collect(),
            texts,
            ..Header::default()
        };
        let raw = &mut self.raw;
        raw.clear();
        let needless = self.numbers.are_dense().then_some(NUMBER.name);
        self.keys.encode_without(needless, raw);
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
        self.numbers.clear();
        (self.kinds, self.min_ts, self.max_ts) = (0, u64::MAX, 0);
    }
}

/// Adds the rows of a batch, each to the builder that `which` names for its event. The first has
/// the number `first_seq`.
pub(super) fn add(
    batch: &Batch,
    first_seq: u64,
    builders: &mut [&mut BlockBuilder],
    which: impl Fn(usize) -> usize,
) {
    for builder in builders.iter_mut() {
        builder.begin(batch);
    }
    let mut seq = first_seq;
    batch.each(|row, observation| {
        let builder = &mut *builders[which(observation.record.kind.index())];
        builder.add_row(batch, row, observation, seq);
        seq = seq.saturating_add(1);
    });
}

fn header_name(container: &Container) -> (String, String) {
    (container.id.chars().take(ID_DIGITS).collect(), container.name.clone())
}

/// Entities of the block, each once.
struct Entities<T> {
    shared: Shared<T>,
    table: TableBuilder,
    /// Numbers here by numbers in the batch that is being added; 0 for those not taken yet.
    adopted: Vec<u32>,
}

impl<T: Attributed> Default for Entities<T> {
    fn default() -> Self {
        let columns = T::ATTRIBUTES.iter().map(|it| (it.info.name, it.info.value));
        let table = TableBuilder::with_columns(columns);
        Self { shared: Shared::default(), table, adopted: Vec::new() }
    }
}

impl<T: Attributed> Entities<T> {
    /// Prepares to take entities of a batch.
    fn begin(&mut self, from: &Shared<T>) {
        self.adopted.clear();
        self.adopted.resize(from.all().len(), 0);
    }

    /// Takes an entity of the batch by its number there, which is 0 for none; returns its number
    /// here.
    fn adopt(&mut self, from: &Shared<T>, reference: u32) -> Option<u32> {
        let index = reference.checked_sub(1)? as usize;
        let known = *self.adopted.get(index)?;
        if known > 0 {
            return Some(known);
        }
        let number = self.reference(from.held(reference)?);
        self.adopted[index] = number;
        Some(number)
    }

    fn reference(&mut self, entity: &Arc<T>) -> u32 {
        let (reference, is_new) = self.shared.reference(entity);
        if is_new {
            self.table.begin_row();
            for (column, attribute) in T::ATTRIBUTES.iter().enumerate() {
                if let Some(value) = (attribute.get)(entity) {
                    self.table.put_value(column, value);
                }
            }
        }
        reference
    }

    fn clear(&mut self) {
        self.shared.clear();
        self.table.clear();
    }
}
