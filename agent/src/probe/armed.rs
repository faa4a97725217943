//! The kernel side, loaded, tried and ready.

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use plimsoll_ebpf::orders::Settings;

use super::{
    counters::Counters,
    load::{self, LoadOptions, Loaded},
    lsm,
    orders::Orders,
    pins::{Pins, Place, Predecessor},
    policies::Policies,
    ring::Rings,
    selftest,
    support::{Outcome, ProbeStatus},
    waker::Waker,
};
use crate::config::{sections::Config, setting::WhenGone};

/// For what is not urgent the kernel side wakes the agent at most once in this time: a wakeup
/// costs more than the record it is for.
pub const WAKEUP: Duration = Duration::from_millis(50);

/// The kernel side, loaded.
pub struct Armed {
    /// The programs.
    pub loaded: Loaded,
    /// What they report.
    pub rings: Rings,
    /// What they are told.
    pub orders: Orders,
    /// What they are told to stop.
    pub policies: Policies,
    /// Bytes that they count, until somebody takes it.
    pub counters: Option<Counters>,
    /// What is to outlive the agent, kept once it has something to hold.
    pub pins: Option<Pins>,
    /// What earlier agents left, which stops what they were told until it is released.
    pub predecessors: Vec<Predecessor>,
    /// While it is held, the kernel counts the runs of programs.
    pub run_stats: Option<std::os::fd::OwnedFd>,
}

impl Armed {
    /// Loads the programs and tries what they refuse.
    ///
    /// # Errors
    /// When the agent cannot do without something that fails.
    pub fn load(config: &Config, cgroup_root: &Path, waker: &Waker) -> anyhow::Result<Self> {
        let lsm = lsm::usable();
        let proc_root = config.host.proc_root();
        let agent_pid = own_pid(&proc_root);
        let place = Place::new(&config.response.pins, &config.agent.data_dir, agent_pid);
        let predecessors = place.predecessors();
        let (priority, bulk) = (config.probe.priority_ring_bytes.0, config.probe.bulk_ring_bytes.0);
        let options = LoadOptions {
            cgroup_root,
            priority_ring_bytes: priority,
            bulk_ring_bytes: bulk,
            max_cgroups: config.probe.max_cgroups,
            lsm: lsm.as_ref().copied().map_err(String::as_str),
            settings: Settings {
                window_ns: config.probe.window.as_nanos() as u64,
                known_ns: config.known_window().as_nanos() as u64,
                seed: random(),
                bulk_pressure: u64::from(bulk) / 2,
                bulk_share: u64::from(bulk) / 8,
                // Room enough for a flood that keeps the agent from running for a while; what is
                // left then is for the others.
                priority_pressure: u64::from(priority) / 4 * 3,
                priority_share: u64::from(priority) / 16,
                wakeup_ns: WAKEUP.as_nanos() as u64,
                agent_pid,
                has_typed_task: u32::from(load::has_typed_task()),
                is_preemptible: u32::from(load::is_preemptible(lsm.is_ok())),
                reserved: 0,
            },
        };
        let mut loaded = load::load(options)?;
        let pins = match config.response.when_gone {
            WhenGone::Release => None,
            WhenGone::Hold => {
                Some(place.begin(&loaded.ebpf).context("response.when_gone is \"hold\"")?)
            }
        };
        let rings = Rings::take(&mut loaded.ebpf, waker)?;
        let mut orders = Orders::take(&mut loaded.ebpf)?;
        let mut policies = Policies::take(&mut loaded.ebpf)?;
        let counters = Some(Counters::take(&mut loaded.ebpf)?);
        let data_dir = &config.agent.data_dir;
        selftest::run(&mut loaded, &mut orders, &mut policies, data_dir, &proc_root);
        tell_missing(&loaded.probes);
        let run_stats = config.metrics.bpf_stats.then(enable_run_stats).flatten();
        Ok(Self { loaded, rings, orders, policies, counters, pins, predecessors, run_stats })
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
pub fn own_pid(proc_root: &Path) -> u32 {
    let own = fs::read_link(proc_root.join("self")).ok();
    let own = own.and_then(|link| link.to_str()?.parse().ok());
    own.unwrap_or_else(std::process::id)
}
