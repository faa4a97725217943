//! The fields of stored columns, those of other versions of the agent among them.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use plimsoll_ebpf::{catalog::FieldInfo, value::ValueType};

use crate::attribution::fields;

const fn reference(name: &'static str) -> FieldInfo {
    FieldInfo { name, value: ValueType::Number, learned: false, doc: "Row of an entity, from 1." }
}

/// The columns that refer to a row's node, container and process.
pub(super) static REFERENCES: [FieldInfo; 3] =
    [reference("@node"), reference("@ctr"), reference("@proc")];

/// Distance of a row's number from the block's first, where some numbers are elsewhere.
pub(super) static NUMBER: FieldInfo = FieldInfo {
    name: "@seq",
    value: ValueType::Time,
    learned: false,
    doc: "Distance of the number from the first.",
};

/// Names of other versions that are kept; a damaged or hostile file must not fill the memory.
const MAX_FOREIGN: usize = 512;
const MAX_NAME: usize = 64;

static KNOWN: LazyLock<HashMap<&'static str, &'static FieldInfo>> = LazyLock::new(|| {
    fields::all()
        .into_iter()
        .chain(&REFERENCES)
        .chain([&NUMBER])
        .map(|field| (field.name, field))
        .collect()
});

static FOREIGN: Mutex<Vec<&'static FieldInfo>> = Mutex::new(Vec::new());

/// The field of a stored column. A name this version does not know is kept as it is.
pub(super) fn field(name: &str, value: ValueType) -> Option<&'static FieldInfo> {
    match KNOWN.get(name) {
        Some(field) if field.value == value => Some(field),
        _ => foreign(name, value),
    }
}

fn foreign(name: &str, value: ValueType) -> Option<&'static FieldInfo> {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        return None;
    }
    let mut foreign = FOREIGN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = foreign.iter().find(|field| field.name == name && field.value == value);
    if let Some(field) = known {
        return Some(field);
    }
    if foreign.len() >= MAX_FOREIGN {
        return None;
    }
    let doc = "A field of another version of the agent.";
    let name = String::leak(name.to_owned());
    let field: &'static FieldInfo =
        Box::leak(Box::new(FieldInfo { name, value, learned: false, doc }));
    foreign.push(field);
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_another_version_keeps_its_name_and_type() {
        let field = field("other.thing", ValueType::Path).expect("is kept");
        assert_eq!((field.name, field.value), ("other.thing", ValueType::Path));
        let changed = super::field("file.path", ValueType::Number).expect("is kept");
        assert_eq!(changed.value, ValueType::Number);
    }

    #[test]
    fn a_name_that_is_none_is_not_kept() {
        assert!(field("x\u{1b}[31m", ValueType::Text).is_none());
        assert!(field(&"x".repeat(65), ValueType::Text).is_none());
    }
}
