//! The peers that a service exchanges bytes with, each with its hours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    budget::{Budget, magnitude},
    metric::{Metric, UNKNOWN_PEER_FLOOR},
};
use crate::baseline::peer::wide_of;

/// Peers of a service that are known one by one.
const MOST_KNOWN: usize = 256;
/// Peers that it should not have, likewise.
const MOST_UNKNOWN: usize = 64;
/// What the others go by.
pub const OTHERS: &str = "(others)";
/// What a peer takes beside its name, about, in bytes.
const PEER_BYTES: usize = 160;

/// A peer, or a network or domain of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Whether it was learned. Of one that was not, the day's bytes are counted.
    pub is_known: bool,
    /// When it was met, in seconds since the Unix epoch.
    pub first_s: u64,
    /// Bytes sent and received by hours.
    budgets: [Budget; 2],
    /// Bytes that were sent in the running day.
    day_bytes: u64,
    /// When that began, in milliseconds since the Unix epoch.
    day_began_ms: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destinations {
    peers: BTreeMap<String, Destination>,
}

/// When bytes were exchanged with a peer, and whether that is learned.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// In milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Length of an hour, likewise.
    pub hour_ms: u64,
    /// Length of a day, likewise.
    pub day_ms: u64,
    /// Whether what is new becomes known.
    pub may_learn: bool,
}

/// What is far too much of a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// The bytes of this hour; the largest hour is the other number.
    Hour(u64, u64),
    /// The bytes of this day, sent to one that is not known.
    Unknown(u64),
}

impl Destinations {
    /// The name under which a peer is kept: its own, its network's or domain's, or that of the
    /// others.
    pub fn place_of(&self, identity: &str) -> String {
        if self.peers.contains_key(identity) {
            return identity.to_owned();
        }
        let wide = wide_of(identity).map(|(wide, _)| wide);
        wide.filter(|wide| self.peers.contains_key(wide)).unwrap_or_else(|| identity.to_owned())
    }

    /// Bytes were sent to a peer and received from it; returns what of that is far too much.
    pub fn add(&mut self, identity: &str, bytes: [u64; 2], at: &Occasion) -> [Option<TooMuch>; 2] {
        let mut place = self.place_of(identity);
        if !self.peers.contains_key(&place) {
            let same = self.peers.values().filter(|it| it.is_known == at.may_learn).count();
            let most = if at.may_learn { MOST_KNOWN } else { MOST_UNKNOWN };
            if same >= most {
                OTHERS.clone_into(&mut place);
            }
        }
        let destination = self.peers.entry(place.clone()).or_insert_with(|| Destination {
            is_known: at.may_learn,
            first_s: at.now_ms / 1000,
            ..Destination::default()
        });
        destination.is_known |= at.may_learn;
        let too_much = destination.add(bytes, at);
        if at.may_learn {
            self.widen(&place);
        }
        too_much
    }

    /// Joins a peer with those of its network or domain, once there are many.
    fn widen(&mut self, identity: &str) {
        let Some((wide, least)) = wide_of(identity) else { return };
        let is_part = |it: &str| wide_of(it).is_some_and(|(of, _)| of == wide);
        let alike = self.peers.iter().filter(|(name, it)| it.is_known && is_part(name));
        let names: Vec<String> = alike.map(|(name, _)| name.clone()).collect();
        if names.len() < least {
            return;
        }
        let mut joined = Destination { is_known: true, ..Destination::default() };
        for destination in names.iter().filter_map(|name| self.peers.remove(name)) {
            joined.absorb(&destination);
        }
        self.peers.insert(wide, joined);
    }

    /// An hour is over. Peers that were not learned are forgotten after a day in which they were not
    /// told.
    pub fn close_hour(&mut self, is_learning: bool, now_ms: u64, day_ms: u64) {
        for destination in self.peers.values_mut() {
            for (budget, metric) in destination.budgets.iter_mut().zip([Metric::Out, Metric::In]) {
                budget.close(is_learning, metric.peer_hour_floor());
            }
        }
        let is_over = |it: &Destination| now_ms.saturating_sub(it.day_began_ms) >= day_ms;
        self.peers.retain(|_, it| it.is_known || !is_over(it));
    }

    /// A week is over.
    pub fn rotate(&mut self) {
        self.peers.values_mut().flat_map(|it| &mut it.budgets).for_each(Budget::rotate);
    }

    /// Denies what was met at a moment or later, in seconds since the Unix epoch; returns how many.
    pub fn deny(&mut self, since_s: u64) -> usize {
        let late = self.peers.values_mut().filter(|it| it.is_known && it.first_s >= since_s);
        late.map(|it| it.is_known = false).count()
    }

    /// The names of those that are known, each with its largest hours.
    pub fn known(&self) -> impl Iterator<Item = (&str, [u64; 2])> {
        let known = self.peers.iter().filter(|(_, it)| it.is_known);
        known.map(|(name, it)| (name.as_str(), it.budgets.map(|budget| budget.largest)))
    }

