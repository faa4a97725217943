//! Carries out what the directory of containers wants: orders to the kernel, questions to Docker,
//! looks at the host.

use std::{collections::VecDeque, sync::Arc};

use plimsoll_ebpf::rules::{Class, Mode};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{losses::Losses, refused, roll_call::RollCall};
use crate::{
    attribution::{
        attributor::{Attributor, Out},
        cgroup::CgroupRoot,
        container::Container,
        directory::{Request, Standing},
        docker::{Ask, Notice},
        inventory::{self, Wanted},
        procfs::Procfs,
    },
    clock,
    metrics::names::Metrics,
    policy::book::Book,
    probe::{orders::Orders, policies::Whom},
    response::{
        gate::{Counts, Denial},
        gates::{self, Gates},
        stopper::Stopper,
    },
    verdict::judge::Ruling,
};

/// Questions that wait for room in the channel to Docker.
const MOST_WAITING: usize = 65_536;

/// See the module.
pub(super) struct Containers {
    pub(super) orders: Orders,
    stopper: Stopper,
    gates: Option<Gates>,
    book: Arc<Book>,
    cgroups: CgroupRoot,
    ask: mpsc::Sender<Ask>,
    /// Questions that found no room.
    waiting: VecDeque<Ask>,
    was_connected: bool,
    /// Which of those that ran at the start are known.
    pub(super) roll_call: RollCall,
}

impl Containers {
    pub(super) fn new(
        orders: Orders,
        stopper: Stopper,
        gates: Option<Gates>,
        book: Arc<Book>,
        cgroups: CgroupRoot,
        ask: mpsc::Sender<Ask>,
    ) -> Self {
        Self {
            orders,
            stopper,
            gates,
            book,
            cgroups,
            ask,
            waiting: VecDeque::new(),
            was_connected: false,
            roll_call: RollCall::new(),
        }
    }

    /// Takes one notice of Docker.
    pub(super) fn take(
        &mut self,
        notice: Notice,
        attributor: &mut Attributor,
        procfs: &mut Procfs,
        losses: &mut Losses,
        metrics: &Metrics,
        out: &mut Out<'_>,
    ) {
        match notice {
            Notice::Connected { .. } => {
                if metrics.docker_connected.value_at(0) == Some(0.0) {
                    metrics.docker_connected.set(1);
                    metrics.docker_reconnects.add(u64::from(self.was_connected));
                    self.was_connected = true;
                }
            }
            Notice::Node { id } => attributor.set_node_id(id),
            Notice::Disconnected { .. } => {
                metrics.docker_connected.set(0);
                self.roll_call.deferred();
            }
            Notice::Listed { ids } => self.roll_call.listed(ids),
            Notice::Known(container) => self.known(container, attributor, procfs, metrics, out),
            Notice::Unknown { id } | Notice::Gone { id } => self.roll_call.settled(&id),
            Notice::Late { id } => self.roll_call.late(id),
            Notice::Lifecycle { id, op, command, exit_code, time_ns } => {
                attributor.lifecycle(&id, &op, &command, exit_code, time_ns, out);
                if op == "destroy" {
                    attributor.destroyed(&id);
                }
            }
            Notice::Lost { count } => losses.add(0, "container", "docker_queue_full", count),
        }
    }

    fn known(
        &mut self,
        container: Arc<Container>,
        attributor: &mut Attributor,
        procfs: &mut Procfs,
        metrics: &Metrics,
        out: &mut Out<'_>,
    ) {
        self.roll_call.settled(&container.id);
        self.guard_both(attributor.directory.cgroup_of(&container.id), &container, metrics);
        for cgroup_id in attributor.known(container) {
            attributor.replay(cgroup_id, procfs, out);
        }
    }

