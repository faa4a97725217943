//! What a store holds: its files, how much is in them, and of when.

use std::{collections::BTreeSet, fs, io, path::Path};

use super::{
    block::Header,
    directory,
    error::StoreError,
    files::tree_bytes,
    profiles,
    segment::{self, Finder},
    stream::{SegmentId, Stream},
};

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub struct Stat {
    /// The directory's format, where it tells one.
    pub format: Option<u16>,
    /// Whether an agent has it open.
    pub is_in_use: bool,
    /// Each segment, the oldest first.
    pub segments: Vec<FileStat>,
    /// What is not in a segment yet.
    pub log: FileStat,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the profiles.
    pub profile_bytes: u64,
    /// Files that were damaged and moved aside.
    pub asides: usize,
    /// Their bytes.
    pub aside_bytes: u64,
    /// Bytes of everything in the directory.
    pub bytes: u64,
}

/// What a file of observations holds, as the headers of its blocks tell.
#[derive(Clone, Debug, Default)]
pub struct FileStat {
    /// Its name.
    pub name: String,
    /// Its stream; none of the log.
    pub stream: Option<Stream>,
    /// Bytes.
    pub bytes: u64,
    /// Bytes of them that are in no block.
    pub damaged_bytes: u64,
    /// Blocks.
    pub blocks: u64,
    /// Observations.
    pub observations: u64,
    /// Earliest and latest moment, in nanoseconds since the Unix epoch.
    pub between: Option<(u64, u64)>,
    /// Events that are in it.
    pub kinds: BTreeSet<String>,
}

impl FileStat {
    /// Adds what another holds; the name stays.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.damaged_bytes += other.damaged_bytes;
        self.blocks += other.blocks;
        self.observations += other.observations;
        self.kinds.extend(other.kinds.iter().cloned());
        if let Some(between) = other.between {
            self.widen(between);
        }
    }

    fn note(&mut self, header: &Header) {
        self.blocks += 1;
        self.observations += u64::from(header.rows);
        self.kinds.extend(header.kinds.iter().cloned());
        self.widen((header.min_ts, header.max_ts));
    }

    fn widen(&mut self, (from, to): (u64, u64)) {
        let (first, last) = self.between.unwrap_or((from, to));
        self.between = Some((first.min(from), last.max(to)));
    }
}

impl Stat {
    /// All that is in segments.
    pub fn in_segments(&self) -> FileStat {
        let mut all = FileStat::default();
        self.segments.iter().for_each(|segment| all.add(segment));
        all
    }
}

/// Looks at a store, by the headers of its blocks alone; also beside a running agent.
///
/// # Errors
/// When there is no store, it has a later format, or it cannot be read.
pub fn stat(store: &Path) -> Result<Stat, StoreError> {
    directory::check_version(store)?;
    let events = segment::events_dir(store);
    fs::read_dir(&events).map_err(StoreError::io("cannot read the store's", &events))?;
    let (asides, aside_bytes) = directory::asides(store)
        .iter()
        .fold((0, 0), |(count, bytes), path| (count + 1, bytes + tree_bytes(path)));
    let mut stat = Stat {
        format: directory::read_version(store)?,
        is_in_use: directory::is_in_use(store),
        log: log_stat(store),
        index_bytes: bytes_of(&directory::index_dir(store)),
        profile_bytes: bytes_of(&store.join(profiles::DIRECTORY)),
        asides,
        aside_bytes,
        bytes: tree_bytes(store),
        ..Stat::default()
    };
    for id in segment::list(store).map_err(StoreError::io("cannot list", &events))? {
        let path = segment::segment_path(store, id);
        match segment_stat(&path, id) {
            Ok(segment) => stat.segments.push(segment),
            // Retention was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // All of it is damaged, as far as anyone can see.
            Err(_) => stat.segments.push(unreadable(&path, Some(id.stream))),
        }
    }
    Ok(stat)
}

fn bytes_of(path: &Path) -> u64 {
    if path.exists() { tree_bytes(path) } else { 0 }
}

fn segment_stat(path: &Path, id: SegmentId) -> io::Result<FileStat> {
    let file = fs::File::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = file.metadata()?.len();
    let mut stat = FileStat { name, stream: Some(id.stream), bytes, ..FileStat::default() };
    let mut damaged = 0;
    let mut finder = Finder::new(path, &file, 0, None)?;
    finder.run(&mut |found| match found {
        Ok(found) => stat.note(&found.header),
        Err(damage) => damaged += damage.bytes,
    })?;
    stat.damaged_bytes = damaged + bytes.saturating_sub(finder.offset);
    Ok(stat)
}

fn unreadable(path: &Path, stream: Option<Stream>) -> FileStat {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = fs::metadata(path).map_or(0, |it| it.len());
    FileStat { name, stream, bytes, damaged_bytes: bytes, ..FileStat::default() }
}

fn log_stat(store: &Path) -> FileStat {
    let path = segment::wal_path(store);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(_) => return unreadable(&path, None),
    };
    let bytes_there = bytes.len() as u64;
    let mut stat = FileStat { name: "wal".to_owned(), bytes: bytes_there, ..FileStat::default() };
    let frames = segment::each_frame(&bytes, |header, _| stat.note(&header));
    stat.damaged_bytes = frames.damage(&path, bytes.len()).map_or(0, |damage| damage.bytes);
    stat
}
