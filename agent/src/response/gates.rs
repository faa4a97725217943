//! The gate in use: which containers it guards, by whose exceptions, and what it refused.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, bounded};
use plimsoll_ebpf::{
    catalog::{TailBuilder, encode},
    events::exec::Exec,
    layer::code,
    record::{Header, flags},
    rules::Rule,
};

use super::gate::{Counts, Denial, Gate, Guarded};
use crate::{
    attribution::{
        container::{Container, MountKind},
        inspect::DOCKERS_OWN,
    },
    clock,
    verdict::judge::Ruling,
};

/// Denials that wait to be told.
const DENIALS: usize = 4096;

/// A tmpfs that Docker mounts into every container and does not tell of.
const SHARED_MEMORY: &str = "/dev/shm";

/// See the module.
pub struct Gates {
    gate: Gate,
    denials: Receiver<Denial>,
    guarded: HashMap<u64, Guard>,
}

/// A guarded container.
struct Guard {
    ruling: Arc<RwLock<Arc<Ruling>>>,
    /// Whether what is mounted into it is guarded, too.
    has_mounts: bool,
}

impl Gates {
    /// A gate that guards nothing yet, or why there is none.
    ///
    /// # Errors
    /// As [`Gate::start`].
    pub fn start(procfs: PathBuf) -> anyhow::Result<Self> {
        let (report, denials) = bounded(DENIALS);
        Ok(Self { gate: Gate::start(procfs, report)?, denials, guarded: HashMap::new() })
    }

    /// Guards a container whose cgroup is there by this ruling, from now on.
    ///
    /// # Errors
    /// With what is not guarded; the rest is.
    pub fn guard(
        &mut self,
        cgroup_id: u64,
        container: &Container,
        ruling: Ruling,
    ) -> anyhow::Result<()> {
        let ruling = Arc::new(ruling);
        if let Some(guard) = self.guarded.get_mut(&cgroup_id) {
            *guard.ruling.write().unwrap_or_else(PoisonError::into_inner) = ruling;
        } else {
            let layers = container.find_layers(self.gate.procfs());
            let layers = layers.context("its root file system is no overlay that is mounted")?;
            let ruling = Arc::new(RwLock::new(ruling));
            let asked = ruling.clone();
            let allows = move |rule: Rule, path: &[u8]| {
                let ruling = asked.read().unwrap_or_else(PoisonError::into_inner).clone();
                ruling.allows(rule, path, clock::now_ns())
            };
            self.gate.guard(Guarded { cgroup_id, layers, allows: Arc::new(allows) })?;
            self.guarded.insert(cgroup_id, Guard { ruling, has_mounts: false });
        }
        self.guard_mounts(cgroup_id, container)
    }

    /// They are there once the container's first process runs.
    fn guard_mounts(&mut self, cgroup_id: u64, container: &Container) -> anyhow::Result<()> {
        let Some(guard) = self.guarded.get_mut(&cgroup_id) else { return Ok(()) };
        if guard.has_mounts || container.init_pid == 0 {
            return Ok(());
        }
        guard.has_mounts = true;
        let told = container.mounts.iter().map(|it| (it.destination.as_str(), it.kind));
        let mounts: Vec<(&Path, MountKind)> = (told
            .filter(|(place, _)| !DOCKERS_OWN.contains(place)))
        .chain([(SHARED_MEMORY, MountKind::Tmpfs)])
        .map(|(place, kind)| (Path::new(place), kind))
        .collect();
        self.gate.guard_mounts(cgroup_id, container.init_pid, &mounts)
    }

    /// Guards a container no longer.
    pub fn release(&mut self, cgroup_id: u64) {
        if self.guarded.remove(&cgroup_id).is_some() {
            self.gate.release(cgroup_id);
        }
    }

    /// Guards no container but these.
    pub fn keep_only(&mut self, cgroups: impl Fn(u64) -> bool) {
        let gone: Vec<u64> = self.guarded.keys().copied().filter(|it| !cgroups(*it)).collect();
        for cgroup_id in gone {
            self.release(cgroup_id);
        }
    }

    /// What was refused since the last call, and what was counted since the start.
    pub fn take_denials(&self) -> Vec<Denial> {
        self.denials.try_iter().collect()
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        self.gate.counts()
    }
}

/// A denial as the kernel side would have told of it, under this header.
pub fn entry(denial: &Denial, header: Header) -> Vec<u8> {
    let (layer, bits) = found(denial.rule);
    let mut texts = TailBuilder::default();
    let path = texts.push(&denial.path);
    let event = Exec { path, layer, flags: flags::REFUSED | bits, ..Exec::default() };
    encode(header, event, texts.bytes())
}

/// What the gate found, by the rule that it held: layer and flags.
#[expect(clippy::wildcard_enum_match_arm, reason = "the gate holds no other rules")]
const fn found(rule: Rule) -> (u8, u32) {
    match rule {
        Rule::ChangedExecutable => (code::COPIED_UP, flags::CONTENT_CHANGED),
        Rule::ExecutableInTmpfs => (code::TMPFS, 0),
        Rule::ExecutableInMount => (code::MOUNT, 0),
        Rule::UnlinkedExecutable => (code::UPPER, flags::UNLINKED),
        Rule::ForeignScript => (code::BY_PATH, flags::SCRIPT),
        // New executables.
        _ => (code::UPPER, 0),
    }
}
