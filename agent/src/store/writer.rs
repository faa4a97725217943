//! The store thread: batches in, durable blocks out.
//!
//! Order of durability: a batch is in the log before the next is taken; a block is in its segment
//! before the log is cut. A crash between leaves rows in both, told apart by their numbers.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    batch::Batch,
    block::FULL_BYTES,
    builder::{self, BlockBuilder},
    config::Config,
    directory,
    files::{Growing, Outdated, Segments},
    kv::{IndexEntry, Kv},
    losses::{Cause, Losses},
    recoder::Ready,
    stream::{BriefKinds, Stream},
};
use crate::clock;

/// Bytes of the log at which its rows become a block, however few they are.
const MAX_WAL_BYTES: u64 = 2 << 20;
/// Frames of the log at which its rows become a block: each costs a reader time.
const MAX_WAL_FRAMES: u32 = 512;
/// How often age is looked at where nothing is written.
const HOUSEKEEPING: Duration = Duration::from_mins(1);
const LOG_LEVEL: i32 = 1;
pub(super) const BLOCK_LEVEL: i32 = 3;

/// Counters of the store, for metrics.
#[derive(Debug, Default)]
pub struct Stats {
    /// Observations written.
    pub rows: AtomicU64,
    /// Bytes written, log included.
    pub written_bytes: AtomicU64,
    /// Bytes of all segments.
    pub segment_bytes: AtomicU64,
    /// Bytes of the log.
    pub log_bytes: AtomicU64,
    /// Segments.
    pub segments: AtomicU64,
    /// Segments that were removed because all in them was too old.
    pub removed_by_age: AtomicU64,
    /// Segments that were removed to keep the store within its bound.
    pub removed_by_size: AtomicU64,
}

/// Everything the store thread owns.
pub(super) struct Writer {
    pub(super) config: Config,
    pub(super) lock: File,
    pub(super) wal: Growing,
    pub(super) segments: Segments,
    pub(super) kv: Option<Kv>,
    pub(super) next_seq: u64,
    /// Blocks of what an earlier run left in the log.
    pub(super) backlog: VecDeque<Ready>,
    pub(super) losses: Arc<Losses>,
    pub(super) stats: Arc<Stats>,
    pub(super) pending: Pending,
    pub(super) age: AgeClock,
}

/// Rows that are in the log and not yet in a segment, and the tools to encode.
pub(super) struct Pending {
    lasting: BlockBuilder,
    brief: BlockBuilder,
    frame: BlockBuilder,
    frames: u32,
    /// Bytes of the rows before compression, or more.
    raw_bytes: usize,
    to_log: zstd::bulk::Compressor<'static>,
    to_block: zstd::bulk::Compressor<'static>,
}

impl Pending {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            lasting: BlockBuilder::new(),
            brief: BlockBuilder::new(),
            frame: BlockBuilder::new(),
            frames: 0,
            raw_bytes: 0,
            to_log: zstd::bulk::Compressor::new(LOG_LEVEL)?,
            to_block: zstd::bulk::Compressor::new(BLOCK_LEVEL)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.most_rows() == 0
    }

    /// Whether there are rows for each of [`Stream::ALL`].
    fn have_rows(&self) -> [bool; 2] {
        [self.lasting.rows() > 0, self.brief.rows() > 0]
    }

    /// Rows of the larger block.
    fn most_rows(&self) -> u32 {
        self.lasting.rows().max(self.brief.rows())
    }

    fn block(&mut self, stream: Stream) -> &mut BlockBuilder {
        match stream {
            Stream::Lasting => &mut self.lasting,
            Stream::Brief => &mut self.brief,
        }
    }

    /// Adds the rows of a batch, each to the block of its stream.
    fn add(&mut self, batch: &Batch, first_seq: u64, brief: BriefKinds) {
        // In the order of `Stream::ALL`.
        let builders = &mut [&mut self.lasting, &mut self.brief];
        self.raw_bytes += batch.bytes();
        builder::add(batch, first_seq, builders, |kind| brief.stream(kind) as usize);
    }

    fn clear(&mut self) {
        self.lasting.clear();
        self.brief.clear();
        self.raw_bytes = 0;
    }
}

/// Why rows are not written, and whether those of [`Stream::ALL`] are lost by that.
struct Unwritten {
    error: io::Error,
    is_lost: [bool; 2],
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self { error, is_lost: [true; 2] }
    }
}

