//! Wires the stages together and owns start and shutdown.

use std::{
    fs,
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use plimsoll_ebpf::orders::Settings;
use serde_json::json;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, policy::Desk, profiles::Shelf, server::Limits as QueryLimits},
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
        names::Metrics,
        server::{self as metrics_server, Health, HealthCheck},
    },
    pipeline::{
        learning::Learning,
        run::{Parts, Pipeline},
    },
    policy::{
        book::Book,
        configured,
        keeper::{Keeper, Publisher},
    },
    probe::{
        load::{self, LoadOptions, Loaded},
        lsm,
        orders::Orders,
        policies::Policies,
        ring::Rings,
        selftest,
        support::{Outcome, ProbeStatus},
        waker::Waker,
    },
    store::{
        appender::{Appender, Health as StoreHealth},
        config::Config as StoreConfig,
        open::open,
        profiles::{self, ProfileWriter},
    },
};

/// Notices and questions that wait between the pipeline and Docker.
const DOCKER_QUEUE: usize = 4096;
/// Orders about profiles that wait for the pipeline.
const ORDERS: usize = 16;
/// Books that wait between the command line and the pipeline; only the newest matters.
const BOOKS: usize = 16;
/// Threads for what waits for the disk beside the pipeline and the store.
const BLOCKING_THREADS: usize = 2;
/// For what is not urgent the kernel side wakes the agent at most once in this time: a wakeup
/// costs more than the record it is for.
const WAKEUP: Duration = Duration::from_millis(50);
/// How old the last echo of a knock may be before the agent is not healthy.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(5);
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
    let armed = Armed::load(config, &cgroups, &waker)?;
    let programs = armed.loaded.probes.len();
    memory::release();
    let shared = Shared::new(appender.health());
    let (learning, shelf) = open_learning(config, &waker)?;
    let (desk, books) = open_desk(config, &waker, shelf)?;
    tasks.spawn(desk.clone().keep(stop.clone()));
    doors.serve(config, &shared, desk.clone(), &stop, &mut tasks);
    let (ask, notices) = watch_docker(config, &waker, &stop, &mut tasks);
    let (tell_ready, is_ready) = oneshot::channel();
    let parts = Parts {
        loaded: armed.loaded,
        rings: armed.rings,
        orders: armed.orders,
        policies: armed.policies,
        ring_bytes: ring_bytes(config),
        wakeup: WAKEUP,
        node: Arc::new(node(config)),
        limits: limits(config),
        procfs: Procfs::at(config.host.proc_root()),
        cgroups,
        notices,
        fanotify: config.response.fanotify,
        book: desk.keeper.book(),
        books,
        learning,
        roster: desk.roster,
        ask,
        appender,
        metrics: shared.metrics.clone(),
        has_run_stats: armed.run_stats.is_some(),
    };
    let mut pipeline = spawn_pipeline(Pipeline::new(parts, tell_ready), stop.clone())?;
    let announce = async {
        if is_ready.await.is_ok() {
            shared.is_ready.store(true, Ordering::Release);
            let containers = shared.containers();
            tracing::info!(programs, containers, took = ?clock::since(start), "ready");
            ready();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = shutdown => {}
        () = announce => {}
        ended = &mut pipeline => {
            // Nobody told it to end.
            let error = ended.unwrap_or_else(|_| Err(anyhow!("its thread has panicked")));
            return error.context("the pipeline broke down");
        }
    }
    tracing::info!("stopping");
    stop.cancel();
    waker.wake();
    let ended = timeout(END_PATIENCE, pipeline).await;
    desk.keeper.close(clock::now_ns());
    let _ = fs::remove_file(&config.agent.socket);
    ended
        .context("the pipeline does not end in time: what it had not stored is lost")?
        .unwrap_or_else(|_| Err(anyhow!("the pipeline's thread has panicked")))
}

/// What others reach the agent through.
struct Doors {
    api: UnixListener,
    metrics: Option<TcpListener>,
}

impl Doors {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let api = api::socket::bind(&config.agent.socket)?;
        let Some(address) = config.metrics.listen.0 else { return Ok(Self { api, metrics: None }) };
        let metrics = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address} for metrics (metrics.listen)"))?;
        Ok(Self { api, metrics: Some(metrics) })
    }

    fn serve(
        self,
        config: &Config,
        shared: &Shared,
        desk: Desk,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) {
        if let Some(listener) = self.metrics {
            let health = shared.clone();
            let health: HealthCheck = Arc::new(move || health.check());
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(metrics_server::serve(listener, shared.metrics.clone(), health, stopped));
        }
        let status = shared.clone();
        let store = config.agent.data_dir.clone();
        let limits = QueryLimits::default();
        let state = api::server::State::new(store, limits, desk, move || status.status());
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
    let shelf = Shelf { data_dir, orders: give_order, wake: Arc::new(move || waker.wake()) };
    Ok((Learning::new(baseline, orders, profiles), shelf))
}

