//! Recordings of a few lines.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Replay;
use crate::{
    attribution::{container::MountKind, recorded::Restorer},
    baseline::{learner::Baseline, settings::Settings},
    policy::{book::Book, modes::Modes},
    query::{json, parsed::Parsed},
};
use plimsoll_ebpf::rules::Mode;

/// Seconds after the first observation, of the machine's boot one hour before.
fn at(second: u64) -> (String, u64) {
    let second_ns = 1_000_000_000;
    let boot_ns = 1_764_000_000 * second_ns;
    let ts_ns = boot_ns + (3600 + second) * second_ns;
    (crate::query::moment::rfc3339(ts_ns), (3600 + second) * second_ns)
}

/// An observation of the container `web`, by a process that started at that second.
fn act(second: u64, kind: &str, exe: &str, more: &Json) -> Json {
    let (ts, start) = at(second);
    let mut it = json!({
        "ts": ts, "kind": kind, "count": 1,
        "node": {"name": "a", "boot_id": "b1"},
        "ctr": {"id": "c1", "name": "web", "image": "shop:1", "image_digest": "sha256:00ff"},
        "proc": {"pid": 100 + second, "start": start, "exe": exe, "args": [exe], "origin": "init"},
    });
    merge(&mut it, more);
    it
}

fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn parsed(line: &Json) -> Parsed {
    Parsed::of(line.as_object().expect("is an object"))
}

/// The alerts of a recording, as JSON.
fn told(lines: &[Json], learn_until_ns: Option<u64>) -> Vec<Json> {
    // An hour of learning passes in a second.
    let settings =
        Settings { time_scale: 3600, start_least_s: 1, start_most_s: 1, ..Settings::default() };
    let book = Book { modes: Modes::of(|_| Mode::Monitor), ..Book::default() };
    let mut replay = Replay::new(Baseline::new(settings), Arc::new(book), learn_until_ns);
    for line in lines {
        replay.restorer().prepare(&parsed(line));
    }
    let mut told = Vec::new();
    for line in lines {
        replay.take(&parsed(line), &mut |alert| told.push(Json::Object(json::object(alert))));
    }
    replay.end(&mut |alert| told.push(Json::Object(json::object(alert))));
    told
}

fn exec(second: u64, exe: &str, layer: &str) -> Json {
    act(second, "exec", exe, &json!({"exec": {"layer": layer, "unlinked": false}}))
}

/// Two programs of the image, again and again.
fn work() -> Vec<Json> {
    let programs = ["/usr/bin/serve", "/usr/bin/work"];
    (0..60).map(|it| exec(it, programs[it as usize % 2], "image")).collect()
}

#[test]
fn a_rule_is_broken_again_and_repeats_are_counted() {
    let mut lines = work();
    lines.extend((60..64).map(|second| {
        let exe = json!({"proc": {"exe": "/tmp/x"}, "exec": {"layer": "upper"}});
        act(second, "exec", "/tmp/x", &exe)
    }));
    let told = told(&lines, None);
    let new: Vec<&Json> = told.iter().filter(|it| it["rule"] == "new_executable").collect();
    assert_eq!(new.len(), 2, "{told:#?}");
    assert_eq!((&new[0]["count"], &new[0]["ts"]), (&json!(1), &json!(at(60).0)));
    assert_eq!(new[1]["count"], 3, "the other three, ten seconds later");
    assert_eq!(new[1]["ts"], json!(at(70).0));
}

#[test]
fn what_departs_from_what_was_learned_until_a_moment_is_told_after_it() {
    let mut lines = work();
    lines.push(exec(70, "/usr/bin/other", "image"));
    lines.push(exec(71, "/usr/bin/work", "image"));
    let (_, ns) = at(65);
    let moment = 1_764_000_000 * 1_000_000_000 + ns;
    let found = told(&lines, Some(moment));
    let rules: Vec<&Json> = found.iter().map(|it| &it["rule"]).collect();
    assert_eq!(rules, ["new_process"], "{found:#?}");
    assert_eq!(found[0]["proc"]["exe"], "/usr/bin/other");
    assert_eq!(told(&lines, None), Vec::<Json>::new(), "nothing is known yet");
    let later = told(&lines, Some(moment + 100 * 1_000_000_000));
    assert_eq!(later, Vec::<Json>::new(), "it is only learned");
}

