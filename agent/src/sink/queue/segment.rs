//! A file of the queue: records one after the other, each with its length and checksum.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Bytes before a record: its length and its checksum, least significant byte first.
pub(super) const HEAD: u64 = 8;
/// No alert is longer.
pub(super) const LONGEST: usize = 1 << 20;

const EXTENSION: &str = "queue";

/// See the module.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its place among the others.
    pub(super) number: u64,
    /// Bytes of sound records.
    pub(super) bytes: u64,
    /// Records that nobody has taken yet.
    pub(super) waiting: u64,
    path: PathBuf,
    file: File,
}

impl Segment {
    /// Makes the one with this number, or empties what is there of that name.
    pub(super) fn create(directory: &Path, number: u64) -> io::Result<Self> {
        let path = directory.join(format!("{number:020}.{EXTENSION}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { number, bytes: 0, waiting: 0, path, file })
    }

    /// Opens a file and finds its records from an offset on; what is no record ends it. Tells
    /// whether there was such an end.
    pub(super) fn open(path: &Path, number: u64, from: u64) -> io::Result<(Self, bool)> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut segment = Self { number, bytes: length, waiting: 0, path: path.to_owned(), file };
        let mut end = from.min(length);
        while let Some(record) = segment.read_sound(end) {
            end += HEAD + record.len() as u64;
            segment.waiting += 1;
        }
        segment.bytes = end;
        Ok((segment, end < length))
    }

    /// The number of a file's name; `None` where it is no segment's.
    pub(super) fn number_of(path: &Path) -> Option<u64> {
        let is_ours = path.extension().is_some_and(|it| it == EXTENSION);
        path.file_stem().filter(|_| is_ours)?.to_str()?.parse().ok()
    }

    /// Adds a record behind the others.
    pub(super) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEAD as usize + record.len());
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        bytes.extend_from_slice(record);
        if let Err(error) = self.file.write_all_at(&bytes, self.bytes) {
            // What was written of it is no record, and is written over.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        self.waiting += 1;
        Ok(())
    }

    /// The same of what can be read: what the disk does not hand out is not sound.
    pub(super) fn read_sound(&self, offset: u64) -> Option<Vec<u8>> {
        self.read(offset).unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), %error, "what waits there cannot be read");
            None
        })
    }

    /// The record at an offset; `None` where there is no sound one.
    fn read(&self, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let mut head = [0; HEAD as usize];
        if offset + HEAD > self.bytes {
            return Ok(None);
        }
        self.file.read_exact_at(&mut head, offset)?;
        let [a, b, c, d, checksum @ ..] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > LONGEST || offset + HEAD + length as u64 > self.bytes {
            return Ok(None);
        }
        let mut record = vec![0; length];
        self.file.read_exact_at(&mut record, offset + HEAD)?;
        let is_sound = crc32fast::hash(&record) == u32::from_le_bytes(checksum);
        Ok((is_sound && length > 0).then_some(record))
    }

    /// Removes the file.
    pub(super) fn remove(self) {
        // One that cannot be removed is found at the next start, and its alerts are told twice.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "removing what was told");
        }
    }

    /// Another handle of the file, to wait for the disk with.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
