//! Which of the containers that ran at the start are known by now.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::clock;

/// How long the start waits for Docker to tell which containers run.
const START: Duration = Duration::from_secs(5);
/// How long an earlier agent's programs go on stopping for containers that Docker is slow to tell of.
const LATE: Duration = Duration::from_mins(1);

/// See the module.
pub(super) struct RollCall {
    began: Instant,
    inventory: Inventory,
    /// Those that Docker is slow to tell of, and all that it was.
    late: HashSet<String>,
    was_late: HashSet<String>,
    /// When all but those were known, in nanoseconds since boot.
    listed_ns: Option<u64>,
}

/// How far it is.
enum Inventory {
    /// Docker has not told which containers run.
    Unlisted,
    /// These still have to be told of.
    Listed(HashSet<String>),
    /// Docker does not answer: what runs is told when it does.
    Deferred,
}

impl RollCall {
    pub(super) fn new() -> Self {
        Self {
            began: clock::instant(),
            inventory: Inventory::Unlisted,
            late: HashSet::new(),
            was_late: HashSet::new(),
            listed_ns: None,
        }
    }

    fn note_listed(&mut self) {
        if self.listed_ns.is_none() && self.is_listed() {
            self.listed_ns = Some(clock::boot_ns());
        }
    }

    /// From when on, in nanoseconds since boot, this agent stops what a container does that ran at the
    /// start, where it was not late to be known.
    pub(super) fn stops_since(&self, id: &str) -> Option<u64> {
        self.listed_ns.filter(|_| !self.was_late.contains(id))
    }

    /// Docker told which containers run; what it lists later is news.
    pub(super) fn listed(&mut self, ids: Vec<String>) {
        if !matches!(self.inventory, Inventory::Listed(_)) {
            self.inventory = Inventory::Listed(ids.into_iter().collect());
        }
        self.note_listed();
    }

    /// Docker does not answer.
    pub(super) fn deferred(&mut self) {
        if matches!(self.inventory, Inventory::Unlisted) {
            self.inventory = Inventory::Deferred;
        }
    }

    /// All is told of a container that ever will be.
    pub(super) fn settled(&mut self, id: &str) {
        self.late.remove(id);
        if let Inventory::Listed(left) = &mut self.inventory {
            left.remove(id);
        }
        self.note_listed();
    }

    /// Docker is slow to tell of a container: the start does not wait for it.
    pub(super) fn late(&mut self, id: String) {
        if let Inventory::Listed(left) = &mut self.inventory
            && left.remove(&id)
        {
            self.was_late.insert(id.clone());
            self.late.insert(id);
        }
        self.note_listed();
    }

    /// Whether the containers that ran at the start are known, as far as they ever will be.
    pub(super) fn is_complete(&self, now: Instant) -> bool {
        let is_known = match &self.inventory {
            Inventory::Unlisted => false,
            Inventory::Listed(left) => left.is_empty(),
            Inventory::Deferred => true,
        };
        is_known || now.duration_since(self.began) > START
    }

    /// Whether every container that was there at the start is known, but for those that are late.
    pub(super) fn is_listed(&self) -> bool {
        match &self.inventory {
            Inventory::Listed(left) => left.is_empty(),
            Inventory::Unlisted | Inventory::Deferred => false,
        }
    }

    /// Whether an earlier agent can be let go: what it stops in any container, this one stops, too.
    pub(super) fn may_take_over(&self, now: Instant) -> bool {
        self.is_listed() && (self.late.is_empty() || now.duration_since(self.began) > LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_agent_stops_until_those_that_are_late_are_known() {
        let mut call = RollCall::new();
        let now = call.began;
        let state = |call: &RollCall, now| {
            [call.is_complete(now), call.is_listed(), call.may_take_over(now)]
        };
        assert_eq!(state(&call, now), [false; 3]);
        call.listed(["a", "b"].map(str::to_owned).into());
        call.settled("a");
        assert_eq!(state(&call, now), [false; 3]);
        call.late("b".to_owned());
        assert_eq!(state(&call, now), [true, true, false]);
        assert!(call.stops_since("a").is_some() && call.stops_since("b").is_none());
        assert!(call.may_take_over(now + 2 * LATE), "not for ever");
        call.late("of later".to_owned());
        call.settled("b");
        assert_eq!(state(&call, now), [true; 3]);
    }

    #[test]
    fn without_docker_the_start_is_complete_and_nothing_is_taken_over() {
        let mut call = RollCall::new();
        let now = call.began;
        call.deferred();
        assert!(call.is_complete(now) && !call.may_take_over(now + 2 * LATE));
        call.listed(vec!["a".to_owned()]);
        call.deferred();
        assert!(!call.is_complete(now), "it answers again");
        assert!(call.is_complete(now + 2 * START));
    }
}
