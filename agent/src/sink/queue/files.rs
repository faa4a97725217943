//! The queue on disk: segments of records, bounded in bytes, taken from the front.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    position::Position,
    segment::{HEAD, LONGEST, Segment},
};

/// Parts that the bound has, so that little is dropped at once.
const PARTS: u64 = 8;
const LEAST_SEGMENT: u64 = 8 << 10;
const MOST_SEGMENT: u64 = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    bound: u64,
    /// Oldest first; the last is written to.
    segments: VecDeque<Segment>,
    position: Position,
    /// Where the next record begins in the first segment.
    offset: u64,
    /// Files that are full, and that the disk may not hold yet.
    full: Vec<File>,
}

impl Files {
    /// Opens the queue in a directory, which is made; tells how many files were damaged.
    pub(super) fn open(directory: &Path, bound: u64) -> io::Result<(Self, u64)> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let (position, known) = Position::open(directory)?;
        let mut found: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            found.extend(Segment::number_of(&path).map(|number| (number, path)));
        }
        found.sort_unstable();
        let (at, taken) = known.unwrap_or_default();
        let mut files = Self {
            directory: directory.to_owned(),
            bound,
            segments: VecDeque::new(),
            position,
            offset: 0,
            full: Vec::new(),
        };
        // Numbers go on from what is there, so that a position never means another segment.
        let next = found.last().map_or(at, |(number, _)| at.max(*number)) + 1;
        let mut damaged = 0;
        for (number, path) in found {
            let from = if number == at { taken } else { 0 };
            let (segment, is_damaged) = match Segment::open(&path, number, from) {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "what waits there is not told");
                    damaged += 1;
                    continue;
                }
            };
            damaged += u64::from(is_damaged);
            if number < at || segment.waiting == 0 {
                segment.remove();
                continue;
            }
            if files.segments.is_empty() {
                files.offset = from.min(segment.bytes);
            }
            files.segments.push_back(segment);
        }
        files.segments.push_back(Segment::create(directory, next)?);
        files.drop_taken()?;
        Ok((files, damaged))
    }

    /// Records that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.segments.iter().map(|it| it.waiting).sum()
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|it| it.bytes).sum()
    }

    /// Whether there is room for a record of this size, once others have made it.
    pub(super) fn fits(&self, record: &[u8]) -> bool {
        record.len() <= LONGEST && HEAD + record.len() as u64 <= self.bound / PARTS
    }

    /// Adds a record that fits and is not empty. How many of the oldest made room for it is added to
    /// `dropped`, whether or not it is written then.
    pub(super) fn push(&mut self, record: &[u8], dropped: &mut u64) -> io::Result<()> {
        let size = HEAD + record.len() as u64;
        let limit = (self.bound / PARTS).clamp(LEAST_SEGMENT, MOST_SEGMENT);
        if self.segments.back().is_none_or(|it| it.bytes > 0 && it.bytes + size > limit) {
            let next = self.segments.back().map_or(0, |it| it.number + 1);
            self.full.extend(self.segments.back().and_then(|it| it.handle().ok()));
            self.segments.push_back(Segment::create(&self.directory, next)?);
            self.drop_taken()?;
        }
        while self.bytes() + size > self.bound && self.segments.len() > 1 {
            if let Some(oldest) = self.segments.pop_front() {
                *dropped += oldest.waiting;
                oldest.remove();
            }
            self.offset = 0;
            self.keep_position()?;
        }
        let segment = self.segments.back_mut();
        segment.map_or(Ok(()), |segment| segment.push(record))
    }

    /// The next records, at most so many; they stay until they are [`Files::take`]n. Tells how many
    /// were passed over because they cannot be read any more.
    pub(super) fn peek(&mut self, most: usize) -> io::Result<(Vec<Vec<u8>>, u64)> {
        let mut unreadable = 0;
        while let Some(first) = self.segments.front() {
            let mut records = Vec::new();
            let mut offset = self.offset;
            while records.len() < most
                && let Some(record) = first.read_sound(offset)
            {
                offset += HEAD + record.len() as u64;
                records.push(record);
            }
            if !records.is_empty() || first.waiting == 0 && self.segments.len() == 1 {
                return Ok((records, unreadable));
            }
            // Nothing sound is left in it, whatever it was said to hold.
            unreadable += self.skip_first()?;
        }
        Ok((Vec::new(), unreadable))
    }

    /// Gives up what waits in the first segment; tells how much that was.
    fn skip_first(&mut self) -> io::Result<u64> {
        let Some(first) = self.segments.front_mut() else { return Ok(0) };
        self.offset = first.bytes;
        let given_up = std::mem::take(&mut first.waiting);
        self.drop_taken()?;
        Ok(given_up)
    }

    /// Takes the first records away, of these sizes.
    pub(super) fn take(&mut self, sizes: impl Iterator<Item = usize>) -> io::Result<()> {
        for size in sizes {
            let Some(first) = self.segments.front_mut().filter(|it| it.waiting > 0) else { break };
            first.waiting -= 1;
            self.offset += HEAD + size as u64;
            self.drop_taken()?;
        }
        if self.waiting() == 0 {
            // What was told needs no disk.
            self.full.clear();
        }
        self.keep_position()
    }

    /// Removes what was taken in whole.
    fn drop_taken(&mut self) -> io::Result<()> {
        while self.segments.len() > 1 && self.segments.front().is_some_and(|it| it.waiting == 0) {
            if let Some(first) = self.segments.pop_front() {
                first.remove();
            }
            self.offset = 0;
            self.keep_position()?;
        }
        let limit = (self.bound / PARTS).clamp(LEAST_SEGMENT, MOST_SEGMENT) / 2;
        if let Some(only) = self.segments.front_mut()
            && only.waiting == 0
            && only.bytes > limit
        {
            // Its number is not used again: the disk may still hold a position in it.
            // Where there is no room for another, the old one grows on.
            let Ok(next) = Segment::create(&self.directory, only.number + 1) else { return Ok(()) };
            self.segments.push_back(next);
            if let Some(first) = self.segments.pop_front() {
                first.remove();
            }
            self.offset = 0;
            self.keep_position()?;
        }
        Ok(())
    }

    fn keep_position(&self) -> io::Result<()> {
        let Some(first) = self.segments.front() else { return Ok(()) };
        self.position.keep(first.number, self.offset)
    }

    /// What the disk may not hold yet, once.
    pub(super) fn unsynced(&mut self) -> Vec<File> {
        let newest = self.segments.back().and_then(|it| it.handle().ok());
        std::mem::take(&mut self.full).into_iter().chain(newest).collect()
    }
}
