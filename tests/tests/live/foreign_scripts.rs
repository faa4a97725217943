//! Scripts that the image does not contain.

use plimsoll_tests::{
    docker::{BUSYBOX, Container, Docker, LAYERED},
    event::text,
    guard::{
        PROGRAMS, Stop, enforcing, exec_alerts, expect_alert, guarded, is_stopped, monitoring,
    },
};

fn write(container: &Container, path: &str) {
    container.shell(&format!("printf '#!/bin/sh\\necho ran\\n' > {path}; /bin/chmod +x {path}"));
}

#[test]
fn a_script_that_the_image_does_not_contain_is_told() {
    let agent = monitoring();
    let options = ["--tmpfs=/scratch:exec", "--volume=/data"];
    let container = Docker::host().start(LAYERED, &options, &[]);
    container.exec(&["/usr/local/bin/script.sh"]);
    for (path, layer) in
        [("/opt/a.sh", "upper"), ("/scratch/a.sh", "tmpfs"), ("/data/a.sh", "volume")]
    {
        write(&container, path);
        container.exec(&[path]);
        let alert = expect_alert(agent, &container, "foreign_script", path);
        assert_eq!(text(&alert, "alert.layer"), layer);
    }
    assert_eq!(exec_alerts(agent, &container).len(), 3, "the image's own script is told");
}

#[test]
fn a_script_of_the_image_that_was_changed_is_told() {
    const SCRIPT: &str = "/usr/local/bin/script.sh";
    let agent = monitoring();
    let container = Docker::host().start(LAYERED, &[], &[]);
    container.shell(&format!("chmod 755 {SCRIPT}"));
    container.exec(&[SCRIPT]);
    let told = exec_alerts(agent, &container);
    assert!(told.is_empty(), "a change of mode is told: {told:#?}");
    container.shell(&format!("echo 'echo more' >> {SCRIPT}"));
    container.exec(&[SCRIPT]);
    expect_alert(agent, &container, "foreign_script", SCRIPT);
}

#[test]
fn hooks_that_are_scripts_under_an_exception_raise_nothing() {
    let agent = monitoring();
    let container = Docker::host().start(BUSYBOX, &["--volume=/repo"], &[]);
    container.shell("mkdir /repo/hooks");
    write(&container, "/repo/hooks/update");
    container.exec(&["/repo/hooks/update"]);
    let told = exec_alerts(agent, &container);
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_foreign_script_is_stopped() {
    let agent = enforcing();
    let stop = Stop::of(agent, "exec");
    let container = guarded(BUSYBOX, PROGRAMS, &[]);
    write(&container, "/opt/a.sh");
    stop.assert_stopped(&container.attempt(&["/opt/a.sh"]));
    let alert = expect_alert(agent, &container, "foreign_script", "/opt/a.sh");
    assert!(is_stopped(&alert), "{alert}");
}
