//! Each stage, opened as the configuration says.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::{
    api::{self, door::Door, policy::Desk, profiles::Shelf, server::Limits as QueryLimits},
    attribution::{
        attributor::Limits,
        docker::{self, Ask, DockerConfig, Notice},
        node::Node,
        peer_names::Kept,
        roster::Roster,
    },
    baseline::{learner::Baseline, settings::Settings as LearnSettings},
    clock,
    config::{sections::Config, setting::Auto},
    metrics::{
        access::Access,
        server::{self as metrics_server, HealthCheck, Served},
    },
    pipeline::{learning::Learning, stranger::Stranger, surveyor::Surveyor},
    policy::{
        book::Book,
        configured,
        keeper::{Keeper, Publisher},
    },
    probe::{armed::own_pid, waker::Waker},
    store::{
        appender::Appender,
        config::Config as StoreConfig,
        open::open,
        peer_names::{self, PeerNameWriter},
        profiles::{self, ProfileWriter},
        stream::BriefKinds,
    },
    verdict::own::Own,
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

/// What others reach the agent through.
pub(super) struct Doors {
    api: UnixListener,
    metrics: Option<(TcpListener, Arc<Access>)>,
}

impl Doors {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let api = api::socket::bind(&config.agent.socket)?;
        let Some(address) = config.metrics.listen.0 else { return Ok(Self { api, metrics: None }) };
        let metrics = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address} for metrics (metrics.listen)"))?;
        let access = Access::open(&config.metrics)?;
        Ok(Self { api, metrics: Some((metrics, Arc::new(access))) })
    }

    pub(super) fn serve(
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
pub(super) fn watch_docker(
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
pub(super) fn open_desk(
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
pub(super) fn open_store(config: &Config) -> anyhow::Result<Appender> {
    let (appender, damages) = open(&store_config(config))?;
    for damage in damages {
        tracing::warn!("{damage}");
    }
    Ok(appender)
}

/// What the pipeline learns with, and how it is told what to do with that.
pub(super) fn open_learning(config: &Config, waker: &Waker) -> anyhow::Result<(Learning, Shelf)> {
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

/// The names of peers that an agent of this boot knew, and what keeps them.
pub(super) fn open_peer_names(
    config: &Config,
    node: &Node,
) -> anyhow::Result<(Vec<Kept>, PeerNameWriter)> {
    let data_dir = &config.agent.data_dir;
    let known = peer_names::read(data_dir, &node.boot_id).unwrap_or_else(|error| {
        tracing::warn!("names of peers are learned anew: {error:#}");
        Vec::new()
    });
    Ok((known, PeerNameWriter::start(data_dir, &node.boot_id)?))
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
pub(super) fn open_door(waker: &Waker) -> (Door, crossbeam_channel::Receiver<Stranger>) {
    let (tell, strangers) = crossbeam_channel::bounded(STRANGERS);
    let waker = waker.clone();
    (Door::new(tell, move || waker.wake()), strangers)
}

/// What of the host is the agent's.
pub(super) fn own(config: &Config) -> Own {
    let places = [&config.agent.data_dir, &config.agent.socket, &config.response.pins];
    let places = places.map(PathBuf::as_path);
    Own::new(&places, own_pid(&config.host.proc_root()))
}

pub(super) fn ring_bytes(config: &Config) -> [u32; 2] {
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

pub(super) fn limits(config: &Config) -> Limits {
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
pub(super) fn node(config: &Config) -> Node {
    let name = node_name(config);
    let line = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let boot_id = line(&config.host.proc_root().join("sys/kernel/random/boot_id"));
    Node { name, id: line(Path::new("/etc/machine-id")), boot_id }
}
