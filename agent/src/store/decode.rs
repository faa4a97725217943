//! Tables read from bytes that may be damaged: no panic, and no more memory than they justify.

use std::{borrow::Cow, net::IpAddr};

use plimsoll_ebpf::{
    catalog::FieldInfo,
    value::{Value, ValueType},
};

use super::{
    bytes::{Cursor, Malformed, unzigzag},
    column::{MAX_TEXT, TYPES, encoding},
    names,
};

/// Rows that a block may have.
pub(super) const MAX_ROWS: usize = 1 << 16;
const MAX_COLUMNS: usize = 1024;

/// A table as it was stored.
pub(super) struct Table {
    pub(super) rows: usize,
    pub(super) columns: Vec<Column>,
}

/// A column with its values.
pub(super) struct Column {
    pub(super) field: &'static FieldInfo,
    presence: Presence,
    values: Values,
}

enum Presence {
    All,
    /// A bit for each row, and how many are set before each word of 64.
    Some {
        words: Vec<u64>,
        before: Vec<u32>,
    },
}

enum Values {
    Fixed(Fixed),
    Numbers(Vec<u64>),
    Texts { ends: Vec<u32>, bytes: Vec<u8>, numbers: Fixed },
}

struct Fixed {
    base: u64,
    width: usize,
    bytes: Vec<u8>,
}

impl Table {
    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let rows = from.count(MAX_ROWS)?;
        let count = from.count(MAX_COLUMNS)?;
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.extend(Column::decode(from, rows)?);
        }
        Ok(Self { rows, columns })
    }

    /// A table without rows.
    pub(super) fn empty() -> Self {
        Self { rows: 0, columns: Vec::new() }
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.field.name == name)
    }

    /// The value of a field in a row.
    pub(super) fn get(&self, row: usize, name: &str) -> Option<Value<'_>> {
        self.column(name)?.get(row)
    }
}

impl Column {
    /// Reads a column; `None` where its name cannot be kept.
    fn decode(from: &mut Cursor<'_>, rows: usize) -> Result<Option<Self>, Malformed> {
        let name = from.text()?;
        let tag = from.u8()?;
        let value = TYPES.iter().find(|(known, _)| *known == tag).map(|(_, value)| *value);
        let value = value.ok_or(Malformed("unknown type of column"))?;
        let (presence, count) = decode_presence(from, rows)?;
        let values = Values::decode(from, count, value)?;
        Ok(names::field(name, value).map(|field| Self { field, presence, values }))
    }

    pub(super) fn get(&self, row: usize) -> Option<Value<'_>> {
        let index = self.presence.index(row)?;
        match &self.values {
            Values::Fixed(fixed) => number_value(self.field.value, fixed.get(index)?),
            Values::Numbers(numbers) => number_value(self.field.value, *numbers.get(index)?),
            Values::Texts { ends, bytes, numbers } => {
                let number = numbers.get(index)? as usize;
                text_value(self.field.value, text_of(ends, bytes, number)?)
            }
        }
    }

    /// Every row's value as a plain number; 0 for rows without one, and of columns of other types.
    pub(super) fn plain(&self, rows: usize) -> Vec<u64> {
        let is_plain = matches!(self.field.value, ValueType::Number | ValueType::Time);
        let numbers = match &self.values {
            Values::Fixed(fixed) if is_plain => Cow::Owned(fixed.all(rows)),
            Values::Numbers(numbers) if is_plain => Cow::Borrowed(numbers),
            Values::Fixed(_) | Values::Numbers(_) | Values::Texts { .. } => return vec![0; rows],
        };
        if let Presence::All = self.presence {
            return numbers.into_owned();
        }
        let number = |row| self.presence.index(row).and_then(|index| numbers.get(index).copied());
        (0..rows).map(|row| number(row).unwrap_or(0)).collect()
    }

    /// Marks the rows whose value passes. Of texts each distinct one is asked once.
    pub(super) fn mark(&self, marked: &mut [bool], passes: impl Fn(Value<'_>) -> bool) {
        let Values::Texts { ends, bytes, numbers } = &self.values else {
            for (row, mark) in marked.iter_mut().enumerate() {
                *mark |= self.get(row).is_some_and(&passes);
            }
            return;
        };
        let text = |number| text_value(self.field.value, text_of(ends, bytes, number)?);
        let pass: Vec<bool> = (0..ends.len()).map(|it| text(it).is_some_and(&passes)).collect();
        if !pass.contains(&true) {
            return;
        }
        for (row, mark) in marked.iter_mut().enumerate() {
            let number = self.presence.index(row).and_then(|index| numbers.get(index));
            *mark |= number.and_then(|it| pass.get(it as usize)) == Some(&true);
        }
    }
}

