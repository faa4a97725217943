//! Segment files: their names, and the blocks in them, found even behind damage.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    block::{FIXED_BYTES, Header, HeaderError, MAGIC},
    error::Damage,
    stream::{SegmentId, Stream},
};

/// Largest block that is believed; longer ones are damage.
const MAX_BLOCK: usize = 128 << 20;
/// Read at once while headers are looked for: most are shorter.
const WINDOW: usize = 16 << 10;

/// Directory of segments and log in a store.
pub(super) fn events_dir(store: &Path) -> PathBuf {
    store.join("events")
}

/// The write-ahead log of a store.
pub(super) fn wal_path(store: &Path) -> PathBuf {
    events_dir(store).join("wal")
}

/// The file of a segment.
pub(super) fn segment_path(store: &Path, segment: SegmentId) -> PathBuf {
    let SegmentId { first_seq, stream } = segment;
    events_dir(store).join(format!("{}{first_seq:020}.evs", stream.prefix()))
}

fn segment_of(name: &str) -> Option<SegmentId> {
    let name = name.strip_suffix(".evs")?;
    Stream::ALL.into_iter().find_map(|stream| {
        let first_seq = name.strip_prefix(stream.prefix())?.parse().ok()?;
        Some(SegmentId { first_seq, stream })
    })
}

/// The segments of a store, oldest first; none where there is no store yet.
pub(super) fn list(store: &Path) -> io::Result<Vec<SegmentId>> {
    let entries = match std::fs::read_dir(events_dir(store)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        segments.extend(entry?.file_name().to_str().and_then(segment_of));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// A block's place in a file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) offset: u64,
    pub(super) header: Header,
}

/// What is at the end of the sound part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing.
    Clean,
    /// A block that is not whole: still being written, or torn.
    Torn,
}

/// Finds blocks from an offset on. Sections are not checked.
pub(super) struct Finder<'f> {
    path: &'f Path,
    file: &'f File,
    length: u64,
    pub(super) offset: u64,
    /// Latest moment of the last sound block, where there was one.
    last_ns: Option<u64>,
}

impl<'f> Finder<'f> {
    /// Begins at an offset, before which the last block ended at the moment `last_ns`.
    pub(super) fn new(
        path: &'f Path,
        file: &'f File,
        offset: u64,
        last_ns: Option<u64>,
    ) -> io::Result<Self> {
        Ok(Self { path, file, length: file.metadata()?.len(), offset, last_ns })
    }

    /// Hands each block, and each damaged range between blocks, to `found`.
    pub(super) fn run(&mut self, found: &mut dyn FnMut(Result<Found, Damage>)) -> io::Result<End> {
        while self.offset < self.length {
            match self.header_at(self.offset)? {
                Ok(header) => {
                    let block_bytes = header.block_bytes() as u64;
                    self.last_ns = Some(header.max_ts);
                    found(Ok(Found { offset: self.offset, header }));
                    self.offset += block_bytes;
                }
                Err(error) => match self.next_block(self.offset + 1)? {
                    Some((next, header)) => {
                        let to_ns = Some(header.min_ts);
                        found(Err(self.damage(next - self.offset, &error, to_ns)));
                        self.offset = next;
                    }
                    None if matches!(error, HeaderError::Incomplete(_)) => return Ok(End::Torn),
                    None => {
                        found(Err(self.damage(self.length - self.offset, &error, None)));
                        self.offset = self.length;
                    }
                },
            }
        }
        Ok(End::Clean)
    }

    /// What is behind the sound part, where nobody is still writing it.
    pub(super) fn torn(&self) -> Damage {
        self.damage(self.length - self.offset, &HeaderError::Incomplete(0), None)
    }

    fn damage(&self, bytes: u64, error: &HeaderError, to_ns: Option<u64>) -> Damage {
        let reason = match error {
            HeaderError::Incomplete(_) => "a block is cut short".to_owned(),
            HeaderError::Newer(version) => format!("a block has the later format {version}"),
            HeaderError::Malformed(reason) => (*reason).to_owned(),
        };
        let file = self.path.to_owned();
        let (offset, from_ns) = (self.offset, self.last_ns);
        Damage { file, offset, bytes, reason, from_ns, to_ns, rows: None }
    }

