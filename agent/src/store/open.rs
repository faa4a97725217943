//! Opening a store: what is sound is kept and gone on with, what is damaged is set aside.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs::{self, File},
    io,
    path::Path,
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
    writer::{BLOCK_LEVEL, Pending, Stats, Writer},
};

/// Opens the store for the daemon, and starts its thread. Returns what was found damaged.
pub fn open(config: &Config) -> Result<(Appender, Vec<Damage>), StoreError> {
    let lock = directory::take(&config.dir)?;
    let failed = |error| StoreError::io("cannot read the store in", &config.dir)(error);
    let mut recovery = Recovery::default();
    recovery.read_segments(&config.dir).map_err(failed)?;
    let wal = recovery.read_log(config).map_err(failed)?;
    let mut segments = Segments::new(&config.dir, config.bounds(), recovery.known);
    for (id, length) in recovery.newest {
        segments.resume(id, length).map_err(failed)?;
    }
    let kv = open_index(&config.dir, &recovery.blocks);
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

impl Recovery {
    fn read_segments(&mut self, store: &Path) -> io::Result<()> {
        let segments = segment::list(store)?;
        let newest = Stream::ALL.map(|it| segments.iter().rfind(|id| id.stream == it));
        for id in &segments {
            self.read_segment(store, *id, newest.contains(&Some(id)))?;
        }
        Ok(())
    }

    fn read_segment(&mut self, store: &Path, id: SegmentId, is_newest: bool) -> io::Result<()> {
        let path = segment::segment_path(store, id);
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        let mut finder = Finder::new(&path, &file, 0, None)?;
        let mut found = Vec::new();
        let end = finder.run(&mut |it| found.push(it))?;
        let sound = finder.offset;
        // Numbers never run backwards, even where the block that used them is lost.
        self.next_seq = self.next_seq.max(id.first_seq);
        let mut summary = SegmentSummary { bytes: length, max_ts: 0 };
        for it in found {
            match it {
                Ok(block) => self.note_block(id, &block, &mut summary),
                Err(damage) => self.damages.push(damage),
            }
        }
        if self.is_worthless(id, &summary, end) {
            return directory::set_aside(&path);
        }
        self.known.insert(id, summary);
        if end == End::Torn {
            let torn = finder.torn();
            if is_newest {
                // It is going to be cut there, and gone on with.
                let bytes = segment::read_at_most(&file, sound, (length - sound) as usize)?;
                directory::keep_aside(&path, &bytes);
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
        self.marks.note(header);
        self.blocks.push(IndexEntry {
            first_seq: header.first_seq,
            segment,
            offset: *offset,
            bytes: header.block_bytes() as u64,
            max_ts: header.max_ts,
        });
    }

    /// Keeps the log's frames that are in no segment, and opens it behind the sound ones.
    fn read_log(&mut self, config: &Config) -> io::Result<Growing> {
        let path = segment::wal_path(&config.dir);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
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
                }
                if recoder.rows() >= config.block_rows {
                    self.backlog.extend(recoder.finish(stream, &mut compressor)?);
                }
            }
            self.backlog.extend(recoder.finish(stream, &mut compressor)?);
        }
        Ok(())
    }
}

/// Opens the index and makes it agree with the segments. The store works without one.
fn open_index(store: &Path, blocks: &[IndexEntry]) -> Option<Kv> {
    let open = || -> anyhow::Result<Kv> {
        let (kv, _) = Kv::open(&directory::index_dir(store))?;
        let known: HashSet<IndexEntry> = kv.blocks()?.into_iter().collect();
        let there: HashSet<IndexEntry> = blocks.iter().copied().collect();
        for stale in known.difference(&there) {
            kv.remove(stale.first_seq)?;
        }
        for missing in there.difference(&known) {
            kv.put(missing)?;
        }
        kv.flush()?;
        Ok(kv)
    };
    match open() {
        Ok(kv) => Some(kv),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "going on without the index");
            None
        }
    }
}
