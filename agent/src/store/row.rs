//! Stored observations, read like live ones.

use std::sync::Arc;

use plimsoll_ebpf::value::Value;

use super::{
    block::{Header, section},
    bytes::{Cursor, Malformed},
    decode::Table,
    names::REFERENCES,
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
}

/// A block, decoded.
pub(super) struct StoredBlock {
    first_seq: u64,
    keys: Keys,
    processes: Table,
    rest: Table,
    /// How many columns of `rest` come before the event's own fields.
    common: usize,
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
        let keys = Self {
            rows: Table::decode(&mut from)?,
            nodes: Table::decode(&mut from)?,
            containers: Table::decode(&mut from)?,
        };
        if keys.rows.rows != header.rows as usize {
            return Err(Malformed("another number of rows than announced"));
        }
        Ok(keys)
    }

    pub(super) fn ts(&self, row: usize) -> u64 {
        self.rows.column("ts").and_then(|column| column.number(row)).unwrap_or(0)
    }

    pub(super) fn kind(&self, row: usize) -> Option<&str> {
        let Value::Label(kind) = self.rows.get(row, "kind")? else { return None };
        Some(kind)
    }

    /// The row's container, as a row of the containers' table.
    pub(super) fn container(&self, row: usize) -> Option<usize> {
        self.reference(row, 1)
    }

    pub(super) fn containers(&self) -> &Table {
        &self.containers
    }

    fn reference(&self, row: usize, which: usize) -> Option<usize> {
        let number = self.rows.column(REFERENCES[which].name)?.number(row)?;
        usize::try_from(number).ok()?.checked_sub(1)
    }
}

impl StoredBlock {
    pub(super) fn decode(header: &Header, keys: Keys, payload: &[u8]) -> Result<Self, Malformed> {
        let table = |tag| Table::decode(&mut Cursor(&header.section(tag, payload)?));
        let processes = table(section::PROCESSES)?;
        let rest = table(section::REST)?;
        let is_common = |name| observation::FIELDS.iter().any(|field| field.name == name);
        let common = rest.columns.iter().take_while(|column| is_common(column.field.name)).count();
        Ok(Self { first_seq: header.first_seq, keys, processes, rest, common })
    }

    pub(super) fn row(self: &Arc<Self>, row: u32) -> StoredRow {
        StoredRow { block: Arc::clone(self), row }
    }
}

impl StoredRow {
    /// The number of the observation in this store, rising in order of arrival.
    pub fn seq(&self) -> u64 {
        self.block.first_seq.saturating_add(u64::from(self.row))
    }

    /// When it happened, in nanoseconds since the Unix epoch.
    pub fn ts_ns(&self) -> u64 {
        self.block.keys.ts(self.row as usize)
    }

    /// The tables that have a row for this observation, with that row.
    fn tables(&self) -> [Option<(&Table, usize)>; 5] {
        let block = &*self.block;
        let row = self.row as usize;
        let entity = |which, table| block.keys.reference(row, which).map(|row| (table, row));
        [
            Some((&block.keys.rows, row)),
            entity(0, &block.keys.nodes),
            entity(1, &block.keys.containers),
            entity(2, &block.processes),
            Some((&block.rest, row)),
        ]
    }
}

impl Fields for StoredRow {
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>) {
        let [keys, node, container, process, _] = self.tables();
        let (common, event) = self.block.rest.columns.split_at(self.block.common);
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
        self.tables().into_iter().flatten().find_map(|(table, row)| table.get(row, name))
    }
}
