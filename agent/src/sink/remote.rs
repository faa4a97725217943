//! The two threads of a sink whose receiver is elsewhere: one puts alerts into the queue, the other
//! tells them.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    backoff::Backoff,
    counts::{Became, Counts},
    link::{Fault, Link},
    outlets::Letter,
    queue::{Batch, Lost, Queue},
};
use crate::{alert::native::Alert, clock, config::sink::Format};

/// Alerts that are put into the queue before the disk is waited for.
const MOST_AT_ONCE: usize = 256;
/// How long what waits for an absent receiver may be in the page cache only.
const SYNC: Duration = Duration::from_millis(200);
/// How long is waited where the queue itself cannot be read.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the log tells of one loss again.
const SELDOM: Duration = Duration::from_mins(1);

/// Puts alerts into the queue.
pub(super) struct Keeper {
    pub(super) name: String,
    pub(super) letters: Receiver<Letter>,
    pub(super) queue: Arc<Queue>,
    pub(super) counts: Counts,
}

impl Keeper {
    /// Works until nothing comes any more; then the queue is closed, with all that came on disk.
    pub(super) fn run(self) {
        let mut unsynced: Option<Instant> = None;
        let mut last_told = None;
        loop {
            let letter = match unsynced {
                Some(since) => self.letters.recv_timeout(SYNC.saturating_sub(clock::since(since))),
                None => self.letters.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match letter {
                Ok(first) => {
                    self.keep(first, &mut last_told);
                    unsynced.get_or_insert_with(clock::instant);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if unsynced.take_if(|since| clock::since(*since) >= SYNC).is_some() {
                self.sync();
            }
        }
        self.tell(&self.queue.settle(), &mut last_told);
        self.counts.add(Became::Unwritten, self.queue.in_memory());
        self.queue.close();
        self.sync();
    }

    /// Puts an alert, and those that wait behind it, into the queue.
    fn keep(&self, first: Letter, last_told: &mut Option<Instant>) {
        let more = self.letters.try_iter().take(MOST_AT_ONCE);
        for letter in std::iter::once(first).chain(more) {
            let Letter::Alert(alert) = letter else { continue };
            let lost = self.queue.push(alert.line(Format::Native).into_bytes());
            self.tell(&lost, last_told);
        }
    }

    fn sync(&self) {
        // What was told already needs no disk.
        if self.queue.len() == 0 {
            return;
        }
        if let Err(error) = self.queue.sync() {
            tracing::warn!(sink = self.name, %error, "making the queue durable");
        }
    }

    fn tell(&self, lost: &Lost, last_told: &mut Option<Instant>) {
        self.counts.add(Became::OverBound, lost.over_bound);
        self.counts.add(Became::Unwritten, lost.unwritten);
        let is_fine = lost.over_bound + lost.unwritten == 0 && lost.error.is_none();
        if is_fine || last_told.is_some_and(|it| clock::since(it) < SELDOM) {
            return;
        }
        *last_told = Some(clock::instant());
        let Lost { over_bound, unwritten, error } = lost;
        let error = error.as_ref().map(io::Error::to_string);
        tracing::warn!(
            sink = self.name,
            over_bound,
            unwritten,
            error,
            "the queue is over its bound, or the disk takes nothing: see the metrics"
        );
    }
}

/// Tells what is in the queue.
pub(super) struct Teller {
    pub(super) name: String,
    pub(super) link: Box<dyn Link>,
    pub(super) queue: Arc<Queue>,
    pub(super) counts: Counts,
}

impl Teller {
    /// Tells until the queue is closed and empty, or closed and the receiver away.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut most = self.link.most();
        let mut is_failing = false;
        while self.queue.wait() {
            let batch = match self.queue.peek(most) {
                Ok(batch) => batch,
                Err(error) => {
                    self.counts.failed();
                    tracing::warn!(sink = self.name, %error, "reading the queue");
                    self.queue.pause(PAUSE);
                    if self.queue.is_closed() {
                        return;
                    }
                    continue;
                }
            };
            match self.deliver(&batch) {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!(sink = self.name, "the receiver is there again");
                    }
                    most = self.link.most();
                    backoff.reset();
                }
                // One of them is what the receiver does not like: they are told one by one.
                Err(Fault::Refused(_)) if batch.records.len() > 1 => most = 1,
                Err(Fault::Refused(why)) => {
                    tracing::warn!(sink = self.name, why, "the receiver refuses an alert");
                    self.take(&batch, Became::Refused);
                }
                Err(Fault::Away { why, retry_after }) => {
                    self.counts.failed();
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(sink = self.name, why, "alerts wait: the receiver is away");
                    }
                    if self.queue.is_closed() {
                        return;
                    }
                    self.queue.pause(backoff.next(retry_after));
                }
            }
        }
    }

    fn deliver(&mut self, batch: &Batch) -> Result<(), Fault> {
        if batch.unreadable > 0 {
            let alerts = batch.unreadable;
            tracing::warn!(sink = self.name, alerts, "a part of the queue cannot be read any more");
            self.counts.add(Became::Unreadable, alerts);
        }
        let alerts: Vec<Alert> =
            batch.records.iter().filter_map(|record| Alert::parse(record)).collect();
        if !alerts.is_empty() {
            self.link.deliver(&alerts)?;
        }
        // What passed its checksum and is no alert was written by somebody else.
        let foreign = batch.records.len() - alerts.len();
        self.counts.add(Became::Unreadable, foreign as u64);
        self.counts.add(Became::Delivered, alerts.len() as u64);
        self.take(batch, Became::Delivered);
        Ok(())
    }

    /// Takes a batch out of the queue.
    fn take(&self, batch: &Batch, became: Became) {
        if became != Became::Delivered {
            self.counts.add(became, batch.records.len() as u64);
        }
        if let Err(error) = self.queue.take(batch, batch.records.len()) {
            tracing::warn!(sink = self.name, %error, "after a restart some are told again");
        }
    }
}
