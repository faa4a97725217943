//! A query's answer as a stream of chunks, made on a thread of its own.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::{
    OwnedSemaphorePermit,
    mpsc::{self, error::TrySendError},
};
use tokio_util::sync::CancellationToken;

use super::server::Limits;
use crate::{
    clock,
    query::{
        json,
        moment::rfc3339,
        search::{self, Answer as Told, Query},
    },
    store::reader::Reader,
};

/// Lines are sent together up to this size.
const CHUNK_BYTES: usize = 32 << 10;
/// Lines wait for others no longer than this.
const CHUNK_WAIT: Duration = Duration::from_millis(50);
/// Chunks that may wait for a slow client.
const CHUNKS: usize = 8;
/// How often it is looked whether a slow client has taken one.
const CLIENT_POLL: Duration = Duration::from_millis(5);
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

/// An answer on its way.
pub(super) struct Answer {
    pub(super) chunks: mpsc::Receiver<Bytes>,
    is_whole: Arc<AtomicBool>,
}

impl Answer {
    /// Whether the chunks were all that there was to tell, once no more come.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Acquire)
    }
}

/// Starts a query.
pub(super) fn start(job: Job) -> anyhow::Result<Answer> {
    let reader = Reader::open(&job.store)?;
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let answer = Answer { chunks, is_whole: Arc::default() };
    let is_whole = Arc::clone(&answer.is_whole);
    let run = move || run(job, reader, sender, &is_whole);
    thread::Builder::new().name("query".to_owned()).spawn(run)?;
    Ok(answer)
}

fn run(job: Job, mut reader: Reader, sender: mpsc::Sender<Bytes>, is_whole: &AtomicBool) {
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
        // A follower is bound by its client's patience, and by the agent's with that.
        limits: if follow {
            Limits { rows: u64::MAX, time: Duration::MAX, ..job.limits }
        } else {
            job.limits
        },
        shutdown: job.shutdown,
        progress: job.progress,
        breaks_off: false,
    };
    let ran = search::run(&mut reader, &job.query, &mut |answer| lines.take(answer));
    if let Err(error) = ran {
        // It goes with what is sent below.
        let _ = lines.end(&format!("the query ends here: {error}"));
    }
    // Whether it could be sent is what `breaks_off` tells.
    let _ = lines.send();
    is_whole.store(!lines.breaks_off, Ordering::Release);
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
    /// Whether the client takes nothing any more, of an answer that is not at its end.
    breaks_off: bool,
}

impl Lines {
    fn take(&mut self, told: Told) -> ControlFlow<()> {
        if self.sender.is_closed() {
            return ControlFlow::Break(());
        }
        if self.shutdown.is_cancelled() {
            return self.end("the agent is stopping: ask again");
        }
        match told {
            Told::Row(row) => {
                if self.rows >= self.limits.rows {
                    let rows = self.rows;
                    return self
                        .end(&format!("stopped after {rows} observations: narrow the query"));
                }
                self.rows += 1;
                self.push(&json::line(&row))?;
            }
            // The lines of a summary are told even where the time is over.
            Told::Line(line) => return self.push(&Json::Object(line).to_string()),
            Told::Notice(text) => return self.notice(&text),
            Told::At(ts_ns) if self.progress => {
                self.push(&json!({ "at": rfc3339(ts_ns) }).to_string())?;
            }
            Told::Damage(damage) => self.notice(&damage.to_string())?,
            Told::At(_) | Told::Idle => self.send()?,
        }
        if clock::since(self.start) > self.limits.time {
            let seconds = self.limits.time.as_secs();
            return self.end(&format!("stopped after {seconds} s: narrow the query"));
        }
        ControlFlow::Continue(())
    }

    /// Says why there is no more, though there may be.
    fn end(&mut self, why: &str) -> ControlFlow<()> {
        self.push(&json!({ "notice": why, "ends": true }).to_string())?;
        ControlFlow::Break(())
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
        let mut chunk = Bytes::from(std::mem::take(&mut self.pending));
        let since = clock::instant();
        // Others wait for the place of whoever takes nothing.
        while clock::since(since) < self.limits.patience {
            match self.sender.try_send(chunk) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(TrySendError::Closed(_)) => break,
                Err(TrySendError::Full(_)) if self.shutdown.is_cancelled() => break,
                Err(TrySendError::Full(back)) => chunk = back,
            }
            thread::sleep(CLIENT_POLL);
        }
        self.breaks_off = true;
        ControlFlow::Break(())
    }
}
