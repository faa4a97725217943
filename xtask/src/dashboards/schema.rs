//! Whether the dashboards are what Grafana publishes that dashboards are.
//!
//! `grafana/dashboard.jsonschema.json` is `jsonschema/dashboard.jsonschema.json` of
//! <https://github.com/grafana/grafana-foundation-sdk> (Apache-2.0) at commit f178d5a42, as it is. It
//! refuses keys that it does not know. What it uses of JSON Schema is checked here; a keyword that it
//! does not use fails, so that a later one checks no less.

use serde_json::{Map, Value};

use super::pages;

const SCHEMA: &str = include_str!("grafana/dashboard.jsonschema.json");

/// Keywords that say nothing about a value.
const SILENT: [&str; 7] = [
    "$schema",
    "definitions",
    "description",
    "default",
    "deprecated",
    "x-deprecation-message",
    "format",
];

/// What is wrong with a value by a schema, each with its place; at most a few of one value.
struct Validator {
    root: Value,
}

impl Validator {
    fn new() -> Self {
        Self { root: serde_json::from_str(SCHEMA).expect("the schema is JSON") }
    }

    fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.root, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        // `true` and `{}` take anything.
        let Some(schema) = schema.as_object() else { return };
        for (keyword, told) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let place = told.as_str().and_then(|it| it.strip_prefix('#'));
                    let meant = place.and_then(|it| self.root.pointer(it));
                    let meant = meant.unwrap_or_else(|| panic!("{told} leads nowhere"));
                    self.check(meant, value, at, faults);
                }
                "type" if !is_type(told, value) => faults.push(format!("{at}: is no {told}")),
                "const" if told != value => faults.push(format!("{at}: is not {told}")),
                "enum" if !told.as_array().is_some_and(|all| all.contains(value)) => {
                    faults.push(format!("{at}: {value} is none of {told}"));
                }
                "anyOf" | "oneOf" => self.check_choice(keyword, told, value, at, faults),
                "allOf" => {
                    for schema in told.as_array().into_iter().flatten() {
                        self.check(schema, value, at, faults);
                    }
                }
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(told, item, &format!("{at}/{number}"), faults);
                    }
                }
                "required" | "properties" | "additionalProperties" => {
                    // Once for all three, at whichever comes first.
                    let first = schema.keys().find(|it| PROPERTIES.contains(&it.as_str()));
                    if let (Some(object), true) = (value.as_object(), first == Some(keyword)) {
                        self.check_object(schema, object, at, faults);
                    }
                }
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                    if value.as_f64().is_some_and(|it| !is_within(keyword, told, it)) {
                        faults.push(format!("{at}: {value} is beyond the {keyword} {told}"));
                    }
                }
                "minLength" if value.as_str().is_some_and(|it| (it.len() as u64) < least(told)) => {
                    faults.push(format!("{at}: is shorter than {told}"));
                }
                "type" | "const" | "enum" | "minLength" => {}
                other => assert!(SILENT.contains(&other), "the schema uses {other} at {at}"),
            }
        }
    }

    fn check_choice(
        &self,
        keyword: &str,
        choices: &Value,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        let of = |schema| {
            let mut own = Vec::new();
            self.check(schema, value, at, &mut own);
            own
        };
        let all: Vec<Vec<String>> = choices.as_array().into_iter().flatten().map(of).collect();
        let fitting = all.iter().filter(|own| own.is_empty()).count();
        if fitting == 1 || fitting > 1 && keyword == "anyOf" {
            return;
        }
        // What comes nearest is most likely meant.
        let nearest = all.iter().filter(|own| !own.is_empty()).min_by_key(|own| own.len());
        let nearest = nearest.map(|own| own.join("; ")).unwrap_or_default();
        faults.push(format!("{at}: {fitting} of {} forms fit: {nearest}", all.len()));
    }

    fn check_object(
        &self,
        schema: &Map<String, Value>,
        object: &Map<String, Value>,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let is_there = name.as_str().is_some_and(|name| object.contains_key(name));
            if !is_there {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            let own = schema.get("properties").and_then(|it| it.get(name));
            let place = format!("{at}/{name}");
            match own.or_else(|| schema.get("additionalProperties")) {
                Some(Value::Bool(false)) => faults.push(format!("{place}: there is no such key")),
                Some(schema) => self.check(schema, value, &place, faults),
                None => {}
            }
        }
    }
}

const PROPERTIES: [&str; 3] = ["required", "properties", "additionalProperties"];

fn is_type(told: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    };
    told.as_array().map_or_else(|| is(told), |all| all.iter().any(is))
}

fn is_within(keyword: &str, told: &Value, value: f64) -> bool {
    let bound = told.as_f64().expect("a bound is a number");
    match keyword {
        "minimum" => value >= bound,
        "maximum" => value <= bound,
        "exclusiveMinimum" => value > bound,
        _ => value < bound,
    }
}

fn least(told: &Value) -> u64 {
    told.as_u64().expect("a length is a number")
}

#[test]
fn every_dashboard_is_what_grafana_takes() {
    let validator = Validator::new();
    for page in pages() {
        let dashboard = serde_json::from_str(&page.text()).expect("is JSON");
        let faults = validator.faults(&dashboard);
        assert!(faults.is_empty(), "{}:\n{}", page.file(), faults.join("\n"));
    }
}

#[test]
fn what_grafana_does_not_take_is_found() {
    let validator = Validator::new();
    let page = &pages()[0];
    let sound: Value = serde_json::from_str(&page.text()).expect("is JSON");
    for (place, value) in [
        ("/graphTooltip", serde_json::json!(9)),
        ("/refresh", serde_json::json!(30)),
        ("/schemaVersion", serde_json::json!("39")),
        ("/panels/1/gridPos/w", serde_json::json!(25)),
        ("/panels/1/title", serde_json::json!(["a"])),
        ("/panels/1/fieldConfig/defaults/thresholds/mode", serde_json::json!("odd")),
        ("/templating/list/0/type", serde_json::json!("odd")),
    ] {
        let mut dashboard = sound.clone();
        *dashboard.pointer_mut(place).unwrap_or_else(|| panic!("there is no {place}")) = value;
        assert!(!validator.faults(&dashboard).is_empty(), "{place} may be anything");
    }
    for key in ["/", "/panels/1/", "/panels/1/fieldConfig/"] {
        let mut dashboard = sound.clone();
        let object = dashboard.pointer_mut(key.trim_end_matches('/')).expect("is there");
        object.as_object_mut().expect("is one").insert("odd".to_owned(), Value::Null);
        assert!(!validator.faults(&dashboard).is_empty(), "{key} may have any key");
    }
    let mut dashboard = sound;
    dashboard.as_object_mut().expect("is one").remove("schemaVersion");
    assert!(!validator.faults(&dashboard).is_empty(), "a key that must be there is missing");
}
