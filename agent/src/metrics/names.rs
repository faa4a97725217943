//! Every metric: name, labels, and the help text, which is its comment.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::TextEncoder;

use super::{
    family::{Description, Family, Kind, Labels, Unit},
    labels, process,
    roll::Roll,
};
use crate::{clock, config::sink::SinkTable};

/// Commit the agent was built from, where the build said so.
const REVISION: &str = match option_env!("PLIMSOLL_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// States the metrics: from it come the struct, its construction and the list.
macro_rules! metrics {
    ($sinks:ident; $(
        $(#[doc = $help:literal])+
        $field:ident: $kind:ident $unit:ident $name:literal $labels:expr;
    )+) => {
        /// All metrics of the agent.
        pub struct Metrics {
            $( $(#[doc = $help])+ pub $field: Family, )+
            heartbeat_ns: AtomicU64,
            /// When each sink last told an alert, in nanoseconds since boot.
            told_ns: Vec<AtomicU64>,
        }

        impl Metrics {
            /// All series at zero, those of these sinks among them.
            pub fn of($sinks: &[SinkTable]) -> Self {
                let now_ns = clock::boot_ns();
                Self {
                    $( $field: Family::new(
                        Description {
                            name: $name,
                            help: concat!($($help),+),
                            kind: Kind::$kind,
                            unit: Unit::$unit,
                        },
                        $labels,
                    ), )+
                    heartbeat_ns: AtomicU64::new(now_ns),
                    told_ns: $sinks.iter().map(|_| AtomicU64::new(now_ns)).collect(),
                }
                .with_build()
            }

            /// Every metric, in the order of the documentation.
            pub fn families(&self) -> Vec<&Family> {
                vec![$( &self.$field, )+]
            }
        }
    };
}

metrics! {
    sinks;
    /// Observations attributed, by event.
    observations: Counter Whole "plimsoll_observations_total"
        Labels::Each("kind", labels::kinds());
    /// Observations lost, by reason. Each loss is also stored as a gap.
    observations_lost: Counter Whole "plimsoll_observations_lost_total"
        Labels::Each("reason", labels::losses());
    /// Acts that the kernel side counted into a later report instead of reporting, by reason: they
    /// were repeated within `probe.window`, or are known and within `probe.known_window`.
    observations_merged: Counter Whole "plimsoll_observations_merged_total"
        Labels::Each("reason", labels::merged());
    /// Entries of the rings that are no record, by reason.
    decode_errors: Counter Whole "plimsoll_decode_errors_total"
        Labels::Each("reason", labels::decode_errors());
    /// Highest share of a ring that waited to be read in the last second, from 0 to 1.
    ring_fill: Gauge Float "plimsoll_ring_fill_ratio" Labels::Each("ring", labels::rings());
    /// Entries that wait in a queue of the agent.
    queue_length: Gauge Whole "plimsoll_queue_length" Labels::Each("queue", labels::queues());
    /// Observations that wait for their container to become known.
    held_observations: Gauge Whole "plimsoll_held_observations" Labels::None;
    /// Running containers that are watched.
    containers_watched: Gauge Whole "plimsoll_containers_watched" Labels::None;
    /// Containers that Docker did not name in time.
    containers_unresolved: Counter Whole "plimsoll_containers_unresolved_total" Labels::None;
    /// Processes of containers that are tracked.
    processes_tracked: Gauge Whole "plimsoll_processes_tracked" Labels::None;
    /// Whether a program in the kernel is attached: 1 or 0.
    probe_attached: Gauge Whole "plimsoll_probe_attached" Labels::Each("probe", labels::probes());
    /// Whether a program is missing that the kernel has the hook for, because the kernel refused it or
    /// it failed its trial: 1 or 0.
    probe_broken: Gauge Whole "plimsoll_probe_broken" Labels::Each("probe", labels::probes());
    /// Instructions that the kernel's verifier followed before it took a program; it refuses one at
    /// a million. Told by Linux 5.16 and later.
    probe_verified: Gauge Whole "plimsoll_probe_verified_instructions"
        Labels::Each("probe", labels::probes());
    /// Runs of a program in the kernel. Counted while `metrics.bpf_stats` is set.
    probe_runs: Counter Whole "plimsoll_probe_runs_total" Labels::Each("probe", labels::probes());
    /// Time spent in a program in the kernel. Counted while `metrics.bpf_stats` is set.
    probe_time: Counter Nanoseconds "plimsoll_probe_seconds_total"
        Labels::Each("probe", labels::probes());
    /// Alerts, by rule. Those that are alike are one within ten seconds, and one more that counts
    /// the others.
    alerts: Counter Whole "plimsoll_alerts_total" Labels::Rows(labels::rules());
    /// Alerts, by image and rule.
    image_alerts: Counter Whole "plimsoll_image_alerts_total"
        Labels::Named("image", Roll::default(), labels::rules());
    /// Running containers of an image.
    image_containers: Gauge Whole "plimsoll_image_containers"
        Labels::Named("image", Roll::default(), Vec::new());
    /// Dimensions of an image's profiles, by how far they are after the start of containers.
    image_profiles: Gauge Whole "plimsoll_image_profiles"
        Labels::Named("image", Roll::default(), labels::rows("state", labels::profile_states()));
    /// Behaviours of an image that are known.
    image_behaviours: Gauge Whole "plimsoll_image_behaviours"
        Labels::Named("image", Roll::default(), Vec::new());
    /// Alerts of new behaviours a day that an image is expected to raise at most once all its
    /// dimensions are monitored, with 95 % confidence: the novelty that is left.
    image_expected_alerts: Gauge Float "plimsoll_image_expected_daily_alerts"
        Labels::Named("image", Roll::default(), Vec::new());
    /// Alerts, by service and severity.
    service_alerts: Counter Whole "plimsoll_service_alerts_total"
        Labels::Named("service", Roll::default(), labels::rows("severity", labels::severities()));
    /// Observations, by service and event.
    service_observations: Counter Whole "plimsoll_service_observations_total"
        Labels::Named("service", Roll::default(), labels::rows("kind", labels::kinds()));
    /// Running containers of a service.
    service_containers: Gauge Whole "plimsoll_service_containers"
        Labels::Named("service", Roll::default(), Vec::new());
    /// Peers of a service that are known.
    service_peers: Gauge Whole "plimsoll_service_peers"
        Labels::Named("service", Roll::default(), Vec::new());
    /// Dimensions of profiles of images and services, by how far they are after the start of
    /// containers.
    profiles: Gauge Whole "plimsoll_profiles" Labels::Each("state", labels::profile_states());
    /// Behaviours that are known, by dimension.
    behaviours: Gauge Whole "plimsoll_behaviours" Labels::Each("dimension", labels::dimensions());
    /// Behaviours that were learned, by dimension.
    behaviours_learned: Counter Whole "plimsoll_behaviours_learned_total"
        Labels::Each("dimension", labels::dimensions());
    /// Acts that could have been learned and were not, by reason.
    behaviours_refused: Counter Whole "plimsoll_behaviours_refused_total"
        Labels::Each("reason", labels::refusals());
    /// Acts that depart from what is known, by dimension, whether or not they were told.
    departures: Counter Whole "plimsoll_departures_total"
        Labels::Each("dimension", labels::dimensions());
    /// Rounds in which it is measured how much containers use: `taken`, or `skipped` because the one
    /// before was not over. What a skipped one would have found is found in the next.
    volume_rounds: Counter Whole "plimsoll_volume_rounds_total"
        Labels::Each("result", labels::volume_rounds());
    /// Departures that were not told by themselves, by reason: `repeated` ones are counted into a
    /// later alert, those that are `alike` are told together a little later, and those
    /// beyond the `budget` of their profile if they happen again when it has one. One more file among
    /// the many that a program keeps in a volume (`own_data`) is not told.
    alerts_held_back: Counter Whole "plimsoll_alerts_suppressed_total"
        Labels::Each("reason", labels::held_back());
    /// Alerts that were for a sink, by what became of them: `delivered`, or lost to it because its
    /// receiver will never take it (`refused`), the sink was behind by more than its queue in memory
    /// (`sink_queue_full`), its queue on disk had reached its bound (`over_bound`), or could not be
    /// written or read. What is lost to a sink is still in the store.
    sink_alerts: Counter Whole "plimsoll_sink_alerts_total"
        Labels::Sinks(labels::sinks(sinks), Some(("result", labels::sink_results())));
    /// Alerts that wait to be told by a sink.
    sink_waiting: Gauge Whole "plimsoll_sink_queue_length"
        Labels::Sinks(labels::sinks(sinks), None);
    /// Attempts of a sink that failed and are made again.
    sink_failures: Counter Whole "plimsoll_sink_failures_total"
        Labels::Sinks(labels::sinks(sinks), None);
    /// Time since a sink last told an alert; since start before the first.
    sink_success_age: Gauge Nanoseconds "plimsoll_sink_last_success_age_seconds"
        Labels::Sinks(labels::sinks(sinks), None);
    /// Acts that were stopped, by what became of them.
    acts_stopped: Counter Whole "plimsoll_acts_stopped_total"
        Labels::Each("outcome", labels::outcomes());
    /// Programs that the kernel asked the gate about: all that were `asked`, those `denied`, those let
    /// pass because nobody could tell where they come from (`untold`), and what went wrong.
    gate: Counter Whole "plimsoll_gate_total" Labels::Each("answer", labels::gate());
    /// Containers in which acts of some class are stopped.
    containers_guarded: Gauge Whole "plimsoll_containers_guarded" Labels::None;
    /// Containers in which a class is to be enforced, whether this host can stop its acts or not.
    containers_enforced: Gauge Whole "plimsoll_containers_enforced"
        Labels::Each("class", labels::classes());
    /// Containers that are known, running or not, whose acts are stopped from their first process on
    /// when they start.
    containers_expected: Gauge Whole "plimsoll_containers_expected" Labels::None;
    /// Containers for which the kernel side could not be told what to stop.
    orders_failed: Counter Whole "plimsoll_orders_failed_total" Labels::None;
    /// Whether acts of a class can be refused before they take effect, as was tried at the start: 1,
    /// or 0 where who does them is killed instead.
    enforcement_denies: Gauge Whole "plimsoll_enforcement_denies"
        Labels::Each("class", labels::classes());
    /// Policies that set modes for some containers.
    policies: Gauge Whole "plimsoll_policies" Labels::None;
    /// Exceptions from rules that hold.
    exceptions: Gauge Whole "plimsoll_exceptions" Labels::None;
    /// Whether Docker answers: 1 or 0.
    docker_connected: Gauge Whole "plimsoll_docker_connected" Labels::None;
    /// Times the connection to Docker was made anew.
    docker_reconnects: Counter Whole "plimsoll_docker_reconnects_total" Labels::None;
    /// Bytes of stored observations on disk.
    store_bytes: Gauge Whole "plimsoll_store_bytes" Labels::None;
    /// Bytes that the store may take on disk: `store.max_bytes`.
    store_max_bytes: Gauge Whole "plimsoll_store_max_bytes" Labels::None;
    /// Segments of the store that were removed: because all in them was older than `store.max_age`
    /// (`age`), or to keep the store within its bound (`size`), so that what is known reaches less
    /// far back than it should.
    store_removed: Counter Whole "plimsoll_store_segments_removed_total"
        Labels::Each("reason", labels::removals());
    /// Observations written to the store.
    store_rows: Counter Whole "plimsoll_store_rows_total" Labels::None;
    /// Time since a knock at the kernel last came back through the rings; since start before the
    /// first.
    heartbeat_age: Gauge Nanoseconds "plimsoll_heartbeat_age_seconds" Labels::None;
    /// Always 1; version and commit of the agent.
    build_info: Gauge Whole "plimsoll_build_info" Labels::Fixed(vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("revision", REVISION.to_owned()),
    ]);
    /// Memory of the agent that is resident.
    resident_memory: Gauge Whole "process_resident_memory_bytes" Labels::None;
    /// Processor time the agent has used, in user space and in the kernel.
    cpu_time: Counter Float "process_cpu_seconds_total" Labels::None;
    /// When the agent started, in seconds since 1970.
    start_time: Gauge Float "process_start_time_seconds" Labels::None;
    /// File descriptors that the agent has open.
    open_fds: Gauge Whole "process_open_fds" Labels::None;
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All series at zero, without sinks.
    pub fn new() -> Self {
        Self::of(&[])
    }

    /// A sink, by its place in the configuration, told an alert.
    pub fn sink_told(&self, sink: usize) {
        if let Some(told_ns) = self.told_ns.get(sink) {
            told_ns.store(clock::boot_ns(), Relaxed);
        }
    }

    fn with_build(self) -> Self {
        self.build_info.set(1);
        self
    }

    /// A knock came back; the moment counts in nanoseconds since boot.
    pub fn heartbeat(&self, boot_ns: u64) {
        self.heartbeat_ns.store(boot_ns, Relaxed);
    }

    /// Time since a knock last came back, in nanoseconds.
    pub fn heartbeat_age_ns(&self, now_boot_ns: u64) -> u64 {
        now_boot_ns.saturating_sub(self.heartbeat_ns.load(Relaxed))
    }

    /// Reads the clock and `/proc/self`, for what is only known at the moment of reading.
    pub fn refresh(&self) {
        self.heartbeat_age.set(self.heartbeat_age_ns(clock::boot_ns()));
        let now_ns = clock::boot_ns();
        for (sink, told_ns) in self.told_ns.iter().enumerate() {
            self.sink_success_age.set_at(sink, now_ns.saturating_sub(told_ns.load(Relaxed)));
        }
        if let Some(usage) = process::usage() {
            self.resident_memory.set(usage.resident_bytes);
            self.cpu_time.set_float(usage.cpu_seconds);
            self.start_time.set_float(usage.start_seconds);
            self.open_fds.set(usage.open_fds);
        }
    }

    /// All series in the text format of Prometheus.
    pub fn render(&self) -> String {
        // The encoder refuses a metric without series, as those of sinks are where there are none.
        let shown = self.families().into_iter().filter(|family| !family.is_empty());
        let families: Vec<_> = shown.map(Family::copy).collect();
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_else(|error| format!("# {error}\n"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_series_exists_from_the_start() {
        let text = Metrics::new().render();
        for line in [
            "plimsoll_observations_total{kind=\"exec\"} 0",
            "plimsoll_observations_lost_total{reason=\"ring_full\"} 0",
            "plimsoll_observations_lost_total{reason=\"disk_full\"} 0",
            "plimsoll_ring_fill_ratio{ring=\"priority\"} 0",
            "plimsoll_probe_attached{probe=\"on_sys_exit\"} 0",
            "plimsoll_store_bytes 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        let build = format!("plimsoll_build_info{{version=\"{}\",", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&build), "{text}");
    }

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        let exec = metrics.observations.index_of("exec").expect("is an event");
        metrics.observations.add_at(exec, 3);
        metrics.ring_fill.set_float_to("bulk", 0.25);
        metrics.probe_time.set_to("on_sys_exit", 2_500_000_000);
        let text = metrics.render();
        assert!(text.contains("plimsoll_observations_total{kind=\"exec\"} 3\n"), "{text}");
        assert!(text.contains("plimsoll_ring_fill_ratio{ring=\"bulk\"} 0.25\n"), "{text}");
        assert!(text.contains("plimsoll_probe_seconds_total{probe=\"on_sys_exit\"} 2.5\n"));
    }

    #[test]
    fn the_index_of_an_event_is_its_place_in_the_catalogue() {
        let metrics = Metrics::new();
        for kind in plimsoll_ebpf::catalog::CATALOG {
            assert_eq!(metrics.observations.index_of(kind.name), Some(kind.index()));
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        let metrics = Metrics::new();
        let mut seen = HashSet::new();
        for family in metrics.families() {
            let Description { name, help, kind, unit } = family.description();
            assert!(seen.insert(*name), "{name} is there twice");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            let seconds = name.trim_end_matches("_total").ends_with("_seconds");
            assert!(*unit != Unit::Nanoseconds || seconds, "{name}");
            assert!(help.starts_with(' ') && help.ends_with('.'), "{help}");
        }
    }

    #[test]
    fn the_heartbeat_ages_from_its_last_return() {
        let metrics = Metrics::new();
        metrics.heartbeat(5_000_000_000);
        assert_eq!(metrics.heartbeat_age_ns(7_000_000_000), 2_000_000_000);
        assert_eq!(metrics.heartbeat_age_ns(4_000_000_000), 0);
    }

    #[test]
    fn reading_shows_the_agent_itself() {
        let metrics = Metrics::new();
        metrics.refresh();
        let text = metrics.render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect(name)
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        let now = clock::now_ns() as f64 / 1e9;
        assert!((now - value("process_start_time_seconds")).abs() < 3600.0);
    }
}
