//! A column while its block is being filled, and how it is written.

use plimsoll_ebpf::value::{Value, ValueType};

use super::{
    bytes::{put_text, put_varint, zigzag},
    dictionary::Dictionary,
};

/// How a column's values are written.
pub(super) mod encoding {
    /// A base, a width in bytes, then the distances from the base.
    pub(in super::super) const FIXED: u8 = 0;
    /// Distances from the value before, as varints.
    pub(in super::super) const DELTA: u8 = 1;
    /// Distinct texts, then their numbers as in [`FIXED`].
    pub(in super::super) const DICTIONARY: u8 = 2;
}

/// Every type with the tag it has on disk. A tag is never used for another type.
pub(super) const TYPES: [(u8, ValueType); 10] = [
    (1, ValueType::Number),
    (2, ValueType::Signed),
    (3, ValueType::Flag),
    (4, ValueType::Time),
    (5, ValueType::Text),
    (6, ValueType::Path),
    (7, ValueType::List),
    (8, ValueType::Label),
    (9, ValueType::Address),
    (10, ValueType::Port),
];

/// A value as it is kept.
#[derive(Clone, Copy)]
pub(super) enum Cell<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    /// Appends bytes that differ where cells do.
    pub(super) fn append_to(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Int(number) => {
                bytes.push(0);
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            Self::Bytes(text) => {
                bytes.push(1);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text);
            }
        }
    }
}

/// Longest text that is kept; longer ones are cut, since readers refuse them.
pub(super) const MAX_TEXT: usize = u16::MAX as usize;

/// Hands the stored form of a value to `take`.
pub(super) fn with_cell<R>(value: Value<'_>, take: impl FnOnce(Cell<'_>) -> R) -> R {
    match value {
        Value::Number(number) | Value::Time(number) => take(Cell::Int(number)),
        Value::Signed(number) => take(Cell::Int(zigzag(number))),
        Value::Flag(flag) => take(Cell::Int(u64::from(flag))),
        Value::Port(port) => take(Cell::Int(u64::from(port))),
        Value::Text(bytes) | Value::Path(bytes) | Value::List(bytes) => {
            take(Cell::Bytes(&bytes[..bytes.len().min(MAX_TEXT)]))
        }
        Value::Label(label) => take(Cell::Bytes(label.as_bytes())),
        Value::Layer(code, _) => take(Cell::Bytes(plimsoll_ebpf::layer::name(code).as_bytes())),
        Value::Address(std::net::IpAddr::V4(address)) => take(Cell::Bytes(&address.octets())),
        Value::Address(std::net::IpAddr::V6(address)) => take(Cell::Bytes(&address.octets())),
    }
}

/// A column that takes values row by row.
pub(super) struct ColumnBuilder {
    name: &'static str,
    value: ValueType,
    rows: Vec<u32>,
    numbers: Vec<u64>,
    dictionary: Option<Dictionary>,
}

impl ColumnBuilder {
    pub(super) fn new(name: &'static str, value: ValueType) -> Self {
        let dictionary = match value {
            ValueType::Number
            | ValueType::Signed
            | ValueType::Flag
            | ValueType::Time
            | ValueType::Port => None,
            ValueType::Text
            | ValueType::Path
            | ValueType::List
            | ValueType::Label
            | ValueType::Address => Some(Dictionary::new()),
        };
        Self { name, value, rows: Vec::new(), numbers: Vec::new(), dictionary }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is of this name and takes values of this type.
    pub(super) fn is_of(&self, name: &str, value: ValueType) -> bool {
        // Names of one origin are one: most need not be compared.
        (std::ptr::eq(self.name, name) || self.name == name) && self.value == value
    }

    /// Sets the value of a row; rows come in rising order, and the first value of a row counts.
    pub(super) fn put(&mut self, row: u32, cell: Cell<'_>) {
        if self.rows.last() == Some(&row) {
            return;
        }
        let number = match (cell, &mut self.dictionary) {
            (Cell::Int(number), None) => number,
            (Cell::Bytes(bytes), Some(dictionary)) => u64::from(dictionary.number_of(bytes)),
            _ => return,
        };
        self.rows.push(row);
        self.numbers.push(number);
    }

    /// The type of its values, and the distinct ones that are texts.
    pub(super) fn texts(&self) -> (ValueType, impl Iterator<Item = &[u8]>) {
        (self.value, self.dictionary.iter().flat_map(Dictionary::texts))
    }

    /// Its values where they are numbers, else the numbers of its texts.
    pub(super) fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.numbers.clear();
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.clear();
        }
    }

    /// Appends the column of a table of `rows` rows.
    pub(super) fn encode(&self, rows: u32, into: &mut Vec<u8>) {
        put_text(into, self.name);
        let tag = TYPES.iter().find(|(_, value)| *value == self.value).map_or(0, |(tag, _)| *tag);
        into.push(tag);
        self.encode_presence(rows, into);
        match &self.dictionary {
            Some(dictionary) => {
                into.push(encoding::DICTIONARY);
                put_varint(into, dictionary.len() as u64);
                dictionary.texts().for_each(|text| put_varint(into, text.len() as u64));
                into.extend_from_slice(dictionary.bytes());
                self.encode_fixed(into);
            }
            None if self.value == ValueType::Time => {
                into.push(encoding::DELTA);
                let mut before = 0u64;
                for &number in &self.numbers {
                    put_varint(into, zigzag(number.wrapping_sub(before) as i64));
                    before = number;
                }
            }
            None => {
                into.push(encoding::FIXED);
                self.encode_fixed(into);
            }
        }
    }

    fn encode_presence(&self, rows: u32, into: &mut Vec<u8>) {
        let whole = self.rows.len() == rows as usize;
        into.push(u8::from(!whole));
        if whole {
            return;
        }
        let start = into.len();
        into.resize(start + (rows as usize).div_ceil(8), 0);
        for &row in &self.rows {
            into[start + row as usize / 8] |= 1 << (row % 8);
        }
    }

    fn encode_fixed(&self, into: &mut Vec<u8>) {
        let base = self.numbers.iter().copied().min().unwrap_or(0);
        let most = self.numbers.iter().copied().max().unwrap_or(0) - base;
        let width = match most {
            0 => 0,
            1..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        into.extend_from_slice(&base.to_le_bytes());
        into.push(width);
        match width {
            0 => {}
            1 => self.encode_distances::<1>(base, into),
            2 => self.encode_distances::<2>(base, into),
            4 => self.encode_distances::<4>(base, into),
            _ => self.encode_distances::<8>(base, into),
        }
    }

    fn encode_distances<const WIDTH: usize>(&self, base: u64, into: &mut Vec<u8>) {
        let start = into.len();
        into.resize(start + self.numbers.len() * WIDTH, 0);
        let (places, _) = into[start..].as_chunks_mut::<WIDTH>();
        for (place, number) in places.iter_mut().zip(&self.numbers) {
            place.copy_from_slice(&(number - base).to_le_bytes()[..WIDTH]);
        }
    }
}
