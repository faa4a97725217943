//! What an agent recorded is judged again, without it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Output,
};

use jiff::Timestamp;
use plimsoll_tests::{
    agent::{Agent, Setup, plain},
    docker::{BUSYBOX, Container},
    event::{self, text},
    guard::settle,
    poll, require,
};
use serde_json::Value;

use crate::baseline::{FAST, LEARNING, have_done, profiles, worker};

/// The option that tells this test's use of the image from others'.
const VARIANT: &str = "-au";
/// Units of learning that are enough for what these containers do.
const UNITS: u64 = 6;
/// The directory for the recording that `agent/tests/replay.rs` judges, where the tester wants another.
const RECORD: &str = "PLIMSOLL_RECORD";

#[test]
fn what_was_recorded_is_alerted_again_as_it_was() {
    let home = tempfile::tempdir().expect("a directory");
    let data_dir = home.path().join("data");
    let agent = Setup::default().config(FAST).data_dir(&data_dir).start();
    let containers = [worker(VARIANT), worker(VARIANT)];
    wait_until_known(&agent);
    let learned = Timestamp::now();
    agent.told(&["profile", "approve", "--yes", BUSYBOX]);
    have_done(&containers[0], "/usr/bin/hello; echo > /dev/shm/state");
    have_done(
        &containers[1],
        "/bin/stat / > /dev/null; echo > /dev/shm/other; /usr/bin/acts listen 4444 & \
         /usr/bin/acts udp 192.0.2.7 9999; cp /usr/bin/hello /tmp/dropped; /tmp/dropped",
    );
    for container in &containers {
        settle(&agent, container);
    }
    record(&agent, &containers, learned);
    // At its end it tells what it has counted until then.
    agent.stop();
    let recorded: Vec<Value> =
        containers.iter().flat_map(|it| alerts(&data_dir, it, learned)).collect();
    assert!(recorded.iter().any(|it| text(it, "rule") == "new_process"), "{recorded:#?}");
    assert!(recorded.iter().any(|it| text(it, "rule") == "new_executable"), "{recorded:#?}");

    let config = home.path().join("config.toml");
    fs::write(&config, FAST).expect("the directory is the test's own");
    let replayed = replay(&data_dir, &config, learned, &containers);
    let told = event::parse(&String::from_utf8_lossy(&replayed.stdout));
    let again = told.iter().filter(|it| it["kind"] == "alert");
    assert_eq!(keys(again), keys(recorded.iter()), "{}", String::from_utf8_lossy(&replayed.stderr));
    let total = told.iter().find(|it| it["of"] == "total").expect("it ends with the total");
    assert_eq!(total["recorded"], recorded.len(), "{total}");
    assert_eq!(replayed.status.code(), Some(1), "a new executable is as bad as high");
    let twice = replay(&data_dir, &config, learned, &containers);
    assert_eq!(replayed.stdout, twice.stdout, "each replay tells the same");
}

fn wait_until_known(agent: &Agent) {
    let known = || {
        let found = profiles(agent, VARIANT);
        let has_units = |it: &Value| it["units"].as_u64().is_some_and(|units| units >= UNITS);
        (found.len() == 2 && found.iter().all(has_units)).then_some(())
    };
    let reached = poll::until(LEARNING, known);
    assert!(reached.is_some(), "{:#?}\n{}", profiles(agent, VARIANT), agent.log());
}

/// The stored alerts of a container from a moment on, but for those of amounts.
fn alerts(data_dir: &Path, of: &Container, since: Timestamp) -> Vec<Value> {
    let mut command = plain(&require::binary());
    command.args(["events", "-o", "json", "--kind", "alert", "--container", &of.name]);
    let output = command.arg("--data-dir").arg(data_dir).output().expect("the binary runs");
    let mut found = event::parse(&String::from_utf8_lossy(&output.stdout));
    found.retain(|it| {
        let ts: Timestamp = text(it, "ts").parse().expect("a moment");
        ts >= since && text(it, "alert.of") != "volume"
    });
    found
}

/// What makes an alert the same, in any order. How much was known depends on when exactly it was
/// approved, and the score on who was first of those that acted at once.
fn keys<'e>(alerts: impl Iterator<Item = &'e Value>) -> Vec<String> {
    let fields = ["ctr.id", "rule", "alert.of", "alert.path", "alert.peer", "proc.exe"];
    let key = |it: &Value| {
        let fields = fields.map(|name| text(it, name)).join(" ");
        let reason = text(it, "reason").split(" Not seen in").next().unwrap_or_default();
        format!("{fields} {} {reason}", it["count"])
    };
    let mut keys: Vec<String> = alerts.map(key).collect();
    keys.sort();
    keys
}

fn replay(data_dir: &Path, config: &Path, learned: Timestamp, of: &[Container]) -> Output {
    let mut command = plain(&require::binary());
    command.args(["replay", "-o", "json", "--fail-on", "high"]);
    command.args([Path::new("--data-dir"), data_dir, Path::new("--config"), config]);
    command.args(["--learn-until", &learned.to_string()]);
    for container in of {
        command.args(["--container", &container.name]);
    }
    command.output().expect("the binary runs")
}

/// Keeps the recording, where the tester says so.
fn record(agent: &Agent, containers: &[Container; 2], learned: Timestamp) {
    let Some(directory) = env::var_os(RECORD).map(PathBuf::from) else { return };
    let of = containers.each_ref().map(|it| it.name.as_str());
    let output = agent.query(&["--container", of[0], "--container", of[1]]);
    let write = |name: &str, content: &[u8]| {
        fs::write(directory.join(name), content).expect("the tester can write there");
    };
    write("shop.jsonl", &output.stdout);
    write("learned", format!("{learned}\n").as_bytes());
}
