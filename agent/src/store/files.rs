//! The files the store thread writes: the log, and the segments with their retention.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::segment::{events_dir, segment_path};

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
}

const HEADROOM: u64 = 4 << 20;

/// The segments, of which the newest grows.
pub(super) struct Segments {
    store: PathBuf,
    bounds: Bounds,
    known: BTreeMap<u64, SegmentSummary>,
    newest: Option<(u64, Growing)>,
}

/// A segment that must go.
pub(super) struct Outdated {
    pub(super) segment: u64,
    /// Because of its age, rather than to make room.
    pub(super) is_too_old: bool,
}

/// Where a block was written.
pub(super) struct Written {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Segments {
    pub(super) fn new(store: &Path, bounds: Bounds, known: BTreeMap<u64, SegmentSummary>) -> Self {
        Self { store: store.to_owned(), bounds, known, newest: None }
    }

    /// Goes on with a segment that has room, cut to its sound part.
    pub(super) fn resume(&mut self, first_seq: u64, length: u64) -> io::Result<()> {
        let growing = Growing::open(&segment_path(&self.store, first_seq), length)?;
        self.known.entry(first_seq).or_default().bytes = length;
        self.newest = Some((first_seq, growing));
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
        // The log and sled grow between two looks.
        let headroom = HEADROOM.min(self.bounds.max_bytes / 4);
        let limit = self.bounds.max_bytes - headroom;
        tree_bytes(&self.store).saturating_add(coming).saturating_sub(limit)
    }

    /// Segments that must go before `coming` more bytes are written, oldest first.
    pub(super) fn outdated(&self, coming: u64, now_ns: u64) -> Vec<Outdated> {
        let mut excess = self.excess(coming);
        let oldest_ns = now_ns.saturating_sub(self.bounds.max_age.as_nanos() as u64);
        let mut outdated = Vec::new();
        for (first_seq, segment) in &self.known {
            let too_old = segment.max_ts < oldest_ns;
            if excess == 0 && !too_old {
                break;
            }
            excess = excess.saturating_sub(segment.bytes);
            outdated.push(Outdated { segment: *first_seq, is_too_old: too_old });
        }
        outdated
    }

    /// Unlinks a segment.
    pub(super) fn remove(&mut self, first_seq: u64) -> io::Result<()> {
        match fs::remove_file(segment_path(&self.store, first_seq)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if self.newest.as_ref().is_some_and(|(newest, _)| *newest == first_seq) {
            self.newest = None;
        }
        self.known.remove(&first_seq);
        sync_dir(&events_dir(&self.store))
    }

    /// Appends a block to the newest segment, or to a new one where that is full.
    pub(super) fn append(
        &mut self,
        first_seq: u64,
        max_ts: u64,
        block: &[u8],
    ) -> io::Result<Written> {
        let limit = self.bounds.segment_bytes;
        if self.newest.as_ref().is_some_and(|(_, it)| it.length() + block.len() as u64 > limit) {
            self.newest = None;
        }
        let (segment, file) = if let Some(newest) = &mut self.newest {
            newest
        } else {
            let file = Growing::open(&segment_path(&self.store, first_seq), 0)?;
            sync_dir(&events_dir(&self.store))?;
            self.newest.insert((first_seq, file))
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
