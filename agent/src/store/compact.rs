//! A store at rest put in order: small blocks joined, damaged parts taken out, the index dropped.
//!
//! Each segment is written anew beside the old one and takes its place at once: a crash leaves one
//! or the other. Rows keep their numbers.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    directory,
    error::{Damage, StoreError},
    files::{sync_dir, tree_bytes},
    recoder::Recoder,
    row::StoredBlock,
    segment::{self, End, Finder, Found, is_sound_at, payload_at, read_at_most},
    stream::SegmentId,
    writer::BLOCK_LEVEL,
};

/// What is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Every segment, not only those with damage or small blocks.
    pub all: bool,
    /// Remove what was damaged and moved aside.
    pub drop_damaged: bool,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Compacted {
    /// Segments that were written anew.
    pub segments: u64,
    /// Observations in them.
    pub observations: u64,
    /// Blocks in them before and after.
    pub blocks: (u64, u64),
    /// Bytes of the directory before and after.
    pub bytes: (u64, u64),
    /// What was damaged and is moved aside.
    pub damages: Vec<Damage>,
}

/// Rows of a block.
const BLOCK_ROWS: u32 = 4096;
/// Blocks with fewer rows on average are joined.
const SMALL_ROWS: u64 = 2048;

/// Puts the store in a directory in order. No agent may have it open.
///
/// # Errors
/// When an agent has it open, it has a later format, or the file system refuses.
pub fn compact(
    store: &Path,
    plan: Plan,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Compacted, StoreError> {
    let events = segment::events_dir(store);
    fs::read_dir(&events).map_err(StoreError::io("cannot read the store's", &events))?;
    let _lock = directory::take(store)?;
    let mut done = Compacted { bytes: (tree_bytes(store), 0), ..Compacted::default() };
    let segments = segment::list(store).map_err(StoreError::io("cannot list", &events))?;
    let path_of = |id: &SegmentId| segment::segment_path(store, *id);
    let length = |id| fs::metadata(path_of(id)).map_or(0, |it| it.len());
    let total: u64 = segments.iter().map(length).sum();
    // It is made anew from the segments, without what it has gathered of those that are gone; first of
    // all, since one that was left by half a run would name places that are others' by then.
    let index = directory::index_dir(store);
    if index.exists() {
        fs::remove_dir_all(&index)
            .and_then(|()| sync_dir(store))
            .map_err(StoreError::io("cannot remove", &index))?;
    }
    let mut read = 0;
    for id in &segments {
        let path = path_of(id);
        read += length(id);
        done.segment(&path, *id, plan).map_err(StoreError::io("cannot put in order", &path))?;
        progress(read, total);
    }
    if plan.drop_damaged {
        directory::drop_asides(store, u64::MAX);
    }
    done.bytes.1 = tree_bytes(store);
    Ok(done)
}

impl Compacted {
    fn segment(&mut self, path: &Path, id: SegmentId, plan: Plan) -> io::Result<()> {
        let file = File::open(path)?;
        let mut finder = Finder::new(path, &file, 0, None)?;
        let (mut blocks, mut damages) = (Vec::new(), Vec::new());
        let end = finder.run(&mut |found| match found {
            Ok(found) => blocks.push(found),
            Err(damage) => damages.push(damage),
        })?;
        damages.extend((end == End::Torn).then(|| finder.torn()));
        let rows: u64 = blocks.iter().map(|it| u64::from(it.header.rows)).sum();
        let is_small = blocks.len() > 1 && rows < SMALL_ROWS * blocks.len() as u64;
        let is_sound =
            damages.is_empty() && blocks.iter().all(|it| is_sound_at(&file, it.offset, &it.header));
        if is_sound && !is_small && !plan.all {
            return Ok(());
        }
        let mut rewrite = Rewrite::begin(path, id, damages)?;
        for block in &blocks {
            rewrite.take(&file, block)?;
        }
        let rewritten = rewrite.finish(&file)?;
        self.segments += 1;
        self.observations += rewritten.rows;
        self.blocks.0 += blocks.len() as u64;
        self.blocks.1 += rewritten.blocks;
        self.damages.extend(rewritten.damages);
        Ok(())
    }
}

/// A segment on its way to a new file.
struct Rewrite<'p> {
    path: &'p Path,
    id: SegmentId,
    draft: PathBuf,
    file: File,
    recoder: Recoder,
    compressor: zstd::bulk::Compressor<'static>,
    end_seq: u64,
    rows: u64,
    blocks: u64,
    damages: Vec<Damage>,
}

impl<'p> Rewrite<'p> {
    fn begin(path: &'p Path, id: SegmentId, damages: Vec<Damage>) -> io::Result<Self> {
        let draft = path.with_extension(directory::DRAFT);
        let file = File::create(&draft)?;
        let (recoder, compressor) = (Recoder::new(), zstd::bulk::Compressor::new(BLOCK_LEVEL)?);
        let (end_seq, rows, blocks) = (0, 0, 0);
        Ok(Self { path, id, draft, file, recoder, compressor, end_seq, rows, blocks, damages })
    }

    fn take(&mut self, from: &File, found: &Found) -> io::Result<()> {
        let header = &found.header;
        let block = match StoredBlock::of(header, &payload_at(from, found.offset, header)?) {
            Ok(block) => block,
            Err(malformed) => {
                self.damages.push(Damage {
                    file: self.path.to_owned(),
                    offset: found.offset,
                    bytes: header.block_bytes() as u64,
                    reason: malformed.0.to_owned(),
                    from_ns: Some(header.min_ts),
                    to_ns: Some(header.max_ts),
                    rows: Some(header.rows),
                });
                return Ok(());
            }
        };
        if header.first_seq < self.end_seq {
            // Rows of a block are in order of their numbers.
            self.write()?;
        }
        self.end_seq = header.end_seq();
        for row in 0..block.keys().rows() {
            self.recoder.add(&block, row);
            self.rows += 1;
            if self.recoder.is_full(BLOCK_ROWS) {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if let Some(ready) = self.recoder.finish(self.id.stream, &mut self.compressor)? {
            self.file.write_all(&ready.bytes)?;
            self.blocks += 1;
        }
        Ok(())
    }

    /// Keeps what is damaged aside and puts the new file in place; an empty one is none. What is left of
    /// one that fails is removed when the store is opened next.
    fn finish(mut self, from: &File) -> io::Result<Self> {
        self.write()?;
        self.file.sync_all()?;
        for damage in &self.damages {
            let bytes = read_at_most(from, damage.offset, damage.bytes as usize)?;
            directory::keep_aside(self.path, &bytes);
        }
        if self.blocks > 0 {
            fs::rename(&self.draft, self.path)?;
        } else {
            fs::remove_file(&self.draft)?;
            fs::remove_file(self.path)?;
        }
        sync_dir(self.path.parent().unwrap_or(Path::new("/")))?;
        Ok(self)
    }
}
