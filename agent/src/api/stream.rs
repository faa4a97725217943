//! A query's answer as a stream of chunks, made on a thread of its own.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use super::server::Limits;
use crate::{
    clock,
    query::{
        json,
        moment::rfc3339,
        search::{self, Answer, Query},
    },
    store::reader::Reader,
};

/// Lines are sent together up to this size.
const CHUNK_BYTES: usize = 32 << 10;
/// Lines wait for others no longer than this.
const CHUNK_WAIT: Duration = Duration::from_millis(50);
/// Chunks that may wait for a slow client.
const CHUNKS: usize = 8;
/// How much a query's thread gives way to others.
const NICENESS: i32 = 10;

/// What a query needs beside itself.
pub(super) struct Job {
    pub(super) store: PathBuf,
    pub(super) query: Query,
    /// Whether to tell how far a summary is.
    pub(super) progress: bool,
    pub(super) limits: Limits,
    pub(super) shutdown: CancellationToken,
    /// Held while the query runs.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Starts a query; its answer comes out of the receiver.
pub(super) fn start(job: Job) -> anyhow::Result<mpsc::Receiver<Bytes>> {
    let reader = Reader::open(&job.store)?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    thread::Builder::new().name("query".to_owned()).spawn(move || run(job, reader, sender))?;
    Ok(receiver)
}

fn run(job: Job, mut reader: Reader, sender: mpsc::Sender<Bytes>) {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICENESS) {
        tracing::debug!(%error, "query runs at full priority");
    }
    let follow = job.query.follow;
    let mut lines = Lines {
        sender,
        pending: Vec::new(),
        since: clock::instant(),
        start: clock::instant(),
        rows: 0,
        // A follower is bound by its client's patience only.
        limits: if follow {
            Limits { rows: u64::MAX, time: Duration::MAX, ..job.limits }
        } else {
            job.limits
        },
        shutdown: job.shutdown,
        progress: job.progress,
    };
    if let Err(error) = search::run(&mut reader, &job.query, &mut |answer| lines.take(answer)) {
        let _ = lines.notice(&format!("the query ends here: {error}"));
    }
    let _ = lines.send();
    drop(job.permit);
}

struct Lines {
    sender: mpsc::Sender<Bytes>,
    pending: Vec<u8>,
    since: Instant,
    start: Instant,
    rows: u64,
    limits: Limits,
    shutdown: CancellationToken,
    progress: bool,
}

impl Lines {
    fn take(&mut self, answer: Answer) -> ControlFlow<()> {
        if self.sender.is_closed() || self.shutdown.is_cancelled() {
            return ControlFlow::Break(());
        }
        match answer {
            Answer::Row(row) => {
                if self.rows >= self.limits.rows {
                    self.notice(&format!(
                        "stopped after {} observations: narrow the query",
                        self.rows
                    ))?;
                    return ControlFlow::Break(());
                }
                self.rows += 1;
                self.push(&json::line(&row))?;
            }
            // The lines of a summary are told even where the time is over.
            Answer::Line(line) => return self.push(&Json::Object(line).to_string()),
            Answer::Notice(text) => return self.notice(&text),
            Answer::At(ts_ns) if self.progress => {
                self.push(&json!({ "at": rfc3339(ts_ns) }).to_string())?;
            }
            Answer::Damage(damage) => self.notice(&damage.to_string())?,
            Answer::At(_) | Answer::Idle => self.send()?,
        }
        if clock::since(self.start) > self.limits.time {
            let seconds = self.limits.time.as_secs();
            self.notice(&format!("stopped after {seconds} s: narrow the query"))?;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn notice(&mut self, text: &str) -> ControlFlow<()> {
        self.push(&json!({ "notice": text }).to_string())
    }

    fn push(&mut self, line: &str) -> ControlFlow<()> {
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
        if self.pending.len() >= CHUNK_BYTES || clock::since(self.since) >= CHUNK_WAIT {
            return self.send();
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self) -> ControlFlow<()> {
        self.since = clock::instant();
        if self.pending.is_empty() {
            return ControlFlow::Continue(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.pending));
        match self.sender.blocking_send(chunk) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
