//! What is known to be usual is counted in the kernel, and seldom told.

use jiff::{SignedDuration, Timestamp};
use plimsoll_tests::{
    agent::{Agent, Setup},
    docker::{BUSYBOX, Container, Docker},
    event::text,
    poll,
};
use serde_json::{Value, json};

use super::wait_until_monitored;

/// The option that tells this test's use of the image from others'.
const VARIANT: &str = "-bf";
/// One file is written over and over, many times within a window.
const WORK: &str = "while :; do for each in 1 2 3 4 5 6; do echo > /dev/shm/state; done; \
    sleep 0.05; done";
/// As [`super::FAST`], with repeats counted; known acts for half a unit.
const CONFIG: &str = "\
[probe]
window = \"100ms\"
[baseline]
time_scale = 3600
max_daily_percent = 300
start_min = \"1s\"
start_max = \"2s\"
";

/// Less than a known act is counted for, and more than others are.
const KNOWN: SignedDuration = SignedDuration::from_millis(400);

/// When the file's writes were told after a moment, in order.
fn moments(agent: &Agent, of: &Container, after: Timestamp) -> Vec<Timestamp> {
    let told = agent.all(of, "file_write", &json!({"file.path": "/dev/shm/state"}));
    let moment = |it: &Value| text(it, "ts").parse().expect("a moment");
    let mut all: Vec<Timestamp> = told.iter().map(moment).filter(|it| *it > after).collect();
    all.sort_unstable();
    all
}

fn counted(agent: &Agent) -> f64 {
    agent.metric("plimsoll_observations_merged_total{reason=\"known\"}")
}

fn written(agent: &Agent, of: &Container) -> u64 {
    let told = agent.all(of, "file_write", &json!({"file.path": "/dev/shm/state"}));
    told.iter().filter_map(|it| it["count"].as_u64()).sum()
}

#[test]
fn what_is_known_is_counted_in_the_kernel_until_it_is_known_no_more() {
    let agent = Setup::default().config(CONFIG).start();
    let start = || Docker::host().start(BUSYBOX, &[], &["/bin/sh", VARIANT, "-c", WORK]);
    let (container, _twin) = (start(), start());
    poll::holds("it writes", || written(&agent, &container) > 100);
    assert!(counted(&agent) < 1.0, "it is still learned");
    wait_until_monitored(&agent, VARIANT);
    poll::holds("the kernel counts what is known", || counted(&agent) > 100.0);
    let before = written(&agent, &container);
    poll::holds("what was counted is told", || written(&agent, &container) > before + 100);

    let known_until = Timestamp::now();
    agent.told(&["profile", "reset", "--yes", BUSYBOX]);
    poll::holds("it is told each window again", || {
        let told = moments(&agent, &container, known_until);
        told.windows(2).any(|pair| pair[1].duration_since(pair[0]) < KNOWN)
    });
    agent.stop();
}
