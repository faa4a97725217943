//! The agents themselves: what they lose, which programs run, what they cost.

use super::{page::Page, panel::Panel};

pub(super) fn page() -> Page {
    Page {
        uid: "plimsoll-agent",
        title: "Plimsoll / Agent health",
        description: "What the agents lose, which of their programs run and what they take, the store, what is \
                      learned, and the sinks.",
        variable: None,
        rows: vec![
            ("Loss", loss()),
            ("Programs in the kernel", programs()),
            ("Enforcement", enforcement()),
            ("Store", store()),
            ("Learning", learning()),
            ("Sinks", sinks()),
            ("The agent itself", itself()),
        ],
    }
}

fn loss() -> Vec<Panel> {
    vec![
        Panel::bars("Observations lost", "By reason. Each loss is also a gap in the record.")
            .query(
                "sum by (reason) (increase(plimsoll_observations_lost_total{@}[$__rate_interval])) > 0",
                "{{reason}}",
            )
            .runbook("agent.md#plimsollobservationslost"),
        Panel::lines("Fill of the rings", "Highest share of a ring that waited to be read within a second.")
            .query("max by (instance, ring) (plimsoll_ring_fill_ratio{@})", "{{instance}} {{ring}}")
            .unit("percentunit")
            .from(0.8, "red")
            .runbook("agent.md#plimsollringnearlyfull"),
        Panel::lines("Observations", "Observations attributed in a second, by event.")
            .query("sum by (kind) (rate(plimsoll_observations_total{@}[$__rate_interval]))", "{{kind}}")
            .query(
                "sum by (reason) (rate(plimsoll_observations_merged_total{@}[$__rate_interval]))",
                "counted in the kernel: {{reason}}",
            )
            .unit("ops"),
        Panel::lines("What waits", "Entries in queues, and observations whose container is not known yet.")
            .query("sum by (queue) (plimsoll_queue_length{@})", "queue {{queue}}")
            .query("sum(plimsoll_held_observations{@})", "held"),
        Panel::lines("Not understood", "Ring entries that are no record, and containers that Docker did not name.")
            .query("sum by (reason) (rate(plimsoll_decode_errors_total{@}[$__rate_interval]))", "entry {{reason}}")
            .query("sum(rate(plimsoll_containers_unresolved_total{@}[$__rate_interval]))", "container unresolved")
            .unit("ops")
            .runbook("agent.md#plimsollcontainersunresolved"),
    ]
}

fn programs() -> Vec<Panel> {
    vec![
        Panel::table(
            "Not attached",
            "Programs that do not run, by node; some kernels have no hook for them.",
        )
        .query("min by (instance, probe) (plimsoll_probe_attached{@}) == 0", "")
        .runbook("enforcement.md#plimsollprobemissinghere"),
        Panel::table("Broken", "Programs that the kernel refused, or that failed their trial.")
            .query("max by (instance, probe) (plimsoll_probe_broken{@}) == 1", "")
            .runbook("agent.md#plimsollprobebroken"),
        Panel::lines(
            "Time in the kernel",
            "Share of one processor, by program. Known while metrics.bpf_stats is set.",
        )
        .query(
            "sum by (probe) (rate(plimsoll_probe_seconds_total{@}[$__rate_interval])) > 0",
            "{{probe}}",
        )
        .unit("percentunit")
        .from(0.1, "red")
        .runbook("overhead.md#plimsollkernelsidebusy"),
        Panel::lines(
            "Time of a run",
            "Mean time of one run, by program. Known while metrics.bpf_stats is set.",
        )
        .query(
            "sum by (probe) (rate(plimsoll_probe_seconds_total{@}[$__rate_interval])) / \
                 sum by (probe) (rate(plimsoll_probe_runs_total{@}[$__rate_interval])) > 0",
            "{{probe}}",
        )
        .unit("s"),
        Panel::table(
            "Verified",
            "Instructions that the verifier followed; it refuses a program at a million.",
        )
        .query("sort_desc(max by (probe) (plimsoll_probe_verified_instructions{@}))", "")
        .wide(24),
    ]
}

fn enforcement() -> Vec<Panel> {
    vec![
        Panel::table(
            "Tiers",
            "1 where acts of the class are refused before they take effect, by node.",
        )
        .query("min by (instance, class) (plimsoll_enforcement_denies{@})", "")
        .runbook("enforcement.md#plimsollenforcementweak"),
        Panel::lines(
            "Containers",
            "In which acts are stopped, of which class, and that will be guarded when they start.",
        )
        .query("sum(plimsoll_containers_guarded{@})", "guarded")
        .query("sum(plimsoll_containers_expected{@})", "expected")
        .query("sum by (class) (plimsoll_containers_enforced{@})", "{{class}} enforced"),
        Panel::lines("The gate", "Programs that the kernel asked about, in a second, by answer.")
            .query("sum by (answer) (rate(plimsoll_gate_total{@}[$__rate_interval]))", "{{answer}}")
            .unit("ops")
            .runbook("enforcement.md#plimsollgatefailing"),
        Panel::lines(
            "Decided",
            "Policies and exceptions that hold, on the node with most, and orders that failed.",
        )
        .query("max(plimsoll_policies{@})", "policies")
        .query("max(plimsoll_exceptions{@})", "exceptions")
        .query("sum(increase(plimsoll_orders_failed_total{@}[$__rate_interval]))", "orders failed")
        .runbook("enforcement.md#plimsollordersfailed"),
    ]
}

