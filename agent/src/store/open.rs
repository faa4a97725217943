//! Opening a store: what is sound is kept and gone on with, what is damaged is set aside.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use super::{
    appender::Appender,
    config::Config,
    directory,
    error::{Damage, StoreError},
    files::{Growing, SegmentSummary, Segments},
    kv::{IndexEntry, Kv},
    losses::Losses,
    recoder::{Ready, Recoder},
    row::StoredBlock,
    segment::{self, End, Finder, Found},
    stream::{SegmentId, Stream},
    watermarks::Watermarks,
    writer::{AgeClock, BLOCK_LEVEL, Pending, Stats, Writer},
};
use crate::clock;

/// Opens the store for the daemon, and starts its thread. Returns what was found damaged.
pub fn open(config: &Config) -> Result<(Appender, Vec<Damage>), StoreError> {
    let lock = directory::take(&config.dir)?;
    let failed = |error| StoreError::io("cannot read the store in", &config.dir)(error);
    let mut recovery = Recovery::default();
    let (log, damage) = Log::read(&config.dir).map_err(failed)?;
    recovery.damages.extend(damage);
    let (kv, index) = open_index(&config.dir).unzip();
    let index = index.unwrap_or_default();
    recovery.read_segments(&config.dir, &index, log.first_seq).map_err(failed)?;
    let wal = recovery.read_log(log, config).map_err(failed)?;
    let mut segments = Segments::new(&config.dir, config.bounds(), recovery.known);
    for (id, length) in recovery.newest {
        segments.resume(id, length).map_err(failed)?;
    }
    let kv = kv.and_then(|kv| bring_up_to_date(kv, &index, &recovery.blocks));
    let (losses, stats) = (Arc::new(Losses::default()), Arc::new(Stats::default()));
    let mut writer = Writer {
        lock,
        wal,
        segments,
        kv,
        next_seq: recovery.next_seq,
        backlog: recovery.backlog,
        losses: Arc::clone(&losses),
        stats: Arc::clone(&stats),
        pending: Pending::new().map_err(failed)?,
        config: config.clone(),
        age: AgeClock::new(clock::now_ns(), clock::boot_ns()),
    };
    writer.make_room(0);
    let (sender, receiver) = crossbeam_channel::bounded(config.queue.max(1));
    let thread = thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(failed)?;
    let appender = Appender::new(config, sender, losses, stats, thread);
    Ok((appender, recovery.damages))
}

/// What reading the files of an earlier run found.
#[derive(Default)]
struct Recovery {
    known: BTreeMap<SegmentId, SegmentSummary>,
    blocks: Vec<IndexEntry>,
    /// The segments to go on with, and their sound lengths.
    newest: BTreeMap<SegmentId, u64>,
    backlog: VecDeque<Ready>,
    marks: Watermarks,
    next_seq: u64,
    damages: Vec<Damage>,
}

/// The log of an earlier run.
struct Log {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The first number in it; the largest there is where it is empty.
    first_seq: u64,
}

impl Log {
    /// One that cannot be read is moved aside, and told.
    fn read(store: &Path) -> io::Result<(Self, Option<Damage>)> {
        let path = segment::wal_path(store);
        let (bytes, damage) = match fs::read(&path) {
            Ok(bytes) => (bytes, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
            Err(error) => {
                let length = fs::metadata(&path).map_or(0, |it| it.len());
                directory::set_aside(&path)?;
                (Vec::new(), Some(Damage::unreadable(&path, length, &error)))
            }
        };
        let mut first_seq = u64::MAX;
        segment::each_frame(&bytes, |header, _| first_seq = first_seq.min(header.first_seq));
        Ok((Self { path, bytes, first_seq }, damage))
    }
}

/// Numbers that a segment which cannot be read may have used, or more: there are enough.
const NUMBERS_OF_UNREADABLE: u64 = 1 << 32;

/// The blocks at the beginning of a segment that need not be looked at again: the index knows them
/// one after another, and what is in the log has numbers from `log_seq` on, which are in none of
/// them. `after` is the first number of the next segment.
fn settled(entries: &[IndexEntry], bytes: u64, after: Option<u64>, log_seq: u64) -> &[IndexEntry] {
    let mut end = 0;
    let is_settled = |(at, entry): (usize, &IndexEntry)| {
        let is_next = entry.offset == end && entry.bytes <= bytes.saturating_sub(end);
        end = end.saturating_add(entry.bytes);
        let next_seq = entries.get(at + 1).map(|it| it.first_seq).or(after);
        is_next && next_seq.is_some_and(|it| it <= log_seq)
    };
    let count = entries.iter().enumerate().map(is_settled).take_while(|it| *it).count();
    &entries[..count]
}

impl Recovery {
    fn read_segments(
        &mut self,
        store: &Path,
        index: &[IndexEntry],
        log_seq: u64,
    ) -> io::Result<()> {
        let mut indexed: HashMap<SegmentId, Vec<IndexEntry>> = HashMap::new();
        for entry in index {
            indexed.entry(entry.segment).or_default().push(*entry);
        }
        let segments = segment::list(store)?;
        for (at, id) in segments.iter().enumerate() {
            let next = segments[at + 1..].iter().find(|it| it.stream == id.stream);
            let after = next.map(|it| it.first_seq);
            let entries = indexed.get(id).map_or(&[][..], Vec::as_slice);
            let path = segment::segment_path(store, *id);
            let read = File::open(&path).and_then(|file| {
                let settled = settled(entries, file.metadata()?.len(), after, log_seq);
                self.read_segment(&path, *id, &file, settled, log_seq, next.is_none())
            });
            if let Err(error) = read {
                self.note_unreadable(&path, *id, &error);
            }
        }
        Ok(())
    }

