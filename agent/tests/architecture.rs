//! A stage imports only stages that `lib.rs` lists before it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn a_stage_imports_only_stages_before_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = modules(&read(&source.join("lib.rs")));
    assert!(order.len() > 10, "lib.rs lists the stages: {order:?}");
    let place = |name: &str| order.iter().position(|it| it == name);
    let mut faults = Vec::new();
    for file in files(&source) {
        let relative = file.strip_prefix(&source).expect("was found there");
        let stage = relative.iter().next().expect("has a name").to_string_lossy();
        let Some(own) = place(stage.trim_end_matches(".rs")) else { continue };
        for imported in imports(&read(&file)) {
            if place(&imported).is_some_and(|it| it > own) {
                faults.push(format!("{} must not use {imported}", relative.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn imports_are_found_alone_and_in_groups() {
    let source = "use crate::clock;\nuse crate::{\n    store::{reader::Reader, row},\n    query::search,\n};\n\
                  fn f() { crate::config::pages::x() }";
    let expected = ["clock", "config", "query", "store"].map(str::to_owned);
    assert_eq!(imports(source), BTreeSet::from(expected));
}

#[test]
fn every_metric_is_set_somewhere() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let list = read(&source.join("metrics/names.rs"));
    let start = list.find("\nmetrics! {").expect("the list is there");
    let field = |line: &str| {
        let (name, rest) = line.trim().split_once(": ")?;
        let is_metric = rest.starts_with("Counter ") || rest.starts_with("Gauge ");
        is_metric.then(|| name.to_owned())
    };
    let fields: Vec<String> = list[start..].lines().filter_map(field).collect();
    assert!(fields.len() > 15, "the list has metrics: {fields:?}");
    let all: String = files(&source).iter().map(|file| read(file)).collect();
    let is_set = |field: &String| {
        [
            "set",
            "set_to",
            "set_at",
            "set_float",
            "set_float_to",
            "add",
            "add_to",
            "add_at",
            "set_to_name",
            "add_to_name",
        ]
        .iter()
        .any(|act| all.contains(&format!(".{field}.{act}(")))
    };
    let unset: Vec<&String> = fields.iter().filter(|field| !is_set(field)).collect();
    assert!(unset.is_empty(), "nothing sets {unset:?}");
}

/// The stages in the order in which `lib.rs` lists them.
fn modules(lib: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    lib.lines().filter_map(name).collect()
}

/// The stages that a source file names.
fn imports(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in source.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => found.extend(group_members(group)),
            None => found.extend(identifier(after)),
        }
    }
    found
}

/// What a group of imports names at its own level.
fn group_members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut own_level = String::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ if depth == 0 => own_level.push(character),
            _ => {}
        }
    }
    own_level.split(',').filter_map(|member| identifier(member.trim())).collect()
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the sources are there");
    let paths = entries.map(|entry| entry.expect("is readable").path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("is text")
}
