//! Whether two files have the same content.

use std::{io, os::fd::AsFd};

use rustix::io::{Errno, pread};

const CHUNK_BYTES: usize = 128 << 10;

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Every byte is the same.
    Same,
    /// Length or some byte differs.
    Different,
    /// They are of the same length, but it is over the limit.
    TooLong,
}

/// What the lengths of two regular files say; else the length of both, whose bytes are to be
/// compared.
///
/// # Errors
/// What looking at one of them says.
pub(super) fn compare_lengths(
    one: impl AsFd,
    other: impl AsFd,
    limit: u64,
) -> io::Result<Result<u64, Comparison>> {
    let length = |file: &dyn AsFd| rustix::fs::fstat(file.as_fd()).map(|it| it.st_size as u64);
    Ok(match (length(&one)?, length(&other)?) {
        (one, other) if one != other => Err(Comparison::Different),
        (one, _) if one > limit => Err(Comparison::TooLong),
        (one, _) => Ok(one),
    })
}

/// Compares two regular files: first their lengths, then their bytes.
///
/// # Errors
/// What reading one of them says.
pub(super) fn compare(one: impl AsFd, other: impl AsFd, limit: u64) -> io::Result<Comparison> {
    let length = match compare_lengths(&one, &other, limit)? {
        Ok(length) => length,
        Err(told) => return Ok(told),
    };
    let mut buffers = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    while offset < length {
        let wanted = (length - offset).min(CHUNK_BYTES as u64) as usize;
        let (one_chunk, other_chunk) = (&mut buffers.0[..wanted], &mut buffers.1[..wanted]);
        // One that became shorter meanwhile is another one.
        let is_whole = fill(&one, one_chunk, offset)? && fill(&other, other_chunk, offset)?;
        if !is_whole || one_chunk != other_chunk {
            return Ok(Comparison::Different);
        }
        offset += wanted as u64;
    }
    Ok(Comparison::Same)
}

/// Fills a buffer from this offset; false where the file ends before.
fn fill(file: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(&file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => return Ok(false),
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("is written");
        file
    }

    fn compared(one: &[u8], other: &[u8], limit: u64) -> Comparison {
        compare(file(one), file(other), limit).expect("both are readable")
    }

    #[test]
    fn the_last_byte_counts_and_the_length_does() {
        let long = vec![7; 3 * CHUNK_BYTES + 5];
        let mut other = long.clone();
        assert_eq!(compared(&long, &other, 1 << 30), Comparison::Same);
        *other.last_mut().expect("is long") = 8;
        assert_eq!(compared(&long, &other, 1 << 30), Comparison::Different);
        assert_eq!(compared(b"ab", b"abc", 1 << 30), Comparison::Different);
        assert_eq!(compared(b"", b"", 0), Comparison::Same);
    }

    #[test]
    fn no_more_is_read_than_the_limit_says() {
        assert_eq!(compared(b"abc", b"abd", 2), Comparison::TooLong);
        assert_eq!(compared(b"abc", b"abcd", 2), Comparison::Different);
    }
}
