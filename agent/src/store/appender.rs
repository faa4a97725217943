//! The pipeline's end of the store: copies, never waits, never touches the disk.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Sender, TrySendError};

use super::{
    batch::Batch,
    config::Config,
    losses::{Cause, Loss, Losses},
};
use crate::{attribution::observation::Observation, clock};

pub use super::writer::Stats;

/// Takes observations for the store thread.
pub struct Appender {
    batch: Batch,
    last_flush: Instant,
    flush: Duration,
    batch_rows: u32,
    dir: PathBuf,
    sender: Option<Sender<Batch>>,
    losses: Arc<Losses>,
    stats: Arc<Stats>,
    thread: Option<JoinHandle<()>>,
}

/// What metrics and status ask of the store, from any thread.
#[derive(Clone)]
pub struct Health {
    losses: Arc<Losses>,
    stats: Arc<Stats>,
}

impl Health {
    /// Its counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Observations lost so far for this reason, those not yet taken as a loss included.
    pub fn lost(&self, cause: Cause) -> u64 {
        self.losses.total(cause)
    }

    /// Whether observations are recorded, as far as the last attempt tells.
    pub fn is_recording(&self) -> bool {
        self.stopped_by().is_none()
    }

    /// Why they are not.
    pub fn stopped_by(&self) -> Option<Cause> {
        self.losses.stopped_by()
    }
}

impl Appender {
    pub(super) fn new(
        config: &Config,
        sender: Sender<Batch>,
        losses: Arc<Losses>,
        stats: Arc<Stats>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            batch: Batch::default(),
            last_flush: clock::instant(),
            flush: config.flush,
            batch_rows: config.batch_rows(),
            dir: config.dir.clone(),
            sender: Some(sender),
            losses,
            stats,
            thread: Some(thread),
        }
    }

    /// Takes an observation.
    pub fn append(&mut self, observation: &Observation<'_>) {
        self.batch.push(observation);
        if self.batch.is_full(self.batch_rows) {
            self.hand_over();
        }
    }

    /// Hands over what has waited long enough. To be called often.
    pub fn tick(&mut self) {
        if self.batch.rows() > 0 && clock::since(self.last_flush) >= self.flush {
            self.hand_over();
        }
    }

    /// What was lost since the last call, to be recorded as gaps. While the disk fails, losses
    /// are kept back until recording goes on.
    pub fn take_losses(&self) -> Vec<Loss> {
        self.losses.take()
    }

    /// The store's directory, for readers.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What metrics and status ask, from any thread.
    pub fn health(&self) -> Health {
        Health { losses: Arc::clone(&self.losses), stats: Arc::clone(&self.stats) }
    }

    /// Batches that wait for the store thread, and how many may.
    pub fn queue(&self) -> (usize, usize) {
        self.sender.as_ref().map_or((0, 0), |it| (it.len(), it.capacity().unwrap_or(0)))
    }

    /// Stores what is pending and returns once it is durable.
    pub fn close(mut self) {
        self.finish();
    }

    fn hand_over(&mut self) {
        self.last_flush = clock::instant();
        let Some(sender) = &self.sender else { return };
        let next = Batch::like(&self.batch);
        let batch = std::mem::replace(&mut self.batch, next);
        match sender.try_send(batch) {
            Ok(()) => {}
            // While there is room here, waiting loses nothing.
            Err(TrySendError::Full(batch)) if !batch.is_full(self.batch_rows) => self.batch = batch,
            Err(TrySendError::Full(batch)) => self.losses.record(&batch.tally, Cause::QueueFull),
            Err(TrySendError::Disconnected(batch)) => {
                self.losses.record(&batch.tally, Cause::Error);
            }
        }
    }

    fn finish(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        let batch = std::mem::take(&mut self.batch);
        if batch.rows() > 0
            && let Err(lost) = sender.send(batch)
        {
            self.losses.record(&lost.0.tally, Cause::Error);
        }
        drop(sender);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store thread has panicked");
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.finish();
    }
}
