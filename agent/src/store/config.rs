//! What can be set about the store.

use std::{path::PathBuf, time::Duration};

use super::{files::Bounds, stream::BriefKinds};

/// Where the store is, and its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its directory.
    pub dir: PathBuf,
    /// How long an observation may wait before it is durable.
    pub flush: Duration,
    /// Bytes that everything in the directory may take together.
    pub max_bytes: u64,
    /// Age after which observations are removed.
    pub max_age: Duration,
    /// Events of which so many are kept, and so long, as the next two say.
    pub brief: BriefKinds,
    /// Age after which these are removed.
    pub brief_max_age: Duration,
    /// Percentage of `max_bytes` that they may take where others need the rest.
    pub brief_percent: u32,
    /// Observations of a block.
    pub block_rows: u32,
    /// Bytes of a segment, the unit of removal.
    pub segment_bytes: u64,
    /// Batches that may wait for the store thread.
    pub queue: usize,
    /// How long to wait before writing is tried again after a failure.
    pub retry: Duration,
}

/// Segments that a full store has at least, so that removing one does not remove most.
const MIN_SEGMENTS: u64 = 16;

impl Config {
    /// The defaults, for a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            flush: Duration::from_millis(200),
            max_bytes: 1 << 30,
            max_age: Duration::from_hours(30 * 24),
            brief: BriefKinds::default(),
            brief_max_age: Duration::from_hours(30 * 24),
            brief_percent: 50,
            block_rows: 4096,
            segment_bytes: 32 << 20,
            queue: 16,
            retry: Duration::from_secs(1),
        }
    }

    /// Observations of a batch that becomes blocks at once, one of each stream.
    pub(super) fn batch_rows(&self) -> u32 {
        if self.brief.are_none() { self.block_rows } else { self.block_rows.saturating_mul(2) }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            segment_bytes: self.segment_bytes.min(self.max_bytes / MIN_SEGMENTS).max(1),
            max_bytes: self.max_bytes,
            max_age: self.max_age,
            brief_max_age: self.brief_max_age.min(self.max_age),
            brief_bytes: self.max_bytes / 100 * u64::from(self.brief_percent.min(100)),
        }
    }
}
