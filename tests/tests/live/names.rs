//! The names under which a container is known, and found again.

use plimsoll_tests::{
    agent::Agent,
    docker::{BUSYBOX, Docker, unique},
    event::{self, text},
};
use serde_json::json;

#[test]
fn a_compose_container_is_told_with_project_and_service() {
    let agent = Agent::shared();
    let project = unique("shop");
    let labels = [
        &format!("--label=com.docker.compose.project={project}"),
        "--label=com.docker.compose.service=web",
    ];
    let container = Docker::host().run_to_end(BUSYBOX, &labels, &["/usr/bin/hello"]);
    let wanted = json!({
        "proc.exe": "/usr/bin/hello",
        "compose.project": project,
        "compose.service": "web",
        "swarm.service": null,
    });
    agent.expect(&container, "exec", &wanted);
    let found =
        agent.events(&["--service=web", "--where", &format!("compose.project = '{project}'")]);
    assert!(found.iter().all(|event| text(event, "ctr.id") == container.id) && !found.is_empty());
}

#[test]
fn a_plain_container_has_no_service() {
    let agent = Agent::shared();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello"]);
    let wanted = json!({"compose.project": null, "swarm.service": null, "swarm.stack": null});
    agent.expect(&container, "exec", &wanted);
}

#[test]
fn a_container_is_found_by_id_and_by_image() {
    let agent = Agent::shared();
    let container = Docker::host().run_to_end(BUSYBOX, &[], &["/usr/bin/hello", "found"]);
    let wanted = json!({"proc.args": ["/usr/bin/hello", "found"]});
    let event = agent.expect(&container, "exec", &wanted);
    // All tests' containers have these images: the argument keeps the answers short.
    let search = |query: [&str; 2]| {
        agent.events(&[&query[..], &["--kind=exec", "--where=proc.args = 'found'"]].concat())
    };
    for query in [
        ["--container", &container.id],
        ["--container", &container.id[..12]],
        ["--image", BUSYBOX],
        ["--image", "plimsoll-test/busybox"],
        ["--image", &container.digest],
    ] {
        assert!(search(query).contains(&event), "{query:?} does not find {event}");
    }
    assert!(!search(["--image", "plimsoll-test/layered"]).contains(&event));
}

#[test]
fn a_renamed_container_is_told_by_its_new_name() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let mut container = docker.start(BUSYBOX, &[], &[]);
    agent.expect(&container, "exec", &json!({}));
    let name = unique("renamed");
    docker.run(&["rename", &container.name, &name]);
    container.name = name;
    agent.wait_for(&["--container", &container.id], "event of the renaming", |event| {
        event::has(event, &json!({"container.op": "rename"}))
    });
    container.exec(&["/usr/bin/hello", "renamed"]);
    agent.expect(&container, "exec", &json!({"proc.args": ["/usr/bin/hello", "renamed"]}));
}

#[test]
fn an_image_without_a_tag_is_told_by_what_was_asked_for() {
    let agent = Agent::shared();
    let docker = Docker::host();
    let id = docker.run(&["image", "inspect", "--format", "{{.Id}}", BUSYBOX]);
    let container = docker.run_to_end(&id, &[], &["/usr/bin/hello"]);
    let wanted = json!({"ctr.image": id, "ctr.image_digest": container.digest});
    agent.expect(&container, "exec", &wanted);
}
