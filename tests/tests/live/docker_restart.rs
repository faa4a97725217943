//! Docker dies and comes back; the agent and what it knows of containers do not.

use plimsoll_tests::{
    agent::Setup,
    docker::{BUSYBOX, Daemon},
    event::{number, text},
    poll,
};
use serde_json::json;

const ACTS: &str = "/usr/bin/acts";

#[test]
fn containers_are_named_before_during_and_after_a_restart_of_docker() {
    let mut daemon = Daemon::start();
    daemon.take_image(BUSYBOX);
    let config = format!("[docker]\nsocket = \"{}\"\n", daemon.socket().display());
    let agent = Setup::default().config(&config).start();
    assert!(agent.metric("plimsoll_docker_connected") > 0.0);

    let docker = daemon.docker.clone();
    let script = "while :; do /usr/bin/hello alive; usleep 300000; done";
    let survivor = docker.start(BUSYBOX, &["--network=none"], &["/bin/sh", "-c", script]);
    let alive = json!({"proc.args": ["/usr/bin/hello", "alive"], "proc.origin": "init"});
    agent.expect(&survivor, "exec", &alive);

    daemon.kill();
    poll::holds("the agent knows that Docker is gone", || {
        agent.metric("plimsoll_docker_connected") < 1.0
    });
    let (_, health) = agent.health();
    assert!(health.to_lowercase().contains("docker"), "health says only {health:?}");
    let before = agent.all(&survivor, "exec", &alive).len();
    poll::holds("a container is named while Docker is gone", || {
        agent.all(&survivor, "exec", &alive).len() > before
    });

    daemon.start_again();
    let after = docker.run_to_end(BUSYBOX, &["--network=none"], &["/usr/bin/hello", "after"]);
    let wanted = json!({"proc.args": ["/usr/bin/hello", "after"], "proc.origin": "init"});
    agent.expect(&after, "exec", &wanted);
    poll::holds("the agent is connected again", || {
        agent.metric("plimsoll_docker_connected") > 0.0
            && agent.metric("plimsoll_docker_reconnects_total") > 0.0
    });
    let later = docker.start(BUSYBOX, &["--network=none"], &[]);
    later.exec(&["/usr/bin/hello", "session"]);
    let session = json!({"proc.args": ["/usr/bin/hello", "session"], "proc.origin": "exec"});
    agent.expect(&later, "exec", &session);
    let first = agent.expect(&later, "exec", &json!({"proc.args": [ACTS, "wait"]}));
    assert_eq!(number(&first, "proc.pid"), i64::from(later.pid()));
    assert_eq!(text(&first, "proc.origin"), "init");
    assert!(agent.metric("plimsoll_containers_unresolved_total").abs() < 0.5);
}

#[test]
fn docker_may_come_after_the_agent() {
    let mut daemon = Daemon::start();
    daemon.take_image(BUSYBOX);
    daemon.kill();
    let config = format!("[docker]\nsocket = \"{}\"\n", daemon.socket().display());
    let agent = Setup::default().config(&config).start();
    assert!(agent.metric("plimsoll_docker_connected") < 1.0);
    daemon.start_again();
    let docker = daemon.docker.clone();
    let container = docker.run_to_end(BUSYBOX, &["--network=none"], &["/usr/bin/hello", "first"]);
    let wanted = json!({"proc.args": ["/usr/bin/hello", "first"], "proc.origin": "init"});
    agent.expect(&container, "exec", &wanted);
    poll::holds("the agent is connected", || agent.metric("plimsoll_docker_connected") > 0.0);
    poll::holds("the agent is healthy", || agent.health().0 == 200);
}
