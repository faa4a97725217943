//! The thread that takes rounds.

use std::{
    fs,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{
    cgroup_files::Controllers,
    processes::Processes,
    rounds::{Found, Rounds},
    usage::{Target, Usage},
};
use crate::{attribution::cgroup::CgroupRoot, clock, probe::counters::Counters};

/// Rounds whose findings wait to be fetched.
const WAITING: usize = 4;

/// A round to be taken.
struct Wanted {
    targets: Vec<Target>,
    is_whole: bool,
}

/// See the module. The thread ends with this value.
pub struct Sampler {
    ask: Option<Sender<Wanted>>,
    found: Receiver<Vec<Usage>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn start(
        counters: Counters,
        cgroups: CgroupRoot,
        proc_root: PathBuf,
    ) -> anyhow::Result<Self> {
        let (ask, asked) = bounded(1);
        let (tell, found) = bounded(WAITING);
        let take = move || take_all(counters, cgroups, proc_root, &asked, &tell);
        let thread = thread::Builder::new().name("volume".to_owned()).spawn(take);
        let thread = Some(thread.context("starting the thread that measures volumes")?);
        Ok(Self { ask: Some(ask), found, thread })
    }

    /// Asks for a round; returns whether there will be one: not while the one before is under way,
    /// nor while the findings of others wait. What was not looked at is found in the next.
    pub fn ask(&self, targets: Vec<Target>, is_whole: bool) -> bool {
        // One may wait to begin, and another be under way.
        let has_room = self.found.len() + 2 < WAITING;
        let wanted = Wanted { targets, is_whole };
        has_room && self.ask.as_ref().is_some_and(|ask| ask.try_send(wanted).is_ok())
    }

    /// What rounds have found since the last call.
    pub fn take(&self) -> Vec<Usage> {
        self.found.try_iter().flatten().collect()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that measures volumes has panicked");
        }
    }
}

fn take_all(
    mut counters: Counters,
    cgroups: CgroupRoot,
    proc_root: PathBuf,
    asked: &Receiver<Wanted>,
    tell: &Sender<Vec<Usage>>,
) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let controllers = Controllers::find(cgroups, &mounts);
    let mut rounds = Rounds::new(controllers, Processes::at(proc_root));
    for Wanted { targets, is_whole } in asked {
        let counted = counters.read();
        let Found { usages, gone } = rounds.take(&targets, counted, clock::boot_ns(), is_whole);
        for (container, peers) in &gone {
            counters.forget(*container, peers.iter());
        }
        // There is room: nobody asks otherwise.
        if let Err(TrySendError::Disconnected(_)) = tell.try_send(usages) {
            return;
        }
    }
}
