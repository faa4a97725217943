//! Up to where the queue was taken: segment and offset, in a file of their own.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

const NAME: &str = "position";
const BYTES: usize = 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Position {
    file: File,
}

impl Position {
    /// Opens it in a directory; tells segment and offset where it holds them.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Option<(u64, u64)>)> {
        let path = directory.join(NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut bytes = [0; BYTES];
        let known = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| read(&bytes));
        Ok((Self { file }, known))
    }

    /// Keeps segment and offset. Where that fails, or was torn by a crash of the host, alerts are
    /// told twice; none is lost.
    pub(super) fn keep(&self, segment: u64, offset: u64) -> io::Result<()> {
        self.file.write_all_at(&written(segment, offset), 0)
    }
}

fn written(segment: u64, offset: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&segment.to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn read(bytes: &[u8; BYTES]) -> Option<(u64, u64)> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?));
    let known = (number(0)?, number(8)?);
    (written(known.0, known.1) == *bytes).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_reads_back_and_what_is_torn_does_not() {
        let mut bytes = written(7, u64::MAX);
        assert_eq!(read(&bytes), Some((7, u64::MAX)));
        bytes[3] ^= 1;
        assert_eq!(read(&bytes), None);
        assert_eq!(read(&[0; BYTES]), None, "an empty file says nothing");
    }
}
