//! Which names a container's peers go by.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::neighbours::Neighbour;

/// Addresses remembered per container.
const MOST_ADDRESSES: usize = 1024;
/// Containers whose addresses are remembered.
const MOST_CONTAINERS: usize = 256;
/// Bytes of names that are kept beyond the agent's end; those of the containers that resolved one
/// last.
const MOST_KEPT: usize = 4 << 20;

#[derive(Default)]
struct Names {
    by_address: HashMap<IpAddr, Resolved>,
    /// Addresses in the order of their resolving, each with its number; an address resolved again
    /// stands there again, and only its last number counts.
    order: VecDeque<(IpAddr, u64)>,
    /// Number of the latest resolving.
    latest: u64,
}

/// The name by which an address was resolved.
#[derive(Default)]
struct Resolved {
    name: String,
    /// Number of its latest resolving.
    number: u64,
    /// The name before it, where that was another.
    before: Option<String>,
}

impl Names {
    fn make_room(&mut self, evicted: &mut u64) {
        let by_address = &self.by_address;
        let is_current = |(address, number): &(IpAddr, u64)| {
            by_address.get(address).is_some_and(|it| it.number == *number)
        };
        if self.order.len() > 2 * MOST_ADDRESSES {
            self.order.retain(is_current);
        }
        while self.by_address.len() > MOST_ADDRESSES {
            let Some((oldest, number)) = self.order.pop_front() else { return };
            if self.by_address.get(&oldest).is_some_and(|it| it.number == number) {
                self.by_address.remove(&oldest);
                *evicted += 1;
            }
        }
    }
}

/// What a peer is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerName<'n> {
    /// By whom has its address now.
    pub current: Option<&'n str>,
    /// By who had it before, as the container resolved it, where that was another: whom the
    /// container may mean still.
    pub former: Option<&'n str>,
}

/// Names by container and address. A name outlives its time to live: connections are kept, pooled
/// and made anew to addresses that were resolved long before, and programs keep answers for longer
/// than they may. The newest name wins; what was resolved longest ago goes first.
#[derive(Default)]
pub struct PeerNames {
    containers: HashMap<u64, Names>,
    evicted: u64,
    resolved: u64,
    changes: u64,
}

/// What one container resolved, as it is kept for the next agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The container's cgroup, which is of one boot.
    pub cgroup_id: u64,
    /// Names by address, in the order of their resolving.
    pub names: Vec<(IpAddr, String)>,
}

impl PeerNames {
    /// Goes on with what another agent of this boot kept.
    pub fn restore(&mut self, kept: Vec<Kept>) {
        for Kept { cgroup_id, names } in kept {
            for (address, name) in names {
                self.insert(cgroup_id, address, &name);
            }
        }
        self.changes = 0;
    }

    /// What is to be kept, the container that resolved a name last at the end.
    pub fn kept(&self) -> Vec<Kept> {
        let mut latest: Vec<_> = self.containers.iter().collect();
        latest.sort_unstable_by_key(|(_, names)| std::cmp::Reverse(names.latest));
        let mut bytes = 0;
        let all = latest.into_iter().map(|(&cgroup_id, names)| {
            let mut names: Vec<_> = names.by_address.iter().collect();
            names.sort_unstable_by_key(|(_, it)| it.number);
            let names = names.into_iter().map(|(address, it)| (*address, it.name.clone()));
            Kept { cgroup_id, names: names.collect() }
        });
        let mut kept: Vec<Kept> = all
            .take_while(|it| {
                bytes += it.names.iter().map(|(_, name)| name.len()).sum::<usize>();
                bytes <= MOST_KEPT
            })
            .collect();
        kept.reverse();
        kept
    }

    /// How many names were new so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A container resolved a name to an address.
    pub fn insert(&mut self, cgroup_id: u64, address: IpAddr, name: &str) {
        if self.containers.len() >= MOST_CONTAINERS && !self.containers.contains_key(&cgroup_id) {
            self.evict_container();
        }
        self.resolved += 1;
        let number = self.resolved;
        let names = self.containers.entry(cgroup_id).or_default();
        names.latest = number;
        let resolved = names.by_address.entry(address).or_default();
        resolved.number = number;
        if resolved.name != name {
            let before = std::mem::replace(&mut resolved.name, name.to_owned());
            resolved.before = (!before.is_empty()).then_some(before);
            self.changes += 1;
        }
        names.order.push_back((address, number));
        names.make_room(&mut self.evicted);
    }