    /// The header of the whole block at an offset.
    fn header_at(&self, offset: u64) -> io::Result<Result<Header, HeaderError>> {
        let left = self.length.saturating_sub(offset);
        let mut want = WINDOW;
        loop {
            let bytes = read_at_most(self.file, offset, want.min(left as usize))?;
            match Header::parse(&bytes) {
                Err(HeaderError::Incomplete(needed)) if needed as u64 <= left && needed > want => {
                    want = needed;
                }
                Ok(header) if header.block_bytes() > MAX_BLOCK => {
                    return Ok(Err(HeaderError::Malformed("a block is too long")));
                }
                Ok(header) if header.block_bytes() as u64 > left => {
                    return Ok(Err(HeaderError::Incomplete(header.block_bytes())));
                }
                parsed => return Ok(parsed),
            }
        }
    }

    /// The next offset at which a sound header stands, and that header.
    fn next_block(&self, mut from: u64) -> io::Result<Option<(u64, Header)>> {
        const STEP: usize = 1 << 20;
        while from + FIXED_BYTES as u64 <= self.length {
            let bytes = read_at_most(self.file, from, STEP)?;
            let starts = bytes.windows(MAGIC.len()).enumerate();
            for (at, _) in starts.filter(|(_, window)| *window == MAGIC) {
                let offset = from + at as u64;
                if let Ok(header) = self.header_at(offset)? {
                    return Ok(Some((offset, header)));
                }
            }
            // A magic may lie across two steps.
            from += bytes.len().saturating_sub(MAGIC.len() - 1).max(1) as u64;
        }
        Ok(None)
    }
}

/// Reads up to `count` bytes; fewer where the file ends.
pub(super) fn read_at_most(file: &File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// What was found in bytes that hold frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    /// Where the last sound frame ends.
    pub(super) sound: usize,
    /// Bytes before that which are in none.
    pub(super) damaged: usize,
    /// Where the first of them is.
    first_damaged: usize,
    /// Latest moment of the last sound frame before anything else.
    last_ns: Option<u64>,
}

impl Frames {
    /// What of a log of `length` bytes is in no frame.
    pub(super) fn damage(&self, path: &Path, length: usize) -> Option<Damage> {
        let bytes = (self.damaged + length - self.sound) as u64;
        let offset = if self.damaged > 0 { self.first_damaged } else { self.sound } as u64;
        (bytes > 0).then(|| Damage {
            file: path.to_owned(),
            offset,
            bytes,
            reason: "the log is torn or damaged".to_owned(),
            from_ns: self.last_ns,
            to_ns: None,
            rows: None,
        })
    }
}

/// Hands each sound frame in memory, such as the log holds, to `frame`.
pub(super) fn each_frame<'b>(bytes: &'b [u8], mut frame: impl FnMut(Header, &'b [u8])) -> Frames {
    let mut found = Frames::default();
    let mut offset = 0;
    while offset < bytes.len() {
        if let Some((header, whole)) = frame_at(&bytes[offset..]) {
            if found.damaged == 0 && offset > found.sound {
                found.first_damaged = found.sound;
            }
            found.damaged += offset - found.sound;
            if found.damaged == 0 {
                found.last_ns = found.last_ns.max(Some(header.max_ts));
            }
            offset += whole.len();
            found.sound = offset;
            frame(header, whole);
        } else {
            let rest = &bytes[offset + 1..];
            let next = rest.windows(MAGIC.len()).position(|window| window == MAGIC);
            offset = next.map_or(bytes.len(), |next| offset + 1 + next);
        }
    }
    found
}

fn frame_at(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let header = Header::parse(bytes).ok()?;
    let whole = bytes.get(..header.block_bytes())?;
    is_sound(&header, whole).then_some((header, whole))
}

/// Whether every section of a block of a file can be read and has its checksum.
pub(super) fn is_sound_at(file: &File, offset: u64, header: &Header) -> bool {
    payload_at(file, offset, header).is_ok_and(|payload| header.is_sound(&payload))
}

/// What stands behind the header of a block of a file.
pub(super) fn payload_at(file: &File, offset: u64, header: &Header) -> io::Result<Vec<u8>> {
    let count = header.block_bytes() - header.own_bytes;
    read_at_most(file, offset + header.own_bytes as u64, count)
}

/// Whether every section of a block has its checksum.
pub(super) fn is_sound(header: &Header, block: &[u8]) -> bool {
    block.get(header.own_bytes..).is_some_and(|payload| header.is_sound(payload))
}
