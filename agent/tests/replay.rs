//! A recording of real containers by a real agent, judged again: what it alerts stays what it is.
//!
//! `tests/fixtures/recording/README.md` says how it was made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The rule and what it is about.
const EXPECTED: [(&str, &str); 10] = [
    ("new_arguments", "/usr/bin/acts"),
    ("new_executable", "/tmp/dropped"),
    ("new_listener", "[::]:4444/tcp"),
    ("new_peer", "192.0.2.7:9999/udp"),
    ("new_process", "/bin/busybox/stat"),
    ("new_process", "/bin/busybox/touch"),
    ("new_sensitive_write", "/tmp/dropped"),
    ("new_write", "/dev/shm/other"),
    ("new_write", "/dev/shm/plimsoll-settled-23719-5"),
    // Counted with the one before, and told as a number at the end.
    ("new_write", "/dev/shm/plimsoll-settled-23719-6"),
];

/// When the containers were taken for known, as the file beside the recording says.
fn learned() -> String {
    fs::read_to_string(fixture("learned")).expect("the fixture is there").trim().to_owned()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/recording").join(name)
}

fn replay(recording: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.env_remove("PLIMSOLL_CONFIG").arg("replay").args(arguments);
    command.arg("--config").arg(fixture("plimsoll.toml")).arg(recording);
    command.output().expect("the binary runs")
}

fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// The rule and what it is about, of each alert that is not a count of others.
fn alerts(output: &Output) -> Vec<(String, String)> {
    let told = objects(output);
    let text = |it: &Value, key: &str| it["alert"][key].as_str().unwrap_or_default().to_owned();
    let alert = |it: &Value| {
        let (rule, path) = (it["rule"].as_str().unwrap_or_default(), text(it, "path"));
        (rule.to_owned(), if path.is_empty() { text(it, "peer") } else { path })
    };
    let mut found: Vec<_> = told.iter().filter(|it| it["kind"] == "alert").map(alert).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_recording_of_an_attack_alerts_what_it_did_and_the_same_each_time() {
    let (recording, learned) = (fixture("shop.jsonl.zst"), learned());
    let arguments = ["-o", "json", "--learn-until", &learned, "--fail-on", "high"];
    let output = replay(&recording, &arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "it is as bad as high: {stderr}");
    let found = alerts(&output);
    let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, EXPECTED, "{stderr}");
    let told = objects(&output);
    let total = told.last().expect("it ends with the total");
    assert_eq!(total["of"], "total");
    // Both times that `acts` did something else; the agent of the recording did not look at arguments. And
    // both numbers of what was repeated, which that agent did not tell.
    let [then, now] = ["recorded", "alerts"].map(|it| total[it].as_u64());
    assert_eq!(then.map(|it| it + 4), now, "{total}");
    let twice = replay(&recording, &arguments);
    assert_eq!(output.stdout, twice.stdout, "another run tells the same");
}

#[test]
fn without_time_to_learn_only_what_needs_none_is_alerted() {
    let output = replay(&fixture("shop.jsonl.zst"), &["-o", "json"]);
    let found = alerts(&output);
    assert!(found.iter().any(|(rule, _)| rule == "new_executable"), "{found:?}");
    assert!(!found.iter().any(|(rule, _)| rule == "new_process"), "{found:?}");
    assert_eq!(output.status.code(), Some(0), "nobody asked to fail");
}

#[test]
fn a_summary_counts_by_rule_and_image_and_a_filter_leaves_out() {
    let (recording, learned) = (fixture("shop.jsonl.zst"), learned());
    let output = replay(&recording, &["--summary", "--learn-until", &learned]);
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["RULE", "SEVERITY", "IMAGE", "ALERTS", "ACTS", "RECORDED"], "{text}");
    let worst = ["new_executable", "critical", "plimsoll-test/busybox:1", "1", "1", "1"];
    assert_eq!(rows[1], worst, "{text}");
    let end = "12 alerts in 1183 observations, after learning from 1048; recorded at the time: 8";
    assert!(text.contains(end), "{text}");
    let nobody = replay(&recording, &["--container", "nobody"]);
    let text = String::from_utf8_lossy(&nobody.stdout);
    assert!(text.starts_with("0 alerts in 0 observations"), "{text}");
}

#[test]
fn what_cannot_be_judged_is_told_with_its_line() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("recording");
    let line = |ts: &str| format!("{{\"ts\":\"{ts}\",\"kind\":\"exec\"}}\n");
    let (first, second) = (line("2026-01-02T00:00:00Z"), line("2026-01-01T00:00:00Z"));
    for (text, wanted) in [
        (format!("{first}no JSON\n"), ":2: it is no JSON object"),
        (format!("{first}{{}}\n"), ":2: it has no `ts`"),
        (format!("{first}{second}"), ":2: it is earlier than the line before"),
    ] {
        fs::write(&file, text).expect("the directory is the test's own");
        let output = replay(&file, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(wanted), "{wanted} is not in {stderr}");
    }
    let output = replay(&fixture("shop.jsonl.zst"), &["--learn-until", "2099-01-01"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("nothing was recorded after --learn-until"), "{stderr}");
}
