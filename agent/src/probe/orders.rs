//! Orders to the kernel side, and the counters it keeps.

use std::collections::HashMap as StdHashMap;

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray},
};
use plimsoll_ebpf::orders::{Lost, LostKey, Seen, Watched, knocked, merged};

use super::plain::Plain;

/// The maps through which the agent speaks to its programs.
pub struct Orders {
    cgroups: HashMap<MapData, u64, Plain<Watched>>,
    lost: HashMap<MapData, Plain<LostKey>, Plain<Lost>>,
    lost_unnamed: PerCpuArray<MapData, u64>,
    seen: HashMap<MapData, u64, Plain<Seen>>,
    merged: PerCpuArray<MapData, u64>,
    known: HashMap<MapData, u64, u64>,
    known_from: Array<MapData, u64>,
    fill: Array<MapData, u64>,
    knocked: Array<MapData, u64>,
    /// Losses already told, to tell only what is new.
    told: StdHashMap<LostKey, u64>,
}

/// Losses of one kind since they were last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLoss {
    /// Whose, of what and why.
    pub key: LostKey,
    /// How many.
    pub count: u64,
    /// When the latest happened, in nanoseconds since boot.
    pub last_ns: u64,
}

impl Orders {
    /// Takes the maps out of the loaded object.
    pub fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let mut take = |name: &'static str| {
            ebpf.take_map(name).with_context(|| format!("the object has no map {name}"))
        };
        Ok(Self {
            cgroups: take("CGROUPS")?.try_into()?,
            lost: take("LOST")?.try_into()?,
            lost_unnamed: take("LOST_UNNAMED")?.try_into()?,
            seen: take("SEEN")?.try_into()?,
            merged: take("MERGED")?.try_into()?,
            known: take("KNOWN")?.try_into()?,
            known_from: take("KNOWN_FROM")?.try_into()?,
            fill: take("FILL")?.try_into()?,
            knocked: take("KNOCKED")?.try_into()?,
            told: StdHashMap::new(),
        })
    }

    /// Watches a cgroup as part of a container's.
    pub fn watch(&mut self, cgroup_id: u64, container: u64) -> Result<(), MapError> {
        let watched = Watched { container, confirmed: 1, reserved: 0 };
        self.cgroups.insert(cgroup_id, Plain(watched), 0)
    }

    /// Stops watching a cgroup that belongs to no container.
    pub fn unwatch(&mut self, cgroup_id: u64) {
        // It may be gone already: the kernel side removes cgroups as they die.
        let _ = self.cgroups.remove(&cgroup_id);
    }

    /// The cgroup of the agent's thread that knocked last; `None` before the first knock.
    pub fn agent_cgroup(&self) -> Option<u64> {
        self.knocked.get(&knocked::CGROUP, 0).ok().filter(|id| *id != 0)
    }

    /// Most bytes that waited on the priority and the bulk ring since the last call.
    pub fn take_fill(&mut self) -> [u64; 2] {
        [0, 1].map(|ring| {
            let most = self.fill.get(&ring, 0).unwrap_or_default();
            // A failure shows the old fill again.
            let _ = self.fill.set(ring, 0, 0);
            most
        })
    }

    /// Losses since the last call.
    pub fn losses(&mut self) -> Vec<KernelLoss> {
        let mut losses = Vec::new();
        for (Plain(key), Plain(lost)) in self.lost.iter().filter_map(Result::ok) {
            let told = self.told.entry(key).or_default();
            if lost.count > *told {
                losses.push(KernelLoss { key, count: lost.count - *told, last_ns: lost.last_ns });
                *told = lost.count;
            }
        }
        let unnamed = sum(&self.lost_unnamed, 0);
        let key = LostKey::default();
        let told = self.told.entry(key).or_default();
        if unnamed > *told {
            losses.push(KernelLoss { key, count: unnamed - *told, last_ns: 0 });
            *told = unnamed;
        }
        losses
    }

    /// Forgets the counters of a container that is long gone.
    pub fn forget(&mut self, container: u64) {
        let _ = self.cgroups.remove(&container);
        self.told.retain(|key, _| {
            let is_its = key.cgroup_id == container && container != 0;
            if is_its {
                let _ = self.lost.remove(&Plain(*key));
            }
            !is_its
        });
    }

    /// What was counted of an act since it was last reported; its next occurrence is reported at
    /// once. `None` where there is nothing to tell.
    pub fn take_repeats(&mut self, act: u64) -> Option<Seen> {
        let Plain(seen) = self.seen.get(&act, 0).ok()?;
        if seen.held_back == 0 {
            return None;
        }
        // It may have made room for another act meanwhile.
        let _ = self.seen.remove(&act);
        Some(seen)
    }

    /// What was learned vouches for an act, at this moment since boot: it may be counted for longer
    /// before it is reported again.
    pub fn known(&mut self, act: u64, now_ns: u64) {
        // Without it the act is reported each window, as any other.
        let _ = self.known.insert(act, now_ns, 0);
    }

    /// Takes back all that was said to be known until this moment since boot.
    pub fn forget_known(&mut self, now_ns: u64) -> Result<(), MapError> {
        self.known_from.set(0, now_ns, 0)
    }

    /// Acts that were counted instead of reported, since start, by [`merged`].
    pub fn merged(&self) -> [u64; merged::PLACES as usize] {
        std::array::from_fn(|place| sum(&self.merged, place as u32))
    }
}

fn sum(counter: &PerCpuArray<MapData, u64>, place: u32) -> u64 {
    counter.get(&place, 0).map(|values| values.iter().sum()).unwrap_or_default()
}
