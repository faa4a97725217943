//! Three nodes: Prometheus finds the agent of each by the Swarm, and what happens on one of them
//! reaches Alertmanager with that node's name.

use std::{fs, fs::File, path::Path, thread, time::Duration};

use plimsoll_tests::{
    docker::{BUSYBOX, Docker, Nodes, PLIMSOLL},
    poll,
    receiver::{Alertmanager, Prometheus},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

/// Each start of a task may first wait for a registry's name that cannot be resolved.
const START: Duration = Duration::from_mins(2);

/// `deploy/stack.yml` and its settings, without encryption between nodes: it needs parts of the kernel
/// that a machine of tests may lack.
fn stack(directory: &Path) -> String {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let text = fs::read_to_string(deploy.join("stack.yml")).expect("is there");
    let encrypted = "    driver_opts: { encrypted: \"\" }\n";
    assert!(text.contains(encrypted), "the stack file is another");
    let file = directory.join("stack.yml");
    fs::write(&file, text.replace(encrypted, "")).expect("the directory is its own");
    fs::copy(deploy.join("stack.toml"), directory.join("stack.toml")).expect("is there");
    file.display().to_string()
}

/// The scrape configuration as it is, but for where Docker, the rules and Alertmanager are, and faster.
fn prometheus(socket: &Path, alertmanager: &str) -> String {
    let prometheus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    let text = fs::read_to_string(prometheus.join("prometheus.yml")).expect("is there");
    let rules = prometheus.join("plimsoll.rules.yml").display().to_string();
    [
        ("unix:///var/run/docker.sock", format!("unix://{}", socket.display())),
        ("plimsoll.rules.yml", rules),
        ("alertmanager:9093", alertmanager.to_owned()),
        ("_interval: 15s", "_interval: 1s".to_owned()),
        ("role: tasks\n", "role: tasks\n        refresh_interval: 2s\n".to_owned()),
    ]
    .into_iter()
    .fold(text, |text, (from, to)| {
        assert!(text.contains(from), "prometheus.yml has no {from}");
        text.replace(from, &to)
    })
}

/// The container of the node's agent once it is healthy.
#[track_caller]
fn agent(docker: &Docker) -> String {
    let label = "--filter=label=com.docker.swarm.service.name=plimsoll_agent";
    let list = ["ps", "--quiet", "--filter=health=healthy", label];
    let found = poll::until(START, || docker.run(&list).lines().next().map(str::to_owned));
    found.unwrap_or_else(|| panic!("no healthy agent: {}", docker.run(&["ps", "--all"])))
}

#[test]
fn an_attack_on_one_of_three_nodes_arrives_with_its_name() {
    let nodes = Nodes::start(3);
    for engine in &nodes.engines {
        engine.take_image(PLIMSOLL);
        engine.take_image(BUSYBOX);
        engine.docker.run(&["tag", PLIMSOLL, concat!("plimsoll:", env!("CARGO_PKG_VERSION"))]);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let manager = &nodes.engines[0].docker;
    let file = stack(directory.path());
    manager.run(&["stack", "deploy", "--resolve-image=never", "--compose-file", &file, "plimsoll"]);
    let agents: Vec<String> = nodes.engines.iter().map(|engine| agent(&engine.docker)).collect();
    let pid = manager.run(&["inspect", "--format", "{{.State.Pid}}", &agents[0]]);
    let network = File::open(format!("/proc/{pid}/ns/net")).expect("the agent runs");
    // In the network of the agents, as what it starts.
    let watched = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&network),
                Some(LinkNameSpaceType::Network),
            )
            .expect("may enter it");
            watch(&nodes);
        });
        watch.join()
    });
    assert!(watched.is_ok(), "see above");
}

fn watch(nodes: &Nodes) {
    let alertmanager = Alertmanager::start();
    let config = prometheus(&nodes.engines[0].socket(), &alertmanager.address.to_string());
    let prometheus = Prometheus::start(&config);
    let count = |query: &str| prometheus.query(query).map_or(0, |found| found.len());
    let all_up = poll::until(START, || (count("up{job=\"plimsoll\"} == 1") == 3).then_some(()));
    assert!(all_up.is_some(), "{}", prometheus.targets());
    for name in &nodes.names {
        assert_eq!(count(&format!("plimsoll_build_info{{node=\"{name}\"}}")), 1, "{name}");
    }
    let (engine, node) = (&nodes.engines[1].docker, &nodes.names[1]);
    let victim = engine.start(BUSYBOX, &["--network=none"], &[]);
    let series = format!("{{node=\"{node}\", image=\"{BUSYBOX}\", rule=\"new_executable\"}}");
    let is_known = || count(&format!("plimsoll_image_alerts_total{series} == 0")) == 1;
    poll::holds("the container is known before it is attacked", is_known);
    victim.shell("cp /usr/bin/hello /opt/tool; /opt/tool");
    let is_it = |alert: &Value| {
        let labels = &alert["labels"];
        let wanted = [
            ("alertname", "PlimsollImmutabilityBroken"),
            ("node", node.as_str()),
            ("image", BUSYBOX),
            ("rule", "new_executable"),
            ("severity", "critical"),
        ];
        wanted.iter().all(|(label, value)| labels[label] == *value)
    };
    let told = || alertmanager.alerts().iter().any(is_it).then_some(());
    let arrived = poll::until(START, told);
    assert!(arrived.is_some(), "{:#?}", alertmanager.alerts());
}
