//! Reading a store: beside a running daemon, after a crash, or from a copy; never writing.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    block::{FIXED_BYTES, Header},
    directory,
    error::{Damage, StoreError},
    scan::{Candidate, Lazy, Scan, Source},
    segment::{self, End, Finder},
    stream::{SegmentId, Stream},
    texts::Needle,
    watermarks::Watermarks,
};
use crate::clock;

/// What a scan is for. Rows outside are not returned; blocks without any are not read.
#[derive(Clone, Debug)]
pub struct Request {
    /// Earliest moment, in nanoseconds since the Unix epoch.
    pub from_ns: u64,
    /// Latest moment.
    pub to_ns: u64,
    /// Only observations with at least this number.
    pub from_seq: u64,
    /// Only observations with a smaller number.
    pub to_seq: u64,
    /// Only these events; any where empty.
    pub kinds: Vec<String>,
    /// Only these containers, by name or start of the id; any where empty.
    pub containers: Vec<String>,
    /// Only rows that may have one of each of these: what is left out has none, what is returned
    /// need not have it.
    pub needles: Vec<Vec<Needle>>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            from_ns: 0,
            to_ns: u64::MAX,
            from_seq: 0,
            to_seq: u64::MAX,
            kinds: Vec::new(),
            containers: Vec::new(),
            needles: Vec::new(),
            newest_first: false,
        }
    }
}

impl Request {
    /// Newest first, or not.
    #[must_use]
    pub fn reversed(self, newest_first: bool) -> Self {
        Self { newest_first, ..self }
    }

    /// Only observations with a smaller number: those of an earlier moment of the store.
    #[must_use]
    pub fn before(self, to_seq: u64) -> Self {
        Self { to_seq, ..self }
    }

    fn wants(&self, header: &Header) -> bool {
        header.max_ts >= self.from_ns
            && header.min_ts <= self.to_ns
            && header.end_seq() > self.from_seq
            && header.first_seq < self.to_seq
            && (self.kinds.is_empty() || header.kinds.iter().any(|it| self.kinds.contains(it)))
            && (self.containers.is_empty()
                || header.containers.iter().any(|(id, name)| self.may_want(id, name)))
            && self.needles.iter().all(|any| any.iter().any(|it| header.set().may_hold(it)))
    }

    /// Whether a container may be among those asked for; `start` is the start of its id.
    fn may_want(&self, start: &str, name: &str) -> bool {
        let is_start = |wanted: &str| !start.is_empty() && wanted.starts_with(start);
        self.containers.iter().any(|it| is_container(it, start, name) || is_start(it))
    }

    /// Whether a container is among those asked for.
    pub(super) fn wants_container(&self, id: &str, name: &str) -> bool {
        self.containers.iter().any(|wanted| is_container(wanted, id, name))
    }
}

/// How long after the other the second of two blocks may come.
const PAIRING_NS: u64 = 5_000_000_000;

/// Shortest start of an id that names a container.
const MIN_ID: usize = 4;

/// Whether people who write `wanted` mean this container: its name, or the start of its id.
pub fn is_container(wanted: &str, id: &str, name: &str) -> bool {
    wanted == name || (wanted.len() >= MIN_ID && id.starts_with(wanted))
}

/// Bytes of what blocks may hold that a reader keeps in memory; of blocks beyond it that is read again
/// where it is asked for.
const MOST_SET_BYTES: usize = 16 << 20;

/// Reads the files of a store.
pub struct Reader {
    store: PathBuf,
    segments: BTreeMap<SegmentId, Segment>,
    most_set_bytes: usize,
}

/// What was found in a segment so far.
#[derive(Default)]
struct Segment {
    scanned: u64,
    blocks: Vec<Block>,
    damages: Vec<Damage>,
    /// What stands behind the last whole block.
    torn: Option<Damage>,
    /// That the file system does not hand it out, where it did not last time.
    unreadable: Option<Damage>,
}

/// A block of a segment.
struct Block {
    offset: u64,
    /// Without what it may hold, where there was no room for that.
    header: Arc<Header>,
    is_cut: bool,
}

