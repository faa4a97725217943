//! Reads the two rings so that cause comes before effect.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The rings of the kernel side.
pub struct Rings {
    priority: RingBuf<MapData>,
    bulk: RingBuf<MapData>,
}

impl Rings {
    /// Takes the rings out of the loaded object.
    pub fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let priority = ebpf.take_map("PRIORITY").context("the object has no map PRIORITY")?;
        let bulk = ebpf.take_map("BULK").context("the object has no map BULK")?;
        Ok(Self { priority: priority.try_into()?, bulk: bulk.try_into()? })
    }

    /// Waits until a ring calls, `waker` becomes readable or `timeout` has passed.
    pub fn wait(&self, waker: BorrowedFd<'_>, timeout: Duration) -> anyhow::Result<()> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut descriptors = [
            PollFd::from_borrowed_fd(self.priority.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.bulk.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(waker, PollFlags::IN),
        ];
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("waiting for the rings"),
        }
    }

    /// Hands out what is there, at most `limit` records, and returns how many there were.
    ///
    /// Before each bulk record the priority ring is emptied: a process's first act never comes
    /// before the record that tells which program it runs.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < limit {
            // The bulk record must be seen first: whatever caused it is on the other ring by then.
            let bulk = self.bulk.next();
            while let Some(entry) = self.priority.next() {
                each(&entry);
                count += 1;
            }
            match bulk {
                Some(entry) => each(&entry),
                None => break,
            }
            count += 1;
        }
        count
    }

    /// Descriptors of the rings, priority first.
    pub fn descriptors(&self) -> [i32; 2] {
        [self.priority.as_raw_fd(), self.bulk.as_raw_fd()]
    }
}
