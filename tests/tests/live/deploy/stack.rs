//! The stack file as it is, in a Swarm of one node.

use std::{fs, path::Path, time::Duration};

use plimsoll_tests::{
    docker::{BUSYBOX, Daemon, Docker, PLIMSOLL, Swarm},
    event::{self, text},
    poll,
};
use serde_json::{Value, json};

/// Each start of a task may first wait for a registry's name that cannot be resolved.
const START: Duration = Duration::from_mins(2);

/// What a service of somebody else's does: each turn a program of the image, and one that is not.
const SHOP: &str = "cp /usr/bin/hello /opt/tool; i=0; while :; do i=$((i+1)); /usr/bin/hello turn; \
                    /opt/tool >/dev/null 2>&1 && echo drifted in turn $i; sleep 0.1; done";

/// The stack on an engine of its own.
struct Stack {
    docker: Docker,
    // After what is asked of it, and before its engine.
    _swarm: Swarm,
    _daemon: Daemon,
}

impl Stack {
    fn deploy() -> Self {
        let daemon = Daemon::start_alone();
        let docker = daemon.docker.clone();
        daemon.take_image(PLIMSOLL);
        daemon.take_image(BUSYBOX);
        // As it is called on every node.
        docker.run(&["tag", PLIMSOLL, concat!("plimsoll:", env!("CARGO_PKG_VERSION"))]);
        let swarm = Swarm::init(&docker);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/stack.yml");
        let file = file.to_str().expect("paths of the workspace are text");
        docker.run(&[
            "stack",
            "deploy",
            "--resolve-image=never",
            "--compose-file",
            file,
            "plimsoll",
        ]);
        Self { docker, _swarm: swarm, _daemon: daemon }
    }

    /// The container of the agent that is healthy, other than this one.
    #[track_caller]
    fn agent_after(&self, before: &str) -> String {
        let healthy = [
            "--filter=label=com.docker.swarm.service.name=plimsoll_agent",
            "--filter=health=healthy",
        ];
        let list = [&["ps", "--quiet", "--no-trunc"], &healthy[..]].concat();
        let found = poll::until(START, || {
            let listed = self.docker.run(&list);
            listed.lines().find(|id| *id != before).map(str::to_owned)
        });
        found.unwrap_or_else(|| {
            let tasks = ["service", "ps", "--no-trunc", "plimsoll_agent"];
            panic!("no healthy agent\n{}", self.docker.run(&tasks))
        })
    }

    fn told(&self, agent: &str, arguments: &[&str]) -> Vec<Value> {
        let command = [&["exec", agent, "plimsoll"], arguments, &["-o", "json"]].concat();
        event::parse(&self.docker.run(&command))
    }

    /// How often a program that drifted ran in a container so far, as it wrote.
    fn drifted(&self, container: &str) -> usize {
        let output = self.docker.attempt(&["logs", container]);
        String::from_utf8_lossy(&output.stdout).matches("drifted in turn").count()
    }
}

#[test]
fn a_stack_is_healthy_names_services_and_is_replaced_without_a_moment_of_weakness() {
    let stack = Stack::deploy();
    let agent = stack.agent_after("");
    let shop = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name=shop_web",
        "--network=host",
    ];
    stack.docker.run(&[&shop[..], &[BUSYBOX, "/bin/sh", "-c", SHOP]].concat());
    let execs = ["events", "--service=shop_web", "--kind=exec"];
    let wanted =
        json!({"swarm.service": "shop_web", "proc.exe": "/opt/tool", "exec.layer": "upper"});
    let seen = || stack.told(&agent, &execs).iter().any(|it| event::has(it, &wanted));
    assert!(poll::until(START, || seen().then_some(())).is_some(), "the service is not seen");
    let node = stack.docker.run(&["info", "--format", "{{.Name}} {{.Swarm.NodeID}}"]);
    let event = stack.told(&agent, &[&execs[..], &["-n", "1"]].concat()).remove(0);
    let named = format!("{} {}", text(&event, "node.name"), text(&event, "swarm.node_id"));
    assert_eq!(named, node, "{event}");

    let enforce = ["mode", "enforce", "--yes", "--class=exec", "--service=shop_web"];
    stack.docker.run(&[&["exec", &agent, "plimsoll"], &enforce[..]].concat());
    let denied = |agent: &str| {
        let alerts = stack.told(agent, &["alerts", "--service=shop_web"]);
        alerts.iter().filter(|it| !text(it, "outcome").is_empty()).count()
    };
    poll::holds("drifted programs are stopped", || denied(&agent) > 0);
    let shop = stack.docker.run(&["ps", "--quiet", "--filter=name=shop_web"]);
    let drifted = stack.drifted(&shop);
    assert!(drifted > 0, "none ran before it was forbidden");

    stack.docker.run(&["service", "update", "--force", "--detach", "plimsoll_agent"]);
    let next = stack.agent_after(&agent);
    let log = || {
        let output = stack.docker.attempt(&["logs", &next]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let took_over = poll::until(poll::PATIENCE, || log().contains("took over").then_some(()));
    assert!(took_over.is_some(), "the next agent does not take over: {}", log());
    let before = denied(&next);
    poll::holds("it stops them as well", || denied(&next) > before);
    assert_eq!(stack.drifted(&shop), drifted, "drifted programs ran while the agent was replaced");
    let lost = stack.told(&next, &["events", "--kind=gap", "--service=shop_web"]);
    assert!(lost.is_empty(), "{lost:#?}");

    let hardened = stack.docker.attempt(&["exec", &next, "plimsoll", "swarm", "harden"]);
    if stack.docker.engine() < 25 {
        assert_eq!(hardened.status.code(), Some(3), "{hardened:?}");
        return;
    }
    assert!(hardened.status.success(), "{hardened:?}");
    let third = stack.agent_after(&next);
    let options = stack.docker.run(&["inspect", "--format", "{{.HostConfig.SecurityOpt}}", &third]);
    assert!(options.contains("no-new-privileges"), "{options}");
    let before = denied(&third);
    poll::holds("with less it stops them as well", || denied(&third) > before);
    assert_eq!(stack.drifted(&shop), drifted, "drifted programs ran while the agent was hardened");
}

#[test]
fn the_stack_file_reads_and_asks_for_nothing_that_services_cannot_have() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/stack.yml");
    let text = fs::read_to_string(&file).expect("is there");
    for part in ["privileged:", "pid: ", "security_opt:", "devices:", "network_mode:"] {
        assert!(!text.contains(part), "services cannot have {part}");
    }
    let version = concat!("plimsoll:", env!("CARGO_PKG_VERSION"), "}");
    assert!(text.contains(version), "the stack starts another version than {version}");
}