    /// A segment that the file system does not hand out stays as it is, and is not gone on with.
    fn note_unreadable(&mut self, path: &Path, id: SegmentId, error: &io::Error) {
        let bytes = fs::metadata(path).map_or(0, |it| it.len());
        self.damages.push(Damage::unreadable(path, bytes, error));
        self.newest.remove(&id);
        // It goes with those that are as old.
        let max_ts = self.known.values().map(|it| it.max_ts).max();
        let max_ts = max_ts.filter(|it| *it > 0).unwrap_or_else(clock::now_ns);
        self.known.insert(id, SegmentSummary { bytes, max_ts });
        self.next_seq = self.next_seq.max(id.first_seq.saturating_add(NUMBERS_OF_UNREADABLE));
    }

    fn read_segment(
        &mut self,
        path: &Path,
        id: SegmentId,
        file: &File,
        settled: &[IndexEntry],
        log_seq: u64,
        is_newest: bool,
    ) -> io::Result<()> {
        let length = file.metadata()?.len();
        // Numbers never run backwards, even where the block that used them is lost.
        self.next_seq = self.next_seq.max(id.first_seq);
        let max_ts = settled.iter().map(|it| it.max_ts).max();
        let mut summary = SegmentSummary { bytes: length, max_ts: max_ts.unwrap_or(0) };
        self.blocks.extend_from_slice(settled);
        let from = settled.last().map_or(0, |it| it.offset + it.bytes);
        let mut finder = Finder::new(path, file, from, max_ts)?;
        let mut found = Vec::new();
        let end = finder.run(&mut |it| found.push(it))?;
        let sound = finder.offset;
        for it in found {
            match it {
                Ok(block) => {
                    self.note_block(id, &block, &mut summary);
                    // What of the log is in a block counts only where that can be read: a header may
                    // be on disk before what it announces.
                    let may_hold_log = block.header.end_seq() > log_seq;
                    if may_hold_log && segment::is_sound_at(file, block.offset, &block.header) {
                        self.marks.note(&block.header);
                    }
                }
                Err(damage) => self.damages.push(damage),
            }
        }
        if self.is_worthless(id, &summary, end) {
            return directory::set_aside(path);
        }
        self.known.insert(id, summary);
        if end == End::Torn {
            let torn = finder.torn();
            if is_newest {
                // It is going to be cut there, and gone on with.
                let bytes = segment::read_at_most(file, sound, (length - sound) as usize)?;
                directory::keep_aside(path, &bytes);
            }
            self.damages.push(torn);
        }
        if is_newest {
            self.newest.insert(id, sound);
        }
        Ok(())
    }

    /// Whether a file has bytes and no block among them.
    fn is_worthless(&self, id: SegmentId, summary: &SegmentSummary, end: End) -> bool {
        let no_block = self.blocks.last().is_none_or(|block| block.segment != id);
        no_block && summary.bytes > 0 && end == End::Clean
    }

    fn note_block(&mut self, segment: SegmentId, block: &Found, summary: &mut SegmentSummary) {
        let Found { offset, header } = block;
        summary.max_ts = summary.max_ts.max(header.max_ts);
        self.next_seq = self.next_seq.max(header.end_seq());
        self.blocks.push(IndexEntry {
            first_seq: header.first_seq,
            segment,
            offset: *offset,
            bytes: header.block_bytes() as u64,
            max_ts: header.max_ts,
        });
    }

