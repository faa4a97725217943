//! Stored observations, read like live ones.

use std::sync::{Arc, OnceLock};

use plimsoll_ebpf::value::Value;

use super::{
    block::{Header, section},
    bytes::{Cursor, Malformed},
    decode::Table,
    names::{NUMBER, REFERENCES},
};
use crate::{
    attribution::observation,
    fields::{Fields, Visit},
};

/// The part of a block that tells which rows may be asked for.
pub(super) struct Keys {
    rows: Table,
    nodes: Table,
    containers: Table,
    first_seq: u64,
    places: Places,
}

/// Which columns of the rows are looked at for each of them.
struct Places {
    ts: Option<usize>,
    kind: Option<usize>,
    seq: Option<usize>,
    references: [Option<usize>; 3],
}

impl Places {
    fn of(rows: &Table) -> Self {
        let place = |name| rows.columns.iter().position(|column| column.field.name == name);
        Self {
            ts: place("ts"),
            kind: place("kind"),
            seq: place(NUMBER.name),
            references: REFERENCES.each_ref().map(|field| place(field.name)),
        }
    }
}

/// A block, decoded.
pub(super) struct StoredBlock {
    keys: Keys,
    processes: Later,
    rest: Later,
}

/// A table that is decoded when it is first looked at: many searches need none but the keys.
struct Later {
    header: Arc<Header>,
    payload: Arc<[u8]>,
    tag: u8,
    table: OnceLock<Table>,
}

impl Later {
    fn get(&self) -> &Table {
        // Its checksum was right. What does not decode all the same was not written by an agent,
        // and `plimsoll store verify` tells it.
        self.table.get_or_init(|| self.decode().unwrap_or_else(|_| Table::empty()))
    }

    fn decode(&self) -> Result<Table, Malformed> {
        Table::decode(&mut Cursor(&self.header.section(self.tag, &self.payload)?))
    }
}

/// One observation of a block.
#[derive(Clone)]
pub struct StoredRow {
    block: Arc<StoredBlock>,
    row: u32,
}

impl Keys {
    pub(super) fn decode(header: &Header, payload: &[u8]) -> Result<Self, Malformed> {
        let raw = header.section(section::KEYS, payload)?;
        let mut from = Cursor(&raw);
        let rows = Table::decode(&mut from)?;
        let keys = Self {
            places: Places::of(&rows),
            first_seq: header.first_seq,
            rows,
            nodes: Table::decode(&mut from)?,
            containers: Table::decode(&mut from)?,
        };
        if keys.rows.rows != header.rows as usize {
            return Err(Malformed("another number of rows than announced"));
        }
        Ok(keys)
    }

    pub(super) fn ts(&self, row: usize) -> u64 {
        self.number(self.places.ts, row).unwrap_or(0)
    }

    /// The row's number in the store.
    pub(super) fn seq(&self, row: usize) -> u64 {
        let distance = match self.places.seq {
            Some(_) => self.number(self.places.seq, row).unwrap_or(0),
            None => row as u64,
        };
        self.first_seq.saturating_add(distance)
    }

    fn number(&self, column: Option<usize>, row: usize) -> Option<u64> {
        self.rows.columns.get(column?)?.number(row)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.rows
    }

    pub(super) fn kind(&self, row: usize) -> Option<&str> {
        let Value::Label(kind) = self.rows.columns.get(self.places.kind?)?.get(row)? else {
            return None;
        };
        Some(kind)
    }

    /// The row's container, as a row of the containers' table.
    pub(super) fn container(&self, row: usize) -> Option<usize> {
        self.reference(row, 1)
    }

    pub(super) fn containers(&self) -> &Table {
        &self.containers
    }

    /// The row's node (0), container (1) or process (2), as a row of its table.
    pub(super) fn reference(&self, row: usize, which: usize) -> Option<usize> {
        let number = self.number(self.places.references[which], row)?;
        usize::try_from(number).ok()?.checked_sub(1)
    }
}

impl StoredBlock {
    /// A block whose checksums are right, as far as its keys.
    pub(super) fn new(header: &Arc<Header>, keys: Keys, payload: &Arc<[u8]>) -> Self {
        let later = |tag| {
            let (header, payload) = (Arc::clone(header), Arc::clone(payload));
            Later { header, payload, tag, table: OnceLock::new() }
        };
        Self { keys, processes: later(section::PROCESSES), rest: later(section::REST) }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Nodes, containers and processes.
    pub(super) fn entities(&self) -> [&Table; 3] {
        [&self.keys.nodes, &self.keys.containers, self.processes.get()]
    }

    /// Every column of the rows that is not among the keys.
    pub(super) fn rest(&self) -> &Table {
        self.rest.get()
    }

    /// Decodes a whole block.
    pub(super) fn of(header: &Header, payload: &[u8]) -> Result<Self, Malformed> {
        let keys = Keys::decode(header, payload)?;
        let block = Self::new(&Arc::new(header.clone()), keys, &Arc::from(payload));
        for later in [&block.processes, &block.rest] {
            let decoded = later.decode()?;
            later.table.get_or_init(|| decoded);
        }
        Ok(block)
    }

    pub(super) fn row(self: &Arc<Self>, row: u32) -> StoredRow {
        StoredRow { block: Arc::clone(self), row }
    }
}

impl StoredRow {
    /// The number of the observation in this store, rising in order of arrival.
    pub fn seq(&self) -> u64 {
        self.block.keys.seq(self.row as usize)
    }

    /// When it happened, in nanoseconds since the Unix epoch.
    pub fn ts_ns(&self) -> u64 {
        self.block.keys.ts(self.row as usize)
    }

    /// The tables that have a row for this observation, with that row.
    fn tables(&self) -> impl Iterator<Item = (&Table, usize)> {
        // The next is only decoded where the one before had no such field.
        (0..5).filter_map(|which| self.table(which))
    }

    fn table(&self, which: usize) -> Option<(&Table, usize)> {
        let block = &*self.block;
        let row = self.row as usize;
        let entity = |which| block.keys.reference(row, which);
        match which {
            0 => Some((&block.keys.rows, row)),
            1 => Some((&block.keys.nodes, entity(0)?)),
            2 => Some((&block.keys.containers, entity(1)?)),
            3 => Some((block.rest.get(), row)),
            _ => Some((block.processes.get(), entity(2)?)),
        }
    }
}

impl Fields for StoredRow {
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>) {
        let [keys, node, container, process] = [0, 1, 2, 4].map(|which| self.table(which));
        let rest = &self.block.rest.get().columns;
        let is_common = |name| observation::FIELDS.iter().any(|field| field.name == name);
        let common = rest.iter().take_while(|column| is_common(column.field.name)).count();
        let (common, event) = rest.split_at(common);
        let row = self.row as usize;
        let mut columns = |columns: &'a [super::decode::Column], row| {
            for column in columns {
                if let Some(value) = column.get(row) {
                    visit(column.field, value);
                }
            }
        };
        if let Some((table, row)) = keys {
            let own = table.columns.iter().take_while(|it| !it.field.name.starts_with('@')).count();
            columns(&table.columns[..own], row);
        }
        columns(common, row);
        for (table, row) in [node, container, process].into_iter().flatten() {
            columns(&table.columns, row);
        }
        columns(event, row);
    }

    fn get<'a>(&'a self, name: &str) -> Option<Value<'a>> {
        self.tables().find_map(|(table, row)| table.get(row, name))
    }
}