    /// Does what the directory wants done.
    pub(super) fn carry_out(
        &mut self,
        attributor: &mut Attributor,
        procfs: &mut Procfs,
        losses: &mut Losses,
        metrics: &Metrics,
        out: &mut Out<'_>,
    ) {
        let mut wanted = Vec::new();
        for request in attributor.directory.take_requests() {
            self.carry_out_one(request, attributor, losses, metrics, &mut wanted);
        }
        self.ask_waiting();
        if wanted.is_empty() {
            return;
        }
        for it in &wanted {
            if let Some(cgroup_id) = self.locate(&it.id, attributor, losses) {
                attributor.replay(cgroup_id, procfs, out);
            }
        }
        // Watched first: what a process does while it is looked at is on the rings by then.
        for request in attributor.directory.take_requests() {
            self.carry_out_one(request, attributor, losses, metrics, &mut Vec::new());
        }
        for inhabitants in inventory::inhabitants_of(procfs, &wanted) {
            attributor.inhabited(inhabitants);
        }
    }

    fn carry_out_one(
        &mut self,
        request: Request,
        attributor: &mut Attributor,
        losses: &mut Losses,
        metrics: &Metrics,
        wanted: &mut Vec<Wanted>,
    ) {
        match request {
            Request::Watch { cgroup_id, container } => {
                if let Standing::Known(known) = attributor.directory.standing(container) {
                    self.guard(Whom::There(container), &known.clone(), metrics);
                }
                self.watch(cgroup_id, container, losses);
            }
            Request::Unwatch { cgroup_id } => self.orders.unwatch(cgroup_id),
            Request::Ask { id } if self.waiting.len() < MOST_WAITING => {
                self.waiting.push_back(Ask::Container(id));
            }
            Request::Ask { id } => tracing::warn!(id, "too many questions wait for docker"),
            Request::Locate { id, init_pid } => {
                let container = attributor.directory.by_id(&id).cloned();
                let health_command =
                    container.as_ref().map(|it| it.health_command.clone()).unwrap_or_default();
                wanted.push(Wanted { id, init_pid, health_command, container });
            }
            Request::Forget { container } => {
                self.orders.forget(container);
                attributor.forget(container);
            }
        }
    }

    /// Tells the kernel side which acts are known.
    pub(super) fn known_acts(
        &mut self,
        acts: impl Iterator<Item = u64>,
        attributor: &mut Attributor,
    ) {
        let now_ns = clock::boot_ns();
        for act in acts {
            self.orders.known(act, now_ns);
            attributor.known_act(act);
        }
    }

    /// What was known may be no more.
    pub(super) fn forget_known(&mut self) {
        if let Err(error) = self.orders.forget_known(clock::boot_ns()) {
            tracing::warn!(%error, "what is known was not taken back: it is reported late");
        }
    }

    /// Goes by another book from now on, in the containers that are there.
    pub(super) fn set_book(&mut self, book: Arc<Book>, attributor: &Attributor, metrics: &Metrics) {
        self.book = book;
        for container in attributor.directory.expected() {
            self.guard_both(attributor.directory.cgroup_of(&container.id), container, metrics);
        }
    }

    /// Tells the kernel side what to stop in a container now, where it is there, and whenever it
    /// starts.
    fn guard_both(&mut self, cgroup_id: Option<u64>, container: &Container, metrics: &Metrics) {
        let there = cgroup_id.map(Whom::There);
        for whom in Whom::expected(&container.id).into_iter().chain(there) {
            self.guard(whom, container, metrics);
        }
    }

    /// Forgets the orders for containers that are gone.
    pub(super) fn release_gone(&mut self, attributor: &Attributor, metrics: &Metrics) {
        let there = attributor.directory.there().map(|(cgroup_id, _)| Whom::There(cgroup_id));
        if let Some(gates) = &mut self.gates {
            let there = |cgroup_id| attributor.directory.there().any(|(it, _)| it == cgroup_id);
            gates.keep_only(there);
        }
        let all = attributor.directory.expected().filter_map(|it| Whom::expected(&it.id));
        self.stopper.keep_only(&there.chain(all).collect());
        self.show_guarded(metrics);
    }

    /// Tells the kernel side what to stop in a container.
    fn guard(&mut self, whom: Whom, container: &Container, metrics: &Metrics) {
        let ruling = Ruling::of(&self.book, container);
        let (now_ns, since) = (clock::now_ns(), clock::boot_to_epoch_ns());
        if let Err(error) = self.stopper.apply(whom, container, &ruling, now_ns, since) {
            metrics.orders_failed.add(1);
            tracing::error!(%error, container.name, "what was decided is not enforced");
        }
        self.show_guarded(metrics);
        if let Whom::There(cgroup_id) = whom {
            self.gate(cgroup_id, container, ruling);
        }
    }

