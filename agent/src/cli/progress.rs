//! How far a search through recorded observations is, for people who wait at a terminal.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

/// Progress is shown once it takes as long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Observations between two looks at the clock.
const STEP: u64 = 1024;

/// See the module.
pub(super) struct Progress {
    bar: ProgressBar,
    /// The moment of the first observation.
    first_ns: Option<u64>,
    until_ns: u64,
    start: Instant,
    is_wanted: bool,
}

impl Progress {
    /// Of a search up to a moment since the Unix epoch.
    pub(super) fn new(until_ns: u64) -> Self {
        Self {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            first_ns: None,
            until_ns,
            start: clock::instant(),
            is_wanted: io::stderr().is_terminal(),
        }
    }

    /// Of a search whose results may scroll by on the same terminal: then they are enough.
    pub(super) fn beside_results(until_ns: u64) -> Self {
        let is_wanted = io::stderr().is_terminal() && !io::stdout().is_terminal();
        let mut progress = Self::new(until_ns);
        progress.is_wanted = is_wanted;
        progress
    }

    /// Out of the way of something else that is told on standard error.
    pub(super) fn pause(&self, tell: impl FnOnce()) {
        self.bar.suspend(tell);
    }

    /// So many observations were looked at; the last of them was at the moment that `at` tells.
    pub(super) fn step(&mut self, looked_at: u64, at: impl FnOnce() -> Option<u64>) {
        if !self.is_wanted || looked_at % STEP != 1 {
            return;
        }
        if let Some(ts_ns) = at() {
            self.at(ts_ns, &format!("{looked_at} observations"));
        }
    }

    /// The search is at this moment since the Unix epoch.
    pub(super) fn at(&mut self, ts_ns: u64, told: &str) {
        if !self.is_wanted {
            return;
        }
        let first_ns = *self.first_ns.get_or_insert(ts_ns);
        if self.bar.is_hidden() {
            if clock::since(self.start) < PATIENCE {
                return;
            }
            let style = ProgressStyle::with_template("{bar:40} {percent} % {msg}");
            self.bar.set_style(style.expect("is a template"));
            self.bar.set_length(self.until_ns.saturating_sub(first_ns));
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(told.to_owned());
        self.bar.set_position(ts_ns.saturating_sub(first_ns));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
