//! How far a long look at the store is, for people who wait at a terminal.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

/// Progress is shown once it takes as long.
const PATIENCE: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Bar {
    shown: ProgressBar,
    start: Instant,
    is_wanted: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self {
            shown: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            start: clock::instant(),
            is_wanted: io::stderr().is_terminal(),
        }
    }

    /// So many bytes of so many are done.
    pub(super) fn step(&self, done: u64, total: u64) {
        if !self.is_wanted {
            return;
        }
        if self.shown.is_hidden() {
            if clock::since(self.start) < PATIENCE {
                return;
            }
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {eta} left");
            self.shown.set_style(style.expect("is a template"));
            self.shown.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.shown.set_length(total);
        self.shown.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.shown.finish_and_clear();
    }
}
