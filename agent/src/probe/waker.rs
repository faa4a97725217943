//! Ends a wait for the rings from another thread.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use anyhow::Context;
use rustix::event::{EventfdFlags, eventfd};

/// Wakes the thread that waits for the rings. Clones wake the same one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker that nobody waits for yet.
    pub fn new() -> anyhow::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags).context("making an eventfd")?)))
    }

    /// Ends the wait that runs, or the next one.
    pub fn wake(&self) {
        // It is never read: the wait is for edges, and each write makes one. The counter has room
        // for more wakeups than a machine's life.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
