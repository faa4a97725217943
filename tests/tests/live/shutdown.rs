//! How the agent ends, and what is left of what it saw.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use plimsoll_tests::{
    agent::{Setup, stored},
    docker::{BUSYBOX, Docker},
    event::{self, text},
    poll,
};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn what_was_seen_until_sigterm_is_in_the_closed_store() {
    let data = tempfile::tempdir().expect("a directory for the store");
    let agent = Setup::default().data_dir(data.path()).start();
    let docker = Docker::host();
    let container = docker.start(BUSYBOX, &[], &[]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/acts", "wait"]}));
    container.exec(&["/usr/bin/hello", "last"]);
    agent.stop();
    let (events, told) = stored(data.path(), &["--container", &container.name]);
    assert_eq!(told, "", "a store that was closed well is whole");
    let last = json!({"kind": "exec", "proc.args": ["/usr/bin/hello", "last"]});
    let last = events.iter().find(|it| event::has(it, &last));
    container.assert_named_by(last.expect("what was seen just before the end is stored"));
}

#[test]
fn the_end_does_not_wait_for_who_follows() {
    let agent = Setup::default().start();
    let mut follower = agent.follow(&[]);
    let output = follower.stdout.take().expect("it is on a pipe");
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    let mut lines = BufReader::new(output).lines();
    let found =
        lines.by_ref().find(|line| line.as_ref().is_ok_and(|line| line.contains(&container.name)));
    assert!(found.is_some(), "the follower is told nothing");
    agent.stop();
    let ended = poll::until(poll::PATIENCE, || follower.try_wait().expect("it is a child"));
    if ended.is_none() {
        follower.kill().expect("it is a child");
        follower.wait().expect("it is a child");
    }
    assert!(ended.is_some(), "the follower waits for an agent that is gone");
}

#[test]
fn the_end_comes_in_time_while_a_container_floods() {
    let agent = Setup::default().start();
    let script = "while :; do /usr/bin/acts spin-open /s 20000; rm -rf /s/*; done";
    let flooder = Docker::host().start(BUSYBOX, &["--tmpfs=/s"], &["/bin/sh", "-c", script]);
    agent.expect(&flooder, "file_write", &json!({"file.path": "/s/f1"}));
    agent.stop();
}

#[test]
fn an_interrupt_ends_it_like_a_termination() {
    let agent = Setup::default().start();
    agent.stop_by(Signal::INT);
}

#[test]
fn a_kill_costs_at_most_the_last_second_and_no_later_start() {
    let data = tempfile::tempdir().expect("a directory for the store");
    let socket = data.path().join("socket");
    let docker = Docker::host();
    let container = docker.start(BUSYBOX, &[], &[]);
    let agent = Setup::default().data_dir(data.path()).socket(&socket).start();
    container.exec(&["/usr/bin/hello", "before"]);
    let done = Instant::now();
    // Until a second is over: the loop does something meanwhile, so that the agent has to.
    while done.elapsed() < Duration::from_secs(1) {
        container.exec(&["/usr/bin/hello", "meanwhile"]);
    }
    agent.kill();
    assert_eq!(pinned(Path::new("/sys/fs/bpf")), Vec::<PathBuf>::new(), "left in the kernel");

    let query = ["--container", &container.name, "--kind", "exec"];
    let (events, _) = stored(data.path(), &query);
    let before = |events: &[serde_json::Value]| {
        let wanted = json!({"proc.args": ["/usr/bin/hello", "before"]});
        events.iter().any(|it| event::has(it, &wanted))
    };
    assert!(before(&events), "lost: {} events are there", events.len());

    // The socket of the first is still there, and nobody answers on it.
    let agent = Setup::default().data_dir(data.path()).socket(&socket).start();
    container.exec(&["/usr/bin/hello", "after"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "after"]}));
    assert!(before(&agent.events(&query)), "the second agent does not know what the first saw");
    let origin = json!({"proc.args": ["/usr/bin/hello", "after"], "proc.origin": "exec"});
    agent.expect(&container, "exec", &origin);
}

/// What outlives its process in the kernel, by name of a probe.
fn pinned(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let pins = entries
        .map(|entry| entry.path())
        .flat_map(|path| if path.is_dir() { pinned(&path) } else { vec![path] });
    pins.filter(|path| path.to_string_lossy().contains("/on_")).collect()
}

#[test]
fn agents_follow_one_another_on_one_store() {
    let data = tempfile::tempdir().expect("a directory for the store");
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    for round in ["1", "2", "3"] {
        let agent = Setup::default().data_dir(data.path()).start();
        container.exec(&["/usr/bin/hello", round]);
        agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", round]}));
        agent.stop();
    }
    let (events, told) = stored(data.path(), &["--container", &container.name, "--kind", "exec"]);
    assert_eq!(told, "");
    let rounds: Vec<&str> = (events.iter().filter(|it| text(it, "proc.exe") == "/usr/bin/hello"))
        .filter_map(|it| it["proc"]["args"][1].as_str())
        .collect();
    assert_eq!(rounds, ["1", "2", "3"], "each is there once and in order");
}
