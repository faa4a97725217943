//! What the metrics show of the moment: fill, lengths, and the programs' own cost.

use std::sync::atomic::Ordering::Relaxed;

use plimsoll_ebpf::rules::Class;

use crate::{
    attribution::attributor::Attributor,
    metrics::names::Metrics,
    policy::book::Book,
    probe::{
        load::Loaded,
        stopping::{Means, Stopping},
        support::Outcome,
    },
    store::appender::Appender,
};

/// Shows which programs are attached, and what it took to verify them.
pub(super) fn show_probes(metrics: &Metrics, loaded: &Loaded) {
    for status in &loaded.probes {
        let is_attached = status.outcome == Outcome::Attached;
        metrics.probe_attached.set_to(status.program, u64::from(is_attached));
        let is_broken = matches!(status.outcome, Outcome::Broken(_));
        metrics.probe_broken.set_to(status.program, u64::from(is_broken));
    }
    for (program, instructions) in loaded.verified() {
        metrics.probe_verified.set_to(program, u64::from(instructions));
    }
}

/// Shows how often each program ran and how long that took.
pub(super) fn show_runs(metrics: &Metrics, loaded: &Loaded) {
    for run in loaded.runs() {
        metrics.probe_runs.set_to(run.program, run.count);
        metrics.probe_time.set_to(run.program, run.time.as_nanos() as u64);
    }
}

/// Shows which classes can be refused.
pub(super) fn show_stopping(metrics: &Metrics, stopping: Stopping) {
    for class in Class::ALL {
        let denies = matches!(stopping.means(class), Means::Lsm | Means::Cgroup);
        metrics.enforcement_denies.set_to(class.name(), u64::from(denies));
    }
}

/// Shows the highest fill of each ring, of which `most` bytes waited.
pub(super) fn show_fill(metrics: &Metrics, most: [u64; 2], ring_bytes: [u32; 2]) {
    for (ring, (most, of)) in ["priority", "bulk"].into_iter().zip(most.into_iter().zip(ring_bytes))
    {
        metrics.ring_fill.set_float_to(ring, most as f64 / f64::from(of));
    }
}

/// Shows how much was decided.
pub(super) fn show_policy(metrics: &Metrics, book: &Book, now_ns: u64) {
    metrics.policies.set(book.policies.len() as u64);
    metrics.exceptions.set(book.holding(now_ns) as u64);
}

/// Shows what is known and what waits.
pub(super) fn show(metrics: &Metrics, attributor: &Attributor, appender: &Appender) {
    metrics.held_observations.set(attributor.directory.held() as u64);
    metrics.containers_watched.set(attributor.directory.running() as u64);
    metrics.containers_unresolved.set(attributor.directory.unresolved());
    metrics.processes_tracked.set(attributor.processes.len() as u64);
    metrics.queue_length.set_to("store", appender.queue().0 as u64);
    let health = appender.health();
    let stats = health.stats();
    let bytes = stats.segment_bytes.load(Relaxed) + stats.log_bytes.load(Relaxed);
    metrics.store_bytes.set(bytes);
    metrics.store_rows.set(stats.rows.load(Relaxed));
    metrics.store_removed.set_to("age", stats.removed_by_age.load(Relaxed));
    metrics.store_removed.set_to("size", stats.removed_by_size.load(Relaxed));
}
