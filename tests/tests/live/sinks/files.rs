//! JSON lines in files and on standard output.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plimsoll_tests::{
    agent::Setup,
    event::{self, text},
    poll,
};
use serde_json::{Value, json};

use super::{breach, container, expect_told, programs, said, sink, test, told};

fn config(path: &Path, keys: &str) -> String {
    sink("file", "file", &format!("path = \"{}\"\n{keys}", path.display()))
}

/// Whole lines of files, one after the other.
fn lines<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Vec<Value> {
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    let all = paths.into_iter().map(read).collect::<String>();
    event::parse(all.rfind('\n').map_or("", |end| &all[..end]))
}

#[test]
fn a_file_is_rotated_by_its_size_and_no_line_is_lost_or_cut() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("alerts.json");
    let keys = "max_bytes = \"64KiB\"\nkeep = 9";
    let agent = Setup::default().config(&config(&path, keys)).start();
    let container = container();
    breach(&container, 0..150);
    let elders = (1..=9).rev().map(|number| home.path().join(format!("alerts.json.{number}")));
    let all: Vec<PathBuf> = elders.chain([path.clone()]).collect();
    expect_told(&agent, &programs(0..150), || told(&lines(&all)));
    assert!(all[8].exists(), "150 alerts are more than fit into one file");
    for path in all.iter().filter(|it| it.exists()) {
        let length = fs::metadata(path).expect("is there").len();
        assert!(length <= 64 << 10, "{}: {length}", path.display());
    }
    let mut written = lines(&all);
    written.retain(|it| text(it, "ctr.id") == container.id);
    poll::holds("a line is what the command line shows", || {
        agent.told(&["alerts", "--container", &container.name]) == written
    });
    agent.stop();
}

#[test]
fn a_file_that_was_moved_away_is_made_anew_by_the_next_alert_or_a_hangup() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("alerts.json");
    let agent = Setup::default().config(&config(&path, "max_bytes = 0")).start();
    let container = container();
    let moved = [home.path().join("first"), home.path().join("second")];
    breach(&container, 0..2);
    expect_told(&agent, &programs(0..2), || told(&lines([&path])));
    fs::rename(&path, &moved[0]).expect("is there");
    breach(&container, 2..4);
    expect_told(&agent, &programs(2..4), || told(&lines([&path])));
    fs::rename(&path, &moved[1]).expect("is there");
    agent.hang_up();
    poll::holds("there is a new file before there is an alert", || path.exists());
    breach(&container, 4..6);
    expect_told(&agent, &programs(4..6), || told(&lines([&path])));
    assert_eq!(told(&lines(&moved)), programs(0..4), "what was moved away stays as it was");
    assert!(said(&test(&agent, "file")).contains("written"));
    let last = lines([&path]).pop().expect("there is one");
    assert_eq!((&last["test"], text(&last, "rule")), (&Value::Bool(true), "test"));
    agent.stop();
}

#[test]
fn standard_output_has_alerts_that_are_bad_enough_and_nothing_else() {
    let keys = "min_severity = \"critical\"";
    let sinks = [sink("out", "stdout", keys), "[modes]\nfile = \"monitor\"\n".to_owned()];
    let agent = Setup::default().config(&sinks.concat()).start();
    let container = container();
    breach(&container, 0..3);
    let shown = || {
        let output = agent.output();
        event::parse(output.rfind('\n').map_or("", |end| &output[..end]))
    };
    expect_told(&agent, &programs(0..3), || told(&shown()));
    // What is written outside a volume is an alert too, and not so bad.
    agent.expect(&container, "alert", &json!({"rule": "write_outside_volumes"}));
    let is_critical = |it: &Value| text(it, "severity") == "critical";
    assert!(shown().iter().all(is_critical), "{:#?}", shown());
    agent.stop();
}