/// The clock that tells what is too old. A wall clock that is set ahead, wrongly perhaps, is not followed:
/// it would empty the store. What is kept too long by that goes with the next start, or for its size.
pub(super) struct AgeClock {
    wall_ns: u64,
    boot_ns: u64,
}

/// By how much a wall clock is corrected while it runs, at most.
const MOST_CORRECTION: Duration = Duration::from_hours(1);

impl AgeClock {
    pub(super) fn new(wall_ns: u64, boot_ns: u64) -> Self {
        Self { wall_ns, boot_ns }
    }

    /// The moment since the Unix epoch, where the clocks stand so.
    fn now_ns(&mut self, wall_ns: u64, boot_ns: u64) -> u64 {
        let expected_ns = self.wall_ns.saturating_add(boot_ns.saturating_sub(self.boot_ns));
        if wall_ns > expected_ns.saturating_add(MOST_CORRECTION.as_nanos() as u64) {
            return expected_ns;
        }
        *self = Self { wall_ns, boot_ns };
        wall_ns
    }
}

/// Why and until when nothing is written.
struct Pause {
    cause: Cause,
    since: Instant,
}

impl Writer {
    /// Takes batches until the pipeline closes its end.
    pub(super) fn run(mut self, batches: &Receiver<Batch>) {
        let mut pause: Option<Pause> = None;
        loop {
            match batches.recv_timeout(HOUSEKEEPING) {
                Ok(batch) => self.take(&batch, &mut pause),
                Err(RecvTimeoutError::Timeout) => self.make_room(0),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(error) = self.seal() {
            tracing::warn!(%error, "the last block stays in the log");
        }
        if let Some(Err(error)) = self.kv.as_ref().map(Kv::flush) {
            tracing::warn!(error = format!("{error:#}"), "index not flushed");
        }
        drop(self.lock);
    }

    fn take(&mut self, batch: &Batch, pause: &mut Option<Pause>) {
        let retry = self.config.retry;
        if let Some(pause) = pause.as_ref().filter(|it| clock::since(it.since) < retry) {
            self.losses.record(&batch.tally, pause.cause);
            return;
        }
        match self.store(batch) {
            Ok(()) => {
                self.stats.rows.fetch_add(u64::from(batch.rows()), Ordering::Relaxed);
                if pause.take().is_some() {
                    tracing::info!("the store records again");
                    self.losses.set_stopped(None);
                }
            }
            Err(Unwritten { error, is_lost }) => {
                let no_space = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
                let is_full = no_space.contains(&error.kind());
                let cause = if is_full { Cause::DiskFull } else { Cause::Error };
                if pause.is_none() {
                    tracing::error!(%error, dir = %self.config.dir.display(), "recording stopped, trying again");
                }
                let brief = self.config.brief;
                let lost = batch.tally.only(|kind| is_lost[brief.stream(kind) as usize]);
                self.losses.record(&lost, cause);
                self.losses.set_stopped(Some(cause));
                *pause = Some(Pause { cause, since: clock::instant() });
            }
        }
    }

    /// Makes the rows of a batch durable, or tells which streams' rows are lost.
    fn store(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        if self.is_due() {
            self.seal()?;
        }
        let (first_seq, brief) = (self.next_seq, self.config.brief);
        let end_seq = first_seq.saturating_add(u64::from(batch.rows()));
        let is_block = batch.rows() >= self.config.block_rows;
        let pending = &mut self.pending;
        if is_block && pending.is_empty() && self.backlog.is_empty() {
            pending.add(batch, first_seq, brief);
            let before = self.pending.have_rows();
            let written = self.write_blocks();
            let is_lost = self.pending.have_rows();
            self.pending.clear();
            // Where one block was written and the other was not, its numbers are used up.
            if is_lost != before {
                self.next_seq = end_seq;
            }
            return written.map_err(|error| Unwritten { error, is_lost });
        }
        pending.frame.clear();
        pending.frame.add(batch, first_seq);
        let frame = pending.frame.encode_frame(&mut pending.to_log)?;
        self.append_to_log(&frame)?;
        self.next_seq = end_seq;
        self.pending.add(batch, first_seq, brief);
        self.pending.frames += 1;
        if self.is_due() {
            // The rows are in the log already: failing here costs none of them.
            if let Err(error) = self.seal() {
                tracing::warn!(%error, "block not written, trying again");
            }
        }
        Ok(())
    }

    fn append_to_log(&mut self, frame: &[u8]) -> io::Result<()> {
        // Most are short, and the room beside the segments is theirs.
        if self.wal.length() + frame.len() as u64 > self.most_log_bytes() {
            self.make_room(frame.len() as u64);
        }
        self.wal.append(frame)?;
        self.stats.log_bytes.store(self.wal.length(), Ordering::Relaxed);
        self.stats.written_bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.pending.most_rows() >= self.config.block_rows
            || self.pending.raw_bytes >= FULL_BYTES
            || self.wal.length() >= self.most_log_bytes()
            || self.pending.frames >= MAX_WAL_FRAMES
    }

    /// Bytes of the log at which its rows become a block.
    fn most_log_bytes(&self) -> u64 {
        MAX_WAL_BYTES.min(self.segments.headroom() / 2)
    }

    /// Moves the log's rows into a segment.
    fn seal(&mut self) -> io::Result<()> {
        // In order: what is in a segment tells how far the log is moved.
        while let Some(ready) = self.backlog.pop_front() {
            if let Err(error) = self.append_block(&ready) {
                self.backlog.push_front(ready);
                return Err(error);
            }
        }
        self.write_blocks()?;
        (self.pending.frames, self.pending.raw_bytes) = (0, 0);
        if self.wal.length() > 0 {
            self.wal.clear()?;
            self.stats.log_bytes.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes the pending blocks.
    fn write_blocks(&mut self) -> io::Result<()> {
        for stream in Stream::ALL {
            let Pending { lasting, brief, to_block, .. } = &mut self.pending;
            let block = if stream == Stream::Brief { brief } else { lasting };
            if block.rows() == 0 {
                continue;
            }
            let (first_seq, max_ts) = (block.first_seq(), block.max_ts());
            let bytes = block.encode(to_block)?;
            self.append_block(&Ready { stream, first_seq, max_ts, bytes })?;
            self.pending.block(stream).clear();
        }
        Ok(())
    }

    fn append_block(&mut self, ready: &Ready) -> io::Result<()> {
        let Ready { stream, first_seq, max_ts, bytes: ref block } = *ready;
        self.make_room(block.len() as u64);
        let written = self.segments.append(stream, first_seq, max_ts, block)?;
        self.stats.written_bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        self.publish_sizes();
        let (segment, offset) = (written.segment, written.offset);
        let entry = IndexEntry { first_seq, segment, offset, bytes: block.len() as u64, max_ts };
        self.with_kv(|kv| kv.put(&entry));
        Ok(())
    }

    pub(super) fn publish_sizes(&self) {
        self.stats.segment_bytes.store(self.segments.bytes(), Ordering::Relaxed);
        self.stats.segments.store(self.segments.count() as u64, Ordering::Relaxed);
    }

    /// Removes what is too old or too much, beside `coming` more bytes.
    pub(super) fn make_room(&mut self, coming: u64) {
        let mut excess = self.segments.excess(coming);
        if excess > 0 {
            directory::drop_asides(&self.config.dir, excess);
            excess = self.segments.excess(coming);
        }
        let now_ns = self.age.now_ns(clock::now_ns(), clock::boot_ns());
        for Outdated { segment, is_too_old } in self.segments.outdated(excess, now_ns) {
            self.with_kv(|kv| kv.remove_segment(segment));
            if let Err(error) = self.segments.remove(segment) {
                tracing::warn!(%error, segment = segment.first_seq, "segment not removed");
                continue;
            }
            let stats = &self.stats;
            let removed = if is_too_old { &stats.removed_by_age } else { &stats.removed_by_size };
            removed.fetch_add(1, Ordering::Relaxed);
        }
        self.publish_sizes();
    }

    /// Works on the index. It can be lost: after an error the store goes on without it.
    fn with_kv(&mut self, act: impl FnOnce(&Kv) -> anyhow::Result<()>) {
        let Some(Err(error)) = self.kv.as_ref().map(act) else { return };
        tracing::warn!(error = format!("{error:#}"), "going on without the index");
        self.kv = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_ahead_makes_nothing_old() {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let mut age = AgeClock::new(100 * HOUR_NS, HOUR_NS);
        let mut at = |wall, boot| age.now_ns(wall * HOUR_NS, boot * HOUR_NS) / HOUR_NS;
        assert_eq!([at(101, 2), at(103, 3), at(9000, 4), at(9001, 5)], [101, 103, 104, 105]);
        assert_eq!([at(106, 6), at(50, 7)], [106, 50], "it is followed where it is right, or back");
    }
}
