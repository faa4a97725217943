//! Code that is mapped from files that the image does not contain.

use plimsoll_tests::{
    docker::{Docker, NGINX},
    event::text,
    guard::{LOADER, exec_alerts, expect_alert, monitoring},
};

use super::start;

#[test]
fn a_library_that_is_not_the_images_is_told() {
    let agent = monitoring();
    let container = start(&["--tmpfs=/scratch:exec"]);
    container.exec(&["/usr/bin/acts", "map-exec", "/usr/bin/hello"]);
    for (path, layer) in [("/opt/code.so", "upper"), ("/scratch/code.so", "tmpfs")] {
        container.shell(&format!("cp /usr/bin/hello {path}; /usr/bin/acts map-exec {path}"));
        let alert = expect_alert(agent, &container, "foreign_library", path);
        assert_eq!(text(&alert, "alert.layer"), layer);
        assert_eq!(text(&alert, "proc.exe"), "/usr/bin/acts");
    }
    assert_eq!(exec_alerts(agent, &container).len(), 2, "the image's own code is told");
}

#[test]
fn a_library_that_is_preloaded_is_told() {
    let agent = monitoring();
    let container = Docker::host().start(NGINX, &[], &["/bin/sh", "-c", "sleep 1000"]);
    container
        .shell("cp /lib/*-linux-gnu/libc.so.6 /opt/hook.so; LD_PRELOAD=/opt/hook.so /bin/true");
    expect_alert(agent, &container, "foreign_library", "/opt/hook.so");
}

#[test]
fn a_program_that_the_loader_runs_is_told() {
    let agent = monitoring();
    let container = Docker::host().start(NGINX, &[], &["/bin/sh", "-c", "sleep 1000"]);
    container.exec(&[LOADER, "/bin/true"]);
    container.shell(&format!("cp /bin/true /opt/data; chmod -x /opt/data; {LOADER} /opt/data"));
    expect_alert(agent, &container, "foreign_library", "/opt/data");
    assert_eq!(exec_alerts(agent, &container).len(), 1);
}

#[test]
fn code_that_a_process_makes_for_itself_raises_nothing() {
    let agent = monitoring();
    let container = start(&[]);
    container.exec(&["/usr/bin/breach", "anonymous-exec"]);
    let told = exec_alerts(agent, &container);
    assert!(told.is_empty(), "a just-in-time compiler is told: {told:#?}");
}
