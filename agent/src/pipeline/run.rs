//! The loop of the pipeline's thread, and its end.

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::Receiver;
use plimsoll_ebpf::{orders::merged, rules::Class};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    acts::Counted,
    containers::Containers,
    gauges,
    learning::Learning,
    losses::Losses,
    outage::Outage,
    peer_names::Keeping,
    recorder::Recorder,
    stranger::{self, Stranger},
    takeover,
    volumes::Measuring,
};
use crate::{
    attribution::{
        attributor::{Attributor, Limits, Out},
        cgroup::CgroupRoot,
        docker::{Ask, Notice},
        node::Node,
        observation::Observation,
        peer_names::Kept,
        procfs::Procfs,
        repeats::Count,
        roster::Roster,
    },
    clock, memory,
    metrics::names::Metrics,
    policy::book::Book,
    probe::{
        armed::{Armed, WAKEUP},
        knock::knock,
        load::Loaded,
        pins::{Pins, Predecessor},
        ring::Rings,
        stopping::{Means, Stopping},
    },
    response::{gates::Gates, stopper::Stopper},
    sink::outlets::Outlets,
    store::{appender::Appender, peer_names::PeerNameWriter},
    verdict::{judge::Judge, own::Own},
    volume::sampler::Sampler,
};

/// Records taken from the rings before anything else gets its turn.
const BATCH: usize = 4096;
/// Notices of Docker taken in one round.
const NOTICES: usize = 1024;
/// How long to wait after the kernel side has called.
const FOLLOW_UP: Duration = Duration::from_millis(5);
/// How long to wait when nothing is under way.
const IDLE: Duration = Duration::from_millis(200);
/// How often counters are read, losses told and the kernel knocked at.
const SECOND: Duration = Duration::from_secs(1);
/// Seconds between looks at the runs that the kernel skipped, and after which free memory is given
/// back.
const SELDOM: u32 = 10;
/// How often processes and cgroups whose end was lost are looked for.
const SWEEP: Duration = Duration::from_mins(1);
/// How long the rings are drained at most once nothing fills them any more.
const LAST_DRAIN: Duration = Duration::from_secs(2);

/// What the pipeline works with.
pub struct Parts {
    /// The kernel side; its programs are detached first when the pipeline ends.
    pub armed: Armed,
    /// Bytes of the priority and the bulk ring.
    pub ring_bytes: [u32; 2],
    /// This host.
    pub node: Arc<Node>,
    /// Bounds of what is kept in memory.
    pub limits: Limits,
    /// The host's processes.
    pub procfs: Procfs,
    /// The host's cgroups.
    pub cgroups: CgroupRoot,
    /// What Docker tells.
    pub notices: Receiver<Notice>,
    /// Whether programs are refused by fanotify where nothing else can.
    pub fanotify: bool,
    /// What the operator decided.
    pub book: Arc<Book>,
    /// What is the agent's own.
    pub own: Own,
    /// Each later book; the newest holds.
    pub books: Receiver<Arc<Book>>,
    /// Processes of containers that asked the agent.
    pub strangers: Receiver<Stranger>,
    /// What is known of images and services.
    pub learning: Learning,
    /// Names of peers that the last agent knew, and what keeps them for the next.
    pub peer_names: (Vec<Kept>, PeerNameWriter),
    /// Measures how much containers use, where that is learned.
    pub sampler: Option<Sampler>,
    /// Shows the containers that run.
    pub roster: Roster,
    /// What Docker is asked.
    pub ask: mpsc::Sender<Ask>,
    /// Where observations go.
    pub appender: Appender,
    /// Where alerts go besides.
    pub outlets: Outlets,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The pipeline, at work.
pub struct Pipeline {
    loaded: Option<Loaded>,
    rings: Rings,
    ring_bytes: [u32; 2],
    attributor: Attributor,
    procfs: Procfs,
    containers: Containers,
    notices: Receiver<Notice>,
    books: Receiver<Arc<Book>>,
    strangers: Receiver<Stranger>,
    recorder: Recorder,
    measuring: Option<Measuring>,
    peer_names: Keeping,
    roster: Roster,
    metrics: Arc<Metrics>,
    losses: Losses,
    outage: Outage,
    /// While it is held, the kernel counts the programs' runs.
    run_stats: Option<OwnedFd>,
    pins: Option<Pins>,
    predecessors: Vec<Predecessor>,
    began_ns: u64,
    knocks: u32,
    ready: Option<oneshot::Sender<()>>,
}

impl Pipeline {
    /// Puts the parts together. `ready` is told once the containers that run already are known.
    pub fn new(parts: Parts, ready: oneshot::Sender<()>) -> Self {
        let armed = parts.armed;
        let mut attributor = Attributor::new(parts.node, parts.limits);
        attributor.set_clock(clock::boot_to_epoch_ns());
        let (known, writer) = parts.peer_names;
        attributor.names.restore(known);
        gauges::show_probes(&parts.metrics, &armed.loaded);
        let stopping = Stopping::of(&armed.loaded.probes);
        gauges::show_stopping(&parts.metrics, stopping);
        let stopper = Stopper::new(armed.policies, stopping);
        let book = parts.book.clone();
        let needs_gate = parts.fanotify && stopping.means(Class::Exec) == Means::Signal;
        let gates = needs_gate.then(|| gates(&parts.procfs)).flatten();
        Self {
            loaded: Some(armed.loaded),
            rings: armed.rings,
            ring_bytes: parts.ring_bytes,
            attributor,
            procfs: parts.procfs,
            containers: Containers::new(
                armed.orders,
                stopper,
                gates,
                book,
                parts.cgroups,
                parts.ask,
            ),
            notices: parts.notices,
            books: parts.books,
            strangers: parts.strangers,
            recorder: Recorder {
                learning: parts.learning,
                judge: Judge::new(parts.book, parts.own),
                appender: parts.appender,
                outlets: parts.outlets,
                metrics: parts.metrics.clone(),
                acts: Counted::default(),
                known: Vec::new(),
            },
            measuring: parts.sampler.map(Measuring::new),
            peer_names: Keeping::new(writer, clock::instant()),
            roster: parts.roster,
            metrics: parts.metrics,
            losses: Losses::new(clock::now_ns()),
            outage: Outage::default(),
            run_stats: armed.run_stats,
            pins: armed.pins,
            predecessors: armed.predecessors,
            began_ns: clock::boot_ns(),
            knocks: 0,
            ready: Some(ready),
        }
    }

