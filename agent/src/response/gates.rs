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

/// File systems in memory that Docker mounts into every container, for all to write to who are root
/// there, and does not tell of.
const UNTOLD: [&str; 2] = ["/dev", "/dev/shm"];

/// See the module.
pub struct Gates {
    gate: Gate,
    denials: Receiver<Denial>,
    guarded: HashMap<u64, Guard>,
}

/// A guarded container.
struct Guard {
    ruling: Arc<RwLock<Arc<Ruling>>>,
    /// The first process whose mounts are guarded, too; 0 while there is none.
    mounts_of: u32,
}

impl Guard {
    /// Whether the mounts are still to be guarded as this first process has them; asked once each.
    fn is_news(&mut self, init_pid: u32) -> bool {
        // What was known of the container at first may be of an earlier start.
        init_pid != 0 && std::mem::replace(&mut self.mounts_of, init_pid) != init_pid
    }
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
        if !self.gate.is_guarded(cgroup_id) {
            // Its thread has ended, which says so: another takes its place.
            self.release(cgroup_id);
        }
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
            self.guarded.insert(cgroup_id, Guard { ruling, mounts_of: 0 });
        }
        self.guard_mounts(cgroup_id, container)
    }

    /// They are there once the container's first process runs.
    fn guard_mounts(&mut self, cgroup_id: u64, container: &Container) -> anyhow::Result<()> {
        let Some(guard) = self.guarded.get_mut(&cgroup_id) else { return Ok(()) };
        if !guard.is_news(container.init_pid) {
            return Ok(());
        }
        let told = container.mounts.iter().map(|it| (it.destination.as_str(), it.kind));
        let mounts: Vec<(&Path, MountKind)> = (told
            .filter(|(place, _)| !DOCKERS_OWN.contains(place)))
        .chain(UNTOLD.map(|it| (it, MountKind::Tmpfs)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::book::Book;

    #[test]
    fn mounts_are_guarded_once_for_each_first_process() {
        let ruling = Ruling::of(&Book::default(), &Container::default());
        let mut guard = Guard { ruling: Arc::new(RwLock::new(Arc::new(ruling))), mounts_of: 0 };
        let asked: Vec<bool> = [0, 7, 7, 0, 7, 8].map(|pid| guard.is_news(pid)).into();
        assert_eq!(asked, [false, true, false, false, false, true]);
    }
}