    /// Keeps the log's frames that are in no segment, and opens it behind the sound ones.
    fn read_log(&mut self, log: Log, config: &Config) -> io::Result<Growing> {
        let Log { path, bytes, .. } = log;
        let mut left: Vec<StoredBlock> = Vec::new();
        let frames = segment::each_frame(&bytes, |header, frame| {
            self.next_seq = self.next_seq.max(header.end_seq());
            // It has its checksum: what does not decode was not written by an agent.
            if !self.marks.hold_all(&header)
                && let Ok(block) = StoredBlock::of(&header, &frame[header.own_bytes..])
            {
                left.push(block);
            }
        });
        self.recode(&left, config)?;
        if let Some(damage) = frames.damage(&path, bytes.len()) {
            directory::keep_aside(&path, &bytes);
            self.damages.push(damage);
        }
        Growing::open(&path, frames.sound as u64)
    }
}

impl Recovery {
    /// Makes blocks of what is only in the log.
    fn recode(&mut self, frames: &[StoredBlock], config: &Config) -> io::Result<()> {
        let mut compressor = zstd::bulk::Compressor::new(BLOCK_LEVEL)?;
        for stream in Stream::ALL {
            let mut recoder = Recoder::new();
            for block in frames {
                let keys = block.keys();
                for row in 0..keys.rows() {
                    let kind = keys.kind(row);
                    let is_of_stream = config.brief.stream_of(kind.unwrap_or_default()) == stream;
                    if is_of_stream && !self.marks.hold(kind, keys.seq(row)) {
                        recoder.add(block, row);
                    }
                    if recoder.is_full(config.block_rows) {
                        self.backlog.extend(recoder.finish(stream, &mut compressor)?);
                    }
                }
            }
            self.backlog.extend(recoder.finish(stream, &mut compressor)?);
        }
        Ok(())
    }
}

/// Opens the index and reads it. The store works without one.
fn open_index(store: &Path) -> Option<(Kv, Vec<IndexEntry>)> {
    let open = || -> anyhow::Result<_> {
        let (kv, _) = Kv::open(&directory::index_dir(store))?;
        let blocks = kv.blocks()?;
        Ok((kv, blocks))
    };
    open().map_err(|error| do_without(&error)).ok()
}

/// Makes the index agree with the segments.
fn bring_up_to_date(kv: Kv, index: &[IndexEntry], blocks: &[IndexEntry]) -> Option<Kv> {
    let known: HashSet<&IndexEntry> = index.iter().collect();
    let there: HashSet<&IndexEntry> = blocks.iter().collect();
    let agree = || -> anyhow::Result<()> {
        for stale in known.difference(&there) {
            kv.remove(stale.first_seq)?;
        }
        for missing in there.difference(&known) {
            kv.put(missing)?;
        }
        if known == there { Ok(()) } else { kv.flush() }
    };
    match agree() {
        Ok(()) => Some(kv),
        Err(error) => {
            do_without(&error);
            None
        }
    }
}

fn do_without(error: &anyhow::Error) {
    tracing::warn!(error = format!("{error:#}"), "going on without the index");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first_seq: u64, offset: u64) -> IndexEntry {
        let segment = SegmentId { first_seq: 0, stream: Stream::Lasting };
        IndexEntry { first_seq, segment, offset, bytes: 10, max_ts: first_seq }
    }

    #[test]
    fn blocks_are_settled_as_far_as_the_index_knows_them_and_the_log_does_not_reach() {
        let entries = [entry(0, 0), entry(100, 10), entry(200, 20)];
        let count = |bytes, after, log_seq| settled(&entries, bytes, after, log_seq).len();
        assert_eq!(count(30, Some(300), u64::MAX), 3);
        assert_eq!(count(50, Some(300), u64::MAX), 3, "what is behind is looked for");
        assert_eq!(count(30, None, u64::MAX), 2, "the newest block tells the last number");
        assert_eq!(count(29, Some(300), u64::MAX), 2, "cut short");
        assert_eq!(count(30, Some(300), 300), 3);
        assert_eq!(count(30, Some(300), 299), 2, "the log may be in the third");
        assert_eq!(count(30, Some(300), 200), 2);
        assert_eq!(count(30, Some(300), 150), 1);
        assert_eq!(count(30, Some(300), 0), 0);
        let gap = [entry(0, 0), entry(100, 11), entry(200, 21)];
        assert_eq!(settled(&gap, 31, Some(300), u64::MAX).len(), 1);
        assert!(settled(&[entry(0, 5)], 15, Some(100), u64::MAX).is_empty());
        assert!(settled(&[], 15, Some(100), u64::MAX).is_empty());
    }
}
