//! What is counted of one sink.

use std::sync::Arc;

use crate::metrics::names::Metrics;

/// What became of an alert at a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// It was told.
    Delivered,
    /// The receiver will never take it.
    Refused,
    /// The sink was behind by more than its queue in memory.
    QueueFull,
    /// It was the oldest of a queue on disk that had reached its bound.
    OverBound,
    /// It could not be written.
    Unwritten,
    /// It could not be read back.
    Unreadable,
}

impl Became {
    const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::QueueFull => "sink_queue_full",
            Self::OverBound => "over_bound",
            Self::Unwritten => "unwritten",
            Self::Unreadable => "unreadable",
        }
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct Counts {
    metrics: Arc<Metrics>,
    /// The sink's place in the configuration.
    sink: usize,
}

impl Counts {
    /// For the sink at this place of the configuration.
    pub(super) fn of(metrics: Arc<Metrics>, sink: usize) -> Self {
        Self { metrics, sink }
    }

    /// This became of so many.
    pub(super) fn add(&self, became: Became, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(index) = self.metrics.sink_alerts.index_of_sink(self.sink, became.name()) {
            self.metrics.sink_alerts.add_at(index, count);
        }
        if became == Became::Delivered {
            self.metrics.sink_told(self.sink);
        }
        if became != Became::QueueFull {
            self.metrics.sink_waiting.take_at(self.sink, count);
        }
    }

    /// One that was to wait found no room.
    pub(super) fn give_up_waiting(&self) {
        self.metrics.sink_waiting.take_at(self.sink, 1);
    }

    /// So many more wait, until something becomes of them.
    pub(super) fn wait(&self, count: u64) {
        self.metrics.sink_waiting.add_at(self.sink, count);
    }

    /// An attempt failed that is made again.
    pub(super) fn failed(&self) {
        self.metrics.sink_failures.add_at(self.sink, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        sections::Config,
        sink::{Format, SinkTable, Target},
    };

    #[test]
    fn whatever_becomes_of_an_alert_has_its_series() {
        let mut config = Config::default();
        config.tables.sinks.push(SinkTable {
            line: 1,
            name: "a".to_owned(),
            min_severity: plimsoll_ebpf::rules::Severity::Info,
            format: Format::Native,
            target: Target::Stdout,
        });
        let metrics = Arc::new(Metrics::of(&config.tables.sinks));
        let counts = Counts::of(metrics.clone(), 0);
        let all = [
            Became::Delivered,
            Became::Refused,
            Became::QueueFull,
            Became::OverBound,
            Became::Unwritten,
            Became::Unreadable,
        ];
        counts.wait(12);
        for became in all {
            counts.add(became, 2);
            let index = metrics.sink_alerts.index_of_sink(0, became.name());
            assert_eq!(index.and_then(|it| metrics.sink_alerts.value_at(it)), Some(2.0));
        }
        // What found no room never waited.
        assert_eq!(metrics.sink_waiting.value_at(0), Some(2.0));
    }
}
