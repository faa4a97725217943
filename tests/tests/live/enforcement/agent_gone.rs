//! What holds while the agent is halted, and after it was killed.

use std::thread;

use plimsoll_tests::{
    docker::{BUSYBOX, Docker},
    event::number,
    guard::{Own, Stop, counted, guarded, is_stopped, show, wait_until_guarded},
    poll,
};
use serde_json::json;

/// Where the start of a program is answered by the agent, it waits for the agent; else the kernel
/// answers alone.
#[test]
fn what_is_guarded_stays_so_while_the_agent_is_halted_and_its_rings_are_full() {
    const TRIES: u32 = 200;
    const RINGS: &str = "[probe]\npriority_ring_bytes = \"256KiB\"\nbulk_ring_bytes = \"256KiB\"\n";
    let own = Own::new();
    let agent = own.agent_with(RINGS);
    let stop = Stop::of(&agent, "exec");
    let container = guarded(BUSYBOX, &own.label("programs"), &["--tmpfs=/scratch:exec"]);
    container.exec(&["/usr/bin/breach", "marker", "/opt/marker"]);
    // Far more than both rings hold, then what must not run.
    let script = format!(
        "breach exec-often /usr/bin/hello 2000 > /dev/null; acts spin-open /scratch 5000
         breach exec-often /opt/marker {TRIES}"
    );
    agent.halt();
    let (report, has_waited) = thread::scope(|scope| {
        let tries = scope.spawn(|| container.shell(&script));
        // What Docker starts meanwhile is known to nobody: documented, not wanted.
        let late = Docker::host().start(BUSYBOX, &[&own.label("programs")], &[]);
        let unguarded = late.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]);
        let ended = || tries.is_finished().then_some(());
        let has_waited = poll::until(poll::PATIENCE, ended).is_none();
        agent.go_on();
        assert!(unguarded.status.success(), "guarded by a halted agent: {unguarded:?}");
        wait_until_guarded(&late);
        (tries.join().expect("the script ends well"), has_waited)
    });
    assert_eq!(counted(&report, "done"), 0, "{report}");
    let marks = container.attempt(&["/bin/cat", "/scratch/ran"]).stdout;
    assert!(marks.is_empty(), "{report}");
    show(if has_waited { "it waited for the agent" } else { "it went on" }, stop, &report);
    if !has_waited {
        poll::holds("losses are told", || {
            let gaps = agent.all(&container, "gap", &json!({}));
            gaps.iter().map(|gap| number(gap, "gap.lost")).sum::<i64>() > 0
        });
    }
    stop.assert_stopped(&container.attempt(&["/opt/marker"]));
    agent.stop();
}

/// Fails open: that is the documented choice for now.
#[test]
fn when_the_agent_is_killed_containers_run_on_freely() {
    let own = Own::new();
    let agent = own.agent();
    let stop = Stop::of(&agent, "exec");
    let container = guarded(BUSYBOX, &own.label("all"), &["--tmpfs=/scratch:exec"]);
    let tried = || container.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]);
    stop.assert_stopped(&tried());
    agent.kill();
    poll::holds("nothing is stopped any more", || tried().status.success());
    container.shell("cp /usr/bin/hello /opt/x; /opt/x");
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
    // The next one takes over what runs.
    let agent = own.agent();
    wait_until_guarded(&container);
    stop.assert_stopped(&container.attempt(&["/opt/x"]));
    let alert = json!({"rule": "new_executable", "alert.path": "/opt/x"});
    let alert = agent.expect(&container, "alert", &alert);
    assert!(is_stopped(&alert), "{alert}");
}

#[test]
fn an_agent_that_ends_in_good_order_leaves_containers_running() {
    let own = Own::new();
    let agent = own.agent();
    let container = guarded(BUSYBOX, &own.label("all"), &[]);
    agent.stop();
    poll::holds("nothing is stopped any more", || {
        container.attempt(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]).status.success()
    });
    container.shell("echo > /opt/written");
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
}
