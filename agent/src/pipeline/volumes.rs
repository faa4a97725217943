//! Has containers measured, and tells what of that departs from what is known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plimsoll_ebpf::{
    catalog::{TailBuilder, encode},
    events::volume::Volume,
    record::Header,
};

use super::recorder::Recorder;
use crate::{
    attribution::{attributor::Attributor, directory::Standing, procfs::Procfs},
    baseline::volume::{
        measure::{Busy, Excess},
        pace::Pace,
    },
    clock,
    metrics::names::Metrics,
    volume::{
        sampler::Sampler,
        usage::{Busiest, Target, Usage},
    },
};

/// See the module.
pub(super) struct Measuring {
    sampler: Sampler,
    /// When the latest round was asked for.
    asked: Instant,
    /// Time since one was asked for that reads all.
    since_whole: Duration,
}

impl Measuring {
    pub(super) fn new(sampler: Sampler) -> Self {
        Self { sampler, asked: clock::instant(), since_whole: Duration::MAX }
    }

    /// Asks for the next round when it is time, and takes what earlier ones have found.
    pub(super) fn turn(
        &mut self,
        attributor: &mut Attributor,
        procfs: &Procfs,
        recorder: &mut Recorder,
        metrics: &Metrics,
    ) {
        for usage in self.sampler.take() {
            measure(&usage, attributor, procfs, recorder);
        }
        let Some(baseline) = recorder.learning.baseline() else { return };
        let pace = Pace::of(baseline.settings());
        let passed = clock::since(self.asked);
        if passed < Duration::from_millis(pace.window_ms) {
            return;
        }
        self.asked = clock::instant();
        self.since_whole = self.since_whole.saturating_add(passed);
        // The last window of a minute may be over a little before it.
        let nearly = Duration::from_millis(pace.minute_ms - pace.window_ms / 2);
        let is_whole = self.since_whole >= nearly;
        let targets = attributor.directory.places().map(|(cgroup_id, path, container)| Target {
            cgroup_id,
            id: container.id.clone(),
            path: path.to_owned(),
        });
        let is_asked = self.sampler.ask(targets.collect(), is_whole);
        if is_asked && is_whole {
            self.since_whole = Duration::ZERO;
        }
        metrics.volume_rounds.add_to(if is_asked { "taken" } else { "skipped" }, 1);
    }
}

fn measure(usage: &Usage, attributor: &mut Attributor, procfs: &Procfs, recorder: &mut Recorder) {
    let Standing::Known(container) = attributor.directory.standing(usage.cgroup_id) else { return };
    let container = container.clone();
    let busy = usage.busiest.and_then(|it| busy(&it, usage, attributor, procfs));
    let Some(baseline) = recorder.learning.baseline_mut() else { return };
    let now_ms = clock::now_ns() / 1_000_000;
    let name_of = |address| attributor.name_of(usage.cgroup_id, address).map(str::to_owned);
    let excesses = baseline.measure(&container, usage, busy.as_ref(), &name_of, now_ms);
    for excess in excesses {
        let Excess { departure, event, peer, peer_name, header, process } = excess;
        let header = Header { cgroup_id: usage.cgroup_id, boot_ns: usage.boot_ns, ..header };
        let mut texts = TailBuilder::default();
        let event = Volume { peer: texts.push(peer.as_bytes()), ..event };
        let entry = encode(header, event, texts.bytes());
        attributor.tell_of(&entry, &container, process.as_ref(), peer_name.as_deref(), |it| {
            recorder.keep_departure(it, &departure);
        });
    }
}

/// What the busiest process is: as it was told, else as it is found.
fn busy(it: &Busiest, usage: &Usage, attributor: &mut Attributor, procfs: &Procfs) -> Option<Busy> {
    let Busiest { pid, start_ns, uid, percent } = *it;
    // One is exact, the other rounded to clock ticks.
    let told_ns = attributor.processes.start_of(pid);
    let told_ns = told_ns.filter(|told| told.abs_diff(start_ns) <= TICK_NS);
    let told = told_ns.and_then(|told| attributor.processes.at(pid, told, usage.boot_ns));
    let process = match told {
        Some(process) => process,
        None => Arc::new(procfs.process(pid)?.process),
    };
    let header = Header { pid, tid: pid, uid, start_ns: process.start_ns, ..Header::default() };
    Some(Busy { header, process, percent })
}

/// Longest clock tick that kernels have, in nanoseconds.
const TICK_NS: u64 = 10_000_000;
