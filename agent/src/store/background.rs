//! A thread that writes files, for whoever must not wait for the disk.

use std::thread::{self, JoinHandle};

use anyhow::Context;
use crossbeam_channel::{Sender, TrySendError, bounded};

/// Writes what it is given, one after the other.
pub(super) struct Background<T> {
    tell: Option<Sender<T>>,
    thread: Option<JoinHandle<()>>,
    room: usize,
}

impl<T: Send + 'static> Background<T> {
    /// Starts a thread of this name, for which `room` may wait. Of writes that fail in a row the first is
    /// told, as what `failed` says of it: the disk is full for many.
    pub(super) fn start(
        name: &str,
        room: usize,
        failed: &'static str,
        mut write: impl FnMut(T) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (tell, told) = bounded(room);
        let write_all = move || {
            let mut is_failing = false;
            for it in told {
                let written = write(it);
                if let Err(error) = &written
                    && !is_failing
                {
                    tracing::warn!("{failed}: {error:#}");
                }
                is_failing = written.is_err();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(write_all);
        let thread = thread.with_context(|| format!("starting the thread {name}"))?;
        Ok(Self { tell: Some(tell), thread: Some(thread), room })
    }

    /// How many may be given at once.
    pub(super) fn room(&self) -> usize {
        self.tell.as_ref().map_or(0, |it| self.room - it.len())
    }

    /// Has it written; gives it back where there is no room.
    pub(super) fn write(&self, it: T) -> Option<T> {
        let Some(tell) = &self.tell else { return Some(it) };
        match tell.try_send(it) {
            Ok(()) => None,
            Err(TrySendError::Full(it) | TrySendError::Disconnected(it)) => Some(it),
        }
    }

    /// Has the last written, where there is one, and waits until all is.
    pub(super) fn close(&mut self, last: Option<T>) {
        if let (Some(tell), Some(last)) = (self.tell.take(), last) {
            let _ = tell.send(last);
        }
        if let Some(thread) = self.thread.take() {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!("the thread {name} has panicked");
            }
        }
    }
}
