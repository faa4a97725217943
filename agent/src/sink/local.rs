//! The thread of a sink that writes lines: it takes an alert, writes it, and tries again where that
//! failed.

use std::time::Duration;

use crossbeam_channel::Receiver;

use super::{
    counts::{Became, Counts},
    lines::Lines,
    outlets::{Letter, Stopped},
};
use crate::config::sink::SinkTable;

/// How long to wait before a line is written again.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Local {
    pub(super) sink: SinkTable,
    pub(super) lines: Lines,
    pub(super) letters: Receiver<Letter>,
    pub(super) stopped: Stopped,
    pub(super) counts: Counts,
}

impl Local {
    /// Writes until nothing comes any more.
    pub(super) fn run(mut self) {
        let mut is_failing = false;
        while let Ok(letter) = self.letters.recv() {
            match letter {
                Letter::Reopen => self.lines.reopen(),
                Letter::Alert(alert) => {
                    let line = alert.line(self.sink.format);
                    self.write(&line, &mut is_failing);
                }
            }
        }
    }

    /// Writes a line, however long that takes; once the agent ends, it is tried once.
    fn write(&mut self, line: &str, is_failing: &mut bool) {
        let name = &self.sink.name;
        loop {
            // Asked before: what failed after the end was told is not tried again.
            let is_last = self.stopped.is_told();
            match self.lines.write(line) {
                Ok(()) => {
                    if std::mem::take(is_failing) {
                        tracing::info!(sink = name, "alerts are written again");
                    }
                    return self.counts.add(Became::Delivered, 1);
                }
                Err(error) => {
                    self.counts.failed();
                    if !std::mem::replace(is_failing, true) {
                        tracing::warn!(sink = name, %error, "alerts wait: they cannot be written");
                    }
                }
            }
            if is_last {
                return self.counts.add(Became::Unwritten, 1);
            }
            self.stopped.pause(PAUSE);
        }
    }
}
