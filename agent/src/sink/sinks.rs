//! Starts every configured sink on threads of its own, and ends them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    counts::Counts,
    lines::{self, Lines},
    link::{self, Link},
    local::Local,
    outlets::{Letter, Outlet, Outlets, QUEUE, Stopped},
    queue::Queue,
    remote::{Keeper, Teller},
};
use crate::{
    config::{
        sections::Config,
        sink::{SinkTable, Target},
    },
    metrics::names::Metrics,
};

/// The sinks at work.
pub struct Sinks {
    letters: Vec<Sender<Letter>>,
    /// Let go of to tell that the agent ends.
    stop: Sender<()>,
    /// Every thread holds the other end.
    ended: Receiver<()>,
}

/// Where the queue of a sink is.
pub fn queue_directory(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join("sinks").join(name)
}

/// Starts the sinks.
///
/// # Errors
/// When a thread cannot be started. What is wrong with a sink itself is logged and tried again.
pub fn start(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<(Outlets, Sinks)> {
    let mut outlets = Outlets::default();
    let (stop, stopped) = crossbeam_channel::bounded(0);
    let (alive, ended) = crossbeam_channel::bounded(0);
    let threads = Threads { stopped: Stopped(stopped), alive };
    for (place, sink) in config.tables.sinks.iter().enumerate() {
        let (letters, received) = crossbeam_channel::bounded(QUEUE);
        let counts = Counts::of(metrics.clone(), place);
        if let Some(lines) = lines::of(&sink.target) {
            threads.write(sink, lines, received, counts.clone())?;
        } else if let Some(link) = link::of(sink) {
            let queue = open_queue(sink, &config.agent.data_dir, &counts);
            threads.tell(sink, link, queue, received, counts.clone())?;
        }
        outlets.outlets.push(Outlet {
            name: sink.name.clone(),
            min_severity: sink.min_severity,
            letters,
            counts,
            last_told: None,
        });
    }
    let letters = outlets.outlets.iter().map(|it| it.letters.clone()).collect();
    Ok((outlets, Sinks { letters, stop, ended }))
}

impl Sinks {
    /// Has files opened anew. A sink that has no room for this finds out by itself.
    pub fn reopen(&self) {
        for letters in &self.letters {
            let _ = letters.try_send(Letter::Reopen);
        }
    }

    /// Ends the sinks, once nothing is handed to them any more; tells whether all ended in time.
    /// What a receiver was not told then stays in its queue on disk.
    pub fn end(self, deadline: Instant) -> bool {
        let Self { letters, stop, ended } = self;
        drop((letters, stop));
        ended.recv_deadline(deadline) == Err(RecvTimeoutError::Disconnected)
    }
}

fn open_queue(sink: &SinkTable, data_dir: &Path, counts: &Counts) -> Arc<Queue> {
    let bound = match &sink.target {
        Target::Syslog(it) => it.queue_bytes,
        Target::Webhook(it) | Target::Alertmanager(it, _) => it.queue_bytes,
        Target::Stdout | Target::File(_) => 0,
    };
    let name = &sink.name;
    let directory = queue_directory(data_dir, name);
    let (queue, opened) = Queue::open(&directory, bound);
    if let Some(error) = opened.error {
        let directory = directory.display();
        tracing::warn!(sink = name, %directory, %error, "no queue on disk: the end of the agent may lose alerts");
    }
    if opened.damaged > 0 {
        tracing::warn!(sink = name, files = opened.damaged, "the end of a queue was damaged");
    }
    if opened.waiting > 0 {
        tracing::info!(sink = name, alerts = opened.waiting, "an earlier run left alerts to tell");
    }
    counts.wait(opened.waiting);
    Arc::new(queue)
}

/// What each thread is given.
struct Threads {
    stopped: Stopped,
    alive: Sender<()>,
}

impl Threads {
    fn write(
        &self,
        sink: &SinkTable,
        lines: Lines,
        letters: Receiver<Letter>,
        counts: Counts,
    ) -> anyhow::Result<()> {
        let stopped = self.stopped.clone();
        let local = Local { sink: sink.clone(), lines, letters, stopped, counts };
        self.spawn("sink", &sink.name, move || local.run())
    }

    fn tell(
        &self,
        sink: &SinkTable,
        link: Box<dyn Link>,
        queue: Arc<Queue>,
        letters: Receiver<Letter>,
        counts: Counts,
    ) -> anyhow::Result<()> {
        let name = sink.name.clone();
        let teller = Teller { name, link, queue: queue.clone(), counts: counts.clone() };
        self.spawn("tell", &sink.name, move || teller.run())?;
        let keeper = Keeper { name: sink.name.clone(), letters, queue, counts };
        self.spawn("sink", &sink.name, move || keeper.run())
    }

    fn spawn(
        &self,
        what: &str,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<()> {
        let alive = self.alive.clone();
        let work = move || {
            run();
            drop(alive);
        };
        // Nobody joins it: at the end, one that hangs is left behind.
        let thread = thread::Builder::new().name(format!("{what}-{name}")).spawn(work);
        thread.map(drop).with_context(|| format!("starting the sink {name}"))
    }
}
