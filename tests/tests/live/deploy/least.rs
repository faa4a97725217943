//! What the agent needs in a container, and that it says so when one part is missing.

use plimsoll_tests::{
    docker::{BUSYBOX, Docker, PLIMSOLL},
    event::{self, text},
    poll,
};
use serde_json::{Value, json};

/// The parts that `deploy/stack.yml` names, each with what it is to `docker run`.
const PARTS: [(&str, &[&str]); 7] = [
    ("SYS_ADMIN", &["--cap-add=SYS_ADMIN"]),
    ("SYS_PTRACE", &["--cap-add=SYS_PTRACE"]),
    ("DAC_READ_SEARCH", &["--cap-add=DAC_READ_SEARCH"]),
    ("proc", &["--volume=/proc:/host/proc:ro"]),
    ("cgroup", &["--volume=/sys/fs/cgroup:/host/cgroup:ro"]),
    ("socket", &["--volume=/var/run/docker.sock:/var/run/docker.sock"]),
    ("layers", &["--volume=/var/lib/docker:/var/lib/docker:ro"]),
];

/// What else an agent in a container is started with.
const FIXED: [&str; 5] = [
    "--network=none",
    "--cap-drop=ALL",
    "--read-only",
    "--tmpfs=/run/plimsoll",
    "--tmpfs=/var/lib/plimsoll",
];

fn options(without: &str) -> Vec<&'static str> {
    let parts = PARTS.into_iter().filter(|(name, _)| *name != without);
    FIXED.into_iter().chain(parts.flat_map(|(_, options)| options.iter().copied())).collect()
}

/// What `plimsoll check` finds in a container without one part.
fn checked(without: &str) -> Vec<Value> {
    let run = [&["run", "--rm"], &options(without)[..], &[PLIMSOLL, "check", "-o", "json"]];
    let output = Docker::host().attempt(&run.concat());
    let items = event::parse(&String::from_utf8_lossy(&output.stdout));
    assert!(items.len() > 10, "{}", String::from_utf8_lossy(&output.stderr));
    items
}

#[test]
fn with_all_parts_nothing_fails() {
    let failed: Vec<Value> =
        checked("").into_iter().filter(|item| text(item, "status") == "fail").collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn each_part_that_is_missing_is_named_with_what_is_lost_and_what_helps() {
    let mut parts = vec![
        ("SYS_ADMIN", "privileges", "fail", "SYS_ADMIN"),
        ("SYS_PTRACE", "privileges", "warn", "SYS_PTRACE"),
        ("DAC_READ_SEARCH", "privileges", "warn", "DAC_READ_SEARCH"),
        ("proc", "/proc of the host", "fail", "/proc:/host/proc"),
        ("cgroup", "cgroups", "fail", "/sys/fs/cgroup:/host/cgroup"),
        ("socket", "Docker", "fail", "socket"),
    ];
    // Those that containerd keeps are found without it.
    if Docker::host().run(&["info", "--format", "{{.Driver}}"]) == "overlay2" {
        parts.push((
            "layers",
            "Docker layers",
            "warn",
            "/var/lib/docker:/var/lib/docker:ro,rslave",
        ));
    }
    for (part, what, status, remedy) in parts {
        let items = checked(part);
        let is_it = |item: &&Value| {
            let told = [text(item, "consequence"), text(item, "remedy")];
            text(item, "what") == what
                && text(item, "status") == status
                && !told[0].is_empty()
                && told[1].contains(remedy)
        };
        assert!(items.iter().any(|it| is_it(&it)), "without {part}: {items:#?}");
    }
}

#[test]
fn what_it_cannot_do_without_keeps_it_from_starting_and_is_said() {
    for (part, said) in [("SYS_ADMIN", "SYS_ADMIN"), ("proc", "/host/proc"), ("cgroup", "cgroup")] {
        let docker = Docker::host();
        let container = docker.start(PLIMSOLL, &options(part), &["run", "-o", "none"]);
        assert_eq!(container.wait(), 3, "without {part}: {}", container.logs());
        assert!(container.logs().contains(said), "without {part}: {}", container.logs());
    }
}

#[test]
fn with_these_parts_it_is_healthy_sees_others_and_does_not_accuse_itself() {
    let docker = Docker::host();
    let agent = docker.start(PLIMSOLL, &options(""), &["run", "-o", "none"]);
    let asked = |arguments: &[&str]| {
        let command = [&["plimsoll"], arguments].concat();
        let output = agent.attempt(&command);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    poll::holds("the agent is healthy", || asked(&["health"]).0 == Some(0));
    let container = docker.start(BUSYBOX, &[], &[]);
    container.shell("cp /usr/bin/hello /opt/tool; /opt/tool");
    let of_container = ["events", "--container", &container.name, "--kind", "exec", "-o", "json"];
    poll::holds("the drifted program is seen", || {
        let wanted = json!({"proc.exe": "/opt/tool", "exec.layer": "upper"});
        event::parse(&asked(&of_container).1).iter().any(|it| event::has(it, &wanted))
    });
    // It loads programs itself, as this does.
    asked(&["check"]);
    let attacks = ["alerts", "--rule", "agent_attacked", "--container", &agent.name, "-o", "json"];
    container.shell("/opt/tool");
    poll::holds("what followed is seen", || event::parse(&asked(&of_container).1).len() > 3);
    assert_eq!(asked(&attacks).1, "", "{}", agent.logs());
}
