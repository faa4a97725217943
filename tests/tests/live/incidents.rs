//! Alerts that belong together, and how the story of them is told.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Container, Docker},
    event::text,
    guard::{expect_alert, monitoring},
};
use serde_json::Value;

fn incidents_of(agent: &Agent, container: &Container) -> Vec<Value> {
    let all = agent.told(&["incidents", "--container", &container.name]);
    assert!(all.iter().all(|it| it["container"] == container.name.as_str()), "{all:#?}");
    all
}

#[test]
fn what_one_subtree_of_processes_does_is_one_incident() {
    let agent = monitoring();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell("cp /usr/bin/hello /opt/a; /opt/a; chmod 4755 /opt/a");
    container.shell("cp /usr/bin/hello /opt/b; /opt/b");
    expect_alert(agent, &container, "setuid_made", "/opt/a");
    let second = expect_alert(agent, &container, "new_executable", "/opt/b");
    let incidents = incidents_of(agent, &container);
    assert_eq!(incidents.len(), 2, "each session is one: {incidents:#?}");
    let rules = incidents[0]["rules"].as_array().expect("a list");
    for rule in ["new_executable", "setuid_made", "write_outside_volumes"] {
        assert!(rules.iter().any(|it| it == rule), "no {rule} in {incidents:#?}");
    }
    let [first, last] = [0, 1].map(|at| incidents[at]["score"].as_u64().expect("a number"));
    assert!(first > last, "more evidence says more: {incidents:#?}");
    assert!(last >= 90, "{incidents:#?}");
    assert_eq!(incidents[0]["severity"], "critical");
    assert_eq!(incidents[1]["incident"], text(&second, "alert.incident"));
}

#[test]
fn the_story_of_an_incident_has_reasons_ancestors_and_commands() {
    let agent = monitoring();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    container.shell("cp /usr/bin/hello /opt/a; /opt/a; true");
    let alert = expect_alert(agent, &container, "new_executable", "/opt/a");
    let id = text(&alert, "alert.incident");
    let output = agent.command(&["incidents", &id[..10]]);
    let story = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for part in [
        &format!("incident {id}: score "),
        &format!("container {} of {BUSYBOX}", container.name),
        "new_executable (T1105)",
        "A program ran that was written in this container: /opt/a",
        "(exec): /bin/busybox > /opt/a",
        "allowed by: plimsoll profile allow",
        &format!("plimsoll events --container {}", container.name),
    ] {
        assert!(story.contains(part), "no {part:?} in\n{story}");
    }
    let unknown = agent.command(&["incidents", "zz"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("no incident begins with zz"), "{said}");
}
