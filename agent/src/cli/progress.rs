//! How far a search through recorded observations is, for people who wait at a terminal.

use std::time::Duration;

use super::late_bar::LateBar;

/// Progress is shown once it takes as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Observations between two looks at the clock.
const STEP: u64 = 1024;

/// See the module.
pub(super) struct Progress {
    bar: LateBar,
    /// The moment of the first observation.
    first_ns: Option<u64>,
    until_ns: u64,
}

impl Progress {
    /// Of a search up to a moment since the Unix epoch.
    pub(super) fn new(until_ns: u64) -> Self {
        let bar = LateBar::new("{bar:40} {percent} % {msg}", PATIENCE);
        Self { bar, first_ns: None, until_ns }
    }

    /// Of a search whose results may scroll by on the same terminal: then they are enough.
    pub(super) fn beside_results(until_ns: u64) -> Self {
        let Self { bar, .. } = Self::new(until_ns);
        Self { bar: bar.beside_results(), first_ns: None, until_ns }
    }

    /// Out of the way of something else that is told on standard error.
    pub(super) fn pause(&self, tell: impl FnOnce()) {
        self.bar.pause(tell);
    }

    /// So many observations were looked at; the last of them was at the moment that `at` tells.
    pub(super) fn step(&mut self, looked_at: u64, at: impl FnOnce() -> Option<u64>) {
        if !self.bar.is_wanted() || looked_at % STEP != 1 {
            return;
        }
        if let Some(ts_ns) = at() {
            self.at(ts_ns, &format!("{looked_at} observations"));
        }
    }

    /// The search is at this moment since the Unix epoch.
    pub(super) fn at(&mut self, ts_ns: u64, told: &str) {
        let first_ns = *self.first_ns.get_or_insert(ts_ns);
        let total = self.until_ns.saturating_sub(first_ns);
        self.bar.at(ts_ns.saturating_sub(first_ns), total, told);
    }
}
