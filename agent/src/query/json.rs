//! Observations as JSON objects, nested by the dots in their fields' names.

use plimsoll_ebpf::value::{Value, readable};
use serde_json::{Map, Value as Json};

use super::moment::rfc3339;
use crate::fields::Fields;

/// Version of the form, the first key of every object.
pub const SCHEMA: &str = "1";

/// The fields of an observation as an object.
pub fn object(fields: &impl Fields) -> Map<String, Json> {
    let mut object = Map::new();
    object.insert("schema".to_owned(), SCHEMA.into());
    fields.visit(&mut |field, value| insert(&mut object, field.name, json(value)));
    object
}

/// The object on one line, without its end.
pub fn line(fields: &impl Fields) -> String {
    Json::Object(object(fields)).to_string()
}

/// Sets a value below the objects that its name's parts name.
fn insert(object: &mut Map<String, Json>, name: &str, value: Json) {
    let Some((first, rest)) = name.split_once('.') else {
        object.insert(name.to_owned(), value);
        return;
    };
    // Asked for first, since making an entry copies the name.
    if !object.contains_key(first) {
        object.insert(first.to_owned(), Json::Object(Map::new()));
    }
    if let Some(Json::Object(inner)) = object.get_mut(first) {
        insert(inner, rest, value);
    }
}

/// A value as JSON has it.
pub(super) fn json(value: Value<'_>) -> Json {
    match value {
        Value::Number(number) => number.into(),
        Value::Signed(number) => number.into(),
        Value::Port(port) => port.into(),
        Value::Flag(flag) => flag.into(),
        Value::Time(ns) => rfc3339(ns).into(),
        Value::List(_) => value.parts().map(|part| Json::from(readable(part))).collect(),
        Value::Text(_)
        | Value::Path(_)
        | Value::Label(_)
        | Value::Address(_)
        | Value::Layer(..) => value.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attribution::fields, store::sample::Sample};

    #[test]
    fn an_observation_nests_by_its_names() {
        let line = Sample::new().with(5, |it| line(it));
        let expected = concat!(
            r#"{"schema":"1","ts":"2025-06-15T15:06:40.005000000Z","kind":"connect","count":1,"#,
            r#""proc":{"uid":33,"pid":1001,"start":7000000,"exe":"/usr/bin/tool-1","#,
            r#""args":["tool","--number","1"],"origin":"unknown","ppid":1},"#,
            r#""net":{"dns":"db.example.org","dir":"out","proto":"tcp","raddr":"10.0.0.5","#,
            r#""rport":443,"call":"connect"},"#,
            r#""node":{"name":"host-a","id":"abc","boot_id":"b"},"#,
            r#""ctr":{"id":"5555555555555555555555555555555555555555555555555555555555555555","#,
            r#""name":"web-5","image":"nginx:1.25","image_digest":"sha256:0123"},"#,
            r#""swarm":{"service":"shop_web"}}"#
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn no_field_is_named_like_an_object_of_others() {
        let all = fields::all();
        for field in &all {
            let inside = format!("{}.", field.name);
            assert!(
                field.name != "schema" && !all.iter().any(|it| it.name.starts_with(&inside)),
                "{inside}"
            );
        }
    }
}
