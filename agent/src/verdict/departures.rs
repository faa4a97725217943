//! How often departures are told: the first at once, repeats seldom, and never more of an image
//! than somebody reads.

use std::collections::HashMap;

use plimsoll_ebpf::rules::Severity;

use crate::baseline::departure::Departure;

/// When repeats are told after the first, in nanoseconds; from the last on in steps of it.
const STEPS_NS: [u64; 3] = [3_600_000_000_000, 6 * 3_600_000_000_000, 24 * 3_600_000_000_000];
/// How long departures of one subtree of processes are one incident, in nanoseconds.
const INCIDENT_NS: u64 = 300_000_000_000;
/// Departures of one incident that are told at most.
const MOST_OF_INCIDENT: u32 = 20;
/// The time that a budget is for, in nanoseconds.
const HOUR_NS: u64 = 3_600_000_000_000;
/// Departures remembered at most; beyond it those not seen for longest are forgotten.
const MOST_REMEMBERED: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Departures {
    told: HashMap<u64, Told>,
    /// By profile.
    budgets: HashMap<usize, Budget>,
    suppressed: u64,
    repeated: u64,
}

/// What an image has raised in an hour.
#[derive(Debug, Default)]
struct Budget {
    began_ns: u64,
    used: u32,
    /// Until when each incident goes on, and how much of it was told.
    incidents: HashMap<u64, (u64, u32)>,
}

impl Budget {
    /// Whether a departure of an incident may be told; one that goes on costs nothing.
    fn allows(&mut self, incident: u64, now_ns: u64, most_hourly: u32) -> bool {
        if now_ns.saturating_sub(self.began_ns) >= HOUR_NS {
            *self = Self { began_ns: now_ns, ..Self::default() };
        }
        if let Some((until_ns, told)) = self.incidents.get_mut(&incident)
            && now_ns < *until_ns
        {
            *told += 1;
            return *told <= MOST_OF_INCIDENT;
        }
        if self.used >= most_hourly {
            return false;
        }
        self.used += 1;
        self.incidents.insert(incident, (now_ns.saturating_add(INCIDENT_NS), 1));
        true
    }
}

#[derive(Debug)]
struct Told {
    first_ns: u64,
    last_ns: u64,
    /// Those since it was told last.
    untold: u64,
    /// Steps that are over.
    steps: usize,
    /// Whether it was held back for want of budget and never told.
    is_owed: bool,
}

/// What is done about a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is told, for so many.
    Tell {
        /// How many.
        count: u64,
    },
    /// It is counted on.
    Counted,
    /// The image has used up what it may raise in an hour.
    Suppressed,
}

impl Departures {
    /// Decides about a departure that stands for `count` acts and is part of an incident; the moment
    /// counts since the epoch.
    pub fn turn(
        &mut self,
        of: &Departure,
        incident: u64,
        count: u64,
        now_ns: u64,
        most_hourly: u32,
    ) -> Turn {
        let is_known = self.told.contains_key(&of.fingerprint);
        if !is_known && self.told.len() >= MOST_REMEMBERED {
            self.forget_oldest();
        }
        let told = self.told.entry(of.fingerprint).or_insert(Told {
            first_ns: now_ns,
            last_ns: now_ns,
            untold: 0,
            steps: 0,
            is_owed: true,
        });
        told.untold += count;
        told.last_ns = now_ns;
        let passed_ns = now_ns.saturating_sub(told.first_ns);
        if !told.is_owed && passed_ns < step_ns(told.steps) {
            self.repeated += count;
            return Turn::Counted;
        }
        let budget = self.budgets.entry(of.profile).or_default();
        let is_allowed = budget.allows(incident, now_ns, most_hourly);
        if !is_allowed && of.rule.info().severity < Severity::High {
            self.suppressed += count;
            return Turn::Suppressed;
        }
        if !told.is_owed {
            while passed_ns >= step_ns(told.steps) {
                told.steps += 1;
            }
        }
        told.is_owed = false;
        Turn::Tell { count: std::mem::take(&mut told.untold) }
    }

