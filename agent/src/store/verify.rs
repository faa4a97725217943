//! Whether every byte of a store is what it should be.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use plimsoll_ebpf::value::Value;

use super::{
    block::Header,
    directory,
    error::{Damage, StoreError},
    profiles,
    row::StoredBlock,
    segment::{self, End, Finder, Found, payload_at},
};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Blocks and frames of the log that are sound.
    pub blocks: u64,
    /// Observations in them.
    pub observations: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Profiles that are sound.
    pub profiles: u64,
    /// What is not sound.
    pub damages: Vec<Damage>,
}

/// Reads and decodes everything, and compares what blocks hold with what their headers say.
/// `progress` is told how many bytes of how many are read. The index is left out: it is made anew
/// from the segments.
///
/// # Errors
/// When there is no store, it has a later format, or the file system refuses.
pub fn verify(store: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, StoreError> {
    directory::check_version(store)?;
    let events = segment::events_dir(store);
    let listed = segment::list(store).map_err(StoreError::io("cannot list", &events))?;
    fs::read_dir(&events).map_err(StoreError::io("cannot read the store's", &events))?;
    let is_in_use = directory::is_in_use(store);
    let paths: Vec<PathBuf> = listed.iter().map(|id| segment::segment_path(store, *id)).collect();
    let length = |path: &PathBuf| fs::metadata(path).map_or(0, |it| it.len());
    let total: u64 = paths.iter().map(length).sum();
    let mut verified = Verified::default();
    // The log first: what moves to a segment meanwhile is then counted twice, not missed.
    verified.read_log(&segment::wal_path(store), is_in_use);
    for path in paths {
        match verified.read_segment(&path, is_in_use, &mut |done| progress(done, total)) {
            // Retention was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => verified.tell(Damage::unreadable(&path, length(&path), &error)),
            Ok(()) => {}
        }
    }
    verified.read_profiles(store);
    Ok(verified)
}

impl Verified {
    fn read_segment(
        &mut self,
        path: &Path,
        is_in_use: bool,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let file = File::open(path)?;
        let mut finder = Finder::new(path, &file, 0, None)?;
        let mut found = Vec::new();
        let end = finder.run(&mut |it| found.push(it))?;
        for it in found {
            match it {
                Ok(Found { offset, header }) => {
                    let payload = payload_at(&file, offset, &header)?;
                    self.check(path, offset, &header, &payload);
                }
                Err(damage) => self.tell(damage),
            }
            progress(self.bytes);
        }
        // Where an agent writes, the last block may be on its way.
        if end == End::Torn && !is_in_use {
            self.tell(finder.torn());
        }
        Ok(())
    }

    fn read_log(&mut self, path: &Path, is_in_use: bool) {
        let log = match fs::read(path) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.tell(Damage::unreadable(path, 0, &error)),
        };
        let frames = segment::each_frame(&log, |header, frame| {
            let offset = frame.as_ptr() as usize - log.as_ptr() as usize;
            self.check(path, offset as u64, &header, &frame[header.own_bytes..]);
        });
        if !is_in_use && let Some(damage) = frames.damage(path, log.len()) {
            self.tell(damage);
        }
    }

    fn read_profiles(&mut self, store: &Path) {
        match profiles::read_all(store) {
            Ok((sound, damaged)) => {
                self.profiles = sound.len() as u64;
                for damaged in damaged {
                    let bytes = fs::metadata(&damaged.path).map_or(0, |it| it.len());
                    self.tell(Damage::whole(&damaged.path, bytes, format!("{:#}", damaged.why)));
                }
            }
            Err(error) => {
                let path = store.join(profiles::DIRECTORY);
                self.tell(Damage::whole(&path, 0, format!("{error:#}")));
            }
        }
    }

    fn check(&mut self, path: &Path, offset: u64, header: &Header, payload: &[u8]) {
        let bytes = header.block_bytes() as u64;
        let decoded = StoredBlock::of(header, payload).map_err(|malformed| malformed.0);
        match decoded.and_then(|block| agrees(header, &block)) {
            Ok(()) => {
                self.blocks += 1;
                self.observations += u64::from(header.rows);
                self.bytes += bytes;
            }
            Err(reason) => self.tell(Damage {
                file: path.to_owned(),
                offset,
                bytes,
                reason: reason.to_owned(),
                from_ns: Some(header.min_ts),
                to_ns: Some(header.max_ts),
                rows: Some(header.rows),
            }),
        }
    }

    fn tell(&mut self, damage: Damage) {
        self.bytes += damage.bytes;
        self.damages.push(damage);
    }
}

/// Whether a block holds what its header says: readers skip blocks by that.
fn agrees(header: &Header, block: &StoredBlock) -> Result<(), &'static str> {
    let keys = block.keys();
    let mut before = None;
    for row in 0..keys.rows() {
        let (ts, seq) = (keys.ts(row), keys.seq(row));
        if !(header.min_ts..=header.max_ts).contains(&ts) {
            return Err("a moment is outside of what the header says");
        }
        if seq < header.first_seq || seq >= header.end_seq() || before.is_some_and(|it| seq <= it) {
            return Err("a number is outside of what the header says, or out of order");
        }
        before = Some(seq);
        let kind = keys.kind(row).ok_or("an observation has no event")?;
        if !header.kinds.iter().any(|it| it == kind) {
            return Err("an event is not in the header");
        }
        if let Some(container) = keys.container(row) {
            let name = match keys.containers().get(container, "ctr.name") {
                Some(Value::Text(name)) => name,
                _ => b"",
            };
            if !header.containers.iter().any(|(_, known)| known.as_bytes() == name) {
                return Err("a container is not in the header");
            }
        }
    }
    Ok(())
}