#[test]
fn what_was_recorded_of_amounts_and_alerts_is_not_judged() {
    let alert = act(1, "alert", "/x", &json!({"rule": "new_process", "alert": {"of": "exec"}}));
    let volume = act(2, "volume", "/x", &json!({"volume": {"of": "cpu", "value": 1000}}));
    let gap = act(3, "gap", "/x", &json!({"gap": {"lost": 5, "reason": "ring_full"}}));
    let unknown = act(4, "of_tomorrow", "/x", &json!({}));
    let mut replay = Replay::new(Baseline::new(Settings::default()), Arc::default(), None);
    for line in [alert, volume, gap, unknown] {
        replay.take(&parsed(&line), &mut |alert| panic!("{}", json::line(alert)));
    }
    let counts = replay.counts();
    assert_eq!((counts.judged, counts.volumes, counts.unknown, counts.lost), (1, 1, 1, 5));
}

#[test]
fn what_a_container_was_given_is_told_at_its_start() {
    let start = json!({
        "ts": at(5).0, "kind": "container", "count": 1,
        "ctr": {"id": "c1", "name": "web", "image": "shop:1", "image_digest": "sha256:00ff"},
        "container": {"op": "start", "entrypoint": "/entry.sh", "grants": ["host_path /etc"]},
    });
    let told = told(&[start], None);
    let rules: Vec<&Json> = told.iter().map(|it| &it["rule"]).collect();
    assert_eq!(rules, ["host_path"], "{told:#?}");
}

#[test]
fn a_process_has_its_ancestors_again() {
    let mut restorer = Restorer::default();
    let of = |pid: u32, parent: u32, ancestors: &[&str]| {
        json!({"proc": {
            "pid": pid, "start": pid, "ancestors": ancestors,
            "parent": {"pid": parent, "start": parent},
        }})
    };
    let fork = |second, more: &Json| parsed(&act(second, "fork", "/bin/sh", more));
    restorer.restore(&fork(1, &of(20, 10, &["/bin/init"])));
    restorer.restore(&fork(2, &of(30, 20, &["/bin/sh", "/bin/init"])));
    let found = restorer.restore(&fork(3, &of(40, 30, &["/bin/sh", "/bin/sh", "/bin/init"])));
    let ancestors = found.expect("is an act").with(|it| {
        let process = it.process.expect("has one");
        process.lineage.ancestors.iter().map(|it| (it.pid, it.start_ns)).collect::<Vec<_>>()
    });
    assert_eq!(ancestors.expect("decodes"), [(30, 30), (20, 20), (10, 10)]);
}

#[test]
fn a_container_is_what_its_start_says_and_the_boot_is_found() {
    let mut restorer = Restorer::default();
    let start = json!({
        "ts": at(5).0, "kind": "container", "ctr": {"id": "c1"},
        "container": {
            "op": "start", "entrypoint": "/entry.sh web", "ports": ["80/tcp"],
            "mounts": ["volume /data"], "grants": ["host_path /etc"],
        },
    });
    restorer.prepare(&parsed(&start));
    let found = restorer.restore(&parsed(&exec(7, "/bin/x", "image"))).expect("is an act");
    found.with(|it| {
        let container = it.container.expect("has one");
        assert_eq!(container.entrypoint, "/entry.sh web");
        assert!(container.announces(80, 6));
        assert_eq!(container.mount_of(b"/data/x"), Some(MountKind::Volume));
        assert_eq!(container.grants.len(), 1);
        assert_eq!(it.record.header.boot_ns, at(7).1);
    });
    assert_eq!(restorer.boot_ns(), 1_764_000_000 * 1_000_000_000);
}
