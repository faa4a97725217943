//! What the pipeline does for the names of peers: has them kept for the next agent.

use std::time::{Duration, Instant};

use crate::{attribution::peer_names::PeerNames, store::peer_names::PeerNameWriter};

/// How often they are kept, where any is new.
const PAUSE: Duration = Duration::from_mins(1);

/// See the module.
pub(super) struct Keeping {
    writer: PeerNameWriter,
    /// When they were kept last, and how many names had been new by then.
    kept: (Instant, u64),
}

impl Keeping {
    pub(super) fn new(writer: PeerNameWriter, now: Instant) -> Self {
        Self { writer, kept: (now, 0) }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, names: &PeerNames, now: Instant) {
        let (at, changes) = self.kept;
        if names.changes() != changes
            && now.duration_since(at) >= PAUSE
            && self.writer.write(names.kept())
        {
            self.kept = (now, names.changes());
        }
    }

    /// Has what is not kept written, and waits for it.
    pub(super) fn close(&mut self, names: &PeerNames) {
        let is_new = names.changes() != self.kept.1;
        self.writer.close(is_new.then(|| names.kept()));
    }
}
