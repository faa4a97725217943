//! What can be asked of a running agent.

use std::{
    io::{BufRead, BufReader},
    sync::mpsc,
    thread,
};

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Docker},
    event::{self, text},
    poll,
};
use serde_json::{Value, json};

#[test]
fn who_follows_is_told_at_once() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/hello", "earlier"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "earlier"]}));
    let mut follower = agent.follow(&["--container", &container.name, "--kind", "exec"]);
    let output = BufReader::new(follower.stdout.take().expect("it is on a pipe"));
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
    });
    let mut told: Vec<Value> = Vec::new();
    let found = poll::until(poll::PATIENCE, || {
        // Once more each time: when the follower is connected, nothing tells.
        container.exec(&["/usr/bin/hello", "live"]);
        told.extend(lines.try_iter().flat_map(|line| event::parse(&line)));
        let live = json!({"proc.args": ["/usr/bin/hello", "live"]});
        told.iter().any(|it| event::has(it, &live)).then_some(())
    });
    follower.kill().expect("it is a child");
    follower.wait().expect("it is a child");
    assert!(found.is_some(), "told only {told:#?}");
    reader.join().expect("reading a pipe does not panic");
    let earlier = json!({"proc.args": ["/usr/bin/hello", "earlier"]});
    assert!(!told.iter().any(|it| event::has(it, &earlier)), "what was before is told too");
}

#[test]
fn answers_are_in_order_and_may_be_bounded_and_turned_round() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    for number in ["1", "2", "3"] {
        container.exec(&["/usr/bin/hello", number]);
    }
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "3"]}));
    let numbers = |more: &[&str]| -> Vec<String> {
        let query = ["--container", &container.name, "--kind", "exec"];
        let filter = ["--where", "proc.exe = '/usr/bin/hello'"];
        let events = agent.events(&[&query[..], &filter, more].concat());
        events.iter().filter_map(|it| it["proc"]["args"][1].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(numbers(&[]), ["1", "2", "3"]);
    assert_eq!(numbers(&["--limit", "2"]), ["2", "3"]);
    assert_eq!(numbers(&["--reverse"]), ["3", "2", "1"]);
    assert_eq!(numbers(&["--since", "1h"]), ["1", "2", "3"]);
    assert_eq!(numbers(&["--until", "1h"]), [""; 0]);
    assert_eq!(numbers(&["--where", "proc.args = '2'"]), ["2"]);
}

#[test]
fn conditions_on_fields_of_every_type_are_understood() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/acts", "udp", "192.0.2.9", "7200"]);
    agent.expect(&container, "connect", &json!({"net.rport": 7200}));
    for (condition, holds) in [
        ("net.raddr in 192.0.2.0/24", true),
        ("net.raddr in 10.0.0.0/8", false),
        ("net.rport = 7200 and net.proto = udp", true),
        ("net.rport > 7200", false),
        ("proc.exe ~ 'acts$'", true),
        ("not proc.exe ~ 'acts$'", false),
        ("kind = exec or kind = connect", true),
    ] {
        let query = ["--container", &container.name, "--kind", "connect", "--where", condition];
        assert_eq!(!agent.events(&query).is_empty(), holds, "{condition}");
    }
}

#[test]
fn every_event_has_what_all_have() {
    let agent = Agent::shared();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello"]);
    agent.expect(&container, "exit", &json!({}));
    let events = agent.events(&["--container", &container.name]);
    for event in &events {
        assert_eq!(text(event, "schema"), "1", "{event}");
        assert!(!text(event, "kind").is_empty() && !text(event, "ts").is_empty(), "{event}");
        assert!(!text(event, "node.name").is_empty(), "{event}");
        container.assert_named_by(event);
    }
    let kinds: Vec<&str> = events.iter().map(|event| text(event, "kind")).collect();
    for kind in ["exec", "exit", "container"] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let agent = Agent::shared();
    for question in [["--where", "proc.exee = 1"], ["--since", "soon"], ["--kind", "nonsense"]] {
        let output = agent.query(&question);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{question:?}: {told}");
        assert!(!told.trim().is_empty(), "{question:?}");
    }
}
