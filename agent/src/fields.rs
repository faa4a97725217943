//! Fields beyond those of an event: what every observation says of its node, container and process.
//!
//! Storage, queries and output know observations only as named values, through [`Fields`].

use plimsoll_ebpf::{
    catalog::FieldInfo,
    value::{Value, ValueType},
};

/// Receives a field and its value.
pub type Visit<'v, 'a> = dyn FnMut(&'a FieldInfo, Value<'a>) + 'v;

/// Something with named values: a live observation, a stored one, or a part of one.
pub trait Fields {
    /// Calls `visit` with each field that has a value, always in the same order.
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>);

    /// The value of one field.
    fn get<'a>(&'a self, name: &str) -> Option<Value<'a>> {
        let mut found = None;
        self.visit(&mut |field, value| {
            if field.name == name && found.is_none() {
                found = Some(value);
            }
        });
        found
    }
}

/// A field read from a `T` of the agent.
pub struct Attribute<T: 'static> {
    /// Name, type and meaning.
    pub info: FieldInfo,
    /// Reads it; `None` where it has no value.
    pub get: for<'a> fn(&'a T) -> Option<Value<'a>>,
}

impl<T> Attribute<T> {
    /// A field that is recorded but not learned.
    pub const fn noted(
        name: &'static str,
        value: ValueType,
        doc: &'static str,
        get: for<'a> fn(&'a T) -> Option<Value<'a>>,
    ) -> Self {
        Self { info: FieldInfo { name, value, learned: false, doc }, get }
    }

    /// A field that is part of the behaviour the baseline learns.
    pub const fn learned(
        name: &'static str,
        value: ValueType,
        doc: &'static str,
        get: for<'a> fn(&'a T) -> Option<Value<'a>>,
    ) -> Self {
        Self { info: FieldInfo { name, value, learned: true, doc }, get }
    }
}

/// Something whose fields are attributes.
pub trait Attributed: Sized + 'static {
    /// Its fields, in the order in which they are visited.
    const ATTRIBUTES: &'static [Attribute<Self>];
}

impl<T: Attributed> Fields for T {
    fn visit<'a>(&'a self, visit: &mut Visit<'_, 'a>) {
        for attribute in T::ATTRIBUTES {
            if let Some(value) = (attribute.get)(self) {
                visit(&attribute.info, value);
            }
        }
    }
}

/// Non-empty text as a value.
pub fn text(text: &str) -> Option<Value<'_>> {
    (!text.is_empty()).then_some(Value::Text(text.as_bytes()))
}
