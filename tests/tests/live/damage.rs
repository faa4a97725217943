//! A store that was damaged: what is sound is kept, what is lost is told.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plimsoll_tests::{
    agent::{Setup, stored},
    docker::{BUSYBOX, Docker},
    event::text,
};
use serde_json::json;
use tempfile::TempDir;

/// More than a block of the store holds.
const FILES: usize = 6000;

/// A store with a sealed segment, and the name of the container it tells of.
fn filled() -> (TempDir, String) {
    let data = tempfile::tempdir().expect("a directory for the store");
    let agent = Setup::default().data_dir(data.path()).start();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/acts", "spin-open", "/opt", &FILES.to_string()]);
    agent.expect(&container, "file_write", &json!({"file.path": "/opt/f1"}));
    agent.stop();
    (data, container.name.clone())
}

fn largest_segment(data: &Path) -> PathBuf {
    let entries = fs::read_dir(data.join("events")).expect("the store has a directory for them");
    let segments = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "evs"));
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |it| it.len());
    segments.max_by_key(size).expect("there is a segment")
}

/// Starts an agent on the store, which must say that it is damaged, and record as before.
fn goes_on(data: &Path) {
    let agent = Setup::default().data_dir(data).start();
    let log = agent.log().to_lowercase();
    assert!(log.contains("damage") || log.contains("cannot be read"), "it says nothing:\n{log}");
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "anew"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "anew"]}));
    agent.stop();
}

#[test]
fn a_damaged_segment_costs_no_more_than_its_damaged_part() {
    let (data, name) = filled();
    let (whole, told) = stored(data.path(), &["--container", &name]);
    assert!(whole.len() > FILES && told.is_empty(), "{} events, {told}", whole.len());
    let segment = largest_segment(data.path());
    let mut bytes = fs::read(&segment).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(&segment, bytes).expect("the store is the test's own");

    let (left, told) = stored(data.path(), &["--container", &name]);
    assert!(left.len() < whole.len(), "the damage is not noticed");
    assert!(told.contains(&segment.display().to_string()), "the reader says only: {told}");
    // The checksum fails where it is read, which the agent need not do at its start.
    let agent = Setup::default().data_dir(data.path()).start();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "anew"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "anew"]}));
    let output = agent.query(&["--container", &name]);
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("cannot be read"), "the agent's answer tells nothing: {told}");
}

#[test]
fn a_segment_of_nonsense_is_set_aside() {
    let (data, _) = filled();
    let segment = largest_segment(data.path());
    fs::write(&segment, vec![0x5a; 100_000]).expect("the store is the test's own");
    goes_on(data.path());
}

#[test]
fn a_log_that_ends_in_nonsense_is_cut_to_its_sound_part() {
    let data = tempfile::tempdir().expect("a directory for the store");
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    let agent = Setup::default().data_dir(data.path()).start();
    container.exec(&["/usr/bin/hello", "sound"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "sound"]}));
    // Killed, so that the log is not moved into a segment.
    agent.kill();
    let log = data.path().join("events/wal");
    let mut bytes = fs::read(&log).expect("the store has a log");
    assert!(!bytes.is_empty(), "nothing is in the log");
    bytes.extend_from_slice(&[0x5a; 1000]);
    fs::write(&log, bytes).expect("the store is the test's own");
    goes_on(data.path());
    let (events, _) = stored(data.path(), &["--container", &container.name, "--kind", "exec"]);
    assert!(events.iter().any(|it| text(it, "proc.exe") == "/usr/bin/hello"), "{events:#?}");
}

#[test]
fn an_index_that_is_lost_is_made_again() {
    let (data, name) = filled();
    let query = ["--container", &name, "--kind", "file_write"];
    let (whole, _) = stored(data.path(), &query);
    for entry in fs::read_dir(data.path()).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() && !path.ends_with("events") {
            fs::remove_dir_all(path).expect("the store is the test's own");
        }
    }
    let agent = Setup::default().data_dir(data.path()).start();
    assert_eq!(agent.events(&query).len(), whole.len());
}