    /// Works until it is told to stop, then detaches, drains and flushes.
    pub fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let start = clock::instant();
        let (mut last_record, mut last_second, mut last_sweep) = (start, start, start);
        // The kernel side stays silent for a while after it has called; until then what it sends
        // is looked for: soon after a call, which may have been an urgent one among others.
        let mut was_called = false;
        self.each_second();
        while !stop.is_cancelled() {
            let count = self.turn();
            let now = clock::instant();
            if count > 0 {
                last_record = now;
            }
            if now.duration_since(last_second) >= SECOND {
                last_second = now;
                self.each_second();
            }
            if now.duration_since(last_sweep) >= SWEEP {
                last_sweep = now;
                self.attributor.processes.sweep(|pid| self.procfs.is_alive(pid));
                self.containers.sweep(&mut self.attributor);
            }
            if count < BATCH {
                let is_quiet = now.duration_since(last_record) > WAKEUP;
                let pause = if was_called { FOLLOW_UP } else { WAKEUP };
                was_called = self.rings.wait(if is_quiet { IDLE } else { pause })?;
            }
        }
        self.end();
        Ok(())
    }

    /// One round; returns how many records there were.
    fn turn(&mut self) -> usize {
        // Taken before the rings are drained and handled after: what Docker tells of has left its
        // records on the rings by then, and those come first.
        let notices: Vec<Notice> = self.notices.try_iter().take(NOTICES).collect();
        let book = self.books.try_iter().last();
        let is_decided = self.recorder.learning.carry_out() || book.is_some();
        if let Some(book) = book {
            self.recorder.judge.set_book(book.clone());
            self.containers.set_book(book, &self.attributor, &self.metrics);
        }
        if is_decided {
            self.recorder.known.clear();
            self.containers.forget_known();
        }
        let count = self.drain();
        let Self { attributor, procfs, containers, roster, metrics, losses, recorder, .. } = self;
        let mut out = |it: &Observation<'_>| recorder.keep(it);
        for notice in notices {
            containers.take(notice, attributor, procfs, losses, metrics, &mut out);
        }
        containers.carry_out(attributor, procfs, losses, metrics, &mut out);
        let denials = containers.take_denials(attributor, procfs);
        let strangers = self.strangers.try_iter().take(NOTICES);
        let strangers = strangers.filter_map(|it| stranger::entry(&it, attributor, procfs));
        for entry in denials.into_iter().chain(strangers.collect::<Vec<_>>()) {
            // It is what the agent itself has written.
            let _ = attributor.entry(&entry, procfs, &mut out);
        }
        if let Some(measuring) = &mut self.measuring {
            measuring.turn(attributor, procfs, recorder, metrics);
        }
        containers.known_acts(recorder.known.drain(..), attributor);
        recorder.appender.tick();
        // Before it says that it is ready.
        if containers.roll_call.is_listed()
            && let (Some(pins), Some(loaded)) = (self.pins.take(), &mut self.loaded)
        {
            takeover::keep(pins, loaded, metrics);
        }
        if containers.roll_call.is_complete(clock::instant())
            && let Some(ready) = self.ready.take()
        {
            gauges::show(metrics, attributor, &recorder.appender);
            recorder.acts.show(&attributor.directory, roster);
            let _ = ready.send(());
        }
        count
    }

