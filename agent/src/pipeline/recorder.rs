//! Where every observation ends up: in the store, with the baseline and the judge, and, where it is an
//! alert, with the sinks.

use std::sync::Arc;

use plimsoll_ebpf::{
    catalog::Record,
    events::alert::Alert,
    rules::{Rule, outcome},
};

use super::{acts::Counted, learning::Learning, subjects};
use crate::{
    attribution::{
        attributor::Attributor, container::Container, observation::Observation, process::Process,
    },
    baseline::departure::Departure,
    clock,
    metrics::names::Metrics,
    sink::outlets::Outlets,
    store::appender::Appender,
    verdict::{assess, judge::Judge},
};

/// Profiles that are handed over to be written in one second at most.
const PROFILES: usize = 8;

/// See the module.
pub(super) struct Recorder {
    pub(super) learning: Learning,
    pub(super) judge: Judge,
    pub(super) appender: Appender,
    pub(super) outlets: Outlets,
    pub(super) metrics: Arc<Metrics>,
    pub(super) acts: Counted,
    /// Acts that turned out to be known, by the names the kernel side has for them.
    pub(super) known: Vec<u64>,
}

impl Recorder {
    /// Keeps an observation, and the alert that it may be.
    pub(super) fn keep(&mut self, observation: &Observation<'_>) {
        let Self { learning, judge, appender, outlets, metrics, acts, known } = self;
        acts.count(observation);
        store(observation, appender, outlets, metrics);
        let header = &observation.record.header;
        if let Some(outcome) = outcome::name(header.outcome) {
            metrics.acts_stopped.add_to(outcome, header.count.into());
        }
        let mut tell = |alert: &[u8], _: &Arc<Container>, _: Option<&Arc<Process>>| {
            if let Ok(record) = Record::decode(alert) {
                let alert = Observation { record, peer_name: None, ..*observation };
                store(&alert, appender, outlets, metrics);
            }
        };
        let is_known = assess::observe(learning.baseline_mut(), judge, observation, &mut tell);
        // One that is not repeated has nothing to be counted.
        if is_known && header.act != 0 && header.count > 1 {
            known.push(header.act);
        }
    }

    /// Keeps an observation that departs from what is known, and the alert that it may be.
    pub(super) fn keep_departure(&mut self, observation: &Observation<'_>, departure: &Departure) {
        let Self { learning, judge, appender, outlets, metrics, .. } = self;
        store(observation, appender, outlets, metrics);
        let mut tell = |alert: &[u8], _: &Arc<Container>, _: Option<&Arc<Process>>| {
            if let Ok(record) = Record::decode(alert) {
                store(&Observation { record, ..*observation }, appender, outlets, metrics);
            }
        };
        let departure = learning.baseline().map(|baseline| (departure, baseline));
        judge.observe(observation, departure, &mut tell);
    }

    /// Counts an alert and tells it to the sinks.
    pub(super) fn tell(&mut self, observation: &Observation<'_>) {
        tell(observation, &mut self.outlets, &self.metrics);
    }

    /// Lets time pass, up to this moment since boot.
    pub(super) fn tick(&mut self, now_ns: u64, attributor: &Attributor) {
        let Self { learning, judge, appender, outlets, metrics, .. } = self;
        judge.tick(now_ns, &mut |alert, container, process| {
            let tell = |it: &Observation<'_>| store(it, appender, outlets, metrics);
            attributor.tell_of(alert, container, process, None, tell);
        });
        judge.keep_only(attributor.directory.containers());
        learning.tick(attributor, clock::now_ns(), PROFILES);
        if let Some(baseline) = learning.baseline_mut() {
            assess::report(baseline, judge, now_ns, &mut |alert, container| {
                let tell = |it: &Observation<'_>| store(it, appender, outlets, metrics);
                attributor.tell_of(alert, container, None, None, tell);
            });
        }
        subjects::show(metrics, attributor.directory.containers());
        learning.show(judge, metrics);
    }

    /// Has all that is counted told, and all that is known kept.
    pub(super) fn close(self, attributor: &Attributor) {
        let Self { mut learning, mut judge, mut appender, mut outlets, metrics, .. } = self;
        judge.end(clock::boot_ns(), &mut |alert, container, process| {
            let tell = |it: &Observation<'_>| store(it, &mut appender, &mut outlets, &metrics);
            attributor.tell_of(alert, container, process, None, tell);
        });
        learning.close(attributor, clock::now_ns());
        appender.close();
    }
}

fn store(
    observation: &Observation<'_>,
    appender: &mut Appender,
    outlets: &mut Outlets,
    metrics: &Metrics,
) {
    metrics.observations.add_at(observation.record.kind.index(), 1);
    subjects::count(metrics, observation);
    tell(observation, outlets, metrics);
    appender.append(observation);
}

/// Tells the sinks, where it is an alert.
fn tell(observation: &Observation<'_>, outlets: &mut Outlets, metrics: &Metrics) {
    if let Some((alert, _)) = observation.record.read::<Alert>()
        && let Some(rule) = Rule::by_number(alert.rule)
    {
        metrics.alerts.add_to(rule.info().name, 1);
        if let Some(container) = observation.container {
            subjects::count_alert(metrics, container, rule);
        }
        outlets.tell(observation, rule.info().severity);
    }
}
