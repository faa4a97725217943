//! Stored rows put into blocks anew: those of the log after a crash, and of small or damaged blocks.

use std::{collections::HashMap, io};

use plimsoll_ebpf::value::Value;

use super::{
    block::{self, Header, section},
    builder::{ID_DIGITS, key_columns},
    column::{Cell, with_cell},
    decode::Table,
    names::{NUMBER, REFERENCES},
    numbers::Numbers,
    row::StoredBlock,
    stream::Stream,
    table::TableBuilder,
    texts::Pieces,
};
use crate::attribution::observation;

/// Fills a block with rows of others.
pub(super) struct Recoder {
    keys: TableBuilder,
    rest: TableBuilder,
    /// Nodes, containers and processes.
    entities: [Entities; 3],
    containers: Vec<(String, String)>,
    kinds: Vec<String>,
    numbers: Numbers,
    min_ts: u64,
    max_ts: u64,
    /// Bytes of its texts, each as often as it was added.
    text_bytes: usize,
}

/// A block that is ready to be written.
pub(super) struct Ready {
    pub(super) stream: Stream,
    pub(super) first_seq: u64,
    pub(super) max_ts: u64,
    pub(super) bytes: Vec<u8>,
}

/// Entities of the block, each once.
#[derive(Default)]
struct Entities {
    table: TableBuilder,
    known: HashMap<Vec<u8>, u32>,
    key: Vec<u8>,
}

const CONTAINER: usize = 1;

impl Recoder {
    pub(super) fn new() -> Self {
        // What all events have stands before what only some do, as readers expect.
        let common = observation::FIELDS.iter().map(|it| (it.info.name, it.info.value));
        Self {
            keys: TableBuilder::with_columns(key_columns()),
            rest: TableBuilder::with_columns(common),
            entities: Default::default(),
            containers: Vec::new(),
            kinds: Vec::new(),
            numbers: Numbers::default(),
            min_ts: u64::MAX,
            max_ts: 0,
            text_bytes: 0,
        }
    }

    pub(super) fn rows(&self) -> u32 {
        self.keys.rows()
    }

    /// Whether it has so many rows, or as much as readers take.
    pub(super) fn is_full(&self, most_rows: u32) -> bool {
        self.rows() >= most_rows || self.text_bytes >= block::FULL_BYTES
    }

    /// Adds a row of a block. Rows come in the order of their numbers.
    pub(super) fn add(&mut self, from: &StoredBlock, row: usize) {
        let keys = from.keys();
        self.keys.begin_row();
        self.rest.begin_row();
        let (ts, distance) = (keys.ts(row), self.numbers.push(keys.seq(row)));
        self.min_ts = self.min_ts.min(ts);
        self.max_ts = self.max_ts.max(ts);
        self.keys.put_named("ts", Value::Time(ts));
        if let Some(kind) = keys.kind(row) {
            if !self.kinds.iter().any(|it| it == kind) {
                self.kinds.push(kind.to_owned());
            }
            self.keys.put_named("kind", Value::Label(kind));
        }
        for (which, table) in from.entities().into_iter().enumerate() {
            let Some(entity) = keys.reference(row, which).filter(|it| *it < table.rows) else {
                continue;
            };
            let (number, is_new) = self.entities[which].reference(table, entity);
            if is_new {
                self.text_bytes += self.entities[which].key.len();
            }
            self.keys.put_named(REFERENCES[which].name, Value::Number(number.into()));
            if is_new && which == CONTAINER {
                self.containers.push(header_name(table, entity));
            }
        }
        self.keys.put_named(NUMBER.name, Value::Time(distance));
        for column in &from.rest().columns {
            if let Some(value) = column.get(row) {
                self.rest.put_named(column.field.name, value);
                self.text_bytes += text_bytes(value);
            }
        }
    }

    fn texts(&self) -> Vec<u8> {
        let mut pieces = Pieces::default();
        self.rest.gather(&mut pieces);
        self.entities.iter().for_each(|entities| entities.table.gather(&mut pieces));
        pieces.take()
    }

    /// Takes the rows out as a block of a stream; `None` where there are none.
    pub(super) fn finish(
        &mut self,
        stream: Stream,
        compressor: &mut zstd::bulk::Compressor<'_>,
    ) -> io::Result<Option<Ready>> {
        if self.rows() == 0 {
            return Ok(None);
        }
        let header = Header {
            rows: self.rows(),
            first_seq: self.numbers.first,
            span: self.numbers.span(),
            min_ts: self.min_ts,
            max_ts: self.max_ts,
            kinds: std::mem::take(&mut self.kinds),
            containers: std::mem::take(&mut self.containers),
            texts: self.texts(),
            ..Header::default()
        };
        let needless = self.numbers.are_dense().then_some(NUMBER.name);
        let (mut keys, mut processes, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        self.keys.encode_without(needless, &mut keys);
        let [nodes, containers, process] = &self.entities;
        nodes.table.encode(&mut keys);
        containers.table.encode(&mut keys);
        process.table.encode(&mut processes);
        self.rest.encode(&mut rest);
        let sections: [(u8, &[u8]); 3] =
            [(section::KEYS, &keys), (section::PROCESSES, &processes), (section::REST, &rest)];
        let (first_seq, max_ts) = (header.first_seq, header.max_ts);
        let bytes = block::encode(header, &sections, compressor)?;
        *self = Self::new();
        Ok(Some(Ready { stream, first_seq, max_ts, bytes }))
    }
}

impl Entities {
    /// The number of an entity here, from 1, and whether it is new.
    fn reference(&mut self, from: &Table, row: usize) -> (u32, bool) {
        self.key.clear();
        for column in &from.columns {
            if let Some(value) = column.get(row) {
                self.key.extend_from_slice(column.field.name.as_bytes());
                self.key.push(0);
                with_cell(value, |cell| cell.append_to(&mut self.key));
            }
        }
        if let Some(known) = self.known.get(&self.key) {
            return (*known, false);
        }
        self.table.begin_row();
        for column in &from.columns {
            if let Some(value) = column.get(row) {
                self.table.put_named(column.field.name, value);
            }
        }
        let number = self.table.rows();
        self.known.insert(self.key.clone(), number);
        (number, true)
    }
}

fn text_bytes(value: Value<'_>) -> usize {
    with_cell(value, |cell| match cell {
        Cell::Bytes(bytes) => bytes.len(),
        Cell::Int(_) => 0,
    })
}

fn header_name(containers: &Table, row: usize) -> (String, String) {
    let text = |name| match containers.get(row, name) {
        Some(Value::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    };
    (text("ctr.id").chars().take(ID_DIGITS).collect(), text("ctr.name"))
}