impl Block {
    /// Whether it may have rows that a request is for.
    fn may_have(&self, request: &Request, file: &Lazy) -> bool {
        if !request.wants(&self.header) {
            return false;
        }
        if !self.is_cut || request.needles.is_empty() {
            return true;
        }
        let header = file
            .get()
            .and_then(|file| segment::read_at_most(file, self.offset, self.header.own_bytes));
        // What cannot be read is told of when its rows are.
        let header = header.ok().and_then(|bytes| Header::parse(&bytes).ok());
        header.is_none_or(|header| request.wants(&header))
    }
}

impl Reader {
    /// Prepares to read the store in a directory.
    pub fn open(store: &Path) -> Result<Self, StoreError> {
        directory::check_version(store)?;
        let events = segment::events_dir(store);
        fs::read_dir(&events).map_err(StoreError::io("cannot read the store's", &events))?;
        let (store, segments) = (store.to_owned(), BTreeMap::new());
        Ok(Self { store, segments, most_set_bytes: MOST_SET_BYTES })
    }

    /// Keeps no more than this of what blocks may hold in memory.
    #[cfg(test)]
    pub(super) fn keeping(self, most_set_bytes: usize) -> Self {
        Self { most_set_bytes, ..self }
    }

    /// The observations of a request as they are now, and the damage met while finding them.
    pub fn scan(&mut self, request: Request) -> Result<Scan, StoreError> {
        // The log first: what moves to a segment meanwhile is then seen twice, not missed.
        let path = segment::wal_path(&self.store);
        let (log, unreadable) = read_log(&path);
        self.look().map_err(StoreError::io("cannot read the segments in", &self.store))?;
        let mut candidates = Vec::new();
        let mut damages = Vec::new();
        let mut end_seq = 0;
        let unpaired = self.unpaired();
        for (id, segment) in &self.segments {
            if request.from_seq == 0 {
                damages.extend_from_slice(&segment.damages);
                damages.extend(segment.unreadable.clone());
            }
            let file = Arc::new(Lazy::new(segment::segment_path(&self.store, *id)));
            for block in &segment.blocks {
                let header = &block.header;
                if unpaired == Some(header.first_seq) {
                    continue;
                }
                end_seq = end_seq.max(header.end_seq());
                if block.may_have(&request, &file) {
                    let source = Source::File { file: Arc::clone(&file), offset: block.offset };
                    candidates.push(Candidate { header: Arc::clone(header), source, known: None });
                }
            }
        }
        let mut logged: Vec<(Header, &[u8])> = Vec::new();
        let frames = segment::each_frame(&log, |header, frame| logged.push((header, frame)));
        let log_seq = logged.iter().map(|(header, _)| header.first_seq).min();
        let marks = log_seq.map_or_else(Watermarks::default, |it| self.marks(unpaired, it));
        let marks = Arc::new(marks);
        for (header, frame) in logged {
            end_seq = end_seq.max(header.end_seq());
            if request.wants(&header) && !marks.hold_all(&header) {
                let source = Source::Memory(frame.into());
                let (header, known) = (Arc::new(header), Some(Arc::clone(&marks)));
                candidates.push(Candidate { header, source, known });
            }
        }
        if request.from_seq == 0 {
            damages.extend(unreadable);
            damages.extend(self.torn(frames.damage(&path, log.len())));
        }
        Ok(Scan::new(request, candidates, damages, end_seq))
    }

    /// How far each event of a log that begins with `log_seq` is in the segments, in blocks that can be
    /// read: a header may be on disk before what it announces.
    fn marks(&self, unpaired: Option<u64>, log_seq: u64) -> Watermarks {
        let mut marks = Watermarks::default();
        for (id, segment) in &self.segments {
            let file = Lazy::new(segment::segment_path(&self.store, *id));
            let is_sound = |it: &&Block| {
                file.get().is_ok_and(|file| segment::is_sound_at(file, it.offset, &it.header))
            };
            let may_hold_log = |it: &&Block| {
                it.header.end_seq() > log_seq && unpaired != Some(it.header.first_seq)
            };
            let blocks = segment.blocks.iter().filter(may_hold_log).filter(is_sound);
            blocks.for_each(|it| marks.note(&it.header));
        }
        marks
    }

