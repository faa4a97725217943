//! How often departures are told: the first at once, repeats seldom, and never more of an image
//! than somebody reads.

use std::collections::HashMap;

use plimsoll_ebpf::rules::Severity;

use super::{
    budget::{Budget, Leave},
    repeats::Repeat,
};
use crate::baseline::departure::Departure;

/// When repeats are told after the first, in nanoseconds; from the last on in steps of it.
const STEPS_NS: [u64; 3] = [3_600_000_000_000, 6 * 3_600_000_000_000, 24 * 3_600_000_000_000];
/// Containers of an image of which a severe departure is told by itself, until the next step.
const MOST_CONTAINERS: usize = 4;
/// Departures remembered at most; beyond it those not seen for longest are forgotten.
const MOST_REMEMBERED: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Departures {
    told: HashMap<u64, Told>,
    /// By profile.
    budgets: HashMap<usize, Budget>,
    suppressed: u64,
    alike: u64,
    repeated: u64,
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
    /// Whether it was told with others that are like it, and never by itself.
    is_among_others: bool,
    /// The containers that it was told of since the last step.
    containers: Vec<u64>,
    /// What tells of those that are counted.
    repeat: Option<Box<Repeat>>,
}

/// Whose a departure is.
#[derive(Clone, Copy, Debug)]
pub struct Whose {
    /// The container's cgroup.
    pub container: u64,
    /// The incident that it is part of.
    pub incident: u64,
}

/// What is done about a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is told, for so many.
    Tell {
        /// How many.
        count: u64,
    },
    /// It is counted on, and told as a number when the next step is over.
    Counted {
        /// Whether it is the first of these: [`Departures::keep`] takes what is to tell of them.
        is_first: bool,
    },
    /// Enough that is like it was told of its incident: those are told together a little later.
    Alike,
    /// The image has used up what it may raise in an hour.
    Suppressed,
}

