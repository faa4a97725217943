//! What holds while the agent is halted, and after it was killed.

use plimsoll_tests::{
    docker::{BUSYBOX, Docker},
    event::{number, text},
    guard::{OWN_ALL, OWN_PROGRAMS, Stop, counted, enforcing_own, guarded, wait_until_guarded},
    poll,
};
use serde_json::json;

#[test]
fn what_is_guarded_stays_so_while_the_agent_is_halted_and_its_rings_are_full() {
    const TRIES: u32 = 200;
    let agent = enforcing_own();
    let stop = Stop::of(&agent, "exec");
    let container = guarded(BUSYBOX, OWN_PROGRAMS, &["--tmpfs=/scratch:exec"]);
    container.exec(&["/usr/bin/breach", "marker", "/opt/marker"]);
    agent.halt();
    // Far more than both rings hold.
    let exec_flood = ["/usr/bin/breach", "exec-often", "/usr/bin/hello", "15000"];
    container.exec(&exec_flood);
    container.exec(&["/usr/bin/acts", "spin-open", "/scratch", "20000"]);
    let often = ["/usr/bin/breach", "exec-often", "/opt/marker", &TRIES.to_string()];
    let report = container.exec(&often);
    let marks = container.attempt(&["/bin/cat", "/scratch/ran"]).stdout.len();
    // What Docker starts meanwhile is known to nobody: documented, not wanted.
    let late = Docker::host().start(BUSYBOX, &[OWN_PROGRAMS], &[]);
    let unguarded = late.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]);
    agent.go_on();
    assert_eq!(marks, 0, "{report}");
    assert_eq!(counted(&report, "done"), 0, "{report}");
    assert!(unguarded.status.success(), "guarded by a halted agent: {unguarded:?}");
    wait_until_guarded(&late);
    poll::holds("losses are told", || {
        let gaps = agent.all(&container, "gap", &json!({}));
        gaps.iter().map(|gap| number(gap, "gap.lost")).sum::<i64>() > 0
    });
    stop.assert_stopped(&container.attempt(&["/opt/marker"]));
    agent.stop();
}

/// Fails open: that is the documented choice for now.
#[test]
fn when_the_agent_is_killed_containers_run_on_freely() {
    let agent = enforcing_own();
    let stop = Stop::of(&agent, "exec");
    let container = guarded(BUSYBOX, OWN_ALL, &["--tmpfs=/scratch:exec"]);
    let tried = || container.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]);
    stop.assert_stopped(&tried());
    agent.kill();
    poll::holds("nothing is stopped any more", || tried().status.success());
    container.shell("cp /usr/bin/hello /opt/x; /opt/x");
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
    // The next one takes over what runs.
    let agent = enforcing_own();
    wait_until_guarded(&container);
    stop.assert_stopped(&container.attempt(&["/opt/x"]));
    let alert = json!({"rule": "new_executable", "alert.path": "/opt/x"});
    let alert = agent.expect(&container, "alert", &alert);
    assert_eq!(text(&alert, "outcome"), stop.outcome());
}

#[test]
fn an_agent_that_ends_in_good_order_leaves_containers_running() {
    let agent = enforcing_own();
    let container = guarded(BUSYBOX, OWN_ALL, &[]);
    agent.stop();
    poll::holds("nothing is stopped any more", || {
        container.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]).status.success()
    });
    container.shell("echo > /opt/written");
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
}