    fn drain(&mut self) -> usize {
        let Self { rings, attributor, procfs, metrics, losses, recorder, .. } = self;
        let mut out = |it: &Observation<'_>| recorder.keep(it);
        rings.drain(BATCH, |entry| {
            if let Err(error) = attributor.entry(entry, procfs, &mut out) {
                metrics.decode_errors.add_to(error.reason(), 1);
                losses.undecodable(error.reason());
            }
        })
    }

    fn each_second(&mut self) {
        let Self { attributor, procfs, containers, metrics, losses, recorder, .. } = self;
        attributor.set_clock(clock::boot_to_epoch_ns());
        if self.knocks > 0 && attributor.heartbeat() == u64::from(self.knocks) {
            metrics.heartbeat(clock::boot_ns());
        }
        self.knocks = self.knocks.wrapping_add(1).max(1);
        knock(self.knocks);
        if self.knocks.is_multiple_of(SELDOM)
            && let Some(loaded) = &mut self.loaded
        {
            memory::release();
            for missed in loaded.take_missed() {
                losses.add(0, "", "probe_missed", missed);
            }
        }
        if containers.roll_call.may_take_over(clock::instant()) {
            let mut out = |it: &Observation<'_>| recorder.keep(it);
            for predecessor in self.predecessors.drain(..) {
                let since = (self.began_ns, &containers.roll_call);
                takeover::from(predecessor, since, attributor, procfs, losses, &mut out);
            }
        }
        containers.show_gate(metrics, losses);
        let mut told =
            losses.collect(&mut containers.orders, attributor, &recorder.appender, metrics);
        let mut out = |it: &Observation<'_>| recorder.keep(it);
        let now_ns = clock::boot_ns();
        attributor.tick(now_ns, procfs, &mut out);
        tell_repeats(now_ns, attributor, containers, &mut out);
        told.drain(..).for_each(|loss| attributor.lost(&loss, &mut out));
        self.outage.look(recorder, attributor, now_ns);
        recorder.tick(now_ns, attributor);
        self.peer_names.tick(&attributor.names, clock::instant());
        containers.release_gone(attributor, metrics);
        gauges::show(metrics, attributor, &recorder.appender);
        gauges::show_policy(metrics, recorder.judge.book(), clock::now_ns());
        recorder.acts.show(&attributor.directory, &self.roster);
        gauges::show_fill(metrics, containers.orders.take_fill(), self.ring_bytes);
        for (why, count) in merged::NAMES.into_iter().zip(containers.orders.merged()) {
            metrics.observations_merged.set_to(why, count);
        }
        metrics.queue_length.set_to("docker", self.notices.len() as u64);
        if let Some(loaded) = self.loaded.as_ref().filter(|_| self.run_stats.is_some()) {
            gauges::show_runs(metrics, loaded);
        }
    }

    /// Detach, drain, tell the last losses, flush.
    fn end(mut self) {
        let detached = detach(self.loaded.take());
        let start = clock::instant();
        while clock::since(start) < LAST_DRAIN {
            let is_last = detached.as_ref().is_none_or(JoinHandle::is_finished);
            if self.turn() == 0 {
                if is_last {
                    break;
                }
                thread::sleep(FOLLOW_UP);
            }
        }
        self.each_second();
        let Self { attributor, procfs, containers, recorder, .. } = &mut self;
        let mut out = |it: &Observation<'_>| recorder.keep(it);
        attributor.give_up(clock::boot_ns(), procfs, &mut out);
        tell_repeats(u64::MAX, attributor, containers, &mut out);
        self.peer_names.close(&self.attributor.names);
        self.recorder.close(&self.attributor);
    }
}

/// Detaches the programs on a thread of its own. The kernel waits for each until nobody runs it,
/// which takes long with many of its security hooks; what they report meanwhile is not to wait.
fn detach(loaded: Option<Loaded>) -> Option<JoinHandle<()>> {
    let loaded = loaded?;
    let detach = move || drop(loaded);
    thread::Builder::new().name("detach".to_owned()).spawn(detach).ok()
}

/// The gate, where the kernel has one.
fn gates(procfs: &Procfs) -> Option<Gates> {
    match Gates::start(procfs.root().to_owned()) {
        Ok(gates) => Some(gates),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "no gate: programs are killed where they cannot be refused");
            None
        }
    }
}

/// Tells what the kernel side counted of acts whose window is over.
fn tell_repeats(
    now_ns: u64,
    attributor: &mut Attributor,
    containers: &mut Containers,
    out: &mut Out<'_>,
) {
    let mut take = |act| {
        let seen = containers.orders.take_repeats(act)?;
        Some(Count { repeats: seen.held_back, latest_ns: seen.latest_ns })
    };
    attributor.repeated(now_ns, &mut take, out);
}
