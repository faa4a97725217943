//! What has a bound: what is over it is counted and told, and the rest goes on.

use plimsoll_tests::{
    agent::{Agent, Setup},
    cgroup,
    docker::{BUSYBOX, Docker, unique},
    event::{self, number, text},
    poll,
};
use serde_json::json;

/// How many observations were lost for a reason, as the metric and as the gaps tell it.
fn lost(agent: &Agent, reason: &str) -> (i64, i64) {
    let series = format!("plimsoll_observations_lost_total{{reason=\"{reason}\"}}");
    let condition = format!("gap.reason = '{reason}'");
    let gaps = agent.events(&["--kind", "gap", "--where", &condition]);
    let told = gaps.iter().map(|gap| number(gap, "gap.lost")).sum();
    (agent.metric(&series) as i64, told)
}

#[test]
fn without_docker_the_agent_sees_and_says_what_it_cannot_name() {
    let config =
        "[docker]\nsocket = \"/nonexistent/docker.sock\"\n[attribution]\nhold_patience = \"1s\"\n";
    let agent = Setup::default().config(config).start();
    assert!(agent.metric("plimsoll_docker_connected") < 1.0);
    let (_, health) = agent.health();
    assert!(health.to_lowercase().contains("docker"), "health says only {health:?}");
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "nameless"]);
    let wanted = json!({"proc.args": ["/usr/bin/hello", "nameless"], "ctr.name": null});
    let event = agent.wait_for(&["--container", &container.id], "nameless exec", |event| {
        event::has(event, &wanted)
    });
    assert_eq!(text(&event, "ctr.id"), container.id);
    poll::holds("the unresolved container is counted", || {
        agent.metric("plimsoll_containers_unresolved_total") > 0.0
    });
    agent.stop();
}

#[test]
fn what_waits_for_a_name_is_bounded_and_what_is_dropped_is_told() {
    const FILES: i64 = 2000;
    let config = "[docker]\nsocket = \"/nonexistent/docker.sock\"\n\
                  [attribution]\nhold_patience = \"2s\"\nhold_limit = 256\n";
    let agent = Setup::default().config(config).start();
    let command = ["/usr/bin/acts", "spin-open", "/opt", &FILES.to_string()];
    let container = Docker::host().run_to_end(BUSYBOX, &[], &command);
    let query = ["--container", &container.id, "--kind", "file_write"];
    poll::holds("what was held is told", || !agent.events(&query).is_empty());
    poll::holds("every loss that is counted is told", || {
        let (counted, told) = lost(&agent, "hold_overflow");
        counted > 0 && counted == told
    });
    let told = agent.events(&query).len() as i64;
    let lost = lost(&agent, "hold_overflow").0;
    assert!(told < FILES && told + lost >= FILES, "{told} told and {lost} lost of {FILES}");
}

#[test]
fn processes_beyond_the_bound_are_still_told_of() {
    let agent = Setup::default().config("[attribution]\nprocess_limit = 256\n").start();
    let script = "i=0; while [ $i -lt 400 ]; do /bin/sleep 60 & i=$((i+1)); done; /bin/sleep 61";
    let container = Docker::host().start(BUSYBOX, &[], &["/bin/sh", "-c", script]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/bin/sleep", "61"]}));
    let sleeps = json!({"proc.args": ["/bin/sleep", "60"]});
    poll::holds("every exec is told", || agent.all(&container, "exec", &sleeps).len() == 400);
    poll::holds("the bound is told", || lost(&agent, "process_table_full").0 > 0);
    poll::holds("it holds", || agent.metric("plimsoll_processes_tracked") <= 256.0);
    container.exec(&["/usr/bin/hello", "after"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "after"]}));
}

#[test]
fn cgroups_that_are_no_containers_take_no_place() {
    let agent = Setup::default().config("[probe]\nmax_cgroups = 64\n").start();
    let parent = unique("others");
    let directory = cgroup::make(&cgroup::root(), &parent);
    for number in 0..300 {
        cgroup::make(&directory, &number.to_string());
    }
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "seen"]);
    let wanted = json!({"proc.args": ["/usr/bin/hello", "seen"]});
    let found = poll::until(poll::PATIENCE, || {
        let events = agent.all(&container, "exec", &wanted);
        events.into_iter().next()
    });
    cgroup::remove(&parent);
    container.assert_named_by(&found.expect("the container is seen beside 300 other cgroups"));
}
