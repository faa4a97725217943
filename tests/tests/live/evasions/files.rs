//! Writes by other calls, other names and other doors.

use plimsoll_tests::{
    docker::BUSYBOX,
    guard::{FILES, PROGRAMS, Stop, enforcing, expect_alert, guarded, monitoring},
};
use serde_json::json;

use super::{UNFILTERED, start};

const ACTS: &str = "/usr/bin/acts";

#[test]
fn whatever_call_and_name_opens_a_file_it_is_told_by_its_own_name() {
    let agent = monitoring();
    for (script, path) in [
        ("acts creat /opt/x", "/opt/x"),
        ("acts openat2 /opt/x", "/opt/x"),
        ("acts open32 /opt/x", "/opt/x"),
        ("acts high-bits /opt/x", "/opt/x"),
        ("acts thread-write /opt/x", "/opt/x"),
        ("acts empty /etc/passwd", "/etc/passwd"),
        ("acts old32 /etc/passwd", "/etc/passwd"),
        ("breach copy-mmap /etc/passwd /opt/x", "/opt/x"),
        ("echo > /proc/self/root/opt/x", "/opt/x"),
        ("cd /opt; echo > /proc/self/cwd/x", "/opt/x"),
        ("ln -s /etc/passwd /dev/shm/link; echo > /dev/shm/link", "/etc/passwd"),
        ("ln -s /etc /dev/shm/link; echo > /dev/shm/link/../etc/passwd", "/etc/passwd"),
    ] {
        let container = start(&[]);
        container.shell(script);
        expect_alert(agent, &container, "write_outside_volumes", path);
    }
}

#[test]
fn an_image_program_that_is_opened_by_another_name_is_told_by_its_own() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("ln -s /usr/bin/hello /dev/shm/link; echo >> /dev/shm/link");
    expect_alert(agent, &container, "image_program_changed", "/usr/bin/hello");
    let container = start(&[]);
    container.shell("ln /usr/bin/hello /opt/link; echo >> /opt/link");
    expect_alert(agent, &container, "image_program_changed", "/opt/link");
}

/// Known: without BPF LSM nobody is killed for it; the file is not there yet when it is told.
#[test]
fn a_file_that_io_uring_opens_is_refused_or_only_told() {
    let agent = enforcing();
    let stop = Stop::of(agent, "file");
    let container = guarded(BUSYBOX, FILES, &[UNFILTERED]);
    for (path, rule) in
        [("/opt/x", "write_outside_volumes"), ("/usr/bin/hello", "image_program_changed")]
    {
        let output = container.attempt(&[ACTS, "uring-open", path]);
        assert_eq!(output.status.success(), stop == Stop::Killed, "{output:?}");
        expect_alert(agent, &container, rule, path);
    }
}

#[test]
fn a_file_that_is_opened_by_its_handle_is_told() {
    let agent = monitoring();
    let container = start(&["--cap-add=DAC_READ_SEARCH", "--volume=/data", UNFILTERED]);
    container.shell("echo > /data/file; breach open-by-handle /data/file /data");
    let wanted =
        json!({"file.path": "/data/file", "file.op": "write", "proc.exe": "/usr/bin/breach"});
    agent.expect(&container, "file_write", &wanted);
    // Files of the root have no handles: the overlay gives none.
    let output = container.attempt_shell("breach open-by-handle /etc/passwd /etc");
    assert!(!output.status.success(), "handles work on the root now: {output:?}");
}

#[test]
fn a_file_that_is_made_with_its_owners_rights_is_told_as_such() {
    let agent = monitoring();
    let container = start(&[]);
    container.exec(&["/usr/bin/breach", "setuid-open", "/opt/x"]);
    assert_eq!(container.exec(&["/bin/stat", "-c", "%a", "/opt/x"]), "4755");
    expect_alert(agent, &container, "setuid_made", "/opt/x");
    container.exec(&["/usr/bin/breach", "setuid-mknod", "/dev/shm/x"]);
    expect_alert(agent, &container, "setuid_made", "/dev/shm/x");
}

#[test]
fn the_root_that_is_mounted_once_more_is_still_the_root() {
    let agent = enforcing();
    let options = ["--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined", "--tmpfs=/scratch"];
    let mount = "mkdir /scratch/root; mount --bind / /scratch/root";
    let files = guarded(BUSYBOX, FILES, &options);
    files.shell(mount);
    let stop = Stop::of(agent, "file");
    stop.assert_stopped(&files.attempt_shell("echo > /scratch/root/opt/x"));
    expect_alert(agent, &files, "write_outside_volumes", "/scratch/root/opt/x");
    agent.expect(&files, "privilege", &json!({"priv.op": "mount"}));
    let programs = guarded(BUSYBOX, PROGRAMS, &options);
    let stop = Stop::of(agent, "exec");
    programs.shell(mount);
    programs.shell("cp /usr/bin/hello /scratch/root/opt/x");
    stop.assert_stopped(&programs.attempt(&["/opt/x"]));
    stop.assert_stopped(&programs.attempt(&["/scratch/root/opt/x"]));
}
