//! Wires the stages together and owns start and shutdown.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use serde_json::json;
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, door::Door, policy::Desk, profiles::Shelf, server::Limits as QueryLimits},
    attribution::{
        attributor::Limits,
        cgroup::CgroupRoot,
        docker::{self, Ask, DockerConfig, Notice},
        node::Node,
        procfs::Procfs,
        roster::Roster,
    },
    baseline::{learner::Baseline, settings::Settings as LearnSettings},
    clock,
    config::{sections::Config, setting::Auto},
    memory,
    metrics::{
        access::Access,
        names::Metrics,
        server::{self as metrics_server, Health, HealthCheck, Served},
    },
    pipeline::{
        learning::Learning,
        run::{Parts, Pipeline},
        stranger::Stranger,
        surveyor::Surveyor,
    },
    policy::{
        book::Book,
        configured,
        keeper::{Keeper, Publisher},
    },
    probe::{
        armed::{Armed, own_pid},
        waker::Waker,
    },
    sink::sinks::{self, Sinks},
    store::{
        appender::{Appender, Health as StoreHealth},
        config::Config as StoreConfig,
        open::open,
        profiles::{self, ProfileWriter},
        stream::BriefKinds,
    },
    verdict::own::Own,
    volume::sampler::Sampler,
};

/// Notices and questions that wait between the pipeline and Docker.
const DOCKER_QUEUE: usize = 4096;
/// Profiles that are gone on with; the others, unchanged for longest, make room for new images.
const MOST_RESTORED: usize = 384;
/// Orders about profiles that wait for the pipeline.
const ORDERS: usize = 16;
/// Books that wait between the command line and the pipeline; only the newest matters.
const BOOKS: usize = 16;
/// Containers' processes that asked the agent, and wait to be told.
const STRANGERS: usize = 64;
/// Threads for what waits for the disk beside the pipeline and the store.
const BLOCKING_THREADS: usize = 2;
/// How old the last echo of a knock may be before the agent is not healthy.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(5);
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
    let appender = open_store(config)?;
    let doors = Doors::open(config).await?;
    let waker = Waker::new()?;
    let mut armed = Armed::load(config, &cgroups.path, &waker)?;
    let programs = armed.loaded.probes.len();
    memory::release();
    let shared = Shared::new(appender.health(), config);
    let (outlets, sinks) = sinks::start(config, &shared.metrics)?;
    let (learning, shelf) = open_learning(config, &waker)?;
    let counters = armed.counters.take().filter(|_| config.baseline.enabled);
    let measure = |counters| Sampler::start(counters, cgroups.clone(), config.host.proc_root());
    let sampler = counters.map(measure).transpose()?;
    let (desk, books) = open_desk(config, &waker, shelf)?;
    let keeper = Arc::clone(&desk.keeper);
    let (door, strangers) = open_door(&waker);
    tasks.spawn(desk.clone().keep(stop.clone()));
    let roster = desk.roster.clone();
    doors.serve(config, &shared, desk, door, &stop, &mut tasks);
    let (ask, notices) = watch_docker(config, &waker, &stop, &mut tasks);
    let (tell_ready, is_ready) = oneshot::channel();
    let parts = Parts {
        armed,
        ring_bytes: ring_bytes(config),
        node: Arc::new(node(config)),
        limits: limits(config),
        procfs: Procfs::at(config.host.proc_root()),
        cgroups,
        notices,
        fanotify: config.response.fanotify,
        book: keeper.book(),
        own: own(config),
        books,
        learning,
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

/// What others reach the agent through.
struct Doors {
    api: UnixListener,
    metrics: Option<(TcpListener, Arc<Access>)>,
}

impl Doors {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let api = api::socket::bind(&config.agent.socket)?;
        let Some(address) = config.metrics.listen.0 else { return Ok(Self { api, metrics: None }) };
        let metrics = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address} for metrics (metrics.listen)"))?;
        let access = Access::open(&config.metrics)?;
        Ok(Self { api, metrics: Some((metrics, Arc::new(access))) })
    }

    fn serve(
        self,
        config: &Config,
        shared: &Shared,
        desk: Desk,
        door: Door,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) {
        if let Some((listener, access)) = self.metrics {
            let health = shared.clone();
            let health: HealthCheck = Arc::new(move || health.check());
            let served = Served { metrics: shared.metrics.clone(), health, access };
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(metrics_server::serve(listener, served, stopped));
        }
        let status = shared.clone();
        let store = config.agent.data_dir.clone();
        let limits = QueryLimits::default();
        let state = api::server::State::new(store, limits, desk, move || status.status());
        let state = state.behind(door);
        tasks.spawn(api::server::serve(self.api, state, stop.clone().cancelled_owned()));
    }
}

