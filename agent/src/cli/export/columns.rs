//! The columns of an export: one for each field of the catalogue, and their values until they are
//! written.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::ByteArray,
    errors::Result,
    schema::types::{Type, TypePtr},
};
use plimsoll_ebpf::value::ValueType;
use serde_json::Value as Json;

use crate::attribution::fields;

/// What has no column: fields of other versions of the agent, as JSON.
pub(super) const REST: &str = "rest";
/// The version of the form, which stands in every observation.
const SCHEMA: &str = "schema";

/// Columns in the order in which they are written.
pub(super) struct Columns {
    all: Vec<Column>,
    places: HashMap<&'static str, usize>,
}

/// A column's values since the last group of rows.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// The row of each value.
    pub(super) rows: Vec<u32>,
    pub(super) values: Values,
}

/// Values by the type in which they are stored.
pub(super) enum Values {
    Flags(Vec<bool>),
    Ports(Vec<i32>),
    Numbers(Vec<i64>),
    Times(Vec<i64>),
    Texts(Vec<ByteArray>),
    /// The texts of all lists, and how many each list has.
    Lists {
        parts: Vec<ByteArray>,
        counts: Vec<usize>,
    },
}

impl Values {
    fn of(value: ValueType) -> Self {
        match value {
            ValueType::Flag => Self::Flags(Vec::new()),
            ValueType::Port => Self::Ports(Vec::new()),
            ValueType::Number | ValueType::Signed => Self::Numbers(Vec::new()),
            ValueType::Time => Self::Times(Vec::new()),
            ValueType::List => Self::Lists { parts: Vec::new(), counts: Vec::new() },
            ValueType::Text | ValueType::Path | ValueType::Label | ValueType::Address => {
                Self::Texts(Vec::new())
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Flags(values) => values.clear(),
            Self::Ports(values) => values.clear(),
            Self::Numbers(values) | Self::Times(values) => values.clear(),
            Self::Texts(values) => values.clear(),
            Self::Lists { parts, counts } => {
                parts.clear();
                counts.clear();
            }
        }
    }

    /// Takes a value; false where it is of another type.
    fn push(&mut self, value: &Json) -> bool {
        let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        match (self, value) {
            (Self::Flags(values), Json::Bool(flag)) => values.push(*flag),
            (Self::Ports(values), Json::Number(port)) => match port.as_u64().map(i32::try_from) {
                Some(Ok(port)) => values.push(port),
                _ => return false,
            },
            // Unsigned numbers keep their bits; the column says that they are unsigned.
            (Self::Numbers(values), Json::Number(number)) => {
                match number.as_i64().or_else(|| number.as_u64().map(u64::cast_signed)) {
                    Some(number) => values.push(number),
                    None => return false,
                }
            }
            (Self::Times(values), Json::String(time)) => {
                let ns = time.parse::<Timestamp>().ok().map(Timestamp::as_nanosecond);
                match ns.map(i64::try_from) {
                    Some(Ok(ns)) => values.push(ns),
                    _ => return false,
                }
            }
            (Self::Texts(values), Json::String(text)) => values.push(bytes(text)),
            (Self::Lists { parts, counts }, Json::Array(list)) => {
                let texts: Option<Vec<&str>> = list.iter().map(Json::as_str).collect();
                let Some(texts) = texts else { return false };
                counts.push(texts.len());
                parts.extend(texts.into_iter().map(bytes));
            }
            _ => return false,
        }
        true
    }
}

impl Columns {
    /// Empty columns, and the schema that says so.
    pub(super) fn new() -> Result<(Self, TypePtr)> {
        let fields = fields::all().into_iter().map(|field| (field.name, field.value));
        let own = [(SCHEMA, ValueType::Text), (REST, ValueType::Text)];
        let mut root = Vec::new();
        for (name, value) in fields.chain(own) {
            Branch::put(&mut root, name, name, value);
        }
        let (mut all, mut types) = (Vec::new(), Vec::new());
        for branch in root {
            types.push(branch.grow(&mut all)?);
        }
        let places = all.iter().enumerate().map(|(place, it)| (it.name, place)).collect();
        let root = Type::group_type_builder("observation").with_fields(types).build()?;
        Ok((Self { all, places }, Arc::new(root)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.all.iter()
    }

    /// Takes the value of a field in a row; false where no column takes it.
    pub(super) fn put(&mut self, row: u32, name: &str, value: &Json) -> bool {
        let Some(column) = self.places.get(name).and_then(|place| self.all.get_mut(*place)) else {
            return false;
        };
        let is_taken = column.values.push(value);
        if is_taken {
            column.rows.push(row);
        }
        is_taken
    }

    pub(super) fn clear(&mut self) {
        for column in &mut self.all {
            column.rows.clear();
            column.values.clear();
        }
    }
}

/// Fields whose names have a common beginning, or one field.
enum Branch {
    Group(&'static str, Vec<Self>),
    Leaf { part: &'static str, name: &'static str, value: ValueType },
}

impl Branch {
    fn put(level: &mut Vec<Self>, rest: &'static str, name: &'static str, value: ValueType) {
        let Some((first, inner)) = rest.split_once('.') else {
            level.push(Self::Leaf { part: rest, name, value });
            return;
        };
        let found = level.iter_mut().find_map(|branch| match branch {
            Self::Group(own, branches) if *own == first => Some(branches),
            Self::Group(..) | Self::Leaf { .. } => None,
        });
        if let Some(branches) = found {
            return Self::put(branches, inner, name, value);
        }
        let mut branches = Vec::new();
        Self::put(&mut branches, inner, name, value);
        level.push(Self::Group(first, branches));
    }

    /// The type of this branch; adds its columns in their order.
    fn grow(self, all: &mut Vec<Column>) -> Result<TypePtr> {
        match self {
            // Always there, so that a value below it is either there or not.
            Self::Group(part, branches) => {
                let types = branches.into_iter().map(|it| it.grow(all)).collect::<Result<_>>()?;
                let group = Type::group_type_builder(part).with_repetition(Repetition::REQUIRED);
                group.with_fields(types).build().map(Arc::new)
            }
            Self::Leaf { part, name, value } => {
                all.push(Column { name, rows: Vec::new(), values: Values::of(value) });
                leaf(part, value).map(Arc::new)
            }
        }
    }
}

fn leaf(name: &str, value: ValueType) -> Result<Type> {
    let optional = |name: &str, physical, logical| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
    };
    let integer = |bit_width, is_signed| Some(LogicalType::integer(bit_width, is_signed));
    match value {
        ValueType::Flag => optional(name, Physical::BOOLEAN, None),
        ValueType::Port => optional(name, Physical::INT32, integer(16, false)),
        ValueType::Number => optional(name, Physical::INT64, integer(64, false)),
        ValueType::Signed => optional(name, Physical::INT64, integer(64, true)),
        ValueType::Time => {
            let time = LogicalType::timestamp(true, TimeUnit::NANOS);
            optional(name, Physical::INT64, Some(time))
        }
        ValueType::Text | ValueType::Path | ValueType::Label | ValueType::Address => {
            optional(name, Physical::BYTE_ARRAY, Some(LogicalType::String))
        }
        ValueType::List => {
            let element = Type::primitive_type_builder("element", Physical::BYTE_ARRAY)
                .with_repetition(Repetition::REQUIRED)
                .with_logical_type(Some(LogicalType::String))
                .build()?;
            let list = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![Arc::new(element)])
                .build()?;
            Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(list)])
                .build()
        }
    }
}
