//! Files that must not change.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container},
    event::{number, text},
    guard::{FILES, Stop, counted, enforcing, expect_alert, guarded, show},
    poll,
};

use super::TRIES;

fn often(container: &Container, act: &str) -> String {
    let directory = format!("/opt/{act}");
    // Made by the test's own hand from outside: in the container that is stopped.
    let made = tempfile::tempdir().expect("a directory to copy");
    container.copy_in(made.path(), &directory);
    container.exec(&["/usr/bin/breach", act, &directory, &TRIES.to_string()])
}

#[test]
fn nothing_is_written_outside_tmpfs_and_volumes() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &[]);
    let report = often(&container, "write-often");
    show("one thread writes", stop, &report);
    assert_eq!(counted(&report, "written"), 0, "{report}");
    match stop {
        Stop::Refused => {
            assert_eq!(counted(&report, "refused"), TRIES, "{report}");
            assert_eq!(counted(&report, "created"), 0, "{report}");
        }
        // Killed at the end of the open, which has made the file by then.
        Stop::Killed => assert_eq!(counted(&report, "killed"), TRIES, "{report}"),
    }
}

#[test]
fn a_second_thread_may_write_before_its_process_is_killed() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &[]);
    let report = often(&container, "race-write");
    show("a second thread writes", stop, &report);
    match stop {
        Stop::Refused => assert_eq!(counted(&report, "written"), 0, "{report}"),
        Stop::Killed => {
            let got_by = TRIES - counted(&report, "killed");
            let is_told = || missed(agent) >= i64::from(got_by);
            poll::holds(&format!("what was not killed is told as missed: {report}"), is_told);
        }
    }
}

/// How often the kernel skipped a program. From Linux 7.0 on one at a tracepoint can be preempted, and
/// is skipped on that processor meanwhile.
fn missed(agent: &Agent) -> i64 {
    let gaps = agent.events(&["--kind", "gap", "--where", "gap.reason = 'probe_missed'"]);
    gaps.iter().map(|gap| number(gap, "gap.lost")).sum()
}

/// A second thread that is quick enough to close the descriptor keeps its process alive, where
/// only the end of the call is seen. Known: the figure is printed, and no act is lost.
#[test]
fn a_second_thread_that_takes_the_descriptor_is_killed_most_of_the_time() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &[]);
    let report = often(&container, "race-take");
    show("a second thread takes the descriptor", stop, &report);
    if stop == Stop::Refused {
        assert_eq!(counted(&report, "written"), 0, "{report}");
    }
}

#[test]
fn whatever_call_opens_a_file_for_writing_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &["--tmpfs=/scratch"]);
    for act in ["creat", "openat2", "open32", "high-bits", "thread-write"] {
        let outside = format!("/opt/{act}");
        stop.assert_stopped(&container.attempt(&["/usr/bin/acts", act, &outside]));
        container.exec(&["/usr/bin/acts", act, &format!("/scratch/{act}")]);
    }
    for script in [
        "echo >> /etc/passwd",
        "echo > /proc/self/root/opt/x",
        "ln -s /opt/target /scratch/link; echo > /scratch/link",
        "/usr/bin/acts empty /etc/passwd",
        "/usr/bin/acts open-write /usr/bin/hello 1",
    ] {
        stop.assert_stopped(&container.attempt_shell(script));
    }
    let alert = expect_alert(agent, &container, "image_program_changed", "/usr/bin/hello");
    assert_eq!(text(&alert, "outcome"), stop.outcome());
    container.exec(&["/usr/bin/hello"]);
}

#[test]
fn a_file_without_a_name_is_stopped_like_one_with() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &["--tmpfs=/scratch"]);
    stop.assert_stopped(&container.attempt(&["/usr/bin/acts", "tmpfile", "/opt", "/opt/x"]));
    container.exec(&["/usr/bin/acts", "tmpfile", "/scratch", "/scratch/x"]);
}

/// A process that is killed at the end of such a call has done it already: without BPF LSM these
/// are told and not stopped.
#[test]
fn changes_of_names_and_metadata_are_stopped_only_where_they_can_be_refused() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    for (script, rule, path) in [
        ("mv /usr/bin/hello /opt/x", "image_program_changed", "/usr/bin/hello"),
        ("rm /usr/bin/hello", "image_program_changed", "/usr/bin/hello"),
        ("/usr/bin/acts truncate /usr/bin/hello", "image_program_changed", "/usr/bin/hello"),
        ("chmod 4755 /usr/bin/hello", "setuid_made", "/usr/bin/hello"),
        ("/usr/bin/breach setuid-mknod /data/x", "setuid_made", "/data/x"),
        ("/usr/bin/breach setuid-open /data/x", "setuid_made", "/data/x"),
        ("chmod 600 /etc/passwd", "write_outside_volumes", "/etc/passwd"),
    ] {
        let container = guarded(BUSYBOX, FILES, &["--volume=/data"]);
        let output = container.attempt_shell(script);
        assert_eq!(output.status.success(), stop == Stop::Killed, "{script}: {output:?}");
        let alert = expect_alert(agent, &container, rule, path);
        let outcome = if stop == Stop::Refused { "denied" } else { "" };
        assert_eq!(text(&alert, "outcome"), outcome, "{script}: {alert}");
    }
}

#[test]
fn writes_to_tmpfs_volumes_and_devices_go_on() {
    enforcing();
    let container = guarded(BUSYBOX, FILES, &["--tmpfs=/scratch", "--volume=/data"]);
    for directory in ["/scratch", "/data", "/dev/shm"] {
        container.shell(&format!(
            "cd {directory}; echo > a; mv a b; chmod 755 b; ln b c; rm c b; mkdir e; rmdir e"
        ));
    }
    container.shell("echo > /dev/null; echo 0 > /proc/self/oom_score_adj");
}
