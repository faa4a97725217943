//! How much a profile may tell in an hour, and of one incident.

use std::collections::HashMap;

use plimsoll_ebpf::rules::Rule;

use crate::baseline::{departure::Departure, dimension::Dimension};

/// How long departures of one subtree of processes are one incident, in nanoseconds.
pub(super) const INCIDENT_NS: u64 = 300_000_000_000;
/// Departures of one incident that are told at most.
pub(super) const MOST_OF_INCIDENT: u32 = 20;
/// Of these, changes that one program makes in one way and place: a script that changes the owner of
/// all files of a volume says no more by the hundredth.
pub(super) const MOST_ALIKE: u32 = 5;
/// The time that a budget is for, in nanoseconds.
pub(super) const HOUR_NS: u64 = 3_600_000_000_000;

/// What an image has raised in an hour.
#[derive(Debug, Default)]
pub(super) struct Budget {
    began_ns: u64,
    used: u32,
    incidents: HashMap<u64, Ongoing>,
}

/// An incident that goes on.
#[derive(Debug)]
struct Ongoing {
    until_ns: u64,
    /// How much of it was told.
    told: u32,
    /// The same of changes, by rule, scope and layer.
    alike: Vec<(Rule, Box<str>, u8, u32)>,
}

/// Whether something may be told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may.
    Given,
    /// Enough was told that is like it.
    EnoughAlike,
    /// The budget is spent.
    Refused,
}

impl Ongoing {
    /// Whether a departure may be told, which is counted then.
    fn allows(&mut self, of: &Departure) -> Leave {
        if self.told >= MOST_OF_INCIDENT {
            return Leave::Refused;
        }
        if of.dimension == Dimension::Write {
            let mut alike = self.alike.iter_mut();
            let alike = alike.find(|(rule, scope, layer, _)| {
                *rule == of.rule && **scope == *of.scope && *layer == of.layer
            });
            match alike {
                Some((.., told)) if *told >= MOST_ALIKE => return Leave::EnoughAlike,
                Some((.., told)) => *told += 1,
                None => self.alike.push((of.rule, of.scope.as_str().into(), of.layer, 1)),
            }
        }
        self.told += 1;
        Leave::Given
    }
}

impl Budget {
    /// Whether a departure of an incident may be told; one that goes on costs nothing.
    pub(super) fn allows(
        &mut self,
        of: &Departure,
        incident: u64,
        now_ns: u64,
        most_hourly: u32,
    ) -> Leave {
        if now_ns.saturating_sub(self.began_ns) >= HOUR_NS {
            *self = Self { began_ns: now_ns, ..Self::default() };
        }
        if let Some(ongoing) = self.incidents.get_mut(&incident)
            && now_ns < ongoing.until_ns
        {
            return ongoing.allows(of);
        }
        if self.used >= most_hourly {
            return Leave::Refused;
        }
        self.used += 1;
        let until_ns = now_ns.saturating_add(INCIDENT_NS);
        let mut ongoing = Ongoing { until_ns, told: 0, alike: Vec::new() };
        let leave = ongoing.allows(of);
        self.incidents.insert(incident, ongoing);
        leave
    }
}
