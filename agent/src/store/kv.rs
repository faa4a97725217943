//! The small keyed part of the store, in sled: the one file that knows sled and its pitfalls.
//!
//! What is kept here can be lost: the block index is rebuilt from the segments. sled 0.34 panics
//! on some damage, refuses to open beside an unfinished snapshot, and keeps what was not flushed
//! in memory. So it is opened on a thread whose panic is caught, read through once, moved aside
//! when it is not sound, and flushed where order matters. Values stay small; there is one tree,
//! so that a batch is atomic.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};

use super::{
    block::FORMAT_VERSION,
    stream::{SegmentId, Stream},
};
use crate::clock;

const FORMAT: &[u8] = b"state/format";
const BLOCK: &[u8] = b"idx/";
/// Bytes of a block's entry: four numbers and the stream.
const VALUE_BYTES: usize = 33;
/// The cache sled may fill; the whole index of a full store is smaller.
const CACHE_BYTES: u64 = 4 << 20;
/// How often, and with which pause, a lock is tried.
const ATTEMPTS: u32 = 50;
const PATIENCE: Duration = Duration::from_millis(20);
/// sled reclaims space only in its periodic flush.
const FLUSH_MS: u64 = 500;

/// A block, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexEntry {
    pub(super) first_seq: u64,
    pub(super) segment: SegmentId,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) max_ts: u64,
}

impl IndexEntry {
    fn key(first_seq: u64) -> Vec<u8> {
        [BLOCK, &first_seq.to_be_bytes()].concat()
    }

    fn value(&self) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        let SegmentId { first_seq, stream } = self.segment;
        for (slot, number) in
            value.chunks_exact_mut(8).zip([first_seq, self.offset, self.bytes, self.max_ts])
        {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        value[VALUE_BYTES - 1] = u8::from(stream == Stream::Brief);
        value
    }

    fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let first_seq = u64::from_be_bytes(key.strip_prefix(BLOCK)?.try_into().ok()?);
        let value: &[u8; VALUE_BYTES] = value.try_into().ok()?;
        let number = |at: usize| value[at..].first_chunk().copied().map(u64::from_le_bytes);
        let stream = if value[VALUE_BYTES - 1] == 1 { Stream::Brief } else { Stream::Lasting };
        Some(Self {
            first_seq,
            segment: SegmentId { first_seq: number(0)?, stream },
            offset: number(8)?,
            bytes: number(16)?,
            max_ts: number(24)?,
        })
    }
}

/// An open database.
pub(super) struct Kv {
    db: sled::Db,
}

impl Kv {
    /// Opens the database, or moves a damaged one aside and begins anew. Returns where the
    /// damaged one is.
    pub(super) fn open(dir: &Path) -> anyhow::Result<(Self, Option<PathBuf>)> {
        clean_snapshots(dir).context("looking for unfinished snapshots")?;
        let damaged = match open_unlocked(dir) {
            Ok(kv) => return Ok((kv, None)),
            Err(error) => error,
        };
        let aside = dir.with_file_name(format!("kv.bad.{}", clock::now_ns() / 1_000_000_000));
        fs::rename(dir, &aside)
            .with_context(|| format!("moving the damaged index aside ({damaged})"))?;
        tracing::warn!(aside = %aside.display(), error = %damaged, "index damaged, rebuilding it");
        Ok((open_guarded(dir)?, Some(aside)))
    }

    /// Every block in the index, by number.
    pub(super) fn blocks(&self) -> anyhow::Result<Vec<IndexEntry>> {
        self.guarded(|db| {
            let entries = db.scan_prefix(BLOCK).map(|entry| {
                let (key, value) = entry?;
                Ok(IndexEntry::read(&key, &value))
            });
            entries.filter_map(Result::transpose).collect()
        })
    }

    pub(super) fn put(&self, entry: &IndexEntry) -> anyhow::Result<()> {
        self.guarded(|db| {
            db.insert(IndexEntry::key(entry.first_seq), &entry.value()[..]).map(|_| ())
        })
    }

    pub(super) fn remove(&self, first_seq: u64) -> anyhow::Result<()> {
        self.guarded(|db| db.remove(IndexEntry::key(first_seq)).map(|_| ()))
    }

    /// Removes the blocks of a segment, durably: the index must not name a file that is gone.
    pub(super) fn remove_segment(&self, segment: SegmentId) -> anyhow::Result<()> {
        let mut batch = sled::Batch::default();
        for entry in self.blocks()?.iter().filter(|entry| entry.segment == segment) {
            batch.remove(IndexEntry::key(entry.first_seq));
        }
        self.guarded(|db| db.apply_batch(batch))?;
        self.flush()
    }

