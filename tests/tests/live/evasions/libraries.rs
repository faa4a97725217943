//! Code that is mapped in other ways than a loader does.

use plimsoll_tests::{
    docker::BUSYBOX,
    guard::{PROGRAMS, Stop, counted, enforcing, exec_alerts, expect_alert, guarded},
};
use serde_json::json;

use super::UNFILTERED;

const BREACH: &str = "/usr/bin/breach";

#[test]
fn a_file_in_memory_that_is_mapped_as_code_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    stop.assert_stopped(&container.attempt(&[BREACH, "memfd-map", "code"]));
    let wanted = json!({"rule": "foreign_library", "alert.path": "memfd:code"});
    agent.expect(&container, "alert", &wanted);
}

/// Known: the end of `mmap` is all that is seen without BPF LSM, and it says what was asked for,
/// not what the kernel made of it.
#[test]
fn a_file_that_becomes_code_later_is_refused_or_not_seen() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[UNFILTERED]);
    container.shell("cp /usr/bin/hello /opt/x");
    for act in [&["protect-exec", "/opt/x"][..], &["personality-map", "/opt/x"]] {
        let output = container.attempt(&[&[BREACH], act].concat());
        assert_eq!(output.status.success(), stop == Stop::Killed, "{act:?}: {output:?}");
    }
    let told = exec_alerts(agent, &container);
    let about = told.iter().filter(|it| it["alert"]["path"] == "/opt/x").count();
    assert_eq!(about > 0, stop == Stop::Refused, "{told:#?}");
}

/// Known: shared memory of System V has no name that a path could lead to; `shmat` is not seen.
#[test]
fn shared_memory_that_is_attached_as_code_is_refused_or_not_seen() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    let output = container.attempt(&[BREACH, "shm-exec"]);
    assert_eq!(output.status.success(), stop == Stop::Killed, "{output:?}");
}

/// Known: code without a file is a just-in-time compiler's or an attacker's; the rules cannot tell.
#[test]
fn memory_that_is_filled_and_executed_is_not_told() {
    let agent = enforcing();
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.exec(&[BREACH, "anonymous-exec"]);
    let told = exec_alerts(agent, &container);
    assert!(told.iter().all(|it| it["proc"]["exe"] != BREACH), "{told:#?}");
}

/// Known: without BPF LSM the descriptor is looked at when the mapping is made, and a mapping of
/// many pages takes long enough for a second thread to put another file in its place.
#[test]
fn a_mapping_whose_descriptor_is_swapped_is_refused_or_mostly_not_seen() {
    const TRIES: u32 = 100;
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("cp /usr/bin/hello /opt/x; truncate -s 64M /opt/x");
    let report = container.exec(&[BREACH, "swap-map-often", "/opt/x", &TRIES.to_string()]);
    println!("{stop:?}, mapped behind a swapped descriptor: {report}");
    let went_through = counted(&report, "done");
    match stop {
        Stop::Refused => assert_eq!(went_through, 0, "{report}"),
        Stop::Killed => assert!(went_through > 0, "the gap is closed: {report}"),
    }
    // Without the trick it is seen.
    stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "map-exec", "/opt/x"]));
    expect_alert(agent, &container, "foreign_library", "/opt/x");
}
