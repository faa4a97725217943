//! Blocks merged into one sequence of rows, in order of time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use plimsoll_ebpf::value::Value;

use super::{
    block::Header,
    bytes::Malformed,
    error::Damage,
    reader::Request,
    row::{Keys, StoredBlock, StoredRow},
    segment::read_at_most,
    watermarks::Watermarks,
};

/// A block that may hold rows of a request.
pub(super) struct Candidate {
    pub(super) header: Arc<Header>,
    pub(super) source: Source,
    /// Which rows are known from elsewhere.
    pub(super) known: Option<Arc<Watermarks>>,
}

/// Where a block's bytes are.
pub(super) enum Source {
    File { file: Arc<Lazy>, offset: u64 },
    Memory(Box<[u8]>),
}

/// A file that is opened for the first block of it that is read, and shut behind the last.
pub(super) struct Lazy {
    path: PathBuf,
    file: OnceLock<File>,
}

impl Lazy {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: OnceLock::new() }
    }

    /// The file, open.
    pub(super) fn get(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }
}

/// The rows of a request. Memory is bound by the blocks whose times overlap.
pub struct Scan {
    request: Request,
    /// Blocks not opened yet with their first moment in the order of the scan, the next one last.
    candidates: Vec<(u64, Candidate)>,
    damages: Vec<Damage>,
    open: BinaryHeap<Reverse<OpenBlock>>,
    end_seq: u64,
    opened: u64,
}

/// A decoded block and its rows still to be returned, the next one last.
struct OpenBlock {
    block: Arc<StoredBlock>,
    /// Place in the order, and row.
    rows: Vec<(Place, u32)>,
}

/// Time and number of a row; both inverted where the newest come first.
type Place = (u64, u64);

impl OpenBlock {
    fn next(&self) -> Option<Place> {
        self.rows.last().map(|(place, _)| *place)
    }
}

impl PartialEq for OpenBlock {
    fn eq(&self, other: &Self) -> bool {
        self.next() == other.next()
    }
}

impl Eq for OpenBlock {}

impl PartialOrd for OpenBlock {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OpenBlock {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.next().cmp(&other.next())
    }
}

impl Scan {
    pub(super) fn new(
        request: Request,
        candidates: Vec<Candidate>,
        damages: Vec<Damage>,
        end_seq: u64,
    ) -> Self {
        let newest_first = request.newest_first;
        let timed = |it: Candidate| (earliest(&it.header, newest_first), it);
        let mut candidates: Vec<_> = candidates.into_iter().map(timed).collect();
        candidates.sort_by_key(|(earliest, _)| Reverse(*earliest));
        Self { request, candidates, damages, open: BinaryHeap::new(), end_seq, opened: 0 }
    }

    /// The number after that of the newest observation in the store, asked for or not.
    pub fn end_seq(&self) -> u64 {
        self.end_seq
    }

    /// How many blocks were read so far. Of each that has rows of the request's time, events and
    /// containers at least one is returned: whoever asks in vain sees it go on.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Opens every block that may hold the next row.
    fn open_due(&mut self) {
        while let Some((earliest, _)) = self.candidates.last() {
            let next = self.open.peek().and_then(|open| open.0.next());
            if next.is_some_and(|(time, _)| time < *earliest) || !self.damages.is_empty() {
                return;
            }
            let Some((_, candidate)) = self.candidates.pop() else { return };
            self.opened += 1;
            match self.load(&candidate) {
                Ok(Some(open)) => self.open.push(Reverse(open)),
                Ok(None) => {}
                Err(reason) => self.damages.push(candidate.damage(reason)),
            }
        }
    }