    /// How many were held back because their image had used up its hour.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// How many were repeats of one that was told.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Makes room by a tenth.
    fn forget_oldest(&mut self) {
        let mut moments: Vec<u64> = self.told.values().map(|it| it.last_ns).collect();
        moments.sort_unstable();
        let limit = moments.get(moments.len() / 10).copied().unwrap_or_default();
        self.told.retain(|_, it| it.last_ns > limit);
    }
}

/// How long after the first the next repeat is told.
fn step_ns(steps: usize) -> u64 {
    match STEPS_NS.get(steps) {
        Some(step) => *step,
        None => STEPS_NS[2].saturating_mul((steps - 1) as u64),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ebpf::rules::Rule;

    use super::*;
    use crate::baseline::{
        dimension::{Context, Dimension},
        explain::DepartureKind,
    };

    fn departure(fingerprint: u64) -> Departure {
        Departure {
            dimension: Dimension::Process,
            context: Context::Steady,
            rule: Rule::NewProcess,
            profile: 0,
            kind: DepartureKind::New,
            scope: String::new(),
            key: String::new(),
            object: String::new(),
            layer: 0,
            fingerprint,
            words: String::new(),
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_repeats_after_an_hour_six_and_a_day() {
        let mut departures = Departures::default();
        let mut turn = |hour: u64| departures.turn(&departure(1), 1, 1, hour * HOUR_NS, 20);
        assert_eq!(turn(0), Turn::Tell { count: 1 });
        assert_eq!(turn(0), Turn::Counted);
        assert_eq!(turn(1), Turn::Tell { count: 2 });
        assert_eq!(turn(5), Turn::Counted);
        assert_eq!(turn(6), Turn::Tell { count: 2 });
        assert_eq!(turn(23), Turn::Counted);
        assert_eq!(turn(24), Turn::Tell { count: 2 });
        assert_eq!(turn(47), Turn::Counted);
        assert_eq!(turn(48), Turn::Tell { count: 2 });
        assert_eq!(departures.repeated(), 4);
    }

    #[test]
    fn an_image_has_a_budget_and_what_it_exceeds_is_told_later() {
        let mut departures = Departures::default();
        for it in 0..20 {
            assert_eq!(departures.turn(&departure(it), it, 1, 0, 20), Turn::Tell { count: 1 });
        }
        assert_eq!(departures.turn(&departure(20), 20, 1, 1, 20), Turn::Suppressed);
        assert_eq!(departures.suppressed(), 1);
        // What belongs to an incident that was told, or is bad, is told all the same.
        assert_eq!(departures.turn(&departure(21), 19, 1, 1, 20), Turn::Tell { count: 1 });
        let bad = Departure { rule: Rule::NewSensitiveWrite, ..departure(22) };
        assert_eq!(departures.turn(&bad, 22, 1, 1, 20), Turn::Tell { count: 1 });
        assert_eq!(departures.turn(&departure(20), 20, 1, HOUR_NS, 20), Turn::Tell { count: 2 });
        let other = Departure { profile: 1, ..departure(99) };
        assert_eq!(departures.turn(&other, 20, 1, 1, 20), Turn::Tell { count: 1 });
    }

    #[test]
    fn one_incident_tells_no_more_than_somebody_reads() {
        let mut departures = Departures::default();
        let told = (0..400).filter(|it| {
            matches!(departures.turn(&departure(*it), 7, 1, *it, 20), Turn::Tell { .. })
        });
        assert_eq!(told.count(), MOST_OF_INCIDENT as usize);
    }

    #[test]
    fn a_flood_of_departures_is_not_remembered_without_end() {
        let mut departures = Departures::default();
        (0..20_000).for_each(|it| {
            departures.turn(&departure(it), it, 1, it, 20);
        });
        assert!(departures.told.len() <= MOST_REMEMBERED);
    }
}
