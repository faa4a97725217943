//! Tells the kernel side what to stop in each container.

use std::collections::{HashMap, HashSet};

use aya::maps::MapError;
use plimsoll_ebpf::{
    orders::{ALLOWED_PATH_BYTES, Policy},
    rules::{Class, Mode, Rule},
};

use super::sets::{Allowances, Entry, PeerEntry, Sets, prepare, prepare_peers};
use crate::{
    attribution::{container::Container, inspect::DOCKER_INIT},
    policy::{exception::Exception, peers::Peers, place::Place, template::Template},
    probe::{
        policies::{Paths, Policies, Sockets, Whom},
        stopping::Stopping,
    },
    verdict::judge::Ruling,
};

/// See the module.
pub struct Stopper {
    policies: Policies,
    stopping: Stopping,
    sets: Sets,
    /// What was ordered for each container.
    ordered: HashMap<Whom, Ordered>,
    /// Classes that are to be enforced in each container, whether this host can stop their acts or
    /// not.
    enforced: HashMap<Whom, Vec<Class>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ordered {
    stop: u32,
    entries: Allowances,
}

impl Stopper {
    /// One that has ordered nothing yet.
    pub fn new(policies: Policies, stopping: Stopping) -> Self {
        let (ordered, enforced) = (HashMap::new(), HashMap::new());
        Self { policies, stopping, sets: Sets::default(), ordered, enforced }
    }

    /// How acts of each class are stopped here.
    pub const fn stopping(&self) -> Stopping {
        self.stopping
    }

    /// Containers for which something is ordered: those that are there, and those that are known.
    pub fn guarded(&self) -> (usize, usize) {
        let there = self.ordered.keys().filter(|whom| matches!(whom, Whom::There(_))).count();
        (there, self.ordered.len() - there)
    }

    /// Containers that are there and in which a class is to be enforced.
    pub fn enforced(&self, class: Class) -> usize {
        let is_it = |(whom, classes): &(&Whom, &Vec<Class>)| {
            matches!(whom, Whom::There(_)) && classes.contains(&class)
        };
        self.enforced.iter().filter(is_it).count()
    }

    /// Orders what follows from a ruling on a container, at this moment since the Unix epoch, which
    /// is that many nanoseconds after boot.
    ///
    /// # Errors
    /// When the kernel side has no room: then it stops what it stopped before, and may stop what an
    /// exception was to allow.
    pub fn apply(
        &mut self,
        whom: Whom,
        container: &Container,
        ruling: &Ruling,
        now_ns: u64,
        boot_to_epoch_ns: u64,
    ) -> anyhow::Result<()> {
        let is_enforced = |class: &Class| ruling.modes.get(*class) == Mode::Enforce;
        let classes: Vec<Class> = Class::ALL.into_iter().filter(is_enforced).collect();
        let stop = classes.iter().fold(0, |stop, class| stop | self.stopping.bit(*class));
        if stop == 0 {
            self.release(whom);
        }
        if !classes.is_empty() {
            self.enforced.insert(whom, classes);
        }
        if stop == 0 {
            return Ok(());
        }
        let entries = allowances(container, ruling, now_ns, boot_to_epoch_ns);
        let order = Ordered { stop, entries };
        if self.ordered.get(&whom) == Some(&order) {
            return Ok(());
        }
        if let Err(error) = self.order(whom, &order) {
            self.release_set(&order.entries);
            return Err(error.into());
        }
        // Last: until the new policy stands, the old one needs its exceptions.
        if let Some(old) = self.ordered.insert(whom, order) {
            self.release_set(&old.entries);
        }
        Ok(())
    }

    fn order(&mut self, whom: Whom, order: &Ordered) -> Result<(), MapError> {
        let set = self.sets.acquire(&order.entries);
        if set.is_new {
            for it in &order.entries.paths {
                self.policies.allow(set.number, it.rule, paths(it), it.until_ns)?;
            }
            for it in &order.entries.peers {
                self.policies.allow_sockets(set.number, it.rule, it.sockets, it.until_ns)?;
            }
        }
        let policy = Policy { exceptions: set.number, stop: order.stop, ..Policy::default() };
        self.policies.stop(whom, policy)
    }

