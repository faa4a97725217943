//! Programs that the image does not contain.

use std::{fs, os::unix::fs::PermissionsExt};

use plimsoll_tests::{
    docker::{BUSYBOX, Container, Docker, Volume},
    event::text,
    guard::{exec_alerts, expect_alert, monitoring},
};
use serde_json::json;

use super::start;

#[test]
fn a_program_that_was_copied_or_downloaded_is_new() {
    let agent = monitoring();
    let container = start(&[]);
    // As a downloader does: under another name, made executable, renamed.
    let download =
        "cat /usr/bin/hello > /opt/.part; chmod +x /opt/.part; mv /opt/.part /opt/fetched";
    container.shell(&format!("cp /usr/bin/hello /usr/bin/copied; /usr/bin/copied; {download}"));
    container.exec(&["/opt/fetched"]);
    for path in ["/usr/bin/copied", "/opt/fetched"] {
        let alert = expect_alert(agent, &container, "new_executable", path);
        let wanted = ["severity", "alert.of", "alert.layer", "alert.mode", "proc.exe"];
        let found = wanted.map(|name| text(&alert, name));
        assert_eq!(found, ["critical", "exec", "upper", "monitor", path]);
        let allow = text(&alert, "alert.allow");
        assert!(allow.contains("--rule new_executable") && allow.contains(path), "{alert}");
        assert!(alert["outcome"].is_null(), "monitored is not stopped: {alert}");
    }
    container.exec(&["/usr/bin/hello"]);
    assert_eq!(exec_alerts(agent, &container).len(), 2, "the image's own program is told");
}

#[test]
fn a_program_that_docker_cp_brought_is_new() {
    let agent = monitoring();
    let container = start(&[]);
    let directory = tempfile::tempdir().expect("a directory for a script");
    let file = directory.path().join("program");
    fs::write(&file, container.attempt(&["/bin/cat", "/usr/bin/hello"]).stdout)
        .expect("the directory is the test's own");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is there");
    container.copy_in(&file, "/opt/brought");
    container.exec(&["/opt/brought"]);
    expect_alert(agent, &container, "new_executable", "/opt/brought");
}

#[test]
fn a_program_whose_content_was_changed_is_told_from_one_whose_owner_was() {
    let agent = monitoring();
    let container = start(&[]);
    // What entrypoints do to the programs of their image.
    container.shell("chown 33:33 /usr/bin/acts; chmod 751 /usr/bin/acts");
    container.exec(&["/usr/bin/acts", "hello"]);
    container.shell("echo >> /usr/bin/hello; /usr/bin/hello");
    let alert = expect_alert(agent, &container, "changed_executable", "/usr/bin/hello");
    assert_eq!(text(&alert, "alert.layer"), "copied_up");
    let acts = exec_alerts(agent, &container);
    assert!(acts.iter().all(|it| text(it, "alert.path") != "/usr/bin/acts"), "{acts:#?}");
}

/// Known: a time is all that tells, where nobody saw the file being written.
#[test]
fn a_program_whose_time_alone_was_changed_is_told_as_changed() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("touch /usr/bin/hello; /usr/bin/hello");
    expect_alert(agent, &container, "changed_executable", "/usr/bin/hello");
}

#[test]
fn a_change_in_one_container_is_no_change_in_the_next() {
    const TRIES: usize = 10;
    let agent = monitoring();
    let identity = |it: &Container| it.exec(&["/bin/stat", "-c", "%d %i", "/usr/bin/hello"]);
    // The next container may be given the numbers of device and file that the last one had.
    let has_same_numbers = (0..TRIES).any(|_| {
        let first = start(&[]);
        first.shell("echo >> /usr/bin/hello; /usr/bin/hello");
        expect_alert(agent, &first, "changed_executable", "/usr/bin/hello");
        let numbers = identity(&first);
        drop(first);
        let next = start(&[]);
        next.shell("chmod 711 /usr/bin/hello; /usr/bin/hello");
        let told = exec_alerts(agent, &next);
        assert!(told.is_empty(), "{told:#?}");
        identity(&next) == numbers
    });
    assert!(has_same_numbers, "no container had the numbers of the one before: nothing is proved");
}

#[test]
fn a_program_in_a_tmpfs_or_mount_is_told_with_its_place() {
    let agent = monitoring();
    let docker = Docker::host();
    let volume = Volume::create(&docker);
    let directory = tempfile::tempdir().expect("a directory to mount");
    let named = format!("--volume={}:/named", volume.name);
    let bound = format!("--volume={}:/bound", directory.path().display());
    let options = ["--tmpfs=/scratch:exec", "--shm-size=1m", &named, &bound];
    let container = docker.start(BUSYBOX, &options, &[]);
    for (path, rule, layer) in [
        ("/scratch/x", "executable_in_tmpfs", "tmpfs"),
        ("/named/x", "executable_in_mount", "volume"),
        ("/bound/x", "executable_in_mount", "bind"),
    ] {
        container.shell(&format!("cp /usr/bin/hello {path}; {path}"));
        let alert = expect_alert(agent, &container, rule, path);
        assert_eq!(text(&alert, "alert.layer"), layer);
    }
    // Data there is what they are for.
    container.shell("/bin/cat /scratch/x /named/x /bound/x > /dev/null");
    assert_eq!(exec_alerts(agent, &container).len(), 3);
}

#[test]
fn a_program_without_a_file_is_told() {
    let agent = monitoring();
    let container = start(&[]);
    container.exec(&["/usr/bin/acts", "memfd", "/usr/bin/hello"]);
    let memory = json!({"rule": "executable_in_memory", "alert.layer": "memfd"});
    agent.expect(&container, "alert", &memory);
    container.exec(&["/usr/bin/acts", "unlinked", "/usr/bin/hello"]);
    expect_alert(agent, &container, "unlinked_executable", "/tmp/u");
}

#[test]
fn the_rules_hold_for_health_checks_and_after_a_restart() {
    let agent = monitoring();
    let container = start(&["--health-interval=1s", "--health-cmd=/opt/check || true"]);
    container.shell("cp /usr/bin/hello /opt/check; cp /usr/bin/hello /opt/kept");
    let check = json!({"rule": "new_executable", "alert.path": "/opt/check"});
    let check = agent.expect(&container, "alert", &check);
    assert_eq!(text(&check, "proc.origin"), "health", "{check}");
    container.restart();
    container.exec(&["/opt/kept"]);
    expect_alert(agent, &container, "new_executable", "/opt/kept");
}

#[test]
fn a_shell_that_obeys_a_connection_is_told() {
    let agent = monitoring();
    let container = start(&[]);
    let serve = |program: &str| {
        let call = "for i in 1 2 3 4 5 6 7 8 9; do \
                    echo exit | nc -w 1 127.0.0.1 4444 && break; sleep 1; done";
        container.shell(&format!("timeout 20 nc -l -p 4444 -e {program} & {call}; wait"));
    };
    // A program that serves what it was written for obeys nobody.
    serve("/usr/bin/hello");
    serve("/bin/sh");
    let alert = expect_alert(agent, &container, "reverse_shell", "/bin/busybox");
    let found = ["severity", "proc.exe", "proc.parent.exe"].map(|name| text(&alert, name));
    assert_eq!(found, ["critical", "/bin/busybox", "/bin/busybox"]);
    let told = exec_alerts(agent, &container);
    assert_eq!(told.len(), 1, "{told:#?}");
}
