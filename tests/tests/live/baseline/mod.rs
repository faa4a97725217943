//! What images do is learned, and what departs from it is told with its reasons.
//!
//! The clock of learning runs so fast that days pass in seconds; bounds stay as they are.

mod departures;
mod kept;
mod known;
mod quorum;
mod usual;
mod versions;
mod volumes;
mod written;

use std::{fs, time::Duration};

use plimsoll_tests::{
    agent::{Agent, Setup},
    docker::{BUSYBOX, Container, Docker, unique},
    poll,
};
use serde_json::Value;

/// An hour of learning passes in a second.
pub(crate) const FAST: &str = "\
[probe]
window = \"0\"
[baseline]
time_scale = 3600
max_daily_percent = 300
start_min = \"1s\"
start_max = \"2s\"
";

/// How long learning may take.
pub(crate) const LEARNING: Duration = Duration::from_mins(2);

/// How often a container is handed something to do, and how long it may take.
const TRIES: usize = 5;
const TRY: Duration = Duration::from_secs(5);

/// An agent that learns fast.
fn fast() -> Setup {
    Setup::default().config(FAST)
}

/// What a container does again and again, and whatever it is handed.
const WORK: &str = "while :; do echo > /dev/shm/state; /usr/bin/hello > /dev/null; \
    /usr/bin/acts udp 127.0.0.1 5353; [ -f /todo ] || echo > /todo; mv /todo /doing; . /doing; \
    rm /doing; sleep 0.3; done";

/// A container at work. A variant is another use of the image.
pub(crate) fn worker(variant: &str) -> Container {
    Docker::host().start(BUSYBOX, &[], &["/bin/sh", variant, "-c", WORK])
}

/// Has a container do something by itself, not by way of a session.
pub(crate) fn have_done(container: &Container, script: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("todo");
    let mark = unique("done");
    let script = format!("{script}\necho {mark}\n");
    fs::write(&file, script).expect("the directory is the test's own");
    // What is copied in just when the container looks for it is lost.
    let done = (0..TRIES).any(|_| {
        container.copy_in(&file, "/todo");
        poll::until(TRY, || container.logs().contains(&mark).then_some(())).is_some()
    });
    assert!(done, "{} does not do what it is handed: {}", container.name, container.logs());
}

/// The profiles of the test image in this use.
pub(crate) fn profiles(agent: &Agent, variant: &str) -> Vec<Value> {
    let all = agent.told(&["profile", "list"]);
    let is_variant = |it: &Value| {
        let subject = it["subject"].as_str().unwrap_or_default();
        subject.split([' ', '(', ')']).any(|word| word == variant)
    };
    all.into_iter().filter(is_variant).collect()
}

/// Whether every dimension of both profiles is monitored after the start.
fn is_monitored(agent: &Agent, variant: &str) -> bool {
    let profiles = profiles(agent, variant);
    let parts = profiles.iter().flat_map(|it| it["parts"].as_array().into_iter().flatten());
    let steady: Vec<&Value> = parts.filter(|it| it["context"] == "steady").collect();
    profiles.len() == 2 && steady.iter().all(|it| it["state"] == "monitor")
}

/// Waits until a use of the test image is monitored.
#[track_caller]
fn wait_until_monitored(agent: &Agent, variant: &str) {
    let limit = poll::scaled(LEARNING);
    let reached = poll::until(limit, || is_monitored(agent, variant).then_some(()));
    assert!(reached.is_some(), "{:#?}\n{}", profiles(agent, variant), agent.log());
}