    /// What they take, about, in bytes.
    pub fn bytes(&self) -> usize {
        self.peers.keys().map(|name| name.len() + PEER_BYTES).sum()
    }
}

impl Destination {
    fn add(&mut self, bytes: [u64; 2], at: &Occasion) -> [Option<TooMuch>; 2] {
        let mut too_much = [None; 2];
        for (place, metric) in [Metric::Out, Metric::In].into_iter().enumerate() {
            let budget = &mut self.budgets[place];
            if budget.add(bytes[place], metric.peer_hour_floor()) && self.is_known {
                too_much[place] = Some(TooMuch::Hour(budget.running, budget.largest));
            }
        }
        if at.now_ms.saturating_sub(self.day_began_ms) >= at.day_ms {
            (self.day_began_ms, self.day_bytes) = (at.now_ms, 0);
        }
        let before = self.day_bytes;
        self.day_bytes = self.day_bytes.saturating_add(bytes[0]);
        let has_crossed =
            before < UNKNOWN_PEER_FLOOR || magnitude(before) != magnitude(self.day_bytes);
        // What no other hour knows would have been told: that counts against what is learned.
        let is_first = before < UNKNOWN_PEER_FLOOR
            && at.now_ms.saturating_sub(self.first_s * 1000) < at.hour_ms;
        let is_new = at.may_learn && is_first;
        if (!self.is_known || is_new) && self.day_bytes >= UNKNOWN_PEER_FLOOR && has_crossed {
            too_much[0] = Some(TooMuch::Unknown(self.day_bytes));
        }
        too_much
    }

    fn absorb(&mut self, other: &Self) {
        let is_first = self.first_s == 0;
        self.first_s = if is_first { other.first_s } else { self.first_s.min(other.first_s) };
        for (own, others) in self.budgets.iter_mut().zip(&other.budgets) {
            own.absorb(others);
        }
        self.day_bytes = self.day_bytes.saturating_add(other.day_bytes);
        self.day_began_ms = self.day_began_ms.max(other.day_began_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;
    const MB: u64 = 1_000_000;

    fn at(now_ms: u64, may_learn: bool) -> Occasion {
        Occasion { now_ms: DAY + now_ms, hour_ms: DAY / 24, day_ms: DAY, may_learn }
    }

    #[test]
    fn a_peer_that_was_not_learned_is_told_from_a_megabyte_a_day_on() {
        let mut peers = Destinations::default();
        peers.add("db", [MB, 0], &at(0, true));
        let mut send = |now_ms| peers.add("evil", [MB * 2 / 3, 0], &at(now_ms, false))[0];
        assert_eq!(send(0), None);
        assert!(matches!(send(DAY / 2), Some(TooMuch::Unknown(_))), "slowly, but the same day");
        assert_eq!(send(DAY * 3 / 2 + 1), None, "the next");
        assert_eq!(peers.add("db", [2 * MB, 0], &at(0, false)), [None, None]);
    }

    #[test]
    fn a_known_peer_is_judged_by_its_largest_hour() {
        let mut peers = Destinations::default();
        peers.add("db", [10 * MB, 0], &at(0, true));
        peers.close_hour(true, DAY, DAY);
        assert_eq!(peers.add("db", [30 * MB, 0], &at(1, false)), [None, None]);
        let told = peers.add("db", [1, 0], &at(2, false))[0];
        assert_eq!(told, Some(TooMuch::Hour(30 * MB + 1, 10 * MB)));
    }

    #[test]
    fn peers_of_one_network_become_one() {
        let mut peers = Destinations::default();
        for host in 1..=5 {
            peers.add(&format!("10.0.0.{host}"), [1000, 0], &at(0, true));
        }
        assert_eq!(peers.place_of("10.0.0.200"), "10.0.0.0/24");
        assert_eq!(peers.known().count(), 1);
        assert_eq!(peers.place_of("10.0.1.1"), "10.0.1.1");
        for name in ["a", "b", "c"] {
            peers.add(&format!("{name}.s3.amazonaws.com"), [1000, 0], &at(0, true));
        }
        let bucket = "evil.s3.amazonaws.com";
        assert_eq!(peers.place_of(bucket), bucket, "its neighbours are others'");
    }

    #[test]
    fn there_are_never_more_than_a_few_hundred() {
        let mut peers = Destinations::default();
        for (may_learn, kind) in [(true, "good"), (false, "bad")] {
            for number in 0..1000 {
                peers.add(&format!("{kind}{number}"), [10, 10], &at(0, may_learn));
            }
        }
        assert!(peers.peers.len() <= MOST_KNOWN + MOST_UNKNOWN + 1, "{}", peers.peers.len());
        assert!(peers.bytes() < 64 << 10);
        peers.close_hour(false, 3 * DAY, DAY);
        assert!(peers.peers.values().all(|it| it.is_known));
    }

    #[test]
    fn who_is_denied_is_unknown() {
        let mut peers = Destinations::default();
        peers.add("db", [10, 0], &at(0, true));
        assert_eq!(peers.deny(DAY / 1000 + 1), 0);
        assert_eq!((peers.deny(0), peers.known().count()), (1, 0));
    }
}
