//! What waits to be told to a receiver: on disk, so that neither an outage nor the end of the agent
//! loses it; in memory while the disk takes nothing.
//!
//! One thread adds, another takes. What is taken was told before: a crash between both tells it
//! twice rather than never.

mod files;
mod position;
mod segment;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use files::Files;

/// Records that are kept in memory while the disk takes none.
const MOST_IN_MEMORY: usize = 1024;

/// See the module.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    files: Option<Files>,
    /// Behind all that is on disk.
    memory: VecDeque<Vec<u8>>,
    /// Number of the next record to take, counted from the start.
    first: u64,
    is_closed: bool,
}

/// What a queue found and lost when it was opened.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Records that an earlier run left.
    pub(super) waiting: u64,
    /// Files whose end was no record.
    pub(super) damaged: u64,
    /// Why there is no queue on disk.
    pub(super) error: Option<io::Error>,
}

/// What was lost by adding a record.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The oldest, which made room.
    pub(super) over_bound: u64,
    /// The record itself: neither disk nor memory takes it.
    pub(super) unwritten: u64,
    /// Why the disk takes nothing.
    pub(super) error: Option<io::Error>,
}

/// The next records.
#[derive(Debug, Default)]
pub(super) struct Batch {
    first: u64,
    /// The records, oldest first.
    pub(super) records: Vec<Vec<u8>>,
    /// Records that were passed over since they cannot be read any more.
    pub(super) unreadable: u64,
}

impl Queue {
    /// Opens the queue in a directory; without one on disk it is in memory alone.
    pub(super) fn open(directory: &Path, bound: u64) -> (Self, Opened) {
        let mut opened = Opened::default();
        let files = match Files::open(directory, bound) {
            Ok((files, damaged)) => {
                (opened.waiting, opened.damaged) = (files.waiting(), damaged);
                Some(files)
            }
            Err(error) => {
                opened.error = Some(error);
                None
            }
        };
        let state = State { files, memory: VecDeque::new(), first: 0, is_closed: false };
        (Self { state: Mutex::new(state), changed: Condvar::new() }, opened)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and what is behind it is sound at each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record.
    pub(super) fn push(&self, record: Vec<u8>) -> Lost {
        let mut state = self.state();
        let has_room = state.files.as_ref().is_none_or(|it| it.fits(&record));
        if record.is_empty() || !has_room {
            return Lost { unwritten: 1, ..Lost::default() };
        }
        state.memory.push_back(record);
        let mut lost = state.settle();
        if state.memory.len() > MOST_IN_MEMORY {
            state.memory.pop_back();
            lost.unwritten = 1;
        }
        self.changed.notify_all();
        lost
    }

    /// Writes what is in memory to disk, as far as that takes it.
    pub(super) fn settle(&self) -> Lost {
        self.state().settle()
    }

    /// Records that wait.
    pub(super) fn len(&self) -> u64 {
        self.state().len()
    }

    /// Records that the end of the agent would lose.
    pub(super) fn in_memory(&self) -> u64 {
        self.state().memory.len() as u64
    }

    /// Makes the disk hold what was added.
    pub(super) fn sync(&self) -> io::Result<()> {
        let files = self.state().files.as_mut().map(Files::unsynced).unwrap_or_default();
        // Without the lock: others go on while the disk works.
        files.into_iter().try_for_each(|file| file.sync_data())
    }

    /// Nothing is added any more: whoever waits is woken.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Whether nothing is added any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Waits until there is a record; false where none will come any more.
    pub(super) fn wait(&self) -> bool {
        let is_idle = |state: &mut State| state.len() == 0 && !state.is_closed;
        let state = self.changed.wait_while(self.state(), is_idle);
        state.unwrap_or_else(PoisonError::into_inner).len() > 0
    }

    /// Waits for a time, or until the queue is closed.
    pub(super) fn pause(&self, time: Duration) {
        let goes_on = |state: &mut State| !state.is_closed;
        drop(self.changed.wait_timeout_while(self.state(), time, goes_on));
    }

    /// The next records, at most so many.
    pub(super) fn peek(&self, most: usize) -> io::Result<Batch> {
        let mut state = self.state();
        let (mut records, unreadable) = match &mut state.files {
            Some(files) => files.peek(most)?,
            None => (Vec::new(), 0),
        };
        state.first += unreadable;
        if records.is_empty() {
            records.extend(state.memory.iter().take(most).cloned());
        }
        Ok(Batch { first: state.first, records, unreadable })
    }

    /// Takes the first records of a batch away: they were told.
    pub(super) fn take(&self, batch: &Batch, count: usize) -> io::Result<()> {
        let mut state = self.state();
        // Some of them may have been dropped meanwhile to make room.
        let gone = state.first.saturating_sub(batch.first) as usize;
        let told = batch.records.iter().take(count).skip(gone);
        let sizes: Vec<usize> = told.map(Vec::len).collect();
        state.first += sizes.len() as u64;
        let on_disk =
            state.files.as_ref().map_or(0, Files::waiting).min(sizes.len() as u64) as usize;
        let in_memory = (sizes.len() - on_disk).min(state.memory.len());
        state.memory.drain(..in_memory);
        match &mut state.files {
            Some(files) => files.take(sizes.into_iter().take(on_disk)),
            None => Ok(()),
        }
    }
}

impl State {
    fn len(&self) -> u64 {
        self.files.as_ref().map_or(0, Files::waiting) + self.memory.len() as u64
    }

    fn settle(&mut self) -> Lost {
        let mut lost = Lost::default();
        let Some(files) = &mut self.files else { return lost };
        while let Some(record) = self.memory.front() {
            let mut dropped = 0;
            let pushed = files.push(record, &mut dropped);
            lost.over_bound += dropped;
            self.first += dropped;
            if let Err(error) = pushed {
                lost.error = Some(error);
                break;
            }
            self.memory.pop_front();
        }
        lost
    }
}