impl Presence {
    /// Which of the stored values is this row's.
    fn index(&self, row: usize) -> Option<usize> {
        let Self::Some { words, before } = self else { return Some(row) };
        let (word, bit) = (*words.get(row / 64)?, row % 64);
        let below = (word & ((1 << bit) - 1)).count_ones();
        (word >> bit & 1 == 1).then(|| (before[row / 64] + below) as usize)
    }
}

fn decode_presence(from: &mut Cursor<'_>, rows: usize) -> Result<(Presence, usize), Malformed> {
    match from.u8()? {
        0 => return Ok((Presence::All, rows)),
        1 => {}
        _ => return Err(Malformed("unknown presence")),
    }
    let bits = from.take(rows.div_ceil(8))?;
    let mut words = vec![0u64; rows.div_ceil(64)];
    for (index, byte) in bits.iter().enumerate() {
        words[index / 8] |= u64::from(*byte) << (index % 8 * 8);
    }
    let mut count = 0;
    let mut before = Vec::with_capacity(words.len());
    for word in &words {
        before.push(count);
        count += word.count_ones();
    }
    if count as usize > rows {
        return Err(Malformed("more values than rows"));
    }
    Ok((Presence::Some { words, before }, count as usize))
}

impl Values {
    fn decode(from: &mut Cursor<'_>, count: usize, value: ValueType) -> Result<Self, Malformed> {
        match from.u8()? {
            encoding::FIXED => Fixed::decode(from, count).map(Self::Fixed),
            encoding::DELTA => {
                let mut numbers = Vec::with_capacity(count.min(from.0.len()));
                let mut number = 0u64;
                for _ in 0..count {
                    number = number.wrapping_add(unzigzag(from.varint()?) as u64);
                    numbers.push(number);
                }
                Ok(Self::Numbers(numbers))
            }
            encoding::DICTIONARY => Self::decode_texts(from, count, value),
            _ => Err(Malformed("unknown encoding")),
        }
    }

    fn decode_texts(
        from: &mut Cursor<'_>,
        count: usize,
        value: ValueType,
    ) -> Result<Self, Malformed> {
        let distinct = from.count(count.min(from.0.len()))?;
        let mut ends = Vec::with_capacity(distinct);
        let mut end = 0;
        for _ in 0..distinct {
            end += from.count(MAX_TEXT)?;
            ends.push(u32::try_from(end).map_err(|_| Malformed("texts too long"))?);
        }
        let bytes = from.take(end)?.to_vec();
        if value == ValueType::Label && std::str::from_utf8(&bytes).is_err() {
            return Err(Malformed("label is not UTF-8"));
        }
        Ok(Self::Texts { ends, bytes, numbers: Fixed::decode(from, count)? })
    }
}

impl Fixed {
    fn decode(from: &mut Cursor<'_>, count: usize) -> Result<Self, Malformed> {
        let base = from.u64()?;
        let width = usize::from(from.u8()?);
        if ![0, 1, 2, 4, 8].contains(&width) {
            return Err(Malformed("unknown width"));
        }
        Ok(Self { base, width, bytes: from.take(count * width)?.to_vec() })
    }

    fn get(&self, index: usize) -> Option<u64> {
        let from = self.bytes.get(index * self.width..)?;
        let distance = match self.width {
            0 => 0,
            1 => u64::from(*from.first()?),
            2 => u64::from(u16::from_le_bytes(*from.first_chunk()?)),
            4 => u64::from(u32::from_le_bytes(*from.first_chunk()?)),
            _ => u64::from_le_bytes(*from.first_chunk()?),
        };
        Some(self.base.wrapping_add(distance))
    }

    /// Every value; where they are all alike as many as `rows`.
    fn all(&self, rows: usize) -> Vec<u64> {
        let whole = |distance: u64| self.base.wrapping_add(distance);
        let bytes = &self.bytes;
        match self.width {
            0 => vec![self.base; rows],
            1 => bytes.iter().map(|it| whole(u64::from(*it))).collect(),
            2 => {
                bytes.as_chunks().0.iter().map(|it| whole(u16::from_le_bytes(*it).into())).collect()
            }
            4 => {
                bytes.as_chunks().0.iter().map(|it| whole(u32::from_le_bytes(*it).into())).collect()
            }
            _ => bytes.as_chunks().0.iter().map(|it| whole(u64::from_le_bytes(*it))).collect(),
        }
    }
}

/// The text of this number among texts that end so.
fn text_of<'a>(ends: &[u32], bytes: &'a [u8], number: usize) -> Option<&'a [u8]> {
    let end = *ends.get(number)? as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before] as usize);
    bytes.get(start..end)
}

fn number_value(value: ValueType, number: u64) -> Option<Value<'static>> {
    match value {
        ValueType::Number => Some(Value::Number(number)),
        ValueType::Signed => Some(Value::Signed(unzigzag(number))),
        ValueType::Flag => Some(Value::Flag(number != 0)),
        ValueType::Time => Some(Value::Time(number)),
        ValueType::Port => u16::try_from(number).ok().map(Value::Port),
        ValueType::Text
        | ValueType::Path
        | ValueType::List
        | ValueType::Label
        | ValueType::Address => None,
    }
}

