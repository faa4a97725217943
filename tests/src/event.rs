//! Reading events: fields by their dotted names, and a short form for messages.

use serde_json::{Map, Value};

/// The field of this dotted name; `null` where it is absent.
pub fn get<'e>(event: &'e Value, name: &str) -> &'e Value {
    name.split('.').fold(event, |value, part| &value[part])
}

/// A field that is text; empty where it is absent or something else.
pub fn text<'e>(event: &'e Value, name: &str) -> &'e str {
    get(event, name).as_str().unwrap_or_default()
}

/// A field that is a number; 0 where it is absent or something else.
pub fn number(event: &Value, name: &str) -> i64 {
    get(event, name).as_i64().unwrap_or_default()
}

/// A field that is a list of texts.
pub fn list<'e>(event: &'e Value, name: &str) -> Vec<&'e str> {
    let list = get(event, name).as_array();
    list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Whether every wanted field, by dotted name, has the wanted value. `null` wants it absent.
pub fn has(event: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().expect("fields are given as an object");
    wanted.iter().all(|(name, value)| get(event, name) == value)
}

/// The events that JSON lines hold.
///
/// # Panics
/// When a line is no JSON object.
pub fn parse(lines: &str) -> Vec<Value> {
    let parse = |line: &str| match serde_json::from_str(line) {
        Ok(Value::Object(event)) => Value::Object(event),
        other => panic!("not an event: {line} ({other:?})"),
    };
    lines.lines().map(parse).collect()
}

/// An event on one line, without what all events of a container share.
pub fn brief(event: &Value) -> String {
    let shared = ["schema", "node", "ctr"];
    let fields = event.as_object().into_iter().flatten();
    let own: Map<String, Value> = fields
        .filter(|(name, _)| !shared.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    format!("{} {}", text(event, "ctr.name"), Value::Object(own))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_by_dotted_names() {
        let event = json!({"kind": "exec", "proc": {"exe": "/bin/a", "pid": 7, "args": ["a"]}});
        assert_eq!(text(&event, "proc.exe"), "/bin/a");
        assert_eq!(number(&event, "proc.pid"), 7);
        assert_eq!(list(&event, "proc.args"), ["a"]);
        assert!(get(&event, "proc.parent.exe").is_null());
        assert!(has(&event, &json!({"kind": "exec", "proc.parent.exe": null})));
        assert!(!has(&event, &json!({"proc.pid": 8})));
    }

    #[test]
    fn lines_become_events_and_a_brief_form() {
        let events = parse("{\"schema\":\"1\",\"kind\":\"exit\",\"ctr\":{\"name\":\"web\"}}\n");
        assert_eq!(brief(&events[0]), "web {\"kind\":\"exit\"}");
    }
}