fn store() -> Vec<Panel> {
    vec![
        Panel::lines("Fill", "Share of store.max_bytes that is used, by node.")
            .query("plimsoll_store_bytes{@} / plimsoll_store_max_bytes{@}", "{{instance}}")
            .unit("percentunit")
            .from(0.9, "orange")
            .runbook("store.md#plimsollstorenearbound"),
        Panel::lines("Written", "Observations written to the store in a second, by node.")
            .query("sum by (instance) (rate(plimsoll_store_rows_total{@}[$__rate_interval]))", "{{instance}}")
            .unit("ops"),
        Panel::bars("Segments removed", "For their age, or to make room: then what is known reaches less far back.")
            .query(
                "sum by (reason) (increase(plimsoll_store_segments_removed_total{@}[$__rate_interval]))",
                "{{reason}}",
            )
            .runbook("store.md#plimsollhistorycut"),
    ]
}

fn learning() -> Vec<Panel> {
    vec![
        Panel::lines("Profiles", "Dimensions of all profiles, by how far they are.")
            .query("sum by (state) (plimsoll_profiles{@})", "{{state}}")
            .stacked()
            .runbook("learning.md"),
        Panel::lines("Behaviours", "Behaviours that are known, by dimension.")
            .query("sum by (dimension) (plimsoll_behaviours{@})", "{{dimension}}"),
        Panel::lines("Learned and departed", "New behaviours that were learned, and departures, in a second.")
            .query(
                "sum by (dimension) (rate(plimsoll_behaviours_learned_total{@}[$__rate_interval]))",
                "learned {{dimension}}",
            )
            .query(
                "sum by (dimension) (rate(plimsoll_departures_total{@}[$__rate_interval]))",
                "departed {{dimension}}",
            )
            .unit("ops"),
        Panel::bars(
            "Rounds",
            "Rounds in which it is measured how much containers use; skipped ones are made up for in the next.",
        )
        .query(
            "sum by (result) (increase(plimsoll_volume_rounds_total{@}[$__rate_interval]))",
            "{{result}}",
        ),
        Panel::bars("Not learned, not told", "Acts that were not learned, and departures that were held back.")
            .query(
                "sum by (reason) (increase(plimsoll_behaviours_refused_total{@}[$__rate_interval])) > 0",
                "not learned: {{reason}}",
            )
            .query(
                "sum by (reason) (increase(plimsoll_alerts_suppressed_total{@}[$__rate_interval])) > 0",
                "not told: {{reason}}",
            )
            .runbook("learning.md#plimsollprofilesfull"),
    ]
}

fn sinks() -> Vec<Panel> {
    vec![
        Panel::bars("Alerts", "Alerts that were for a sink, by what became of them.")
            .query(
                "sum by (sink, result) (increase(plimsoll_sink_alerts_total{@}[$__rate_interval])) > 0",
                "{{sink}} {{result}}",
            )
            .runbook("sinks.md#plimsollsinklosing"),
        Panel::lines("Alerts that wait", "Alerts that wait to be told, by sink.")
            .query("sum by (sink) (plimsoll_sink_queue_length{@})", "{{sink}}")
            .runbook("sinks.md#plimsollsinkfailing"),
        Panel::bars("Attempts that failed", "They are made again.")
            .query("sum by (sink) (increase(plimsoll_sink_failures_total{@}[$__rate_interval])) > 0", "{{sink}}")
            .runbook("sinks.md#plimsollsinkfailing"),
        Panel::lines("Since the last success", "Time since a sink told an alert; of no matter where nothing waits.")
            .query("max by (sink) (plimsoll_sink_last_success_age_seconds{@})", "{{sink}}")
            .unit("s"),
    ]
}

fn itself() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Heartbeat",
            "Time since the agent's own programs in the kernel last answered.",
        )
        .query("plimsoll_heartbeat_age_seconds{@}", "{{instance}}")
        .unit("s")
        .from(10.0, "red")
        .runbook("agent.md#plimsollagentblind"),
        Panel::lines("Running since", "Age of the agent's process.")
            .query("time() - process_start_time_seconds{@}", "{{instance}}")
            .unit("s")
            .runbook("agent.md#plimsollagentrestarts"),
        Panel::lines(
            "Docker",
            "Whether Docker answers; and how often the connection was made anew, in a second.",
        )
        .query("plimsoll_docker_connected{@}", "{{instance}} answers")
        .query(
            "rate(plimsoll_docker_reconnects_total{@}[$__rate_interval])",
            "{{instance}} reconnects",
        )
        .runbook("agent.md#plimsolldockergone"),
        Panel::lines(
            "Tracked",
            "Processes of containers that are tracked, and files that the agent has open.",
        )
        .query("sum by (instance) (plimsoll_processes_tracked{@})", "{{instance}} processes")
        .query("sum by (instance) (process_open_fds{@})", "{{instance}} open files"),
    ]
}
