//! Swarm services: every event names service, task and node.

use std::{collections::HashSet, time::Duration};

use plimsoll_tests::{
    agent::{Agent, Setup},
    docker::{BUSYBOX, Docker, Service, Swarm},
    event::{self, text},
    poll,
};
use serde_json::{Value, json};

/// Each start of a task may first wait for a registry's name that cannot be resolved.
const START: Duration = Duration::from_mins(2);

#[test]
fn the_tasks_of_services_are_told_with_service_task_and_node() {
    let docker = Docker::host();
    let swarm = Swarm::init(&docker);
    let agent = Setup::default().start();
    let script = "while :; do /usr/bin/hello task; echo > /opt/task; sleep 1; done";
    let command = ["/bin/sh", "-c", script];
    let labels = ["--container-label=com.docker.stack.namespace=shop", "--network=host"];
    let with =
        |mode: &[&str]| Service::create(&docker, &[&labels, mode].concat(), BUSYBOX, &command);
    let replicated = with(&["--replicas=2"]);
    let global = with(&["--mode=global"]);
    let digest = docker.run(&["image", "inspect", "--format", "{{.Id}}", BUSYBOX]);
    for (service, tasks) in [(&replicated, 2), (&global, 1)] {
        let seen = wait_for_tasks(&agent, service, tasks);
        for event in &seen {
            let wanted = json!({
                "swarm.service": service.name,
                "swarm.stack": "shop",
                "swarm.node_id": swarm.node_id,
                "node.id": swarm.node_id,
                "ctr.image": BUSYBOX,
                "ctr.image_digest": digest,
            });
            assert!(event::has(event, &wanted), "wanted {wanted} in {event}");
            // Docker names the container after its task.
            assert_eq!(text(event, "ctr.name"), text(event, "swarm.task"), "{event}");
            assert!(text(event, "swarm.task").starts_with(&format!("{}.", service.name)));
            assert!(!text(event, "swarm.service_id").is_empty(), "{event}");
        }
        let writes = ["--service", &service.name, "--kind", "file_write"];
        agent.wait_for(&writes, "write of a task", |event| {
            event::has(event, &json!({"file.path": "/opt/task", "swarm.service": service.name}))
        });
    }
}

/// Waits until a program ran in so many tasks of a service; returns all such events.
#[track_caller]
fn wait_for_tasks(agent: &Agent, service: &Service, tasks: usize) -> Vec<Value> {
    let query = ["--service", &service.name, "--kind", "exec"];
    let found = poll::until(START, || {
        let mut events = agent.events(&query);
        events.retain(|it| event::has(it, &json!({"proc.exe": "/usr/bin/hello"})));
        let ids: HashSet<&str> = events.iter().map(|it| text(it, "swarm.task_id")).collect();
        (ids.len() >= tasks && !ids.contains("")).then_some(events)
    });
    found.unwrap_or_else(|| {
        let all: Vec<String> = agent.events(&query).iter().map(event::brief).collect();
        panic!("not {tasks} tasks:\n{}\n{}", service.tasks(), all.join("\n"))
    })
}