    pub(super) fn flush(&self) -> anyhow::Result<()> {
        self.guarded(|db| db.flush().map(|_| ()))
    }

    fn guarded<T>(&self, act: impl FnOnce(&sled::Db) -> sled::Result<T>) -> anyhow::Result<T> {
        catch_unwind(AssertUnwindSafe(|| act(&self.db)))
            .map_err(|_| anyhow!("the index is damaged"))?
            .context("using the index")
    }
}

/// Opens a database whose lock nobody has. The directory is this process's, but a lock outlives its
/// database for a moment: a child has it too, between fork and exec.
fn open_unlocked(dir: &Path) -> anyhow::Result<Kv> {
    for _ in 1..ATTEMPTS {
        match open_guarded(dir) {
            Err(error) if is_locked(&error) => thread::sleep(PATIENCE),
            opened => return opened,
        }
    }
    open_guarded(dir)
}

/// sled tells it by words alone.
fn is_locked(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock")
    )
}

fn open_guarded(dir: &Path) -> anyhow::Result<Kv> {
    let dir = dir.to_owned();
    let thread = thread::Builder::new().name("store-kv".to_owned());
    let opened = thread.spawn(move || open_and_read(&dir)).context("starting a thread")?.join();
    opened.map_err(|_| anyhow!("sled panicked"))?
}

fn open_and_read(dir: &Path) -> anyhow::Result<Kv> {
    // Before sled makes it, for all to read.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let db = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_MS))
        .open()?;
    for entry in db.iter() {
        entry?;
    }
    if db.get(FORMAT)?.is_none() {
        db.insert(FORMAT, &FORMAT_VERSION.to_le_bytes())?;
        db.flush()?;
    }
    Ok(Kv { db })
}

/// sled takes the newest snapshot, whether finished or not, and then refuses to open.
fn clean_snapshots(dir: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let unfinished = name.ends_with(".generating") || entry.metadata()?.len() == 0;
        if name.starts_with("snap.") && unfinished {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FlockOperation, flock};

    use super::*;

    fn entry(first_seq: u64, segment: u64) -> IndexEntry {
        let segment = SegmentId { first_seq: segment, stream: Stream::Brief };
        IndexEntry { first_seq, segment, offset: 3, bytes: 4, max_ts: 5 }
    }

    #[test]
    fn a_lock_that_outlives_its_database_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = dir.path().join("kv");
        let (kv, _) = Kv::open(&path).expect("opens");
        kv.put(&entry(0, 0)).expect("puts");
        drop(kv);
        let lock = fs::File::open(path.join("db")).expect("is there");
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("is free");
        let release = thread::spawn(move || {
            thread::sleep(3 * PATIENCE);
            drop(lock);
        });
        let (kv, aside) = Kv::open(&path).expect("opens");
        assert_eq!((kv.blocks().expect("reads"), aside), (vec![entry(0, 0)], None));
        release.join().expect("ends");
    }

    #[test]
    fn the_index_survives_reopening_and_forgets_removed_segments() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = dir.path().join("kv");
        let (kv, aside) = Kv::open(&path).expect("opens");
        assert_eq!(aside, None);
        for it in [entry(0, 0), entry(300, 0), entry(70_000, 70_000)] {
            kv.put(&it).expect("puts");
        }
        kv.remove_segment(entry(0, 0).segment).expect("removes");
        drop(kv);
        let (kv, _) = Kv::open(&path).expect("opens again");
        assert_eq!(kv.blocks().expect("reads"), [entry(70_000, 70_000)]);
    }

    #[test]
    fn an_unfinished_snapshot_does_not_keep_it_shut() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = dir.path().join("kv");
        Kv::open(&path).expect("opens").0.put(&entry(1, 1)).expect("puts");
        fs::write(path.join("snap.00000000000FFFFF.generating"), b"x").expect("writes");
        fs::write(path.join("snap.00000000000FFFFE"), b"").expect("writes");
        let (kv, aside) = Kv::open(&path).expect("opens");
        assert_eq!((kv.blocks().expect("reads").len(), aside), (1, None));
    }

    #[test]
    fn a_damaged_database_is_moved_aside() {
        let dir = tempfile::tempdir().expect("makes a directory");
        let path = dir.path().join("kv");
        Kv::open(&path).expect("opens").0.put(&entry(1, 1)).expect("puts");
        fs::remove_file(path.join("db")).expect("removes");
        fs::create_dir(path.join("db")).expect("makes a directory");
        let (kv, aside) = Kv::open(&path).expect("opens");
        assert!(aside.is_some_and(|aside| aside.is_dir()));
        assert!(kv.blocks().expect("reads").is_empty());
    }
}
