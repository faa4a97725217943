//! Rows and columns, of observations as of the entities they refer to.

use plimsoll_ebpf::value::{Value, ValueType};

use super::{
    bytes::put_varint,
    column::{Cell, ColumnBuilder, with_cell},
    texts::Pieces,
};

/// A table while it is filled.
#[derive(Default)]
pub(super) struct TableBuilder {
    columns: Vec<ColumnBuilder>,
    rows: u32,
    cursor: usize,
}

impl TableBuilder {
    /// A table whose columns are known beforehand and addressed by index.
    pub(super) fn with_columns(columns: impl Iterator<Item = (&'static str, ValueType)>) -> Self {
        let columns = columns.map(|(name, value)| ColumnBuilder::new(name, value)).collect();
        Self { columns, ..Self::default() }
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Begins the next row.
    pub(super) fn begin_row(&mut self) {
        self.rows += 1;
        self.cursor = 0;
    }

    /// Sets a value of the row begun last.
    pub(super) fn put_value(&mut self, column: usize, value: Value<'_>) {
        with_cell(value, |cell| self.put(column, cell));
    }

    /// Sets a value of the row begun last.
    pub(super) fn put(&mut self, column: usize, cell: Cell<'_>) {
        let row = self.rows.saturating_sub(1);
        if let Some(column) = self.columns.get_mut(column) {
            column.put(row, cell);
        }
    }

    /// Sets a value by its column's name; the column is made if there is none yet.
    pub(super) fn put_named(&mut self, name: &'static str, value: Value<'_>) {
        // Entities visit their fields in one order: the column at the cursor is nearly always the one.
        // Another version may have had the name for another type.
        let value_type = value.value_type();
        let is_it = |it: &ColumnBuilder| it.is_of(name, value_type);
        let from_cursor = self.columns[self.cursor..].iter().position(is_it);
        let found = from_cursor
            .map(|ahead| ahead + self.cursor)
            .or_else(|| self.columns.iter().position(is_it));
        let column = found.unwrap_or_else(|| {
            self.columns.push(ColumnBuilder::new(name, value_type));
            self.columns.len() - 1
        });
        self.cursor = column + 1;
        with_cell(value, |cell| self.put(column, cell));
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        self.encode_without(None, into);
    }

    /// Appends the table but for the column of this name.
    pub(super) fn encode_without(&self, name: Option<&str>, into: &mut Vec<u8>) {
        let is_kept = |it: &&ColumnBuilder| !it.is_empty() && Some(it.name()) != name;
        let filled = self.columns.iter().filter(is_kept);
        put_varint(into, u64::from(self.rows));
        put_varint(into, filled.clone().count() as u64);
        filled.for_each(|column| column.encode(self.rows, into));
    }

    /// Adds what can be searched for.
    pub(super) fn gather(&self, pieces: &mut Pieces) {
        for column in &self.columns {
            let (value, texts) = column.texts();
            if matches!(value, ValueType::Path | ValueType::Address) {
                texts.for_each(|text| pieces.add(value, text));
            }
            pieces.add_ids(column.name(), column.numbers());
        }
    }

    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(ColumnBuilder::clear);
        self.rows = 0;
        self.cursor = 0;
    }
}
