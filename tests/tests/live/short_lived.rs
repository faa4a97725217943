//! Containers that are gone before anyone could ask about them.

use std::{
    collections::HashSet,
    env,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use plimsoll_tests::{
    agent::Setup,
    docker::{BUSYBOX, Docker, unique},
    event::{self, text},
    poll,
};
use serde_json::json;

/// How many, unless the environment says otherwise.
const CONTAINERS: usize = 500;
const AT_ONCE: usize = 4;

#[test]
fn every_short_lived_container_is_named() {
    let count = match env::var("PLIMSOLL_TEST_SHORT_LIVED") {
        Ok(count) => count.parse().expect("PLIMSOLL_TEST_SHORT_LIVED is a number"),
        Err(_) => CONTAINERS,
    };
    let agent = Setup::default().start();
    let names = run(count);
    let wanted = json!({"proc.exe": "/usr/bin/hello", "ctr.image": BUSYBOX});
    let query = ["--kind", "exec", "--image", BUSYBOX, "--where", "proc.exe = '/usr/bin/hello'"];
    let missing = || {
        let events = agent.events(&query);
        let told: HashSet<String> = (events.iter().filter(|it| event::has(it, &wanted)))
            .map(|it| text(it, "ctr.name").to_owned())
            .collect();
        names.iter().filter(|name| !told.contains(*name)).cloned().collect::<Vec<_>>()
    };
    let all = poll::until(poll::PATIENCE, || missing().is_empty().then_some(()));
    assert!(all.is_some(), "of {count}, no exec is told of {:?}\n{}", missing(), agent.log());
    // Others may run containers of this image meanwhile.
    let mut ours = agent.events(&query);
    ours.retain(|it| names.iter().any(|name| name == text(it, "ctr.name")));
    assert_eq!(ours.len(), count, "each runs it once");

    let nameless = agent.events(&["--where", "not ctr.name"]);
    let nameless: Vec<_> = nameless.iter().filter(|it| !it["ctr"].is_null()).collect();
    assert!(nameless.is_empty(), "{} events without a name: {nameless:#?}", nameless.len());
    let mut gaps = agent.events(&["--kind", "gap"]);
    gaps.retain(|gap| gap["ctr"].is_null() || names.iter().any(|it| it == text(gap, "ctr.name")));
    assert!(gaps.is_empty(), "something was lost: {gaps:#?}");
    assert!(agent.metric("plimsoll_containers_unresolved_total").abs() < 0.5);
    poll::holds("nothing is held any more", || agent.metric("plimsoll_held_observations") < 1.0);
    poll::holds("no process is left", || agent.metric("plimsoll_processes_tracked") < 50.0);
}

/// Runs that many containers, some at once, each of which removes itself; returns their names.
fn run(count: usize) -> Vec<String> {
    let docker = Docker::host();
    let names: Vec<String> = (0..count).map(|_| unique("short")).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let script = "/usr/bin/hello; usleep 50000";
            let options = ["run", "--rm", "--network=none", "--name", name, BUSYBOX];
            docker.run(&[&options[..], &["/bin/sh", "-c", script]].concat());
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    names
}
