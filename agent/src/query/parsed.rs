//! Observations read back from the JSON that they were printed as.

use std::{collections::HashMap, net::IpAddr, sync::LazyLock};

use plimsoll_ebpf::{
    catalog::FieldInfo,
    value::{Value, ValueType},
};
use serde_json::{Map, Value as Json};

use super::moment;
use crate::{
    attribution::fields,
    fields::{Fields, Visit},
};

static KNOWN: LazyLock<HashMap<&'static str, &'static FieldInfo>> =
    LazyLock::new(|| fields::all().into_iter().map(|field| (field.name, field)).collect());

/// See the module. Fields that this version does not know, or whose value is of another type, are
/// left out.
#[derive(Debug, Default)]
pub struct Parsed {
    values: Vec<(&'static FieldInfo, Owned)>,
}

#[derive(Debug)]
enum Owned {
    Number(u64),
    Signed(i64),
    Flag(bool),
    Time(u64),
    Bytes(Vec<u8>),
    Label(String),
    Address(IpAddr),
    Port(u16),
}

impl Parsed {
    /// Reads an object that [`super::json`] made.
    pub fn of(object: &Map<String, Json>) -> Self {
        let mut parsed = Self::default();
        parsed.add("", object);
        parsed
    }

    fn add(&mut self, prefix: &str, object: &Map<String, Json>) {
        for (key, value) in object {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if let Json::Object(inner) = value {
                self.add(&name, inner);
            } else if let Some(field) = KNOWN.get(name.as_str())
                && let Some(owned) = owned(field.value, value)
            {
                self.values.push((field, owned));
            }
        }
    }
}

impl Fields for Parsed {
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>) {
        for (field, owned) in &self.values {
            visit(field, owned.value(field.value));
        }
    }

    fn get<'a>(&'a self, name: &str) -> Option<Value<'a>> {
        let found = self.values.iter().find(|(field, _)| field.name == name);
        found.map(|(field, owned)| owned.value(field.value))
    }
}

impl Owned {
    fn value(&self, of: ValueType) -> Value<'_> {
        match self {
            Self::Number(number) => Value::Number(*number),
            Self::Signed(number) => Value::Signed(*number),
            Self::Flag(flag) => Value::Flag(*flag),
            Self::Time(ns) => Value::Time(*ns),
            Self::Bytes(bytes) if of == ValueType::Path => Value::Path(bytes),
            Self::Bytes(bytes) if of == ValueType::List => Value::List(bytes),
            Self::Bytes(bytes) => Value::Text(bytes),
            Self::Label(label) => Value::Label(label),
            Self::Address(address) => Value::Address(*address),
            Self::Port(port) => Value::Port(*port),
        }
    }
}

fn owned(of: ValueType, value: &Json) -> Option<Owned> {
    Some(match of {
        ValueType::Number => Owned::Number(value.as_u64()?),
        ValueType::Signed => Owned::Signed(value.as_i64()?),
        ValueType::Flag => Owned::Flag(value.as_bool()?),
        ValueType::Time => Owned::Time(moment::of_rfc3339(value.as_str()?)?),
        ValueType::Text | ValueType::Path => Owned::Bytes(bytes(value.as_str()?)),
        ValueType::List => {
            let parts: Vec<Vec<u8>> =
                value.as_array()?.iter().filter_map(Json::as_str).map(bytes).collect();
            Owned::Bytes(parts.join(&0))
        }
        ValueType::Label => Owned::Label(value.as_str()?.to_owned()),
        ValueType::Address => Owned::Address(value.as_str()?.parse().ok()?),
        ValueType::Port => Owned::Port(value.as_u64()?.try_into().ok()?),
    })
}

/// The bytes that [`plimsoll_ebpf::value::readable`] shows so.
fn bytes(text: &str) -> Vec<u8> {
    if !text.contains("\\x") {
        return text.as_bytes().to_vec();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let digits = rest.strip_prefix('x').and_then(|it| it.get(..2));
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(b'\\');
            rest = rest.strip_prefix('\\').unwrap_or(rest);
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::value::readable;
    use proptest::prelude::*;

    use super::*;
    use crate::{query::json, store::sample::Sample};

    #[test]
    fn what_was_printed_is_read_back() {
        let sample = Sample::new();
        for number in 0..10 {
            let printed = sample.with(number, |it| json::object(it));
            let parsed = Parsed::of(&printed);
            assert_eq!(Json::Object(json::object(&parsed)), Json::Object(printed));
            for name in ["ts", "kind", "proc.args", "file.path", "net.raddr", "net.rport"] {
                let told = parsed.get(name).map(|it| format!("{it:?}"));
                let was = sample.with(number, |it| it.get(name).map(|it| format!("{it:?}")));
                // Which layer a path is in is told by its name alone.
                assert_eq!(told, was, "{name}");
            }
        }
    }

    #[test]
    fn what_is_of_another_version_is_left_out() {
        let object = serde_json::from_str(r#"{"kind":"exec","proc":{"pid":"7"},"other":{"x":1}}"#);
        let parsed = Parsed::of(&object.expect("is an object"));
        assert_eq!(parsed.values.len(), 1, "{parsed:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_that_were_made_readable_are_read_back(
            raw in proptest::collection::vec(any::<u8>(), 0..20),
            text in r"(\\|x|[0-9a-f]|é|\n){0,12}",
        ) {
            prop_assert_eq!(bytes(&readable(&raw)), raw);
            prop_assert_eq!(bytes(&readable(text.as_bytes())), text.into_bytes());
        }

        #[test]
        fn any_text_is_read(text in ".{0,30}|[\\\\x0-9é]{0,12}") {
            bytes(&text);
        }
    }
}
