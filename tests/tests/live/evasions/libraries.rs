//! Code that is mapped in other ways than a loader does.

use plimsoll_tests::{
    docker::BUSYBOX,
    guard::{
        PROGRAMS, Stop, counted, enforcing, exec_alerts, expect_alert, guarded, sees_mappings, show,
    },
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

/// Known: on kernels before 5.17 without BPF LSM only the calls are seen that make mappings, and
/// only the descriptors that they are given.
#[test]
fn memory_that_becomes_code_later_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let is_seen = stop == Stop::Refused || sees_mappings();
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("cp /usr/bin/hello /opt/x");
    for act in [&["protect-exec", "/opt/x"][..], &["shm-exec"]] {
        let output = container.attempt(&[&[BREACH], act].concat());
        assert_eq!(output.status.success(), !is_seen, "{act:?}: {output:?}");
    }
    let told = exec_alerts(agent, &container);
    let about = told.iter().filter(|it| it["alert"]["path"] == "/opt/x").count();
    assert_eq!(about > 0, is_seen, "{told:#?}");
}

/// Known: without BPF LSM a call is looked at only where it asks for code itself, not where the
/// process has told the kernel to take everything for code. Docker's own filter forbids to say so.
#[test]
fn a_file_that_becomes_code_by_personality_is_refused_or_not_seen() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[UNFILTERED]);
    container.shell("cp /usr/bin/hello /opt/x");
    let output = container.attempt(&[BREACH, "personality-map", "/opt/x"]);
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

/// A mapping of many pages takes long enough for a second thread to put another file in the
/// descriptor's place.
#[test]
fn a_mapping_whose_descriptor_is_swapped_is_stopped() {
    const TRIES: u32 = 100;
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    container.shell("cp /usr/bin/hello /opt/x; truncate -s 64M /opt/x");
    let report = container.exec(&[BREACH, "swap-map-often", "/opt/x", &TRIES.to_string()]);
    show("a descriptor is swapped while its file is mapped", stop, &report);
    let went_through = counted(&report, "done");
    if stop == Stop::Refused {
        assert_eq!(went_through, 0, "{report}");
    } else if sees_mappings() {
        // A thread that is at the mappings itself may still hide one.
        assert!(went_through < TRIES / 2, "{report}");
    }
    // Without the trick it is seen.
    stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "map-exec", "/opt/x"]));
    expect_alert(agent, &container, "foreign_library", "/opt/x");
}