impl Departures {
    /// Decides about a departure that stands for `count` acts; the moment counts since boot.
    pub fn turn(
        &mut self,
        of: &Departure,
        whose: Whose,
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
            is_among_others: false,
            containers: Vec::new(),
            repeat: None,
        });
        told.last_ns = now_ns;
        let is_severe = of.rule.info().severity >= Severity::High;
        // Who breaks into a second replica is not to pass for the first one's repeat.
        let is_anothers = is_severe
            && told.containers.len() < MOST_CONTAINERS
            && !told.containers.contains(&whose.container);
        let is_over = now_ns.saturating_sub(told.first_ns) >= step_ns(told.steps);
        if told.is_among_others && !is_over && !is_severe {
            self.alike += count;
            return Turn::Alike;
        }
        if !told.is_owed && !is_over && !is_anothers {
            self.repeated += count;
            told.untold += count;
            return Turn::Counted { is_first: told.repeat.is_none() };
        }
        let budget = self.budgets.entry(of.profile).or_default();
        let leave = budget.allows(of, whose.incident, now_ns, most_hourly);
        if leave == Leave::Refused && !is_severe {
            self.suppressed += count;
            return Turn::Suppressed;
        }
        if !told.is_owed && is_over {
            told.step(now_ns);
        }
        told.is_owed = false;
        told.is_among_others = leave == Leave::EnoughAlike && !is_severe;
        if told.is_among_others {
            self.alike += count;
            return Turn::Alike;
        }
        told.containers.push(whose.container);
        Turn::Tell { count: count + std::mem::take(&mut told.untold) }
    }

    /// Keeps what is to tell of a departure that is counted.
    pub(super) fn keep(&mut self, of: &Departure, repeat: Repeat) {
        if let Some(told) = self.told.get_mut(&of.fingerprint) {
            told.repeat = Some(Box::new(repeat));
        }
    }

    /// Tells how often those were repeated of which a step is over at this moment since boot.
    pub(super) fn tick(&mut self, now_ns: u64, tell: &mut dyn FnMut(&Repeat, u64)) {
        for told in self.told.values_mut() {
            if told.untold > 0 && now_ns.saturating_sub(told.first_ns) >= step_ns(told.steps) {
                told.step(now_ns);
                if let Some(repeat) = told.repeat.take() {
                    tell(&repeat, std::mem::take(&mut told.untold));
                }
            }
        }
    }

    /// Tells all that is counted: this is the end.
    pub(super) fn end(&mut self, tell: &mut dyn FnMut(&Repeat, u64)) {
        for told in self.told.values_mut() {
            if let Some(repeat) = told.repeat.take() {
                tell(&repeat, std::mem::take(&mut told.untold));
            }
        }
    }

    /// How many were held back because their image had used up its hour.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// How many were told together with others that are like them.
    pub fn alike(&self) -> u64 {
        self.alike
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

impl Told {
    /// Begins the step that this moment lies in.
    fn step(&mut self, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.first_ns);
        while passed_ns >= step_ns(self.steps) {
            self.steps += 1;
        }
        self.containers.clear();
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
    use crate::verdict::budget::{HOUR_NS, INCIDENT_NS, MOST_ALIKE, MOST_OF_INCIDENT};

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

    fn whose(container: u64, incident: u64) -> Whose {
        Whose { container, incident }
    }

    #[test]
    fn the_first_is_told_at_once_and_repeats_after_an_hour_six_and_a_day() {
        let mut departures = Departures::default();
        let counted = Turn::Counted { is_first: true };
        let mut turn =
            |hour: u64| departures.turn(&departure(1), whose(1, 1), 1, hour * HOUR_NS, 20);
        assert_eq!(turn(0), Turn::Tell { count: 1 });
        assert_eq!(turn(0), counted);
        assert_eq!(turn(1), Turn::Tell { count: 2 });
        assert_eq!(turn(5), counted);
        assert_eq!(turn(6), Turn::Tell { count: 2 });
        assert_eq!(turn(23), counted);
        assert_eq!(turn(24), Turn::Tell { count: 2 });
        assert_eq!(turn(47), counted);
        assert_eq!(turn(48), Turn::Tell { count: 2 });
        assert_eq!(departures.repeated(), 4);
    }

    #[test]
    fn what_is_counted_is_told_though_it_is_over() {
        let mut departures = Departures::default();
        let turn = |departures: &mut Departures, now_ns| {
            departures.turn(&departure(1), whose(1, 1), 3, now_ns, 20)
        };
        let told = |departures: &mut Departures, now_ns| {
            let mut told = Vec::new();
            departures.tick(now_ns, &mut |_, count| told.push(count));
            told
        };
        assert_eq!(turn(&mut departures, 10), Turn::Tell { count: 3 });
        assert_eq!(turn(&mut departures, 20), Turn::Counted { is_first: true });
        departures.keep(&departure(1), Repeat::default());
        assert_eq!(turn(&mut departures, 30), Turn::Counted { is_first: false });
        assert_eq!(told(&mut departures, HOUR_NS), [] as [u64; 0]);
        assert_eq!(told(&mut departures, HOUR_NS + 10), [6]);
        assert_eq!(told(&mut departures, 100 * HOUR_NS), [] as [u64; 0]);
        assert_eq!(turn(&mut departures, HOUR_NS + 20), Turn::Counted { is_first: true });
        departures.keep(&departure(1), Repeat::default());
        let mut rest = Vec::new();
        departures.end(&mut |_, count| rest.push(count));
        assert_eq!(rest, [3]);
    }

    #[test]
    fn a_severe_departure_of_another_container_is_no_repeat() {
        let mut departures = Departures::default();
        let bad = Departure { rule: Rule::NewShell, ..departure(1) };
        let mut turn = |of: &Departure, container| {
            matches!(departures.turn(of, whose(container, container), 1, 5, 20), Turn::Tell { .. })
        };
        assert!(turn(&bad, 1) && turn(&bad, 2) && !turn(&bad, 1) && !turn(&bad, 2));
        assert!(turn(&bad, 3) && turn(&bad, 4) && !turn(&bad, 5), "of so many it is the image's");
        let usual = departure(2);
        assert!(turn(&usual, 1) && !turn(&usual, 2));
    }

    #[test]
    fn an_image_has_a_budget_and_what_it_exceeds_is_told_later() {
        let mut departures = Departures::default();
        let mut turn = |of: &Departure, incident, now_ns| {
            departures.turn(of, whose(1, incident), 1, now_ns, 20)
        };
        for it in 0..20 {
            assert_eq!(turn(&departure(it), it, 0), Turn::Tell { count: 1 });
        }
        assert_eq!(turn(&departure(20), 20, 1), Turn::Suppressed);
        // What belongs to an incident that was told, or is bad, is told all the same.
        assert_eq!(turn(&departure(21), 19, 1), Turn::Tell { count: 1 });
        let bad = Departure { rule: Rule::NewSensitiveWrite, ..departure(22) };
        assert_eq!(turn(&bad, 22, 1), Turn::Tell { count: 1 });
        // The one before is in the digest.
        assert_eq!(turn(&departure(20), 20, HOUR_NS), Turn::Tell { count: 1 });
        let other = Departure { profile: 1, ..departure(99) };
        assert_eq!(turn(&other, 20, 1), Turn::Tell { count: 1 });
        assert_eq!(departures.suppressed(), 1);
    }

    #[test]
    fn one_incident_tells_no_more_than_somebody_reads() {
        let mut departures = Departures::default();
        let told = (0..400).filter(|it| {
            matches!(departures.turn(&departure(*it), whose(1, 7), 1, *it, 20), Turn::Tell { .. })
        });
        assert_eq!(told.count(), MOST_OF_INCIDENT as usize);
    }

    #[test]
    fn what_one_program_does_in_one_way_is_told_a_few_times_in_an_incident() {
        let mut departures = Departures::default();
        let alike = |fingerprint: u64, scope: &str| Departure {
            dimension: Dimension::Write,
            rule: Rule::NewWrite,
            scope: scope.to_owned(),
            ..departure(fingerprint)
        };
        let mut turn = |of: &Departure, now_ns| departures.turn(of, whose(1, 7), 1, now_ns, 20);
        let chown = "/usr/bin/chown attribute volume";
        let turns: Vec<Turn> = (0..8).map(|it| turn(&alike(it, chown), it)).collect();
        let (told, rest) = turns.split_at(MOST_ALIKE as usize);
        assert!(told.iter().all(|it| *it == Turn::Tell { count: 1 }), "{told:?}");
        assert!(rest.iter().all(|it| *it == Turn::Alike), "{rest:?}");
        // Another way, another rule and what is severe are told still.
        assert_eq!(turn(&alike(20, "/usr/bin/chown attribute root"), 9), Turn::Tell { count: 1 });
        assert_eq!(turn(&departure(21), 9), Turn::Tell { count: 1 });
        let bad = |it| Departure { rule: Rule::NewSensitiveWrite, ..alike(it, chown) };
        assert!((30..40).all(|it| turn(&bad(it), 9) == Turn::Tell { count: 1 }));
        // In the next container or start what was told with others is told with others again.
        assert_eq!(turn(&alike(7, chown), 10), Turn::Alike);
        assert_eq!(turn(&alike(7, chown), INCIDENT_NS + 1), Turn::Alike);
        assert_eq!(turn(&alike(1, chown), INCIDENT_NS + 1), Turn::Counted { is_first: true });
        assert_eq!(turn(&alike(41, chown), INCIDENT_NS + 1), Turn::Tell { count: 1 });
        assert_eq!(turn(&alike(7, chown), HOUR_NS + 10), Turn::Tell { count: 1 });
        assert_eq!(departures.alike(), 5);
    }

    #[test]
    fn a_flood_of_departures_is_not_remembered_without_end() {
        let mut departures = Departures::default();
        (0..20_000).for_each(|it| {
            departures.turn(&departure(it), whose(1, it), 1, it, 20);
        });
        assert!(departures.told.len() <= MOST_REMEMBERED);
    }
}
