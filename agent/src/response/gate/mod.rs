//! The gate: refuses to run programs and scripts that drifted, on kernels without BPF LSM.
//!
//! A guarded container has a fanotify group and a thread of its own, which the kernel asks before
//! it opens a file to run it. So a container waits for itself alone, and an event needs no search
//! for whose it is. The kernel lets everything pass once a group is gone: with the thread, with the
//! gate, with the agent.
//!
//! What it does not see: code that is mapped rather than run (`ld.so ./program`, libraries), files
//! that were never on a guarded mount (memfd, mounts the container makes later), and a content that
//! is swapped between answer and start, or through a mapping of the running program.

mod counts;
mod group;
mod judge;
mod watch;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use crossbeam_channel::Sender;
use plimsoll_ebpf::{layer::code, rules::Rule};

use crate::attribution::{
    container::MountKind,
    overlay::{
        Layers, Overlay,
        filesystem::Kind,
        script::{Named, resolve},
    },
};
use counts::Counters;
pub use counts::Counts;
use group::Merged;
use judge::Judge;
use watch::Watch;

/// Whether an exception allows to break a rule at this path of the container. Asked on the thread
/// that a program waits for: it must answer at once.
pub type Allows = Arc<dyn Fn(Rule, &[u8]) -> bool + Send + Sync>;

/// A container to be guarded.
#[derive(Clone)]
pub struct Guarded {
    /// The container's cgroup.
    pub cgroup_id: u64,
    /// Its overlay, which is mounted.
    pub layers: Layers,
    /// The exceptions from the rules.
    pub allows: Allows,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cgroup_id, layers, allows: _ } = self;
        to.debug_struct("Guarded")
            .field("cgroup_id", cgroup_id)
            .field("layers", layers)
            .finish_non_exhaustive()
    }
}

/// A program or script that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The container's cgroup.
    pub cgroup_id: u64,
    /// The process that wanted to run it, by the host's number.
    pub pid: u32,
    /// The rule it would have broken.
    pub rule: Rule,
    /// The file, in the container; empty where its path is too long to be told.
    pub path: Vec<u8>,
    /// When it was refused, in nanoseconds since boot.
    pub at_boot_ns: u64,
}

/// The gate of all guarded containers. Dropped, it refuses nothing any more.
#[derive(Debug)]
pub struct Gate {
    procfs: PathBuf,
    report: Sender<Denial>,
    counters: Arc<Counters>,
    watches: HashMap<u64, Watch>,
}

impl Gate {
    /// A gate that guards nothing yet. `procfs` is the host's process file system; denials are
    /// reported as far as there is room.
    ///
    /// # Errors
    /// When the kernel has no such events, or the agent may not ask for them.
    pub fn start(procfs: PathBuf, report: Sender<Denial>) -> Result<Self> {
        group::try_out()?;
        Ok(Self { procfs, report, counters: Arc::default(), watches: HashMap::new() })
    }

    /// The host's process file system.
    pub fn procfs(&self) -> &Path {
        &self.procfs
    }

    /// Guards a container's root file system.
    ///
    /// # Errors
    /// When it is guarded, its overlay is not mounted, a layer is not there, or the kernel refuses.
    pub fn guard(&mut self, guarded: Guarded) -> Result<()> {
        let Guarded { cgroup_id, layers, allows } = guarded;
        ensure!(!self.is_guarded(cgroup_id), "the container is guarded already");
        layers.check()?;
        let merged = Merged::open(&layers.merged, &self.procfs)?;
        let judge = Judge::new(Overlay::new(layers), allows, &merged);
        let (report, counters) = (self.report.clone(), Arc::clone(&self.counters));
        let watch = Watch::start(cgroup_id, judge, report, counters)?;
        // After the thread is there, which the first program waits for.
        watch.mark_filesystem(&merged)?;
        self.watches.insert(cgroup_id, watch);
        Ok(())
    }

    /// Guards what is mounted into a guarded container, given its first process by the host's
    /// number and each mount's path in the container.
    ///
    /// # Errors
    /// With all that failed, after the others are guarded.
    pub fn guard_mounts(
        &self,
        cgroup_id: u64,
        init_pid: u32,
        mounts: &[(&Path, MountKind)],
    ) -> Result<()> {
        let watch = self.watches.get(&cgroup_id).context("the container is not guarded")?;
        let mut failed = Vec::new();
        for &(path, kind) in mounts {
            if let Err(error) = mark_mount(&self.procfs, watch, init_pid, path, kind) {
                failed.push(format!("{}: {error:#}", path.display()));
            }
        }
        ensure!(failed.is_empty(), "guarding mounts: {}", failed.join("; "));
        Ok(())
    }

    /// Guards a container no longer. What waits for an answer is let pass.
    pub fn release(&mut self, cgroup_id: u64) {
        self.watches.remove(&cgroup_id);
    }

    /// Whether a container is guarded, and the thread that does it lives.
    pub fn is_guarded(&self, cgroup_id: u64) -> bool {
        self.watches.get(&cgroup_id).is_some_and(Watch::is_alive)
    }

    /// What happened since the start.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }
}

fn mark_mount(
    procfs: &Path,
    watch: &Watch,
    init_pid: u32,
    path: &Path,
    kind: MountKind,
) -> Result<()> {
    let path = path.as_os_str().as_encoded_bytes();
    let named = Named { pid: init_pid, init_pid, cwd: b"/", path };
    let found = resolve(procfs, &named).context("looking for it")?;
    ensure!(found.is_mount(), "nothing is mounted there");
    let code = match (found.kind, kind) {
        // To open a file there may mean to wait for another host, or for a process of the container.
        (Kind::Distant, _) => bail!("its file system may keep the container waiting"),
        (Kind::Tmpfs, _) | (_, MountKind::Tmpfs) => code::TMPFS,
        (_, MountKind::Bind) => code::BIND,
        (_, MountKind::Volume) => code::VOLUME,
    };
    watch.mark_mount(&found.place, found.mount(), code)
}