    /// Reads a block; `None` where it has no row of the request or is gone.
    fn load(&self, candidate: &Candidate) -> Result<Option<OpenBlock>, String> {
        let header = &candidate.header;
        let payload = match candidate.payload() {
            Ok(payload) => payload,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let reason = |malformed: Malformed| malformed.0.to_owned();
        let keys = Keys::decode(header, &payload).map_err(reason)?;
        let mut rows = self.select(&keys, candidate);
        if rows.is_empty() {
            return Ok(None);
        }
        if !header.is_sound(&payload) {
            return Err("wrong checksum of a section".to_owned());
        }
        let block = StoredBlock::new(header, keys, &payload);
        for needles in &self.request.needles {
            let marked = block.rows_with(needles);
            let first = rows.first().copied();
            rows.retain(|row| marked[*row as usize]);
            if rows.is_empty() {
                rows.extend(first);
                break;
            }
        }
        let rows = self.in_order(block.keys(), &rows);
        Ok(Some(OpenBlock { block: Arc::new(block), rows }))
    }

    /// The rows of a block that its keys do not rule out.
    fn select(&self, keys: &Keys, candidate: &Candidate) -> Vec<u32> {
        let (request, header) = (&self.request, &candidate.header);
        let mut rows: Vec<u32> = (0..header.rows).collect();
        if let Some(wanted) = self.containers(keys) {
            let container = |row: u32| keys.container(row as usize).and_then(|it| wanted.get(it));
            rows.retain(|row| container(*row) == Some(&true));
        }
        if !request.kinds.is_empty() {
            let mut marked = vec![false; keys.rows()];
            keys.mark_kinds(&mut marked, &request.kinds);
            rows.retain(|row| marked[*row as usize]);
        }
        if header.min_ts < request.from_ns || header.max_ts > request.to_ns {
            let times = request.from_ns..=request.to_ns;
            rows.retain(|row| times.contains(&keys.ts(*row as usize)));
        }
        if header.first_seq < request.from_seq || header.end_seq() > request.to_seq {
            let numbers = request.from_seq..request.to_seq;
            rows.retain(|row| numbers.contains(&keys.seq(*row as usize)));
        }
        if let Some(known) = &candidate.known {
            let is_known = |row: usize| known.hold(keys.kind(row), keys.seq(row));
            rows.retain(|row| !is_known(*row as usize));
        }
        rows
    }

    /// Rows with their places, the last one first.
    fn in_order(&self, keys: &Keys, rows: &[u32]) -> Vec<(Place, u32)> {
        let place = |row: &u32| {
            let (ts, seq) = (keys.ts(*row as usize), keys.seq(*row as usize));
            let place = if self.request.newest_first { (!ts, !seq) } else { (ts, seq) };
            (place, *row)
        };
        let mut rows: Vec<(Place, u32)> = rows.iter().map(place).collect();
        rows.sort_unstable_by_key(|row| Reverse(*row));
        rows
    }

    /// Which of a block's containers are asked for; `None` where all are.
    fn containers(&self, keys: &Keys) -> Option<Vec<bool>> {
        if self.request.containers.is_empty() {
            return None;
        }
        let table = keys.containers();
        let text = |row, name| match table.get(row, name) {
            Some(Value::Text(text)) => std::str::from_utf8(text).unwrap_or_default(),
            _ => "",
        };
        let wanted = |row| self.request.wants_container(text(row, "ctr.id"), text(row, "ctr.name"));
        Some((0..table.rows).map(wanted).collect())
    }
}

impl Iterator for Scan {
    type Item = Result<StoredRow, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.open_due();
        if let Some(damage) = self.damages.pop() {
            return Some(Err(damage));
        }
        let mut next = self.open.peek_mut()?;
        let Reverse(open) = &mut *next;
        let (_, row) = open.rows.pop()?;
        let found = open.block.row(row);
        if open.rows.is_empty() {
            PeekMut::pop(next);
        }
        Some(Ok(found))
    }
}

/// The first moment of a block in the order of the scan.
fn earliest(header: &Header, newest_first: bool) -> u64 {
    if newest_first { !header.max_ts } else { header.min_ts }
}

impl Candidate {
    fn payload(&self) -> io::Result<Arc<Vec<u8>>> {
        let header_bytes = self.header.own_bytes;
        match &self.source {
            Source::File { file, offset } => {
                let count = self.header.block_bytes() - header_bytes;
                read_at_most(file.get()?, offset + header_bytes as u64, count).map(Arc::new)
            }
            Source::Memory(block) => Ok(Arc::new(block[header_bytes..].to_vec())),
        }
    }

    fn damage(&self, reason: String) -> Damage {
        let header = &self.header;
        let (file, offset) = match &self.source {
            Source::File { file, offset } => (file.path.clone(), *offset),
            Source::Memory(_) => (PathBuf::from("wal"), 0),
        };
        Damage {
            file,
            offset,
            bytes: header.block_bytes() as u64,
            reason,
            from_ns: Some(header.min_ts),
            to_ns: Some(header.max_ts),
            rows: Some(header.rows),
        }
    }
}
