//! The frame of a block: a checked header that says what is inside, then compressed sections.
//!
//! All numbers are little-endian. The fixed part of the header is followed by its variable part:
//! the kinds, the containers and the table of sections. A reader that looks for other things
//! skips the block by the header alone; each section has a checksum of its own.

use std::cell::RefCell;

use super::{
    bytes::{Cursor, Malformed, put_text, put_varint},
    texts::Set,
};

/// Version of blocks and of the directory's layout.
pub(super) const FORMAT_VERSION: u16 = 3;
pub(super) const MAGIC: [u8; 4] = *b"PLSB";
/// Bytes of the fixed part of a header.
pub(super) const FIXED_BYTES: usize = 52;
/// Largest variable part of a header.
const MAX_META: usize = 1 << 20;
/// Largest section before compression.
const MAX_SECTION: usize = 32 << 20;
/// Bytes before compression with which a block is full, however few rows it has: a container can make
/// each of them long, and what comes at once with the last must fit in, too.
pub(super) const FULL_BYTES: usize = MAX_SECTION / 4;
const MAX_SECTIONS: usize = 16;
const MAX_NAMES: usize = 1 << 16;

thread_local! {
    /// Kept between blocks: to make one takes as long as to use it.
    static DECOMPRESSOR: RefCell<zstd::bulk::Decompressor<'static>> = RefCell::default();
}

/// Sections by what they hold.
pub(super) mod section {
    /// Time, kind and references of each row; nodes and containers.
    pub(in super::super) const KEYS: u8 = 1;
    /// The processes.
    pub(in super::super) const PROCESSES: u8 = 2;
    /// Every other column of the rows.
    pub(in super::super) const REST: u8 = 3;
}

/// What a header says of its block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// The version it was written in.
    pub(super) format: u16,
    pub(super) rows: u32,
    pub(super) first_seq: u64,
    /// Distance from the first number to that after the last: more than `rows` where numbers
    /// between are elsewhere.
    pub(super) span: u64,
    pub(super) min_ts: u64,
    pub(super) max_ts: u64,
    pub(super) kinds: Vec<String>,
    /// Start of the id, and the name.
    pub(super) containers: Vec<(String, String)>,
    pub(super) sections: Vec<Section>,
    /// What its paths and addresses may hold, as [`Set`]; empty where that is not told.
    pub(super) texts: Vec<u8>,
    /// Bytes of the whole header.
    pub(super) own_bytes: usize,
}

/// A section's place in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    tag: u8,
    raw_bytes: usize,
    stored_bytes: usize,
    crc: u32,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// The header, or the block it announces, is longer than what is there.
    Incomplete(usize),
    /// The block is of a later version of the agent.
    Newer(u16),
    /// No block begins here.
    Malformed(&'static str),
}

impl From<Malformed> for HeaderError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}

impl Header {
    /// Bytes of the whole block.
    pub(super) fn block_bytes(&self) -> usize {
        let sections = self.sections.iter().map(|section| section.stored_bytes);
        self.own_bytes + sections.sum::<usize>()
    }