fn text_value(value: ValueType, bytes: &[u8]) -> Option<Value<'_>> {
    match value {
        ValueType::Text => Some(Value::Text(bytes)),
        ValueType::Path => Some(Value::Path(bytes)),
        ValueType::List => Some(Value::List(bytes)),
        ValueType::Label => std::str::from_utf8(bytes).ok().map(Value::Label),
        ValueType::Address => match bytes.len() {
            4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
            16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
            _ => None,
        }
        .map(Value::Address),
        ValueType::Number
        | ValueType::Signed
        | ValueType::Flag
        | ValueType::Time
        | ValueType::Port => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::table::TableBuilder;

    #[derive(Clone, Debug)]
    struct Row {
        number: Option<u64>,
        signed: Option<i64>,
        time: u64,
        text: Option<Vec<u8>>,
    }

    fn any_row() -> impl Strategy<Value = Row> {
        let text = proptest::option::of(proptest::collection::vec(0u8..4, 0..6));
        (any::<Option<u64>>(), any::<Option<i64>>(), any::<u64>(), text)
            .prop_map(|(number, signed, time, text)| Row { number, signed, time, text })
    }

    fn encode(rows: &[Row]) -> Vec<u8> {
        let mut table = TableBuilder::default();
        for row in rows {
            table.begin_row();
            table.put_named("ts", Value::Time(row.time));
            if let Some(number) = row.number {
                table.put_named("count", Value::Number(number));
            }
            if let Some(signed) = row.signed {
                table.put_named("ret", Value::Signed(signed));
            }
            if let Some(text) = &row.text {
                table.put_named("file.path", Value::Path(text));
            }
        }
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_table_reads_back(rows in proptest::collection::vec(any_row(), 0..200)) {
            let bytes = encode(&rows);
            let table = Table::decode(&mut Cursor(&bytes)).map_err(|e| TestCaseError::fail(e.0))?;
            prop_assert_eq!(table.rows, rows.len());
            for (index, row) in rows.iter().enumerate() {
                prop_assert_eq!(table.get(index, "ts"), Some(Value::Time(row.time)));
                prop_assert_eq!(table.get(index, "count"), row.number.map(Value::Number));
                prop_assert_eq!(table.get(index, "ret"), row.signed.map(Value::Signed));
                prop_assert_eq!(
                    table.get(index, "file.path"),
                    row.text.as_deref().map(Value::Path)
                );
            }
        }

        #[test]
        fn a_column_is_the_same_at_once_as_row_by_row(
            rows in proptest::collection::vec(any_row(), 0..200),
            bits in 0..64_u32,
            wanted in proptest::collection::vec(0u8..4, 0..2),
        ) {
            let narrow = |row: &Row| Row { number: row.number.map(|it| it >> bits), ..row.clone() };
            let rows: Vec<Row> = rows.iter().map(narrow).collect();
            let bytes = encode(&rows);
            let table = Table::decode(&mut Cursor(&bytes)).map_err(|e| TestCaseError::fail(e.0))?;
            let count: Vec<u64> = rows.iter().map(|row| row.number.unwrap_or(0)).collect();
            if let Some(column) = table.column("count") {
                prop_assert_eq!(column.plain(rows.len()), count);
                let mut marked = vec![false; rows.len()];
                column.mark(&mut marked, |it| it == Value::Number(rows[0].number.unwrap_or(0)));
                let same = |row: &Row| row.number == Some(rows[0].number.unwrap_or(0));
                prop_assert_eq!(marked, rows.iter().map(same).collect::<Vec<_>>());
            }
            let times: Vec<u64> = rows.iter().map(|row| row.time).collect();
            prop_assert_eq!(table.column("ts").map_or(vec![], |it| it.plain(rows.len())), times);
            if let Some(column) = table.column("file.path") {
                prop_assert_eq!(column.plain(rows.len()), vec![0; rows.len()]);
                let has = |text: &[u8]| text.starts_with(&wanted);
                let mut marked = vec![false; rows.len()];
                column.mark(&mut marked, |it| matches!(it, Value::Path(text) if has(text)));
                let expected = |row: &Row| row.text.as_deref().is_some_and(has);
                prop_assert_eq!(marked, rows.iter().map(expected).collect::<Vec<_>>());
            }
        }

        #[test]
        fn damaged_tables_never_panic(
            rows in proptest::collection::vec(any_row(), 0..60),
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = encode(&rows);
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(table) = Table::decode(&mut Cursor(&bytes)) {
                for row in 0..table.rows {
                    for column in &table.columns {
                        let _ = column.get(row);
                    }
                }
                for column in &table.columns {
                    column.mark(&mut vec![false; table.rows], |_| true);
                    prop_assert!(column.plain(table.rows).len() <= table.rows);
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Table::decode(&mut Cursor(&bytes));
        }
    }
}
