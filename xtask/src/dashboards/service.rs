//! One service: what its containers do, with whom, and what of that broke a rule.

use super::{page::Page, panel::Panel};

const COMMANDS: &str = "\
Single containers are in no metric. On their node, or by `docker exec` in the agent's container:

```sh
plimsoll events --service NAME --since 10m --follow
plimsoll events --container NAME --kind connect --since 1h
plimsoll alerts --service NAME --since 1h
plimsoll mode enforce --class network --service NAME --dry-run --since 7d
```
";

pub(super) fn page() -> Page {
    Page {
        uid: "plimsoll-service",
        title: "Plimsoll / One service",
        description: "What the containers of a Swarm or compose service do, and what of it broke a rule.",
        variable: Some((
            "service",
            "Service",
            "label_values(plimsoll_service_containers{job=~\"$job\", instance=~\"$instance\"}, service)",
        )),
        rows: vec![("Now", now()), ("What it does", acts()), ("Alerts", alerts())],
    }
}

fn now() -> Vec<Panel> {
    vec![
        Panel::stat("Containers", "Running containers of the service.")
            .query("sum(plimsoll_service_containers{@, service=~\"$service\"})", ""),
        Panel::stat("Nodes", "Nodes that run it.")
            .query("count(plimsoll_service_containers{@, service=~\"$service\", service!=\"other\"} > 0)", ""),
        Panel::stat("Observations", "What its containers do in a second.")
            .query(
                "sum(rate(plimsoll_service_observations_total{@, service=~\"$service\"}[$__rate_interval]))",
                "",
            )
            .unit("ops"),
        Panel::stat("Alerts", "Alerts in the shown time.")
            .query("sum(increase(plimsoll_service_alerts_total{@, service=~\"$service\"}[$__range]))", "")
            .below("green")
            .from(1.0, "orange"),
        Panel::stat("Peers known", "Peers that it was learned to have, on the node that knows most.")
            .query("max(plimsoll_service_peers{@, service=~\"$service\"})", ""),
    ]
}

/// A panel of the rates of some events.
fn rates(title: &'static str, description: &'static str, kinds: &str) -> Panel {
    let query = format!(
        "sum by (kind) (rate(plimsoll_service_observations_total{{@, service=~\"$service\", \
         kind=~\"{kinds}\"}}[$__rate_interval]))"
    );
    Panel::lines(title, description).query(&query, "{{kind}}").unit("ops")
}

fn acts() -> Vec<Panel> {
    vec![
        rates(
            "Programs",
            "Programs started, processes made and ended, and code mapped, in a second.",
            "exec|fork|exit|exec_map",
        ),
        rates(
            "Files",
            "Files opened for writing, and names and metadata changed, in a second.",
            "file_write|file_change",
        ),
        rates(
            "Peers",
            "Connections made and taken, ports opened, and names asked for, in a second.",
            "connect|accept|listen|dns",
        ),
        rates(
            "Privileges and life",
            "Privileges used, and containers made, started and ended, in a second.",
            "privilege|container|gap",
        ),
    ]
}

fn alerts() -> Vec<Panel> {
    vec![
        Panel::bars("By severity", "Alerts of the service by severity.")
            .query(
                "sum by (severity) (increase(plimsoll_service_alerts_total{@, service=~\"$service\"}[$__rate_interval])) > 0",
                "{{severity}}",
            )
            .runbook("detections.md"),
        Panel::text("Look closer", "Commands for one service and its containers.", COMMANDS),
    ]
}