    /// The number after the last row's.
    pub(super) fn end_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.span)
    }

    /// Reads a header from the front of `bytes`, which may be longer.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let fixed = bytes.get(..FIXED_BYTES).ok_or(HeaderError::Incomplete(FIXED_BYTES))?;
        let mut from = Cursor(fixed);
        if from.take(4)? != MAGIC {
            return Err(HeaderError::Malformed("no block begins here"));
        }
        let version = from.u16()?;
        let _reserved = from.u16()?;
        let crc = from.u32()?;
        let meta_bytes = from.u32()? as usize;
        if meta_bytes > MAX_META {
            return Err(HeaderError::Malformed("header too long"));
        }
        let own_bytes = FIXED_BYTES + meta_bytes;
        let whole = bytes.get(..own_bytes).ok_or(HeaderError::Incomplete(own_bytes))?;
        if header_crc(whole) != crc {
            return Err(HeaderError::Malformed("wrong checksum of a header"));
        }
        if version > FORMAT_VERSION {
            return Err(HeaderError::Newer(version));
        }
        let rows = from.u32()?;
        let (first_seq, min_ts, max_ts) = (from.u64()?, from.u64()?, from.u64()?);
        // Blocks of the first version leave it out: theirs have every number.
        let span = from.u64()?.max(u64::from(rows));
        let mut meta = Cursor(&whole[FIXED_BYTES..]);
        Ok(Self {
            format: version,
            rows,
            first_seq,
            span,
            min_ts,
            max_ts,
            kinds: read_list(&mut meta, |from| from.text().map(str::to_owned))?,
            containers: read_list(&mut meta, |from| {
                Ok((from.text()?.to_owned(), from.text()?.to_owned()))
            })?,
            sections: read_sections(&mut meta)?,
            texts: read_texts(&mut meta)?,
            own_bytes,
        })
    }

    /// What its values may be.
    pub(super) fn set(&self) -> Set<'_> {
        Set { bytes: &self.texts, format: self.format }
    }

    /// The checked and decompressed bytes of a section; `payload` is what follows the header.
    pub(super) fn section(&self, tag: u8, payload: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut start = 0;
        for section in &self.sections {
            let end = start + section.stored_bytes;
            if section.tag == tag {
                let stored = payload.get(start..end).ok_or(Malformed("cut short"))?;
                return section.open(stored);
            }
            start = end;
        }
        Err(Malformed("a section is missing"))
    }

    /// Whether every section has its checksum.
    pub(super) fn is_sound(&self, payload: &[u8]) -> bool {
        let mut start = 0;
        self.sections.iter().all(|section| {
            let stored = payload.get(start..start + section.stored_bytes);
            start += section.stored_bytes;
            stored.is_some_and(|stored| crc32fast::hash(stored) == section.crc)
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut meta = Vec::new();
        put_varint(&mut meta, self.kinds.len() as u64);
        self.kinds.iter().for_each(|kind| put_text(&mut meta, kind));
        put_varint(&mut meta, self.containers.len() as u64);
        for (id, name) in &self.containers {
            put_text(&mut meta, id);
            put_text(&mut meta, name);
        }
        put_varint(&mut meta, self.sections.len() as u64);
        for section in &self.sections {
            meta.push(section.tag);
            put_varint(&mut meta, section.raw_bytes as u64);
            put_varint(&mut meta, section.stored_bytes as u64);
            meta.extend_from_slice(&section.crc.to_le_bytes());
        }
        put_varint(&mut meta, self.texts.len() as u64);
        meta.extend_from_slice(&self.texts);
        let mut bytes = Vec::with_capacity(FIXED_BYTES + meta.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&(meta.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        for number in [self.first_seq, self.min_ts, self.max_ts, self.span] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&meta);
        let crc = header_crc(&bytes);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Checksum of a header without its own four bytes.
fn header_crc(header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..8]);
    hasher.update(&header[12..]);
    hasher.finalize()
}

fn read_list<'a, T>(
    from: &mut Cursor<'a>,
    read: impl Fn(&mut Cursor<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = from.count(MAX_NAMES)?;
    (0..count).map(|_| read(from)).collect()
}

/// Blocks of the first version end before it.
fn read_texts(from: &mut Cursor<'_>) -> Result<Vec<u8>, Malformed> {
    if from.0.is_empty() {
        return Ok(Vec::new());
    }
    let count = from.count(from.0.len())?;
    from.take(count).map(<[u8]>::to_vec)
}

fn read_sections(from: &mut Cursor<'_>) -> Result<Vec<Section>, Malformed> {
    let count = from.count(MAX_SECTIONS)?;
    let read = |from: &mut Cursor<'_>| {
        Ok(Section {
            tag: from.u8()?,
            raw_bytes: from.count(MAX_SECTION)?,
            stored_bytes: from.count(2 * MAX_SECTION)?,
            crc: from.u32()?,
        })
    };
    (0..count).map(|_| read(from)).collect()
}

impl Section {
    fn open(&self, stored: &[u8]) -> Result<Vec<u8>, Malformed> {
        if crc32fast::hash(stored) != self.crc {
            return Err(Malformed("wrong checksum of a section"));
        }
        let raw = DECOMPRESSOR
            .with_borrow_mut(|it| it.decompress(stored, self.raw_bytes))
            .map_err(|_| Malformed("a section does not decompress"))?;
        if raw.len() != self.raw_bytes {
            return Err(Malformed("a section has another length than announced"));
        }
        Ok(raw)
    }
}

/// Writes a block: compresses the sections and sets the header before them.
pub(super) fn encode(
    mut header: Header,
    sections: &[(u8, &[u8])],
    compressor: &mut zstd::bulk::Compressor<'_>,
) -> std::io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    for (tag, raw) in sections {
        if raw.len() > MAX_SECTION {
            return Err(std::io::Error::other("a section is longer than readers take"));
        }
        let stored = compressor.compress(raw)?;
        header.sections.push(Section {
            tag: *tag,
            raw_bytes: raw.len(),
            stored_bytes: stored.len(),
            crc: crc32fast::hash(&stored),
        });
        payload.extend_from_slice(&stored);
    }
    let mut block = header.encode();
    block.extend_from_slice(&payload);
    Ok(block)
}

