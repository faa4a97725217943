//! The files the store thread writes: the log, and the segments with their retention.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    directory,
    segment::{events_dir, segment_path},
    stream::{SegmentId, Stream},
};

/// A file that only grows, and is as long as before when growing it fails.
pub(super) struct Growing {
    file: File,
    length: u64,
}

impl Growing {
    /// Opens or makes the file and cuts it to what is sound.
    pub(super) fn open(path: &Path, length: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        if file.metadata()?.len() != length {
            file.set_len(length)?;
            file.sync_data()?;
        }
        Ok(Self { file, length })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends, and returns once the bytes are on disk.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, self.length);
        let synced = written.and_then(|()| self.file.sync_data());
        if let Err(error) = synced {
            // What is left of a failed write would look like damage.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }
}

/// Makes creation and removal of files in a directory last.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Bytes of all files below a path.
pub(super) fn tree_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::symlink_metadata(path).map_or(0, |meta| meta.len());
    };
    entries.flatten().map(|entry| tree_bytes(&entry.path())).sum()
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SegmentSummary {
    pub(super) bytes: u64,
    pub(super) max_ts: u64,
}

/// The bounds on what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) segment_bytes: u64,
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    /// Age of brief events.
    pub(super) brief_max_age: Duration,
    /// Bytes that brief events may take where others need the rest.
    pub(super) brief_bytes: u64,
}

const HEADROOM: u64 = 4 << 20;

/// The segments, of which the newest of each stream grows.
pub(super) struct Segments {
    store: PathBuf,
    bounds: Bounds,
    known: BTreeMap<SegmentId, SegmentSummary>,
    growing: BTreeMap<Stream, (SegmentId, Growing)>,
}

/// A segment that must go.
pub(super) struct Outdated {
    pub(super) segment: SegmentId,
    /// Because of its age, rather than to make room.
    pub(super) is_too_old: bool,
}

/// Where a block was written.
pub(super) struct Written {
    pub(super) segment: SegmentId,
    pub(super) offset: u64,
}

impl Segments {
    pub(super) fn new(
        store: &Path,
        bounds: Bounds,
        known: BTreeMap<SegmentId, SegmentSummary>,
    ) -> Self {
        Self { store: store.to_owned(), bounds, known, growing: BTreeMap::new() }
    }

    /// Goes on with a segment that has room, cut to its sound part.
    pub(super) fn resume(&mut self, segment: SegmentId, length: u64) -> io::Result<()> {
        let growing = Growing::open(&segment_path(&self.store, segment), length)?;
        self.known.entry(segment).or_default().bytes = length;
        self.growing.insert(segment.stream, (segment, growing));
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.known.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Bytes by which the store would be too large with `coming` more.
    pub(super) fn excess(&self, coming: u64) -> u64 {
        let limit = self.bounds.max_bytes - self.headroom();
        directory::own_bytes(&self.store).saturating_add(coming).saturating_sub(limit)
    }

    /// Bytes for the log and for sled, which grow between two looks.
    pub(super) fn headroom(&self) -> u64 {
        HEADROOM.min(self.bounds.max_bytes / 4)
    }

    /// Segments that are too old, or must go to free `excess` bytes, oldest first. Where there is
    /// too much, brief events go first as far as they have more than their share.
    pub(super) fn outdated(&self, mut excess: u64, now_ns: u64) -> Vec<Outdated> {
        let mut left: VecDeque<(SegmentId, SegmentSummary)> =
            self.known.iter().map(|(id, summary)| (*id, *summary)).collect();
        let mut outdated = Vec::new();
        left.retain(|(segment, summary)| {
            let too_old = summary.max_ts < self.oldest_ns(segment.stream, now_ns);
            if too_old {
                excess = excess.saturating_sub(summary.bytes);
                outdated.push(Outdated { segment: *segment, is_too_old: true });
            }
            !too_old
        });
        while excess > 0 {
            let is_brief = |id: &SegmentId| id.stream == Stream::Brief;
            let brief = left.iter().filter(|(id, _)| is_brief(id));
            let brief_bytes: u64 = brief.map(|(_, summary)| summary.bytes).sum();
            let goes_first =
                |id: &SegmentId| is_brief(id) == (brief_bytes > self.bounds.brief_bytes);
            let first = left.iter().position(|(id, _)| goes_first(id)).unwrap_or(0);
            let Some((segment, summary)) = left.remove(first) else { break };
            excess = excess.saturating_sub(summary.bytes);
            outdated.push(Outdated { segment, is_too_old: false });
        }
        outdated
    }

    /// The moment before which a stream's observations are too old.
    fn oldest_ns(&self, stream: Stream, now_ns: u64) -> u64 {
        let max_age = match stream {
            Stream::Lasting => self.bounds.max_age,
            Stream::Brief => self.bounds.brief_max_age,
        };
        now_ns.saturating_sub(max_age.as_nanos() as u64)
    }

    /// Unlinks a segment.
    pub(super) fn remove(&mut self, segment: SegmentId) -> io::Result<()> {
        match fs::remove_file(segment_path(&self.store, segment)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if self.growing.get(&segment.stream).is_some_and(|(growing, _)| *growing == segment) {
            self.growing.remove(&segment.stream);
        }
        self.known.remove(&segment);
        sync_dir(&events_dir(&self.store))
    }

    /// Appends a block to the newest segment of its stream, or to a new one where that is full.
    pub(super) fn append(
        &mut self,
        stream: Stream,
        first_seq: u64,
        max_ts: u64,
        block: &[u8],
    ) -> io::Result<Written> {
        let limit = self.bounds.segment_bytes;
        let is_full = |it: &Growing| it.length() + block.len() as u64 > limit;
        if self.growing.get(&stream).is_some_and(|(_, it)| is_full(it)) {
            self.growing.remove(&stream);
        }
        let (segment, file) = match self.growing.entry(stream) {
            Entry::Occupied(growing) => growing.into_mut(),
            Entry::Vacant(place) => {
                let segment = SegmentId { first_seq, stream };
                let file = Growing::open(&segment_path(&self.store, segment), 0)?;
                sync_dir(&events_dir(&self.store))?;
                place.insert((segment, file))
            }
        };
        let offset = file.length();
        // Known before it is written: a failed write leaves an empty file that still is removed.
        let summary = self.known.entry(*segment).or_default();
        file.append(block)?;
        summary.bytes = file.length();
        summary.max_ts = summary.max_ts.max(max_ts);
        Ok(Written { segment: *segment, offset })
    }
}
