//! Wires the stages together and owns start and shutdown.

mod shared;
mod stages;

use std::{
    fs,
    future::Future,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::shared::Shared;
pub use self::stages::{learn_settings, node_name};
use crate::{
    attribution::{cgroup::CgroupRoot, procfs::Procfs},
    clock,
    config::sections::Config,
    memory,
    pipeline::run::{Parts, Pipeline},
    probe::{armed::Armed, waker::Waker},
    sink::sinks::{self, Sinks},
    volume::sampler::Sampler,
};

/// Threads for what waits for the disk beside the pipeline and the store.
const BLOCKING_THREADS: usize = 2;
/// How long sinks may go on telling once the pipeline has ended. What is left then waits on disk.
const SINK_PATIENCE: Duration = Duration::from_secs(1);
/// How long the pipeline may take to drain and flush at the end.
const END_PATIENCE: Duration = Duration::from_millis(4500);

/// Runs the agent until `shutdown` is done; `ready` is called once it is armed.
///
/// # Errors
/// When something it cannot do without is missing, or a stage breaks down.
pub fn run(
    config: &Config,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("blocking")
        .build()
        .context("starting the runtime")?;
    runtime.block_on(serve(config, shutdown, ready))
}

async fn serve(
    config: &Config,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let start = clock::instant();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let cgroups = CgroupRoot { path: config.host.cgroup_root()? };
    let appender = stages::open_store(config)?;
    let doors = stages::Doors::open(config).await?;
    let waker = Waker::new()?;
    let mut armed = Armed::load(config, &cgroups.path, &waker)?;
    let programs = armed.loaded.probes.len();
    memory::release();
    let shared = Shared::new(appender.health(), config);
    let (outlets, sinks) = sinks::start(config, &shared.metrics)?;
    let (learning, shelf) = stages::open_learning(config, &waker)?;
    let counters = armed.counters.take().filter(|_| config.baseline.enabled);
    let measure = |counters| Sampler::start(counters, cgroups.clone(), config.host.proc_root());
    let sampler = counters.map(measure).transpose()?;
    let (desk, books) = stages::open_desk(config, &waker, shelf)?;
    let keeper = Arc::clone(&desk.keeper);
    let (door, strangers) = stages::open_door(&waker);
    tasks.spawn(desk.clone().keep(stop.clone()));
    let roster = desk.roster.clone();
    doors.serve(config, &shared, desk, door, &stop, &mut tasks);
    let (ask, notices) = stages::watch_docker(config, &waker, &stop, &mut tasks);
    let (tell_ready, is_ready) = oneshot::channel();
    let node = Arc::new(stages::node(config));
    let parts = Parts {
        armed,
        ring_bytes: stages::ring_bytes(config),
        node: node.clone(),
        limits: stages::limits(config),
        procfs: Procfs::at(config.host.proc_root()),
        cgroups,
        notices,
        fanotify: config.response.fanotify,
        book: keeper.book(),
        own: stages::own(config),
        books,
        learning,
        peer_names: stages::open_peer_names(config, &node)?,
        sampler,
        strangers,
        roster,
        ask,
        appender,
        outlets,
        metrics: shared.metrics.clone(),
    };
    let mut pipeline = spawn_pipeline(Pipeline::new(parts, tell_ready), stop.clone())?;
    tokio::select! {
        () = shutdown => {}
        () = announce(is_ready, &shared, programs, start, ready) => {}
        () = reopen_when_told(&sinks) => {}
        ended = &mut pipeline => {
            // Nobody told it to end.
            let error = ended.unwrap_or_else(|_| Err(anyhow!("its thread has panicked")));
            return error.context("the pipeline broke down");
        }
    }
    tracing::info!("stopping");
    stop.cancel();
    waker.wake();
    let ended = end(pipeline, sinks).await;
    keeper.close(clock::now_ns());
    let _ = fs::remove_file(&config.agent.socket);
    ended
}

/// Says once that the agent is armed, and goes on for ever.
async fn announce(
    is_ready: oneshot::Receiver<()>,
    shared: &Shared,
    programs: usize,
    start: Instant,
    ready: impl FnOnce(),
) {
    if is_ready.await.is_ok() {
        shared.is_ready.store(true, Ordering::Release);
        let containers = shared.containers();
        tracing::info!(programs, containers, took = ?clock::since(start), "ready");
        ready();
    }
    std::future::pending::<()>().await;
}

/// Waits for the pipeline, and then for the sinks: a receiver that hangs is left behind, and what it
/// was not told waits on disk.
async fn end(pipeline: oneshot::Receiver<anyhow::Result<()>>, sinks: Sinks) -> anyhow::Result<()> {
    let start = clock::instant();
    let ended = timeout(END_PATIENCE, pipeline).await;
    let left = END_PATIENCE.saturating_sub(clock::since(start)).min(SINK_PATIENCE);
    if !sinks.end(clock::instant() + left) {
        tracing::info!("not every sink ended in time: what it had not told is told next time");
    }
    ended
        .context("the pipeline does not end in time: what it had not stored is lost")?
        .unwrap_or_else(|_| Err(anyhow!("the pipeline's thread has panicked")))
}

/// Has the sinks open their files anew at each SIGHUP.
async fn reopen_when_told(sinks: &Sinks) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        tracing::warn!("SIGHUP cannot be received: it ends the agent");
        return std::future::pending().await;
    };
    while hangup.recv().await.is_some() {
        sinks.reopen();
    }
    std::future::pending::<()>().await;
}

/// Starts the pipeline on a thread of its own; the receiver tells how it ended.
fn spawn_pipeline(
    pipeline: Pipeline,
    stop: CancellationToken,
) -> anyhow::Result<oneshot::Receiver<anyhow::Result<()>>> {
    let (tell, ended) = oneshot::channel();
    thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(move || {
            // Nobody listens where the daemon gave up first.
            let _ = tell.send(pipeline.run(&stop));
        })
        .context("starting the pipeline")?;
    Ok(ended)
}
