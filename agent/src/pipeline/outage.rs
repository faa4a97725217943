//! Tells that nothing can be recorded: the sinks at once, the store as soon as it records again.

use std::time::{Duration, Instant};

use plimsoll_ebpf::rules::Rule;

use super::recorder::Recorder;
use crate::{attribution::attributor::Attributor, clock, store::losses::Cause};

/// How soon another outage is told: a disk on the brink is full again and again.
const QUIET: Duration = Duration::from_mins(10);

/// See the module.
#[derive(Default)]
pub(super) struct Outage {
    /// When the last one was told.
    told_at: Option<Instant>,
    /// Its alert, which is still to be stored.
    unstored: Option<Vec<u8>>,
}

impl Outage {
    /// Looks whether the store records, at this moment since boot.
    pub(super) fn look(&mut self, recorder: &mut Recorder, attributor: &Attributor, now_ns: u64) {
        let Some(cause) = recorder.appender.health().stopped_by() else {
            if let Some(alert) = self.unstored.take() {
                attributor.tell_own(&alert, &mut |it| recorder.appender.append(it));
            }
            return;
        };
        if self.told_at.is_some_and(|it| clock::since(it) < QUIET) {
            return;
        }
        self.told_at = Some(clock::instant());
        let alert = recorder.judge.report_own(Rule::RecordingStopped, reason(cause), now_ns);
        attributor.tell_own(&alert, &mut |it| recorder.tell(it));
        self.unstored = Some(alert);
    }
}

fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::DiskFull => "Nothing is recorded: there is no space left for the store.",
        Cause::Error => {
            "Nothing is recorded: the store cannot be written; the agent's log says why."
        }
        Cause::QueueFull => "Nothing is recorded: the store is too slow.",
    }
}
