//! Stored observations, read like live ones.

use std::sync::{Arc, OnceLock};

use plimsoll_ebpf::value::Value;

use super::{
    block::{Header, section},
    bytes::{Cursor, Malformed},
    decode::{Column, Table},
    names::{NUMBER, REFERENCES},
    texts::Needle,
};
use crate::{
    attribution::observation,
    fields::{Fields, Visit},
};

/// Entities that rows refer to, by the place of their column among [`REFERENCES`].
const NODE: usize = 0;
const CONTAINER: usize = 1;
const PROCESS: usize = 2;

/// The part of a block that tells which rows may be asked for.
pub(super) struct Keys {
    rows: Table,
    nodes: Table,
    containers: Table,
    first_seq: u64,
    /// Of each row.
    times: Vec<u64>,
    /// Distance of each row's number from the first; absent where no number is missing.
    distances: Option<Vec<u64>>,
    /// Each row's node, container and process, from 1; 0 for none. Empty where no row has one.
    references: [Vec<u64>; 3],
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
    payload: Arc<Vec<u8>>,
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

fn of_row<'t>(table: &'t Table, name: &str) -> Option<(Option<usize>, &'t Column)> {
    table.column(name).map(|column| (None, column))
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
        let plain = |name| Some(rows.column(name)?.plain(rows.rows));
        let keys = Self {
            first_seq: header.first_seq,
            times: plain("ts").unwrap_or_default(),
            distances: plain(NUMBER.name),
            references: REFERENCES.each_ref().map(|it| plain(it.name).unwrap_or_default()),
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
        self.times.get(row).copied().unwrap_or(0)
    }

    /// The row's number in the store.
    pub(super) fn seq(&self, row: usize) -> u64 {
        let distance = match &self.distances {
            Some(distances) => distances.get(row).copied().unwrap_or(0),
            None => row as u64,
        };
        self.first_seq.saturating_add(distance)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.rows
    }

    pub(super) fn kind(&self, row: usize) -> Option<&str> {
        let Value::Label(kind) = self.rows.get(row, "kind")? else { return None };
        Some(kind)
    }

    /// Marks the rows of these events.
    pub(super) fn mark_kinds(&self, marked: &mut [bool], kinds: &[String]) {
        let is_wanted = |kind: Value<'_>| matches!(kind, Value::Label(kind) if kinds.iter().any(|it| it == kind));
        if let Some(column) = self.rows.column("kind") {
            column.mark(marked, is_wanted);
        }
    }

    /// The row's container, as a row of the containers' table.
    pub(super) fn container(&self, row: usize) -> Option<usize> {
        self.reference(row, CONTAINER)
    }

    pub(super) fn containers(&self) -> &Table {
        &self.containers
    }

    /// The row's node, container or process, as a row of its table.
    pub(super) fn reference(&self, row: usize, which: usize) -> Option<usize> {
        usize::try_from(*self.references[which].get(row)?).ok()?.checked_sub(1)
    }
}

impl StoredBlock {
    /// A block whose checksums are right, as far as its keys.
    pub(super) fn new(header: &Arc<Header>, keys: Keys, payload: &Arc<Vec<u8>>) -> Self {
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
        [NODE, CONTAINER, PROCESS].map(|which| self.entity(which))
    }

    fn entity(&self, which: usize) -> &Table {
        match which {
            NODE => &self.keys.nodes,
            CONTAINER => &self.keys.containers,
            _ => self.processes.get(),
        }
    }

    /// Every column of the rows that is not among the keys.
    pub(super) fn rest(&self) -> &Table {
        self.rest.get()
    }

    /// Decodes a whole block.
    pub(super) fn of(header: &Header, payload: &[u8]) -> Result<Self, Malformed> {
        let keys = Keys::decode(header, payload)?;
        let block = Self::new(&Arc::new(header.clone()), keys, &Arc::new(payload.to_vec()));
        for later in [&block.processes, &block.rest] {
            let decoded = later.decode()?;
            later.table.get_or_init(|| decoded);
        }
        Ok(block)
    }

    /// The column of a field, and which entity of a row it tells of: of none where it tells of
    /// the row itself. A table is only decoded where those before have no such field.
    fn column(&self, name: &str) -> Option<(Option<usize>, &Column)> {
        let of_entity = |which| self.entity(which).column(name).map(|it| (Some(which), it));
        of_row(&self.keys.rows, name)
            .or_else(|| of_entity(NODE))
            .or_else(|| of_entity(CONTAINER))
            .or_else(|| of_row(self.rest.get(), name))
            .or_else(|| of_entity(PROCESS))
    }

    /// Which rows have one of these.
    pub(super) fn rows_with(&self, needles: &[Needle]) -> Vec<bool> {
        let mut marked = vec![false; self.keys.rows()];
        for needle in needles {
            let Some((entity, column)) = self.column(needle.field.name) else { continue };
            let Some(which) = entity else {
                column.mark(&mut marked, |value| needle.is_in(value));
                continue;
            };
            let mut entities = vec![false; self.entity(which).rows];
            column.mark(&mut entities, |value| needle.is_in(value));
            for (row, mark) in marked.iter_mut().enumerate() {
                let entity = self.keys.reference(row, which);
                *mark |= entity.and_then(|it| entities.get(it)) == Some(&true);
            }
        }
        marked
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
}

impl Fields for StoredRow {
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>) {
        let block = &*self.block;
        let keys = &block.keys.rows.columns;
        let rest = &block.rest.get().columns;
        let is_common = |name| observation::FIELDS.iter().any(|it| it.info.name == name);
        let common = rest.iter().take_while(|column| is_common(column.field.name)).count();
        let (common, event) = rest.split_at(common);
        let row = self.row as usize;
        let mut columns = |columns: &'a [Column], row| {
            for column in columns {
                if let Some(value) = column.get(row) {
                    visit(column.field, value);
                }
            }
        };
        let own = keys.iter().take_while(|it| !it.field.name.starts_with('@')).count();
        columns(&keys[..own], row);
        columns(common, row);
        for which in [NODE, CONTAINER, PROCESS] {
            if let Some(entity) = block.keys.reference(row, which) {
                columns(&block.entity(which).columns, entity);
            }
        }
        columns(event, row);
    }

    fn get<'a>(&'a self, name: &str) -> Option<Value<'a>> {
        let (entity, column) = self.block.column(name)?;
        let row = self.row as usize;
        column.get(match entity {
            Some(which) => self.block.keys.reference(row, which)?,
            None => row,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use plimsoll_ebpf::catalog::FieldInfo;

    use crate::{
        attribution::{container, node, process},
        store::batch::row_fields,
    };

    #[test]
    fn a_field_is_of_the_row_or_of_one_entity() {
        let names = |fields: Vec<&FieldInfo>| fields.iter().map(|it| it.name).collect::<Vec<_>>();
        let tables = [
            names(row_fields().concat()),
            names(node::ATTRIBUTES.iter().map(|it| &it.info).collect()),
            names(container::ATTRIBUTES.iter().map(|it| &it.info).collect()),
            names(process::ATTRIBUTES.iter().map(|it| &it.info).collect()),
        ];
        let mut known = HashMap::new();
        for (table, names) in tables.iter().enumerate() {
            for name in names {
                assert_eq!(*known.entry(*name).or_insert(table), table, "{name} is in two tables");
            }
        }
    }
}
