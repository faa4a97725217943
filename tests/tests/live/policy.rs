//! What the operator decides: set live, kept across restarts, told for each container.

use std::fs;

use plimsoll_tests::{
    agent::{Agent, Setup},
    docker::{BUSYBOX, Container, Docker},
    event, poll,
};
use serde_json::{Value, json};

/// The mode of a class in a container, as `plimsoll mode` tells it.
fn mode_of(agent: &Agent, container: &Container, class: &str) -> Option<String> {
    let told = agent.told(&["mode"]);
    let its = told.iter().find(|it| it["of"] == "container" && it["id"] == container.id.as_str());
    its.and_then(|it| it["modes"][class].as_str().map(str::to_owned))
}

fn exceptions(agent: &Agent, more: &[&str]) -> Vec<Value> {
    agent.told(&[&["profile", "exceptions"], more].concat())
}

#[test]
fn a_mode_that_is_set_live_holds_in_its_containers_and_across_restarts() {
    let home = tempfile::tempdir().expect("a directory");
    let config = format!("[[policy]]\nimage = \"{BUSYBOX}\"\nfile = \"monitor\"\n");
    let start = || Setup::default().config(&config).data_dir(home.path()).start();
    let agent = start();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    poll::holds("the container is told with its modes", || {
        mode_of(&agent, &container, "file").as_deref() == Some("monitor")
    });
    let enforce = ["mode", "enforce", "--class", "exec", "--container", &container.name];
    let refused = agent.command(&enforce);
    assert_eq!(refused.status.code(), Some(2), "there is no terminal to ask on");
    assert_eq!(mode_of(&agent, &container, "exec").as_deref(), Some("monitor"));
    let told = agent.told(&[&enforce[..], &["--yes"]].concat());
    assert_eq!(told[0]["containers"], 1);
    assert_eq!(mode_of(&agent, &container, "exec").as_deref(), Some("enforce"));
    poll::holds("the pipeline has the policy", || agent.metric("plimsoll_policies") > 1.0);
    agent.stop();
    let agent = start();
    poll::holds("the mode is kept", || {
        mode_of(&agent, &container, "exec").as_deref() == Some("enforce")
    });
    agent.told(&["mode", "default", "--class", "exec", "--container", &container.name]);
    assert_eq!(mode_of(&agent, &container, "exec").as_deref(), Some("monitor"));
    agent.stop();
}

#[test]
fn an_exception_is_allowed_told_kept_and_revoked() {
    let home = tempfile::tempdir().expect("a directory");
    let start = || Setup::default().data_dir(home.path()).start();
    let agent = start();
    let allow = ["profile", "allow", "--image", BUSYBOX, "--rule", "new_executable"];
    let wide = agent.command(&[&allow[..], &["--path", "/**"]].concat());
    assert_eq!(wide.status.code(), Some(2));
    let more = ["--path", "/opt/*", "--for", "24h", "--reason", "a test"];
    let told = agent.told(&[&allow[..], &more].concat());
    let id = told[0]["exception"]["id"].as_str().expect("has an id").to_owned();
    agent.kill();
    let agent = start();
    let kept = exceptions(&agent, &["--unused"]);
    let expected = json!({"id": id, "place": "/opt/*", "reason": "a test", "uses": 0});
    assert!(kept.len() == 1 && event::has(&kept[0], &expected), "{kept:?}");
    poll::holds("the pipeline has it", || agent.metric("plimsoll_exceptions") > 0.0);
    agent.told(&["profile", "revoke", &id]);
    assert_eq!(exceptions(&agent, &[]), Vec::<Value>::new());
    assert_eq!(agent.command(&["profile", "revoke", &id]).status.code(), Some(2));
    agent.stop();
}

#[test]
fn a_damaged_policy_file_is_set_aside_and_the_agent_starts() {
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join("policy.json"), b"{\"format\": 1, \"polic").expect("is written");
    let agent = Setup::default().data_dir(home.path()).start();
    assert!(agent.log().contains("policy.json is damaged and is kept as"), "{}", agent.log());
    agent.told(&["mode", "monitor", "--class", "file"]);
    agent.stop();
    let names = fs::read_dir(home.path()).expect("reads");
    let names: Vec<String> = names
        .map(|entry| entry.expect("is there").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("policy.json"))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_policy_that_means_nothing_keeps_the_agent_from_starting() {
    let config = "[[exception]]\nimage = \"a\"\nrule = \"new_executable\"\npath = \"/**\"\n\
                  reason = \"r\"\n";
    let (code, log) = Setup::default().config(config).refused();
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("'path' at line 4") && log.contains("too wide"), "{log}");
}
