//! What the pipeline hands alerts over to: a bounded queue in memory for each sink.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use plimsoll_ebpf::rules::Severity;

use super::counts::{Became, Counts};
use crate::{alert::native::Alert, clock, fields::Fields};

/// Alerts that wait for a sink in memory.
pub(super) const QUEUE: usize = 1024;
/// How often the log tells of alerts that a sink loses.
const SELDOM: Duration = Duration::from_mins(1);

/// What a sink is handed.
#[derive(Clone)]
pub(super) enum Letter {
    /// Something to tell.
    Alert(Arc<Alert>),
    /// Open the file anew.
    Reopen,
}

/// The sinks, as the pipeline sees them. It never waits for one.
#[derive(Default)]
pub struct Outlets {
    pub(super) outlets: Vec<Outlet>,
}

/// A sink, as the pipeline sees it.
pub(super) struct Outlet {
    pub(super) name: String,
    pub(super) min_severity: Severity,
    pub(super) letters: Sender<Letter>,
    pub(super) counts: Counts,
    pub(super) last_told: Option<Instant>,
}

impl Outlets {
    /// Hands an alert of this severity to each sink that is for such; where one has no room, that
    /// is counted.
    pub fn tell(&mut self, observation: &impl Fields, severity: Severity) {
        let mut alert = None;
        for outlet in self.outlets.iter_mut().filter(|it| severity >= it.min_severity) {
            // Made once, and only if anybody wants it.
            let alert = alert.get_or_insert_with(|| Arc::new(Alert::of(observation)));
            outlet.tell(alert.clone());
        }
    }
}

impl Outlet {
    fn tell(&mut self, alert: Arc<Alert>) {
        // Before it is sent: it may be told before this goes on.
        self.counts.wait(1);
        let Err(error) = self.letters.try_send(Letter::Alert(alert)) else { return };
        self.counts.give_up_waiting();
        if let TrySendError::Disconnected(_) = error {
            return;
        }
        self.counts.add(Became::QueueFull, 1);
        if self.last_told.is_none_or(|it| clock::since(it) >= SELDOM) {
            self.last_told = Some(clock::instant());
            tracing::warn!(sink = self.name, "alerts are lost to a sink: its queue is full");
        }
    }
}

/// Tells that the agent ends: whoever holds the other end lets go of it.
#[derive(Clone)]
pub(super) struct Stopped(pub(super) Receiver<()>);

impl Stopped {
    /// Whether it ends.
    pub(super) fn is_told(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits for a time, or until it ends.
    pub(super) fn pause(&self, time: Duration) {
        // Nothing is ever sent.
        let _ = self.0.recv_timeout(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::sink::{Format, SinkTable, Target},
        metrics::names::Metrics,
        store::sample::Sample,
    };

    fn outlet(metrics: &Arc<Metrics>, min_severity: Severity) -> (Outlet, Receiver<Letter>) {
        let (letters, received) = crossbeam_channel::bounded(2);
        let name = "slow".to_owned();
        let counts = Counts::of(metrics.clone(), 0);
        (Outlet { name, min_severity, letters, counts, last_told: None }, received)
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::of(&[SinkTable {
            line: 1,
            name: "slow".to_owned(),
            min_severity: Severity::Info,
            format: Format::Native,
            target: Target::Stdout,
        }]))
    }

    #[test]
    fn a_sink_that_is_behind_delays_nobody_and_its_loss_is_counted() {
        let metrics = metrics();
        let (slow, _never_read) = outlet(&metrics, Severity::Info);
        let (quick, received) = outlet(&metrics, Severity::Info);
        let mut outlets = Outlets { outlets: vec![slow, quick] };
        let sample = Sample::new();
        for number in 0..10 {
            sample.with(number, |it| outlets.tell(it, Severity::High));
            assert!(received.try_recv().is_ok(), "the other sink has it at once");
        }
        let full = metrics.sink_alerts.index_of_sink(0, "sink_queue_full").expect("is a series");
        assert_eq!(metrics.sink_alerts.value_at(full), Some(8.0));
    }

    #[test]
    fn what_is_not_bad_enough_for_a_sink_is_not_handed_to_it() {
        let (high, received) = outlet(&metrics(), Severity::High);
        let mut outlets = Outlets { outlets: vec![high] };
        Sample::new().with(0, |it| {
            outlets.tell(it, Severity::Medium);
            assert!(received.is_empty());
            outlets.tell(it, Severity::Critical);
        });
        assert_eq!(received.len(), 1);
    }
}
