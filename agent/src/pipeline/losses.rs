//! Every loss, from the kernel to the disk, counted by reason and told as a gap.

use std::collections::HashMap;

use plimsoll_ebpf::{
    catalog::Kind,
    orders::reason,
    record::Wire as _,
    signals::{CgroupEntered, CgroupMade, CgroupRemoved, DnsAnswer},
};

use crate::{
    attribution::{attributor::Attributor, made::Loss},
    clock,
    metrics::names::Metrics,
    probe::orders::{KernelLoss, Orders},
    store::{appender::Appender, losses::Cause},
};

/// Losses since they were last collected.
pub(super) struct Losses {
    /// By container cgroup, event and reason.
    waiting: HashMap<(u64, &'static str, &'static str), u64>,
    /// Totals that were told of reasons that are counted elsewhere.
    told: HashMap<&'static str, u64>,
    /// When they were last collected, in nanoseconds since the Unix epoch.
    since_ns: u64,
}

impl Losses {
    pub(super) fn new(now_ns: u64) -> Self {
        Self { waiting: HashMap::new(), told: HashMap::new(), since_ns: now_ns }
    }

    /// Observations of an event were lost; no container is 0, no event is empty.
    pub(super) fn add(
        &mut self,
        cgroup_id: u64,
        of: &'static str,
        reason: &'static str,
        count: u64,
    ) {
        if count > 0 {
            *self.waiting.entry((cgroup_id, of, reason)).or_default() += count;
        }
    }

    /// Observations of an event were lost, this many since the start, for a reason that only one
    /// place counts.
    pub(super) fn set(&mut self, of: &'static str, reason: &'static str, total: u64) {
        let told = self.told.insert(reason, total).unwrap_or_default();
        self.add(0, of, reason, total.saturating_sub(told));
    }

    /// The kernel side lost observations that no counter of this agent's holds.
    pub(super) fn of_kernel(&mut self, lost: &KernelLoss) {
        let KernelLoss { key, count, .. } = lost;
        self.add(key.cgroup_id, event(key.kind), reason::name(key.reason), *count);
    }

    /// A ring entry was no record.
    pub(super) fn undecodable(&mut self, reason: &'static str) {
        self.add(0, "", reason, 1);
    }

    /// Gathers the losses of every stage since the last call and counts them.
    pub(super) fn collect(
        &mut self,
        orders: &mut Orders,
        attributor: &mut Attributor,
        appender: &Appender,
        metrics: &Metrics,
    ) -> Vec<Loss<'static>> {
        for lost in orders.losses() {
            self.of_kernel(&lost);
        }
        for (cgroup_id, count) in attributor.directory.take_overflow() {
            self.add(cgroup_id, "", "hold_overflow", count);
        }
        for (cgroup_id, count) in attributor.processes.take_refused() {
            self.add(cgroup_id, "", "process_table_full", count);
        }
        self.add(0, "", "unattributed", attributor.take_unattributed());
        for (cgroup_id, count) in attributor.take_unlooked() {
            self.add(cgroup_id, "", "not_looked_at", count);
        }
        let (from_ns, to_ns) = (self.since_ns, clock::now_ns());
        self.since_ns = to_ns;
        let mut losses: Vec<Loss<'static>> = (self.waiting.drain())
            .map(|((cgroup_id, of, reason), count)| {
                metrics.observations_lost.add_to(reason, count);
                Loss { cgroup_id, of, reason, count, from_ns, to_ns }
            })
            .collect();
        // The store counts its own: they are told late, when there is room for telling again.
        let health = appender.health();
        for cause in Cause::ALL {
            metrics.observations_lost.set_to(cause.reason(), health.lost(cause));
        }
        losses.extend(appender.take_losses().into_iter().map(|it| Loss {
            cgroup_id: 0,
            of: it.kind,
            reason: it.reason,
            count: it.count,
            from_ns: it.from_ns,
            to_ns: it.to_ns,
        }));
        losses
    }
}

/// The event that a record of this number would have become; empty where there is none.
fn event(number: u16) -> &'static str {
    match number {
        DnsAnswer::KIND => "dns",
        CgroupMade::KIND | CgroupRemoved::KIND | CgroupEntered::KIND => "container",
        _ => Kind::by_number(number).map_or("", |kind| kind.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_signal_is_told_as_the_event_it_serves() {
        assert_eq!(event(DnsAnswer::KIND), "dns");
        assert_eq!(event(CgroupMade::KIND), "container");
        assert_eq!(event(1), "exec");
        assert_eq!(event(0), "");
    }

    #[test]
    fn losses_of_one_kind_are_joined() {
        let mut losses = Losses::new(0);
        losses.add(5, "exec", "ring_full", 2);
        losses.add(5, "exec", "ring_full", 3);
        losses.add(6, "exec", "ring_full", 0);
        assert_eq!(losses.waiting, HashMap::from([((5, "exec", "ring_full"), 5)]));
    }
}