/// Goes on with the profiles that were kept. One that is damaged is moved aside and learned anew.
fn open_baseline(config: &Config) -> anyhow::Result<Baseline> {
    let mut baseline = Baseline::new(learn_settings(config));
    let (kept, damaged) = profiles::read_all(&config.agent.data_dir)?;
    for damaged in damaged {
        let (path, aside) = (damaged.path.display(), profiles::set_aside(&damaged));
        let aside = aside.display();
        tracing::warn!(
            "{path} is damaged and is kept as {aside}; what it held is learned anew: {:#}",
            damaged.why
        );
    }
    for saved in kept {
        baseline.restore(saved.into_profile());
    }
    Ok(baseline)
}

fn learn_settings(config: &Config) -> LearnSettings {
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

/// The kernel side, loaded.
struct Armed {
    loaded: Loaded,
    rings: Rings,
    orders: Orders,
    policies: Policies,
    /// While it is held, the kernel counts the runs of programs.
    run_stats: Option<std::os::fd::OwnedFd>,
}

impl Armed {
    fn load(config: &Config, cgroups: &CgroupRoot, waker: &Waker) -> anyhow::Result<Self> {
        let [priority, bulk] = ring_bytes(config);
        let lsm = lsm::usable();
        let options = LoadOptions {
            cgroup_root: &cgroups.path,
            priority_ring_bytes: priority,
            bulk_ring_bytes: bulk,
            max_cgroups: config.probe.max_cgroups,
            lsm: lsm.as_ref().copied().map_err(String::as_str),
            settings: Settings {
                window_ns: config.probe.window.as_nanos() as u64,
                seed: random(),
                bulk_pressure: u64::from(bulk) / 2,
                bulk_share: u64::from(bulk) / 8,
                // Room enough for a flood that keeps the agent from running for a while; what is
                // left then is for the others.
                priority_pressure: u64::from(priority) / 4 * 3,
                priority_share: u64::from(priority) / 16,
                wakeup_ns: WAKEUP.as_nanos() as u64,
                agent_pid: own_pid(&config.host.proc_root()),
                has_typed_task: u32::from(load::has_typed_task()),
                is_preemptible: u32::from(load::is_preemptible(lsm.is_ok())),
                fmode_backing: load::fmode_backing(),
            },
        };
        let mut loaded = load::load(options)?;
        let rings = Rings::take(&mut loaded.ebpf, waker)?;
        let mut orders = Orders::take(&mut loaded.ebpf)?;
        let mut policies = Policies::take(&mut loaded.ebpf)?;
        let proc_root = config.host.proc_root();
        let place = &config.agent.data_dir;
        selftest::run(&mut loaded, &mut orders, &mut policies, place, &proc_root);
        tell_missing(&loaded.probes);
        let run_stats = config.metrics.bpf_stats.then(enable_run_stats).flatten();
        Ok(Self { loaded, rings, orders, policies, run_stats })
    }
}

/// Tells which programs do not run, in one line for each reason.
fn tell_missing(probes: &[ProbeStatus]) {
    let mut told: Vec<&Outcome> = vec![&Outcome::Attached];
    for ProbeStatus { outcome, .. } in probes {
        if told.contains(&outcome) {
            continue;
        }
        told.push(outcome);
        let alike = probes.iter().filter(|it| it.outcome == *outcome).map(|it| it.program);
        let programs = alike.collect::<Vec<_>>().join(" ");
        match outcome {
            Outcome::Attached => {}
            Outcome::Unsupported(why) => tracing::info!(programs, why, "not used"),
            Outcome::Broken(why) => tracing::warn!(programs, why, "not working"),
        }
    }
}

fn enable_run_stats() -> Option<std::os::fd::OwnedFd> {
    aya::sys::enable_stats(aya::sys::Stats::RunTime)
        .inspect_err(|error| tracing::warn!(%error, "the kernel does not count runs of programs"))
        .ok()
}

/// A number that nobody can guess.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// This process's id in the host's namespace: the agent may run in a container.
fn own_pid(proc_root: &Path) -> u32 {
    let own = fs::read_link(proc_root.join("self")).ok();
    let own = own.and_then(|link| link.to_str()?.parse().ok());
    own.unwrap_or_else(std::process::id)
}

fn ring_bytes(config: &Config) -> [u32; 2] {
    [config.probe.priority_ring_bytes.0, config.probe.bulk_ring_bytes.0]
}

fn store_config(config: &Config) -> StoreConfig {
    StoreConfig {
        flush: config.store.flush_every,
        max_bytes: config.store.max_bytes.0,
        max_age: config.store.max_age,
        ..StoreConfig::new(&config.agent.data_dir)
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        held_records: config.attribution.hold_limit as usize,
        processes: config.attribution.process_limit as usize,
        patience_ns: config.attribution.hold_patience.as_nanos() as u64,
        window_ns: config.probe.window.as_nanos() as u64,
    }
}

/// This host, as far as it is known without Docker.
fn node(config: &Config) -> Node {
    let name = match &config.agent.node_name {
        Auto::Set(name) => name.clone(),
        Auto::Auto => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
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
    fn new(store: StoreHealth) -> Self {
        let is_ready = Arc::new(AtomicBool::new(false));
        Self { metrics: Arc::new(Metrics::new()), store, is_ready }
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
