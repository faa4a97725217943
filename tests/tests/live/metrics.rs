//! What Prometheus reads, and what `plimsoll check` says of this machine.

use plimsoll_tests::{
    agent::{Agent, Setup, plain},
    docker::{BUSYBOX, Docker},
    event::{self, text},
    guard::{Own, guarded},
    http, poll, require,
};
use serde_json::json;

/// Where every family is told of.
const PAGE: &str = include_str!("../../../docs/metrics.md");

#[test]
fn every_family_that_is_documented_is_served() {
    // Without sinks there are no series of theirs.
    let sink = "[[sink]]\nname = \"out\"\ntype = \"stdout\"\n";
    let text = Setup::default().config(sink).start().metrics_text();
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let families: Vec<_> =
        rows.filter(|(name, _)| name.contains('_') && !name.contains('`')).collect();
    assert!(families.len() > 20, "{families:?}");
    for (name, rest) in families {
        let kind = rest.split(' ').next().expect("a row has more columns");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no served {kind}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        let is_there = |line: &str| line.starts_with(name) && line.ends_with(char::is_numeric);
        assert!(text.lines().any(is_there), "{name} has no series");
    }
}

#[test]
fn an_armed_agent_is_healthy_and_says_so() {
    let agent = Agent::shared();
    let (status, said) = agent.health();
    assert_eq!(status, 200, "{said}");
    assert!(!said.trim().is_empty());
    assert_eq!(http::get(agent.metrics, "/nonsense").map(|(status, _)| status), Some(404));
}

#[test]
fn required_probes_are_attached() {
    let text = Agent::shared().metrics_text();
    let optional = ["on_capability", "on_io_uring_submit", "on_map", "on_exec_loader"];
    // Programs of BPF LSM, whose use a kernel may refuse.
    let is_optional = |probe: &str| optional.contains(&probe) || probe.starts_with("guard_");
    let probes: Vec<_> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("plimsoll_probe_attached{probe=\"")?.split_once("\"} ")
        })
        .collect();
    assert!(probes.len() > 10, "{probes:?}");
    for (probe, attached) in probes {
        assert!(attached == "1" || is_optional(probe), "{probe} is not attached");
    }
}

#[test]
fn the_counters_count() {
    let agent = Agent::shared();
    let execs = || agent.metric("plimsoll_observations_total{kind=\"exec\"}");
    let rows = || agent.metric("plimsoll_store_rows_total");
    let (execs_before, rows_before) = (execs(), rows());
    let docker = Docker::host();
    let container = docker.start(BUSYBOX, &[], &[]);
    container.exec(&["/usr/bin/acts", "forkexec", "/usr/bin/hello", "20"]);
    poll::holds("execs are counted", || execs() >= execs_before + 21.0);
    poll::holds("rows are counted", || rows() >= rows_before + 21.0);
    let running = || docker.run(&["ps", "--quiet"]).lines().count();
    let are_watched =
        || (agent.metric("plimsoll_containers_watched") - running() as f64).abs() < 0.5;
    poll::holds("the container is counted", are_watched);
    drop(container);
    poll::holds("the container's end is counted", are_watched);
}

#[test]
fn the_gauges_show_what_is() {
    let agent = Agent::shared();
    let container = Docker::host().start(BUSYBOX, &[], &[]);
    agent.expect(&container, "exec", &json!({}));
    assert!(agent.metric("plimsoll_docker_connected") > 0.0);
    // Gauges are set from time to time.
    for gauge in ["plimsoll_processes_tracked", "plimsoll_store_bytes"] {
        poll::holds(&format!("{gauge} is set"), || agent.metric(gauge) > 0.0);
    }
    poll::holds("the kernel answers the agent's knock", || {
        agent.metric("plimsoll_heartbeat_age_seconds") < 10.0
    });
    for ring in ["priority", "bulk"] {
        let fill = agent.metric(&format!("plimsoll_ring_fill_ratio{{ring=\"{ring}\"}}"));
        assert!((0.0..=1.0).contains(&fill), "{ring}: {fill}");
    }
    assert!(agent.metric("process_resident_memory_bytes") > 1e6);
    assert!(agent.metric("process_cpu_seconds_total") > 0.0);
}

#[test]
fn a_gauge_tells_in_how_many_containers_each_class_is_enforced() {
    let own = Own::new();
    let agent = own.agent();
    let are_enforced = || {
        ["exec", "file"].map(|class| {
            agent.metric(&format!("plimsoll_containers_enforced{{class=\"{class}\"}}")) > 0.5
        })
    };
    assert_eq!(are_enforced(), [false; 2]);
    let container = guarded(BUSYBOX, &own.label("programs"), &[]);
    poll::holds("one is enforced, and only its class", || are_enforced() == [true, false]);
    drop(container);
    poll::holds("none is any more", || are_enforced() == [false; 2]);
}

#[test]
fn nothing_was_lost_by_the_shared_agent() {
    let agent = Agent::shared();
    let text = agent.metrics_text();
    let losses: Vec<&str> = text
        .lines()
        .filter(|line| {
            let is_loss = line.starts_with("plimsoll_observations_lost_total{")
                || line.starts_with("plimsoll_decode_errors_total{");
            // Somebody uses up the looks of its container, which every agent sees.
            let is_meant = line.contains("\"not_looked_at\"");
            is_loss && !is_meant && !line.ends_with(" 0")
        })
        .collect();
    assert!(losses.is_empty(), "{losses:#?}\n{:#?}", agent.events(&["--kind", "gap"]));
}

#[test]
fn the_check_passes_on_a_machine_that_runs_the_agent() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let mut command = plain(&require::binary());
    command.args(["check", "-o", "json"]).arg("--data-dir").arg(at("data"));
    command.arg("--socket").arg(at("socket"));
    let output = command.output().expect("the binary runs");
    let items = event::parse(&String::from_utf8_lossy(&output.stdout));
    let failed: Vec<_> = items.iter().filter(|item| text(item, "status") == "fail").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(items.iter().any(|item| text(item, "what") == "kernel"), "{items:#?}");
    for item in &items {
        let is_explained = text(item, "status") == "pass" || !item["consequence"].is_null();
        assert!(is_explained, "{item} does not say what follows");
    }
}
