//! What the agent itself shows while it runs.

use plimsoll_tests::{
    agent::Setup,
    docker::{BUSYBOX, Docker},
    event, poll,
};
use serde_json::json;

#[test]
fn observations_are_shown_as_json_lines() {
    let agent = Setup::default().output("json").start();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "shown"]);
    let stored = agent.expect(&container, "exec", &json!({"proc.exe": "/usr/bin/hello"}));
    poll::holds("the agent shows what it stores", || {
        let output = agent.output();
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        event::parse(whole).contains(&stored)
    });
    agent.stop();
}

#[test]
fn observations_are_shown_as_a_table() {
    let agent = Setup::default().output("table").start();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "shown"]);
    poll::holds("the agent shows a line", || {
        let is_it = |line: &str| line.contains(&container.name) && line.contains("/usr/bin/hello");
        agent.output().lines().any(is_it)
    });
    agent.stop();
}

#[test]
fn nothing_is_shown_where_nothing_is_wanted() {
    let agent = Setup::default().start();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello"]);
    agent.expect(&container, "exec", &json!({}));
    assert_eq!(agent.output(), "");
    // What it says of itself is no result.
    assert!(agent.log().contains("ready"));
}
