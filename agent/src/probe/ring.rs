//! Reads the two rings so that cause comes before effect.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

/// The rings of the kernel side.
pub struct Rings {
    priority: RingBuf<MapData>,
    bulk: RingBuf<MapData>,
    epoll: OwnedFd,
}

impl Rings {
    /// Takes the rings out of the loaded object; `waker` ends a wait when it becomes readable.
    pub fn take(ebpf: &mut Ebpf, waker: &impl AsFd) -> anyhow::Result<Self> {
        let priority = ebpf.take_map("PRIORITY").context("the object has no map PRIORITY")?;
        let bulk = ebpf.take_map("BULK").context("the object has no map BULK")?;
        let (priority, bulk): (RingBuf<_>, RingBuf<_>) = (priority.try_into()?, bulk.try_into()?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("making an epoll")?;
        // Edges only: a record sent without a wakeup is to wait for the next timer, not to end
        // the wait at once because it is there.
        let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let none = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &priority, none, edges).context("waiting for the priority ring")?;
        epoll::add(&epoll, &bulk, none, edges).context("waiting for the bulk ring")?;
        epoll::add(&epoll, waker, none, edges).context("waiting for the waker")?;
        Ok(Self { priority, bulk, epoll })
    }

    /// Waits until the kernel side calls, the waker is written to or `timeout` has passed; returns
    /// whether it was called.
    pub fn wait(&self, timeout: Duration) -> anyhow::Result<bool> {
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let mut events = Vec::with_capacity(3);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error).context("waiting for the rings"),
        }
    }

    /// Hands out what is there, at most about `limit` records, and returns how many there were.
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
}