    /// The first number of the newest lasting block where the brief one with the numbers between
    /// its own is still being written: who follows the store would go on behind both.
    fn unpaired(&self) -> Option<u64> {
        let newest = |stream| {
            let last = self.segments.iter().rfind(|(id, _)| id.stream == stream)?;
            last.1.blocks.last().map(|it| &it.header)
        };
        let lasting = newest(Stream::Lasting)?;
        let is_dense = lasting.span == u64::from(lasting.rows);
        let is_paired = newest(Stream::Brief).is_some_and(|it| it.end_seq() > lasting.first_seq);
        // Whoever was about to write it may be gone.
        let is_new = clock::now_ns().saturating_sub(lasting.max_ts) < PAIRING_NS;
        let is_unpaired = !is_dense && !is_paired && is_new && directory::is_in_use(&self.store);
        is_unpaired.then_some(lasting.first_seq)
    }

    /// What is cut short. Where somebody writes, that may be a block or frame on its way.
    fn torn(&self, log: Option<Damage>) -> Vec<Damage> {
        let last = Stream::ALL.map(|stream| self.segments.keys().rfind(|it| it.stream == stream));
        let (mut torn, mut growing): (Vec<Damage>, Vec<Damage>) = (Vec::new(), Vec::from_iter(log));
        for (id, segment) in &self.segments {
            let place = if last.contains(&Some(id)) { &mut growing } else { &mut torn };
            place.extend(segment.torn.clone());
        }
        if !growing.is_empty() && !directory::is_in_use(&self.store) {
            torn.extend(growing);
        }
        torn
    }

    /// Brings what is known of the segments up to date. A lasting block is written before the brief one
    /// of the same rows, and so looked for after it: whoever sees the second sees the first.
    fn look(&mut self) -> io::Result<()> {
        let blocks = self.segments.values().flat_map(|segment| &segment.blocks);
        let kept: usize = blocks.map(|it| it.header.texts.len()).sum();
        let mut room = self.most_set_bytes.saturating_sub(kept);
        for stream in [Stream::Brief, Stream::Lasting] {
            let mut present = segment::list(&self.store)?;
            present.retain(|id| id.stream == stream);
            self.segments.retain(|id, _| id.stream != stream || present.contains(id));
            for id in present {
                self.look_at(id, &mut room);
            }
        }
        Ok(())
    }

    fn look_at(&mut self, id: SegmentId, room: &mut usize) {
        let path = segment::segment_path(&self.store, id);
        let segment = self.segments.entry(id).or_default();
        segment.unreadable = None;
        match segment.look(&path, room) {
            Ok(()) => {}
            // Retention was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.segments.remove(&id);
            }
            Err(error) => {
                let bytes = fs::metadata(&path).map_or(0, |it| it.len());
                segment.unreadable = Some(Damage::unreadable(&path, bytes, &error));
            }
        }
    }
}

impl Segment {
    /// Reads on; keeps what blocks may hold as far as there is room.
    fn look(&mut self, path: &Path, room: &mut usize) -> io::Result<()> {
        if fs::metadata(path)?.len() <= self.scanned {
            self.torn = None;
            return Ok(());
        }
        let file = File::open(path)?;
        let last_ns = self.blocks.last().map(|it| it.header.max_ts);
        let mut finder = Finder::new(path, &file, self.scanned, last_ns)?;
        let ran = finder.run(&mut |found| match found {
            Ok(found) => {
                let (offset, mut header) = (found.offset, found.header);
                let is_cut = header.texts.len() > *room;
                if is_cut {
                    header.texts = Vec::new();
                }
                *room -= header.texts.len();
                self.blocks.push(Block { offset, header: Arc::new(header), is_cut });
            }
            Err(damage) => self.damages.push(damage),
        });
        // What was found before an error is not found again.
        self.scanned = finder.offset;
        let end = ran?;
        self.torn = (end == End::Torn).then(|| finder.torn());
        Ok(())
    }
}

/// Times that the log is read again where it was cut meanwhile.
const MOST_READINGS: usize = 8;

/// The log, as it was at one moment; where it cannot be read, that.
fn read_log(path: &Path) -> (Vec<u8>, Option<Damage>) {
    let mut log = Vec::new();
    for _ in 0..MOST_READINGS {
        log = match fs::read(path) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
            Err(error) => return (Vec::new(), Some(Damage::unreadable(path, 0, &error))),
        };
        // It may have been cut and filled anew between its beginning and its end. It only grows else.
        let begins_alike = File::open(path).and_then(|file| {
            Ok(log.starts_with(&segment::read_at_most(&file, 0, FIXED_BYTES.min(log.len()))?))
        });
        if begins_alike.unwrap_or(false) {
            break;
        }
    }
    (log, None)
}
