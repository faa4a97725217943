//! A bar for people who wait at a terminal, shown once it takes long.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

/// See the module; it goes away with this value.
pub(super) struct LateBar {
    bar: ProgressBar,
    template: &'static str,
    patience: Duration,
    start: Instant,
    is_wanted: bool,
}

impl LateBar {
    /// Shown as the template says, once it takes as long.
    pub(super) fn new(template: &'static str, patience: Duration) -> Self {
        Self {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            template,
            patience,
            start: clock::instant(),
            is_wanted: io::stderr().is_terminal(),
        }
    }

    /// The same, but never where results may scroll by on the same terminal: then they are enough.
    pub(super) fn beside_results(mut self) -> Self {
        self.is_wanted &= !io::stdout().is_terminal();
        self
    }

    /// Whether anybody can see it.
    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// So much of so much is done.
    pub(super) fn at(&self, done: u64, total: u64, told: &str) {
        if !self.is_wanted {
            return;
        }
        if self.bar.is_hidden() {
            if clock::since(self.start) < self.patience {
                return;
            }
            let style = ProgressStyle::with_template(self.template);
            self.bar.set_style(style.expect("is a template"));
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_message(told.to_owned());
        self.bar.set_position(done);
    }

    /// Out of the way of something else that is told on standard error.
    pub(super) fn pause(&self, tell: impl FnOnce()) {
        self.bar.suspend(tell);
    }
}

impl Drop for LateBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