    fn show_guarded(&self, metrics: &Metrics) {
        let (there, expected) = self.stopper.guarded();
        metrics.containers_guarded.set(there as u64);
        metrics.containers_expected.set(expected as u64);
        for class in Class::ALL {
            let enforced = self.stopper.enforced(class) as u64;
            metrics.containers_enforced.set_to(class.name(), enforced);
        }
    }

    /// Has programs asked for at the gate where there is no better way to refuse them.
    fn gate(&mut self, cgroup_id: u64, container: &Container, ruling: Ruling) {
        let Some(gates) = &mut self.gates else { return };
        if ruling.modes.get(Class::Exec) != Mode::Enforce {
            gates.release(cgroup_id);
        } else if let Err(error) = gates.guard(cgroup_id, container, ruling) {
            let error = format!("{error:#}");
            tracing::warn!(error, container.name, "programs are killed, and not all refused");
        }
    }

    /// What the gate refused, as ring entries.
    pub(super) fn take_denials(&self, attributor: &Attributor, procfs: &Procfs) -> Vec<Vec<u8>> {
        let Some(gates) = &self.gates else { return Vec::new() };
        let entry = |it: &Denial| {
            let Denial { cgroup_id, pid, at_boot_ns, .. } = *it;
            gates::entry(it, refused::header(cgroup_id, pid, at_boot_ns, attributor, procfs))
        };
        gates.take_denials().iter().map(entry).collect()
    }

    /// Shows what the gate did.
    pub(super) fn show_gate(&self, metrics: &Metrics, losses: &mut Losses) {
        let Some(gates) = &self.gates else { return };
        let Counts { asked, denied, untold, unreported, overflowed, unanswered, unread } =
            gates.counts();
        for (answer, count) in [
            ("asked", asked),
            ("denied", denied),
            ("untold", untold),
            ("overflowed", overflowed),
            ("unanswered", unanswered),
            ("unread", unread),
        ] {
            metrics.gate.set_to(answer, count);
        }
        losses.set("exec", "gate_queue_full", unreported);
    }

    fn watch(&mut self, cgroup_id: u64, container: u64, losses: &mut Losses) {
        if let Err(error) = self.orders.watch(cgroup_id, container) {
            tracing::warn!(%error, cgroup_id, "a cgroup is not watched");
            losses.add(container, "", "map_full", 1);
        }
    }

    /// Finds the cgroups of a container that was there before and watches them.
    fn locate(
        &mut self,
        id: &str,
        attributor: &mut Attributor,
        losses: &mut Losses,
    ) -> Option<u64> {
        let Some(place) = inventory::place_of(&self.cgroups, id) else {
            tracing::debug!(id, "a running container has no cgroup");
            return None;
        };
        // At once: that it is watched from this moment on is what the takeover goes by.
        self.watch(place.cgroup_id, place.cgroup_id, losses);
        let now_ns = clock::boot_ns();
        let is_released = attributor.directory.made(place.cgroup_id, &place.path, Some(id), now_ns);
        attributor.processes.has_started(place.cgroup_id);
        for below in place.below {
            self.watch(below, place.cgroup_id, losses);
        }
        is_released.then_some(place.cgroup_id)
    }

    /// Lets go of containers whose cgroup is gone without a signal.
    pub(super) fn sweep(&self, attributor: &mut Attributor) {
        // Below another root no path would lead anywhere.
        if !self.cgroups.is_whole() {
            return;
        }
        let is_there = |path: &str, cgroup_id| self.cgroups.has(path, cgroup_id);
        let lost = attributor.directory.sweep(clock::boot_ns(), is_there);
        if lost > 0 {
            tracing::debug!(lost, "cgroups are gone and no signal told");
        }
    }

    fn ask_waiting(&mut self) {
        while let Some(question) = self.waiting.pop_front() {
            match self.ask.try_send(question) {
                Ok(()) => {}
                Err(TrySendError::Full(question)) => {
                    self.waiting.push_front(question);
                    return;
                }
                // The daemon ends: nobody will answer any more.
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }
}
