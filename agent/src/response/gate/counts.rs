//! What the gate counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers since the start of the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files the kernel asked about.
    pub asked: u64,
    /// Those that were refused.
    pub denied: u64,
    /// Those that were let pass because nobody could tell where they come from.
    pub untold: u64,
    /// Denials that found no room in the channel.
    pub unreported: u64,
    /// Times the kernel dropped what it had to ask, and let it pass.
    pub overflowed: u64,
    /// Answers the kernel did not take.
    pub unanswered: u64,
    /// Times the kernel could not hand out a file, and refused to run it by itself.
    pub unread: u64,
}

/// Counters of all threads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub asked: AtomicU64,
    pub denied: AtomicU64,
    pub untold: AtomicU64,
    pub unreported: AtomicU64,
    pub overflowed: AtomicU64,
    pub unanswered: AtomicU64,
    pub unread: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            asked: read(&self.asked),
            denied: read(&self.denied),
            untold: read(&self.untold),
            unreported: read(&self.unreported),
            overflowed: read(&self.overflowed),
            unanswered: read(&self.unanswered),
            unread: read(&self.unread),
        }
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
