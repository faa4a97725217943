//! The fleet: is every node watched, what happened, and where.

use super::{page::Page, panel::Panel};

pub(super) fn page() -> Page {
    Page {
        uid: "plimsoll-fleet",
        title: "Plimsoll / Fleet",
        description: "Whether every node is watched, what broke a rule, and where. The images and services in \
                      the tables lead to their own dashboards.",
        variable: None,
        rows: vec![
            ("Health", health()),
            ("Detections", detections()),
            ("Enforcement", enforcement()),
            ("Nodes", nodes()),
        ],
    }
}

fn health() -> Vec<Panel> {
    vec![
        Panel::stat("Agents", "Agents that answer Prometheus.")
            .query("sum(up{@})", "")
            .below("red")
            .from(1.0, "green"),
        Panel::stat("Agents that do not answer", "Targets that Prometheus knows and cannot read.")
            .query("count(up{@} == 0) or vector(0)", "")
            .below("green")
            .from(1.0, "red")
            .runbook("agent.md#plimsollagentdown"),
        Panel::stat(
            "Agents that see nothing",
            "Agents whose own programs in the kernel have not answered for ten seconds.",
        )
        .query("count(plimsoll_heartbeat_age_seconds{@} > 10) or vector(0)", "")
        .below("green")
        .from(1.0, "red")
        .runbook("agent.md#plimsollagentblind"),
        Panel::stat("Containers watched", "Running containers that are watched, on all nodes.")
            .query("sum(plimsoll_containers_watched{@})", ""),
        Panel::stat("Containers guarded", "Those of them in which acts of some class are stopped.")
            .query("sum(plimsoll_containers_guarded{@})", ""),
        Panel::stat(
            "Observations lost",
            "Observations lost in the shown time, for whatever reason.",
        )
        .query("sum(increase(plimsoll_observations_lost_total{@}[$__range]))", "")
        .below("green")
        .from(1.0, "orange")
        .runbook("agent.md#plimsollobservationslost"),
    ]
}

fn detections() -> Vec<Panel> {
    vec![
        Panel::bars("Alerts by severity", "Alerts of all nodes. Those that are alike are one within ten seconds.")
            .query("sum by (severity) (increase(plimsoll_alerts_total{@}[$__rate_interval])) > 0", "{{severity}}")
            .runbook("detections.md"),
        Panel::bars("Alerts by rule", "The ten rules that are broken most.")
            .query(
                "topk(10, sum by (rule) (increase(plimsoll_alerts_total{@}[$__rate_interval])) > 0)",
                "{{rule}}",
            )
            .runbook("detections.md"),
        Panel::table("Images", "Images by their alerts in the shown time. Each leads to its dashboard.")
            .query(
                "sort_desc(sum by (image) (increase(plimsoll_image_alerts_total{@}[$__range])))",
                "{{image}}",
            )
            .leads_to("This image", "plimsoll-image", "image"),
        Panel::table("Services", "Services by their alerts in the shown time. Each leads to its dashboard.")
            .query(
                "sort_desc(sum by (service) (increase(plimsoll_service_alerts_total{@}[$__range])))",
                "{{service}}",
            )
            .leads_to("This service", "plimsoll-service", "service"),
    ]
}

fn enforcement() -> Vec<Panel> {
    vec![
        Panel::bars("Acts stopped", "Acts that were refused (denied), or whose process was killed.")
            .query(
                "sum by (outcome) (increase(plimsoll_acts_stopped_total{@}[$__rate_interval]))",
                "{{outcome}}",
            )
            .runbook("enforcement.md#plimsollactsstopped"),
        Panel::table(
            "Refused before they happen",
            "1 where acts of the class are refused before they take effect on the node, 0 where who does \
             them is killed, or they are only told of.",
        )
        .query("min by (instance, class) (plimsoll_enforcement_denies{@})", "")
        .runbook("enforcement.md#plimsolltierlowerthanelsewhere"),
    ]
}

fn nodes() -> Vec<Panel> {
    vec![
        Panel::lines("Observations", "Observations attributed in a second, by node.")
            .query(
                "sum by (instance) (rate(plimsoll_observations_total{@}[$__rate_interval]))",
                "{{instance}}",
            )
            .unit("ops"),
        Panel::lines("Processor time", "What the agents take of one processor.")
            .query("rate(process_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}")
            .unit("percentunit")
            .from(0.2, "red")
            .runbook("overhead.md#plimsollagentbusy"),
        Panel::lines("Memory", "Memory of the agents that is resident.")
            .query("process_resident_memory_bytes{@}", "{{instance}}")
            .unit("bytes")
            .from(134_217_728.0, "red")
            .runbook("overhead.md#plimsollagentlarge"),
        Panel::table("Versions", "How many agents run which version.")
            .query("count by (version, revision) (plimsoll_build_info{@})", ""),
    ]
}