/// Starts the task that follows Docker; returns how to ask it and what it tells.
fn watch_docker(
    config: &Config,
    waker: &Waker,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> (mpsc::Sender<Ask>, crossbeam_channel::Receiver<Notice>) {
    let (ask, asked) = mpsc::channel(DOCKER_QUEUE);
    let (tell, notices) = crossbeam_channel::bounded(DOCKER_QUEUE);
    let docker = DockerConfig { socket: config.docker.socket.clone() };
    let waker = waker.clone();
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(docker::watch(docker, asked, tell, move || waker.wake(), stopped));
    (ask, notices)
}

/// Makes the keeper of policies; the receiver gets each book that follows its first.
fn open_desk(
    config: &Config,
    waker: &Waker,
    shelf: Shelf,
) -> anyhow::Result<(Desk, crossbeam_channel::Receiver<Arc<Book>>)> {
    let configured = configured::book(config);
    let configured = configured.map_err(|problems| anyhow!(problems.join("; ")))?;
    let (tell, books) = crossbeam_channel::bounded(BOOKS);
    let waker = waker.clone();
    let publisher = Publisher { tell, wake: Box::new(move || waker.wake()) };
    let keeper = Keeper::open(configured, &config.agent.data_dir, publisher, clock::now_ns());
    Ok((Desk { keeper: Arc::new(keeper), roster: Roster::default(), shelf }, books))
}

/// Opens the store; what of it is damaged is told.
fn open_store(config: &Config) -> anyhow::Result<Appender> {
    let (appender, damages) = open(&store_config(config))?;
    for damage in damages {
        tracing::warn!("{damage}");
    }
    Ok(appender)
}

/// What the pipeline learns with, and how it is told what to do with that.
fn open_learning(config: &Config, waker: &Waker) -> anyhow::Result<(Learning, Shelf)> {
    let (give_order, orders) = crossbeam_channel::bounded(ORDERS);
    let baseline = config.baseline.enabled.then(|| open_baseline(config)).transpose()?;
    let profiles = ProfileWriter::start(&config.agent.data_dir)?;
    let (data_dir, waker) = (config.agent.data_dir.clone(), waker.clone());
    let shelf = Shelf {
        data_dir,
        import_key: config.baseline.import_key.0.clone(),
        orders: give_order,
        wake: Arc::new(move || waker.wake()),
    };
    Ok((
        Learning::new(baseline, orders, profiles, Surveyor::start(config.host.proc_root())?),
        shelf,
    ))
}

/// Goes on with the profiles that were kept. One that is damaged is moved aside and learned anew.
fn open_baseline(config: &Config) -> anyhow::Result<Baseline> {
    let mut baseline = Baseline::new(learn_settings(config));
    let (mut kept, damaged) = profiles::read_all(&config.agent.data_dir)?;
    for damaged in damaged {
        let (path, aside) = (damaged.path.display(), profiles::set_aside(&damaged));
        let aside = aside.display();
        tracing::warn!(
            "{path} is damaged and is kept as {aside}; what it held is learned anew: {:#}",
            damaged.why
        );
    }
    kept.sort_by_key(|saved| std::cmp::Reverse(saved.written_s));
    for saved in kept.split_off(kept.len().min(MOST_RESTORED)) {
        // Else it is left out again at the next start.
        let _ = profiles::remove(&config.agent.data_dir, &saved.subject);
    }
    for saved in kept {
        baseline.restore(saved.into_profile());
    }
    Ok(baseline)
}

/// How it is learned, as the configuration says.
pub fn learn_settings(config: &Config) -> LearnSettings {
    let of = &config.baseline;
    LearnSettings {
        unit_s: of.unit.as_secs(),
        ready_after_s: of.ready_after.as_secs(),
        least_units: of.min_units,
        least_accepts: of.min_accepts,
        most_daily_percent: of.max_daily_percent,
        time_scale: of.time_scale,
        start_least_s: of.start_min.as_secs(),
        start_most_s: of.start_max.as_secs(),
        most_hourly: of.max_hourly,
    }
}

/// Keeps containers from asking; the receiver gets those that tried.
fn open_door(waker: &Waker) -> (Door, crossbeam_channel::Receiver<Stranger>) {
    let (tell, strangers) = crossbeam_channel::bounded(STRANGERS);
    let waker = waker.clone();
    (Door::new(tell, move || waker.wake()), strangers)
}

/// What of the host is the agent's.
fn own(config: &Config) -> Own {
    let places = [&config.agent.data_dir, &config.agent.socket, &config.response.pins];
    let places = places.map(PathBuf::as_path);
    Own::new(&places, own_pid(&config.host.proc_root()))
}

fn ring_bytes(config: &Config) -> [u32; 2] {
    [config.probe.priority_ring_bytes.0, config.probe.bulk_ring_bytes.0]
}

fn store_config(config: &Config) -> StoreConfig {
    StoreConfig {
        flush: config.store.flush_every,
        max_bytes: config.store.max_bytes.0,
        max_age: config.store.max_age,
        brief: BriefKinds::named(&config.store.brief_kinds.0),
        brief_max_age: config.store.brief_max_age,
        brief_percent: config.store.brief_percent,
        ..StoreConfig::new(&config.agent.data_dir)
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        held_records: config.attribution.hold_limit as usize,
        processes: config.attribution.process_limit as usize,
        patience_ns: config.attribution.hold_patience.as_nanos() as u64,
        window_ns: config.probe.window.as_nanos() as u64,
        known_ns: config.known_window().as_nanos() as u64,
    }
}

/// Name of this host.
pub fn node_name(config: &Config) -> String {
    match &config.agent.node_name {
        Auto::Set(name) => name.clone(),
        Auto::Auto => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

/// This host, as far as it is known without Docker.
fn node(config: &Config) -> Node {
    let name = node_name(config);
    let line = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let boot_id = line(&config.host.proc_root().join("sys/kernel/random/boot_id"));
    Node { name, id: line(Path::new("/etc/machine-id")), boot_id }
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

/// What the servers tell of the agent.
#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    store: StoreHealth,
    is_ready: Arc<AtomicBool>,
}

impl Shared {
    fn new(store: StoreHealth, config: &Config) -> Self {
        let is_ready = Arc::new(AtomicBool::new(false));
        let metrics = Metrics::of(&config.tables.sinks);
        metrics.store_max_bytes.set(config.store.max_bytes.0);
        Self { metrics: Arc::new(metrics), store, is_ready }
    }

    /// How many are watched.
    fn containers(&self) -> u64 {
        self.metrics.containers_watched.value_at(0).unwrap_or_default() as u64
    }

    fn check(&self) -> Health {
        let age_ns = self.metrics.heartbeat_age_ns(clock::boot_ns());
        let unhealthy = if !self.is_ready.load(Ordering::Acquire) {
            Some("the agent is starting".to_owned())
        } else if age_ns > HEARTBEAT_PATIENCE.as_nanos() as u64 {
            let seconds = age_ns / 1_000_000_000;
            Some(format!("the kernel programs have not answered for {seconds} s"))
        } else if !self.store.is_recording() {
            Some("the store does not record: see the log".to_owned())
        } else {
            None
        };
        let is_docker_there = self.metrics.docker_connected.value_at(0) == Some(1.0);
        let docker = if is_docker_there { "" } else { "; docker does not answer" };
        match unhealthy {
            Some(why) => Health { healthy: false, detail: format!("{why}{docker}") },
            None => Health { healthy: true, detail: format!("recording{docker}") },
        }
    }

    fn status(&self) -> serde_json::Value {
        let Health { healthy, detail } = self.check();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "healthy": healthy,
            "detail": detail,
            "containers": self.containers(),
        })
    }
}
