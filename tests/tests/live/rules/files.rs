//! Files outside tmpfs and volumes.

use plimsoll_tests::{
    agent::Agent,
    docker::{Docker, LAYERED},
    event::text,
    guard::{alerts, expect_alert, monitoring},
};

use serde_json::json;

use super::start;

#[test]
fn whatever_changes_a_file_of_the_root_is_told() {
    let agent = monitoring();
    // One directory each: alerts about the same directory are counted together.
    for (script, path) in [
        ("/usr/bin/acts open-write /opt/new 1", "/opt/new"),
        ("echo >> /etc/passwd", "/etc/passwd"),
        ("mv /etc/passwd /etc/moved", "/etc/passwd"),
        ("rm /etc/group", "/etc/group"),
        ("mkdir /opt/directory", "/opt/directory"),
        ("rmdir /tmp", "/tmp"),
        ("ln -s /nowhere /opt/link", "/opt/link"),
        ("ln /etc/passwd /opt/hard", "/opt/hard"),
        ("mknod /opt/pipe p", "/opt/pipe"),
        ("chmod 600 /etc/passwd", "/etc/passwd"),
        ("chown 33 /etc/passwd", "/etc/passwd"),
        ("/usr/bin/acts truncate /etc/passwd", "/etc/passwd"),
    ] {
        let container = start(&[]);
        container.shell(script);
        let alert = expect_alert(agent, &container, "write_outside_volumes", path);
        assert_eq!(text(&alert, "severity"), "low", "{script}: {alert}");
    }
}

#[test]
fn writes_to_tmpfs_and_volumes_raise_nothing() {
    let agent = monitoring();
    let container = start(&["--tmpfs=/scratch", "--volume=/data"]);
    for directory in ["/scratch", "/data", "/dev/shm"] {
        container.shell(&format!(
            "cd {directory}; echo > a; mv a b; chmod 755 b; ln b c; ln -s b d; rm c d b; mkdir e; rmdir e"
        ));
    }
    container.shell("echo > /dev/null; echo 0 > /proc/self/oom_score_adj");
    let mut told = alerts(agent, &container);
    // What the runtime does before the container starts has its own test.
    told.retain(|it| !text(it, "alert.path").starts_with("/var/lib/docker/"));
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn what_the_runtime_does_to_start_a_container_is_not_the_containers_doing() {
    let agent = monitoring();
    let container = start(&["--tmpfs=/scratch", "--volume=/data", "--workdir=/made/for/it"]);
    container.exec(&["/usr/bin/hello"]);
    let told = alerts(agent, &container);
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn configuration_that_is_rendered_under_an_exception_raises_nothing() {
    let agent = monitoring();
    let script = "sed -i s/a/b/ /etc/app/app.conf; echo > /etc/app/more; exec /usr/bin/acts wait";
    let container = Docker::host().start(LAYERED, &[], &["/bin/sh", "-e", "-c", script]);
    container.shell("echo > /etc/app-not");
    expect_alert(agent, &container, "write_outside_volumes", "/etc/app-not");
    let told = alerts(agent, &container);
    let below = told.iter().filter(|it| text(it, "alert.path").starts_with("/etc/app/"));
    assert_eq!(below.count(), 0, "{told:#?}");
}

#[test]
fn a_program_of_the_image_that_is_changed_is_told_as_high() {
    let agent = monitoring();
    for script in [
        "echo >> /usr/bin/hello",
        "/usr/bin/acts truncate /usr/bin/hello",
        "echo > /opt/x; mv /opt/x /usr/bin/hello",
        "mv /usr/bin/hello /opt/x",
        "rm /usr/bin/hello",
    ] {
        let container = start(&[]);
        container.shell(script);
        let path = "/usr/bin/hello";
        let alert = expect_alert(agent, &container, "image_program_changed", path);
        assert_eq!(text(&alert, "severity"), "high", "{script}: {alert}");
    }
    let container = start(&[]);
    container.shell("echo >> /etc/passwd; chmod 711 /usr/bin/hello");
    let told = alerts(agent, &container);
    assert!(told.iter().all(|it| text(it, "rule") != "image_program_changed"), "{told:#?}");
}

#[test]
fn what_a_container_made_among_programs_it_may_replace() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell(
        "mkdir -p /usr/lib/made; cd /usr/lib/made; echo a > m.1; mv m.1 m; echo b > m.2; mv m.2 m; rm m
         echo > /opt/x; mv /opt/x /usr/bin/made; rm /usr/bin/made",
    );
    expect_alert(agent, &container, "write_outside_volumes", "/usr/bin/made");
    let told = alerts(agent, &container);
    assert!(told.iter().all(|it| text(it, "rule") != "image_program_changed"), "{told:#?}");
}

#[test]
fn a_setting_by_which_the_kernel_runs_programs_is_told() {
    let agent = Agent::shared();
    let container = start(&["--volume=/proc:/host/proc"]);
    // Nothing is written: the host is to stay as it is.
    container.shell(": >> /host/proc/sys/kernel/core_pattern; : >> /proc/self/oom_score_adj");
    let path = "/host/proc/sys/kernel/core_pattern";
    let alert = expect_alert(agent, &container, "kernel_setting_written", path);
    assert_eq!(text(&alert, "severity"), "high", "{alert}");
    let told = agent.all(&container, "alert", &json!({"rule": "kernel_setting_written"}));
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[test]
fn memory_of_a_process_that_is_opened_to_write_is_told() {
    let agent = Agent::shared();
    let container = start(&[]);
    container.shell("sleep 5 & : >> /proc/$!/mem; : < /proc/$!/mem; kill $!");
    let alert = agent.expect(&container, "alert", &json!({"rule": "process_memory_written"}));
    assert_eq!(text(&alert, "severity"), "high", "{alert}");
    let path = text(&alert, "alert.path");
    assert!(path.starts_with("/proc/") && path.ends_with("/mem"), "{alert}");
    let told = agent.all(&container, "alert", &json!({"rule": "process_memory_written"}));
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[test]
fn a_file_that_gives_its_owners_rights_is_told_wherever_it_lies() {
    let agent = monitoring();
    let container = start(&[]);
    // A directory with the bit gives what is made in it its group, and nobody a right.
    container.shell(
        "cp /usr/bin/hello /opt/a; chmod 755 /opt/a; mkdir /opt/d /opt/e; chmod 1777 /opt/d
         chmod 3775 /opt/d; cd /opt; chmod -R g+s e",
    );
    let told = alerts(agent, &container);
    assert!(told.iter().all(|it| text(it, "rule") != "setuid_made"), "{told:#?}");
    for mode in ["4755", "2755"] {
        container.shell(&format!("cp /usr/bin/hello /opt/{mode}; chmod {mode} /opt/{mode}"));
        let alert = expect_alert(agent, &container, "setuid_made", &format!("/opt/{mode}"));
        assert_eq!(text(&alert, "severity"), "high");
    }
}
