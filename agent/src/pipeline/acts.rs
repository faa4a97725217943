//! How often containers do what people watch them for.

use std::collections::HashMap;

use plimsoll_ebpf::events::{
    connect::Connect, exec::Exec, file_change::FileChange, file_write::FileWrite,
};

use crate::attribution::{
    directory::Directory,
    observation::Observation,
    roster::{Acts, Roster},
};

/// Acts of containers since they were met, by the cgroup of each.
#[derive(Debug, Default)]
pub(super) struct Counted(HashMap<u64, Acts>);

impl Counted {
    /// Counts an observation, where it is an act.
    pub(super) fn count(&mut self, observation: &Observation<'_>) {
        let record = &observation.record;
        let acts = self.0.entry(record.header.cgroup_id);
        let times = u64::from(record.header.count);
        if record.read::<Exec>().is_some() {
            acts.or_default().exec += times;
        } else if record.read::<FileWrite>().is_some() || record.read::<FileChange>().is_some() {
            acts.or_default().write += times;
        } else if record.read::<Connect>().is_some() {
            acts.or_default().connect += times;
        }
    }

    /// Shows the containers that run with their acts, and forgets those that do not.
    pub(super) fn show(&mut self, directory: &Directory, roster: &Roster) {
        let mut shown = HashMap::new();
        let mut there = HashMap::with_capacity(self.0.len());
        for (cgroup_id, container) in directory.there() {
            if let Some(acts) = self.0.get(&cgroup_id) {
                shown.insert(container.id.clone(), *acts);
                there.insert(cgroup_id, *acts);
            }
        }
        self.0 = there;
        roster.show(directory.containers(), shown);
    }
}