    /// Leaves a container alone.
    pub fn release(&mut self, whom: Whom) {
        // The kernel side may have given it the policy that was expected, whatever was ordered since.
        self.policies.leave(whom);
        self.enforced.remove(&whom);
        if let Some(old) = self.ordered.remove(&whom) {
            self.release_set(&old.entries);
        }
    }

    /// Leaves all containers alone but these.
    pub fn keep_only(&mut self, containers: &HashSet<Whom>) {
        let known = self.ordered.keys().chain(self.enforced.keys()).copied();
        let gone: HashSet<Whom> = known.filter(|it| !containers.contains(it)).collect();
        for whom in gone {
            self.release(whom);
        }
    }

    fn release_set(&mut self, entries: &Allowances) {
        if let Some(number) = self.sets.release(entries) {
            for it in &entries.paths {
                self.policies.disallow(number, it.rule, paths(it));
            }
            for it in &entries.peers {
                self.policies.disallow_sockets(number, it.rule, it.sockets);
            }
        }
    }
}

fn paths(entry: &Entry) -> Paths<'_> {
    Paths { text: &entry.text, is_whole: entry.is_whole, components: entry.components }
}

/// What is let pass in a container: by exceptions, and because Docker or the image says so.
fn allowances(
    container: &Container,
    ruling: &Ruling,
    now_ns: u64,
    boot_to_epoch_ns: u64,
) -> Allowances {
    let mut all = Allowances { paths: docker_init().collect(), peers: Vec::new() };
    for it in ruling.exceptions.iter().filter(|it| !it.is_expired(now_ns)) {
        let until_ns =
            it.expires_ns.map(|at_ns| to_seconds(at_ns.saturating_sub(boot_to_epoch_ns)));
        let until_ns = until_ns.unwrap_or(u64::MAX);
        match &it.place {
            Place::Path(template) => all.paths.push(entry(it.rule, template, until_ns)),
            Place::Peers(peers) => all.peers.extend(peer_entries(it, peers, until_ns)),
        }
    }
    if ruling.modes.get(Class::Network) == Mode::Enforce {
        all.peers
            .extend(container.announced.iter().map(|(port, protocol)| announced(*port, *protocol)));
    }
    Allowances { paths: prepare(all.paths), peers: prepare_peers(all.peers) }
}

/// The clocks are read one after the other: without their last digits, the same moment is the same
/// each time, and containers share their sets.
const fn to_seconds(at_ns: u64) -> u64 {
    const SECOND_NS: u64 = 1_000_000_000;
    at_ns.saturating_add(SECOND_NS / 2) / SECOND_NS * SECOND_NS
}

fn peer_entries(
    exception: &Exception,
    peers: &Peers,
    until_ns: u64,
) -> impl Iterator<Item = PeerEntry> + use<> {
    let rule = exception.rule;
    peers.kernel_keys().map(move |sockets| PeerEntry { rule, sockets, until_ns })
}

/// A port that the image announces, at every local address.
const fn announced(port: u16, protocol: u8) -> PeerEntry {
    let sockets = Sockets { address: [0; 16], bits: 0, port, protocol };
    PeerEntry { rule: Rule::ForeignListener, sockets, until_ns: u64::MAX }
}

fn entry(rule: Rule, template: &Template, until_ns: u64) -> Entry {
    let key = template.kernel_key();
    Entry {
        rule,
        // A text as long as that is compared as far as there is room.
        is_whole: key.is_exact && key.bytes.len() < ALLOWED_PATH_BYTES,
        text: key.bytes,
        components: key.components.into(),
        until_ns,
    }
}

/// Docker's own init lies in a mount that Docker made.
fn docker_init() -> impl Iterator<Item = Entry> {
    DOCKER_INIT.into_iter().map(|path| Entry {
        rule: Rule::ExecutableInMount,
        text: path.to_vec(),
        is_whole: true,
        components: 0,
        until_ns: u64::MAX,
    })
}
