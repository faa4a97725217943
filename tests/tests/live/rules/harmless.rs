//! What containers do every day: no alert, and with the default configuration nothing is stopped.

use std::collections::BTreeSet;

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Docker, HEALTHY, NGINX},
    event::text,
    guard::{exec_alerts, monitoring},
    poll,
};
use serde_json::json;

use super::start;

#[test]
fn dockers_own_init_raises_nothing() {
    let agent = monitoring();
    let container = start(&["--init"]);
    container.exec(&["/usr/bin/hello"]);
    // In most images `/sbin` is a link.
    let linked = Docker::host().start(NGINX, &["--init"], &[]);
    for (container, path) in [(container, "/sbin/docker-init"), (linked, "/usr/sbin/docker-init")] {
        agent.expect(&container, "exec", &json!({"proc.exe": path}));
        let told = exec_alerts(agent, &container);
        assert!(told.is_empty(), "{told:#?}");
    }
}

#[test]
fn only_docker_puts_an_init_there() {
    let agent = monitoring();
    let container = start(&[]);
    container.shell("mkdir -p /sbin; cp /usr/bin/hello /sbin/docker-init; /sbin/docker-init");
    let wanted = json!({"rule": "new_executable", "alert.path": "/sbin/docker-init"});
    agent.expect(&container, "alert", &wanted);
}

#[test]
fn servers_and_health_checks_raise_nothing() {
    let agent = monitoring();
    let docker = Docker::host();
    let nginx = docker.start(NGINX, &["--tmpfs=/run"], &[]);
    let told = exec_alerts(agent, &nginx);
    assert!(told.is_empty(), "{told:#?}");
    let healthy = docker.start(HEALTHY, &["--read-only"], &[]);
    poll::holds("it is healthy", || healthy.inspect("{{.State.Health.Status}}") == "healthy");
    let told = exec_alerts(agent, &healthy);
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn hooks_in_a_volume_under_an_exception_raise_nothing() {
    let agent = monitoring();
    let container = start(&["--volume=/repo"]);
    container.shell("mkdir -p /repo/hooks/post; cp /usr/bin/hello /repo/hooks/post/receive");
    container.shell("cp /usr/bin/hello /repo/hook; /repo/hooks/post/receive; /repo/hook");
    let told = exec_alerts(agent, &container);
    let paths: Vec<&str> = told.iter().map(|it| text(it, "alert.path")).collect();
    assert_eq!(paths, ["/repo/hook"], "{told:#?}");
}

#[test]
fn the_default_configuration_stops_nothing_and_tells_what_is_bad() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &["--tmpfs=/scratch:exec"], &[]);
    container.shell(
        "cp /usr/bin/hello /opt/a; /opt/a; cp /usr/bin/hello /scratch/a; /scratch/a
         acts memfd /usr/bin/hello; acts unlinked /usr/bin/hello; acts map-exec /opt/a
         echo >> /usr/bin/hello; /usr/bin/hello; rm /bin/ls; chmod 4755 /opt/a; echo > /etc/x",
    );
    let wanted: BTreeSet<&str> = [
        "new_executable",
        "executable_in_tmpfs",
        "executable_in_memory",
        "unlinked_executable",
        "foreign_library",
        "changed_executable",
        "image_program_changed",
        "setuid_made",
    ]
    .into();
    poll::holds("all that is bad is told, and nothing else", || {
        let told = agent.all(&container, "alert", &json!({"outcome": null}));
        told.iter().map(|it| text(it, "rule")).collect::<BTreeSet<_>>() == wanted
    });
    assert!(agent.all(&container, "alert", &json!({"outcome": "killed"})).is_empty());
}
