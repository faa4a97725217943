//! Which container an act belongs to, and how whoever did it came to be there.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker, HEALTHY},
    event::{number, text},
    poll,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";

/// A script that does something once the file `/tmp/go` is there.
fn on_go(act: &str) -> String {
    format!("until [ -e /tmp/go ]; do usleep 20000; done; {act}; exec {ACTS} wait")
}

fn waiting(options: &[&str], act: &str) -> Container {
    Docker::host().start(BUSYBOX, options, &["/bin/sh", "-c", &on_go(act)])
}

#[test]
fn a_session_is_told_from_the_containers_own_processes() {
    let agent = Agent::shared();
    let container = waiting(&[], "/usr/bin/hello own");
    container.exec(&["/bin/sh", "-c", "/usr/bin/hello session; true"]);
    container.exec(&["/bin/touch", "/tmp/go"]);
    for (argument, origin) in [("session", "exec"), ("own", "init")] {
        let wanted = json!({
            "proc.args": ["/usr/bin/hello", argument],
            "proc.origin": origin,
            "proc.ancestors": ["/bin/busybox"],
        });
        agent.expect(&container, "exec", &wanted);
    }
    let sessions = json!({"proc.exe": "/bin/busybox", "proc.origin": "exec"});
    let session = agent.expect(&container, "exec", &sessions);
    assert!(session["proc"]["parent"].is_null(), "a session's parent is outside: {session}");
}

#[test]
fn the_life_of_a_container_is_told() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &["/bin/sh", "-c", &on_go("exit 3")]);
    container.exec(&["/bin/touch", "/tmp/go"]);
    assert_eq!(container.wait(), 3);
    for op in ["create", "start"] {
        agent.expect(&container, "container", &json!({"container.op": op}));
    }
    let session = json!({"container.op": "exec_start", "container.command": "/bin/touch /tmp/go"});
    agent.expect(&container, "container", &session);
    let end = json!({"container.op": "die", "container.exit_code": 3});
    agent.expect(&container, "container", &end);
}

#[test]
fn what_a_program_did_before_it_became_others_is_its_own() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&[ACTS, "write-exec", "/opt/file", "/bin/env", "/bin/setsid", "/usr/bin/hello"]);
    agent.expect(&container, "exec", &json!({"proc.exe": "/usr/bin/hello"}));
    agent.expect(&container, "file_write", &json!({"file.path": "/opt/file", "proc.exe": ACTS}));
}

#[test]
fn a_container_that_is_started_again_keeps_its_name() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    for round in 0..3 {
        Docker::host().run(&["restart", "--time=1", &container.id]);
        container.exec(&["/usr/bin/hello", &round.to_string()]);
        let wanted = json!({
            "proc.args": ["/usr/bin/hello", round.to_string()],
            "proc.origin": "exec",
        });
        agent.expect(&container, "exec", &wanted);
    }
    agent.expect(&container, "exec", &json!({"proc.exe": ACTS, "proc.origin": "init"}));
}

#[test]
fn a_health_check_is_told_as_such() {
    let agent = Agent::shared();
    let container = Docker::host().start(HEALTHY, &[], &[]);
    let wanted = json!({"proc.args": [ACTS, "hello"], "proc.origin": "health"});
    agent.expect(&container, "exec", &wanted);
    let first = json!({"proc.args": [ACTS, "wait"], "proc.origin": "init"});
    agent.expect(&container, "exec", &first);
    let state = json!({"container.op": "health_status", "container.command": "healthy"});
    agent.expect(&container, "container", &state);
    // Who types the same command is no health check, but nothing in the kernel tells them apart;
    // another command does.
    container.exec(&[ACTS, "hello", "by hand"]);
    let by_hand = json!({"proc.args": [ACTS, "hello", "by hand"], "proc.origin": "exec"});
    agent.expect(&container, "exec", &by_hand);
}

#[test]
fn a_restarted_container_is_the_same_and_begins_anew() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let container = docker.start(BUSYBOX, &[], &[]);
    let first = agent.expect(&container, "exec", &json!({"proc.args": [ACTS, "wait"]}));
    docker.run(&["restart", "--time", "0", &container.name]);
    container.exec(&["/usr/bin/hello", "after"]);
    let session = json!({"proc.args": ["/usr/bin/hello", "after"], "proc.origin": "exec"});
    agent.expect(&container, "exec", &session);
    let starts = json!({"proc.args": [ACTS, "wait"], "proc.origin": "init"});
    let starts = agent.all(&container, "exec", &starts);
    let pids: Vec<_> = starts.iter().map(|event| number(event, "proc.pid")).collect();
    assert_eq!(pids.len(), 2, "{starts:#?}");
    assert_eq!(pids[0], number(&first, "proc.pid"));
    assert_ne!(pids[0], pids[1]);
}

#[test]
fn a_paused_container_goes_on_as_itself() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let container = docker.start(BUSYBOX, &[], &[]);
    docker.run(&["pause", &container.name]);
    docker.run(&["unpause", &container.name]);
    container.exec(&["/usr/bin/hello", "unpaused"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "unpaused"]}));
    agent.expect(&container, "container", &json!({"container.op": "pause"}));
}

#[test]
fn the_acts_of_a_killed_container_are_told() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let container = docker.start(BUSYBOX, &[], &[]);
    docker.run(&["kill", &container.name]);
    let end = json!({"proc.exe": ACTS, "exit.signal": 9});
    agent.expect(&container, "exit", &end);
    let die = agent.expect(&container, "container", &json!({"container.op": "die"}));
    assert_eq!(number(&die, "container.exit_code"), 137);
    assert!(!text(&die, "ts").is_empty());
}

#[test]
fn every_start_of_a_container_that_docker_restarts_is_told() {
    let agent = Agent::shared();
    let command = ["/bin/sh", "-c", "/usr/bin/hello again; exit 1"];
    let container = Docker::host().start(BUSYBOX, &["--restart=on-failure:3"], &command);
    let starts = json!({"proc.args": ["/usr/bin/hello", "again"], "proc.origin": "init"});
    poll::holds("four starts are told", || agent.all(&container, "exec", &starts).len() == 4);
    let ends = json!({"container.op": "die", "container.exit_code": 1});
    poll::holds("four ends are told", || agent.all(&container, "container", &ends).len() == 4);
}