    /// The container that resolved nothing for longest makes room.
    fn evict_container(&mut self) {
        let quietest = self.containers.iter().min_by_key(|(_, names)| names.latest);
        if let Some((&cgroup_id, _)) = quietest
            && let Some(names) = self.containers.remove(&cgroup_id)
        {
            self.evicted += names.by_address.len() as u64;
        }
    }

    /// The name of a peer to a container: the one by which the container last resolved the address,
    /// unless a neighbour has got the address since, whom it does not mean.
    pub fn name_of<'n>(
        &'n self,
        cgroup_id: u64,
        address: IpAddr,
        neighbour: Option<&'n Neighbour>,
    ) -> PeerName<'n> {
        let names = self.containers.get(&cgroup_id).map(|it| &it.by_address);
        let resolved = names.and_then(|it| it.get(&address));
        let is_current = |it: &Resolved| {
            neighbour.is_none_or(|neighbour| {
                neighbour.was_there(it.number) || neighbour.goes_by(&it.name)
            })
        };
        if let Some(it) = resolved.filter(|it| is_current(it)) {
            // Names of the world share addresses. Here one that passes on is another's from then on,
            // and who resolves both may hold on to it under the former name.
            let before = it.before.as_deref();
            let former = before.filter(|before| neighbour.is_some_and(|it| !it.goes_by(before)));
            return PeerName { current: Some(&it.name), former };
        }
        // One name for one peer, whether or not it was looked up this time.
        let current = neighbour.map(|neighbour| {
            let others = names.into_iter().flat_map(HashMap::values);
            let latest = others.filter(|it| neighbour.goes_by(&it.name)).max_by_key(|it| it.number);
            latest.map_or_else(|| neighbour.name(), |it| &it.name)
        });
        PeerName { current, former: resolved.map(|it| it.name.as_str()) }
    }

    /// How many answers were taken so far.
    pub fn resolved(&self) -> u64 {
        self.resolved
    }

    /// A container is gone.
    pub fn forget(&mut self, cgroup_id: u64) {
        self.containers.remove(&cgroup_id);
    }

    /// Names that made room for others, since the last call.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use super::*;
    use crate::attribution::{container::Container, neighbours::Neighbours};

    #[test]
    fn the_newest_name_wins_and_the_cache_is_bounded() {
        let mut cache = PeerNames::default();
        for host in 0..=MOST_ADDRESSES as u32 {
            cache.insert(1, Ipv4Addr::from(host).into(), "old");
        }
        assert_eq!(cache.name_of(1, Ipv4Addr::from(0).into(), None).current, None);
        assert_eq!(cache.take_evicted(), 1);
        cache.insert(1, Ipv4Addr::from(1).into(), "new");
        cache.insert(1, Ipv4Addr::from(0).into(), "newer");
        assert_eq!(
            cache.name_of(1, Ipv4Addr::from(1).into(), None).current,
            Some("new"),
            "resolved again"
        );
        assert_eq!(
            cache.name_of(1, Ipv4Addr::from(2).into(), None).current,
            None,
            "the oldest makes room"
        );
        assert_eq!(cache.name_of(2, Ipv4Addr::from(1).into(), None).current, None);
        cache.forget(1);
        assert_eq!(cache.name_of(1, Ipv4Addr::from(1).into(), None).current, None);
    }

    #[test]
    fn an_address_that_passed_to_another_has_the_others_name() {
        let place: IpAddr = [172, 18, 0, 2].into();
        let named = |id: &str, alias: &str| {
            let (id, name) = (id.to_owned(), id.to_owned());
            let (addresses, aliases) = (vec![place], vec![alias.to_owned()]);
            Arc::new(Container { id, name, addresses, aliases, ..Container::default() })
        };
        let (mut cache, mut neighbours) = (PeerNames::default(), Neighbours::default());
        let name = |cache: &PeerNames, neighbours: &Neighbours| {
            let PeerName { current, former } = cache.name_of(1, place, neighbours.at(place));
            [current, former].map(|it| it.unwrap_or_default().to_owned())
        };
        neighbours.known(&named("a", "db"), cache.resolved());
        assert_eq!(name(&cache, &neighbours), ["a", ""], "never looked up");
        cache.insert(1, place, "link");
        assert_eq!(name(&cache, &neighbours), ["link", ""], "whatever it goes by");
        neighbours.known(&named("b", "web"), cache.resolved());
        assert_eq!(name(&cache, &neighbours), ["b", "link"]);
        cache.insert(1, [172, 18, 0, 9].into(), "web");
        assert_eq!(name(&cache, &neighbours), ["web", "link"], "it knows it by that name");
        cache.insert(1, place, "web");
        neighbours.known(&named("c", "web"), cache.resolved());
        assert_eq!(name(&cache, &neighbours), ["web", "link"], "its successor is the same");
        cache.insert(1, place, "web");
        assert_eq!(name(&cache, &neighbours), ["web", "link"], "though it was resolved again");
        let world = |cache: &PeerNames| cache.name_of(1, place, None).former.map(str::to_owned);
        assert_eq!(world(&cache), None, "names of the world share addresses");
    }

    #[test]
    fn one_address_resolved_for_ever_takes_no_room() {
        let mut cache = PeerNames::default();
        cache.insert(1, Ipv4Addr::from(8).into(), "once");
        for _ in 0..5 * MOST_ADDRESSES {
            cache.insert(1, Ipv4Addr::from(7).into(), "same");
        }
        assert_eq!(cache.name_of(1, Ipv4Addr::from(8).into(), None).current, Some("once"));
        assert!(cache.containers[&1].order.len() <= 2 * MOST_ADDRESSES);
        assert_eq!(cache.name_of(1, Ipv4Addr::from(7).into(), None).current, Some("same"));
        assert_eq!(cache.take_evicted(), 0);
    }

    #[test]
    fn the_quietest_container_makes_room() {
        let mut cache = PeerNames::default();
        for cgroup_id in 0..MOST_CONTAINERS as u64 {
            cache.insert(cgroup_id, Ipv4Addr::LOCALHOST.into(), "name");
        }
        cache.insert(0, Ipv4Addr::LOCALHOST.into(), "name");
        cache.insert(999, Ipv4Addr::LOCALHOST.into(), "name");
        let knows = |cgroup_id| {
            cache.name_of(cgroup_id, Ipv4Addr::LOCALHOST.into(), None).current.is_some()
        };
        assert!(knows(0) && knows(999) && !knows(1));
        assert_eq!(cache.take_evicted(), 1);
    }

    #[test]
    fn what_is_kept_is_known_to_the_next_agent() {
        let mut cache = PeerNames::default();
        let [a, b, c] = [7, 8, 9].map(|it| IpAddr::from(Ipv4Addr::from(it)));
        cache.insert(1, a, "first");
        cache.insert(2, b, "other");
        cache.insert(1, c, "second");
        cache.insert(1, a, "again");
        assert_eq!(cache.changes(), 4);
        cache.insert(1, a, "again");
        assert_eq!(cache.changes(), 4, "nothing new");
        let kept = cache.kept();
        let names = |names: &[(IpAddr, &str)]| {
            names.iter().map(|(address, name)| (*address, (*name).to_owned())).collect()
        };
        assert_eq!(
            kept,
            [
                Kept { cgroup_id: 2, names: names(&[(b, "other")]) },
                Kept { cgroup_id: 1, names: names(&[(c, "second"), (a, "again")]) },
            ]
        );
        let mut next = PeerNames::default();
        next.restore(kept.clone());
        assert_eq!((next.kept(), next.changes()), (kept, 0));
        assert_eq!(next.name_of(1, a, None).current, Some("again"));
    }

    #[test]
    fn no_more_than_its_share_is_kept() {
        let mut cache = PeerNames::default();
        let name = "a".repeat(1 << 12);
        for host in 0..1000 {
            for cgroup_id in [1, 2] {
                cache.insert(cgroup_id, Ipv4Addr::from(host).into(), &name);
            }
        }
        let kept: Vec<u64> = cache.kept().iter().map(|it| it.cgroup_id).collect();
        assert_eq!(kept, [2], "who resolved one last goes first");
    }
}