/// Makes the checksums of changed bytes right, as far as they are a header and sections.
#[cfg(test)]
pub(super) fn reseal(block: &mut [u8]) {
    let Some(meta_bytes) = block.get(12..16).and_then(|it| it.first_chunk::<4>()) else { return };
    let own_bytes = FIXED_BYTES + u32::from_le_bytes(*meta_bytes) as usize;
    if own_bytes > block.len() || own_bytes > FIXED_BYTES + MAX_META {
        return;
    }
    let crc = header_crc(&block[..own_bytes]);
    block[8..12].copy_from_slice(&crc.to_le_bytes());
    let Ok(header) = Header::parse(block) else { return };
    // Each section's checksum stands behind its lengths, in the order of the sections.
    let mut start = own_bytes;
    for section in header.sections {
        let end = start.saturating_add(section.stored_bytes);
        let Some(stored) = block.get(start..end) else { return };
        let right = crc32fast::hash(stored).to_le_bytes();
        let wrong = section.crc.to_le_bytes();
        let place = block[..own_bytes].windows(4).rposition(|it| it == wrong);
        if let Some(place) = place {
            block[place..place + 4].copy_from_slice(&right);
        }
        start = end;
    }
    let crc = header_crc(&block[..own_bytes]);
    block[8..12].copy_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Header, Vec<u8>) {
        let header = Header {
            rows: 3,
            first_seq: 40,
            span: 3,
            min_ts: 5,
            max_ts: 9,
            kinds: vec!["exec".to_owned()],
            containers: vec![("0123456789ab".to_owned(), "web".to_owned())],
            ..Header::default()
        };
        let mut compressor = zstd::bulk::Compressor::new(1).expect("zstd has level 1");
        let sections: [(u8, &[u8]); 2] = [(section::KEYS, b"keys"), (section::REST, b"rest")];
        let block = encode(header.clone(), &sections, &mut compressor).expect("compresses");
        (header, block)
    }

    #[test]
    fn a_block_reads_back() {
        let (written, block) = sample();
        let header = Header::parse(&block).expect("is whole");
        assert_eq!((header.format, header.set().format), (FORMAT_VERSION, FORMAT_VERSION));
        assert_eq!((header.rows, header.first_seq, header.end_seq()), (3, 40, 43));
        assert_eq!((header.min_ts, header.max_ts), (5, 9));
        assert_eq!((&header.kinds, &header.containers), (&written.kinds, &written.containers));
        assert_eq!(header.block_bytes(), block.len());
        let payload = &block[header.own_bytes..];
        assert_eq!(header.section(section::REST, payload).as_deref(), Ok(b"rest".as_slice()));
        assert!(header.section(section::PROCESSES, payload).is_err());
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let (_, block) = sample();
        for at in 0..block.len() * 8 {
            let mut damaged = block.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let sound = Header::parse(&damaged).is_ok_and(|header| {
                let payload = &damaged[header.own_bytes..];
                [section::KEYS, section::REST]
                    .iter()
                    .all(|tag| header.section(*tag, payload).is_ok())
            });
            assert!(!sound, "bit {at}");
        }
    }

    #[test]
    fn a_block_of_the_first_version_is_read_as_it_is() {
        let (_, block) = sample();
        let own_bytes = Header::parse(&block).expect("is whole").own_bytes;
        // It ends with its sections, and has no distance between its numbers.
        let mut first = block[..own_bytes - 1].to_vec();
        first[4..6].copy_from_slice(&1u16.to_le_bytes());
        first[12..16].copy_from_slice(&((own_bytes - 1 - FIXED_BYTES) as u32).to_le_bytes());
        first[44..52].fill(0);
        let crc = header_crc(&first);
        first[8..12].copy_from_slice(&crc.to_le_bytes());
        first.extend_from_slice(&block[own_bytes..]);
        let header = Header::parse(&first).expect("is whole");
        assert_eq!((header.format, header.set().bytes), (1, &[][..]));
        assert_eq!((header.rows, header.first_seq, header.end_seq()), (3, 40, 43));
        assert!(header.texts.is_empty());
        let payload = &first[header.own_bytes..];
        assert_eq!(header.section(section::REST, payload).as_deref(), Ok(b"rest".as_slice()));
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let (_, mut block) = sample();
        block[4..6].copy_from_slice(&7u16.to_le_bytes());
        let own_bytes = Header::parse(&sample().1).expect("is whole").own_bytes;
        let crc = header_crc(&block[..own_bytes]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::parse(&block), Err(HeaderError::Newer(7)));
    }
}
